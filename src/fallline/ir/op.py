"""What an op is, and the register of all ops.

One op, one declaration: shape rule, NumPy reference, gradient rule, kernel form and samples stand
together in one call of `register`, in one of the files of `ops/`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fallline.errors import GraphError, nearest
from fallline.ir.kernel import KernelForm, Leaf
from fallline.ir.types import TensorType


@dataclass(frozen=True)
class Sample:
    """Input arrays on which an op is checked.

    Attributes:
        inputs: one array per input of the op.
        attributes: the op's attributes.
        generic: the op is smooth here, so finite differences must agree with the gradient rule;
            False for special points (ties, ±1000, NaN), where only values are compared.
    """

    inputs: tuple[Any, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    generic: bool = True


@dataclass(frozen=True, eq=False)
class Op:
    """One kind of node.

    Attributes:
        name: unique, as graphs print it.
        infer: (*types, **attributes) → type of the result; raises the user's error.
        reference: (*arrays, **attributes) → array: what the op means, in NumPy.
        gradient: (g, y, *inputs, **attributes) → for each input dL/dinput or None, all of them tensors
            of a graph, so that the rule can be differentiated again.
        kernel: how it computes, against the abstract emitter.
        samples: inputs on which the registry's tests check all of the above.
        why_no_gradient: the reason, where `gradient` is None.
    """

    name: str
    infer: Callable[..., TensorType]
    reference: Callable[..., Any]
    gradient: Callable[..., Sequence[Any]] | None
    kernel: KernelForm | Leaf
    samples: Callable[[], list[Sample]] | None
    why_no_gradient: str = ""

    def __repr__(self) -> str:
        return f"<op {self.name}>"


REGISTRY: dict[str, Op] = {}


def register(op: Op) -> Op:
    """Add an op. Refused: a name twice, no samples, no gradient without a reason."""
    if op.name in REGISTRY:
        raise GraphError(f"register: an op named {op.name!r} exists already")
    if not isinstance(op.kernel, Leaf) and op.samples is None:
        raise GraphError(f"register: op {op.name!r} has no samples, so no test would ever check it")
    if op.gradient is None and not op.why_no_gradient:
        raise GraphError(f"register: op {op.name!r} has neither a gradient rule nor a stated reason for its lack")
    REGISTRY[op.name] = op
    return op


def lookup(name: str) -> Op:
    """The op of that name."""
    try:
        return REGISTRY[name]
    except KeyError:
        raise GraphError(f"no op is named {name!r:.60}: {nearest(name[:60], REGISTRY)}") from None
