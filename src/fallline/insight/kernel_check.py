"""Whether the kernels that compute a step do what its ops say: each against the reference walk, and all on any threads.

Every op of the step is computed by the NumPy reference of its declaration, from the inputs that the compiled engine
itself gave it, so that no difference is handed on. Both round differently, so a difference within
`TOLERANCE` × the largest magnitude of the tensor (for sums, of the sum of magnitudes) is none.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.engine.programs import COMPILED
from fallline.errors import ArgumentError
from fallline.insight.sides import Side
from fallline.insight.values import Change, compare
from fallline.ir.graph import Node
from fallline.ir.kernel import Contraction, Reduction
from fallline.ir.types import BATCH, bind
from fallline.training.every_tensor import every_tensor, step_inputs
from fallline.training.replay import Replayer
from fallline.training.step import LOSS, UPDATED
from fallline.training.steppers import Snapshot
from fallline.training.tensor_names import tensor_names

Array = NDArray[Any]
TOLERANCE = {"float32": 1e-4, "float64": 1e-11}
THREADS = (1, 2, 4)


@dataclass(frozen=True)
class WrongKernel:
    """A tensor that was not computed as its op says.

    Attributes:
        tensor: its name.
        op: its op's name.
        largest: the largest difference.
        allowed: what rounding may make of it.
        against: what it was compared with.
    """

    tensor: str
    op: str
    largest: float
    allowed: float
    against: str

    @property
    def change(self) -> Change:
        """The tensor as one that differs between the engine and the reference."""
        return Change(self.tensor, None, "the engine's", "the reference's")

    def __str__(self) -> str:
        return (
            f"the kernel that computes {self.tensor} ({self.op}) is wrong: its result is up to {self.largest:.3g} away "
            f"from {self.against}, where at most {self.allowed:.3g} is rounding. This is a defect of Fallline; "
            'engine="reference" trains without it'
        )


def wrong_kernel(side: Side, before: Snapshot) -> WrongKernel | None:
    """The first tensor of a step that the compiled engine computes wrong; None where there is none."""
    replayer = side.replayer
    if replayer.engine != COMPILED:
        return None
    names = tensor_names(replayer.update.graph, side.recording.graphs.step)
    found = list(_tensors(side, before))
    if (wrong := _against_reference(found, names, side, before.step)) is not None:
        return wrong
    kept = {name: value for node, value in found for name in names.get(id(node), ())}
    if not np.isfinite(kept[LOSS]):
        return None  # there is no update to compare
    after, _ = replayer.onward(before, before.step + 1)
    for name, value in after.values.items():
        if (here := kept.get(UPDATED + name)) is not None and compare(name, here, value) is not None:
            apart = float(np.max(np.abs(here.astype(np.float64) - value)))
            return WrongKernel(UPDATED + name, "training's program", apart, 0.0, "the same step with every tensor kept")
    return None


def wrong_on_threads(side: Side, before: Snapshot, step: int) -> str:
    """Which numbers of threads give other weights than one does, in words; empty where none do."""
    hashes = {}
    for threads in THREADS:
        settings = replace(side.recording.settings, threads=threads)
        recording = replace(side.recording, settings=settings)
        other = Replayer(recording, side.replayer.engine, side.replayer.scores, lambda step: iter([before]), {})
        try:
            hashes[threads] = other.onward(before, step)[0].values
        except ArgumentError:  # a loss that is not finite: no weights to compare
            return ""
    apart = [t for t in THREADS[1:] if any(compare(n, hashes[1][n], v) is not None for n, v in hashes[t].items())]
    return f"{' and '.join(map(str, apart))} threads give other weights than 1" if apart else ""


def _tensors(side: Side, before: Snapshot) -> Iterator[tuple[Node, Array]]:
    replayer, step = side.replayer, before.step
    factor = float(replayer.rates.factors(step, 1)[0])
    inputs = step_inputs(replayer.program, replayer.update, replayer.batches, before, factor)
    sizes = {BATCH.name: int(replayer.batches.sizes(step, 1)[0])}
    shards = side.recording.settings.shards
    return every_tensor(replayer.update.graph, sizes, inputs, replayer.engine, shards)


def _against_reference(
    found: list[tuple[Node, Array]], names: dict[int, list[str]], side: Side, step: int
) -> WrongKernel | None:
    values = {id(node): value for node, value in found}
    sizes = {BATCH.name: int(side.replayer.batches.sizes(step, 1)[0])}
    for node, value in found:
        if not node.inputs:
            continue
        attributes = {key: bind(item, sizes) for key, item in node.attributes.items()}
        arguments = [values[id(parent)] for parent in node.inputs]
        with np.errstate(all="ignore"):
            right = np.asarray(node.op.reference(*arguments, **attributes))
            scale = right
            if isinstance(node.op.kernel, Contraction | Reduction) and right.dtype.kind == "f":
                scale = np.asarray(node.op.reference(*map(np.abs, arguments), **attributes))
        if (apart := _apart(value, right, scale)) is not None:
            return WrongKernel(names[id(node)][0], node.op.name, *apart, "the reference walk")
    return None


def _apart(value: Array, right: Array, scale: Array) -> tuple[float, float] | None:
    """(largest difference, what is allowed) of a wrong result; None of a right one."""
    if value.dtype.kind != "f":
        wrong = int((value != right).sum())
        return (float(wrong), 0.0) if wrong else None
    finite = np.isfinite(value) & np.isfinite(right)
    if not np.array_equal(np.where(finite, 0.0, value), np.where(finite, 0.0, right), equal_nan=True):
        return float("inf"), 0.0
    if not finite.any():
        return None
    largest = float(np.max(np.abs(value.astype(np.float64) - right), where=finite, initial=0.0))
    magnitude = float(np.max(np.abs(scale), where=np.isfinite(scale), initial=0.0))
    allowed = TOLERANCE[str(value.dtype)] * magnitude
    return (largest, allowed) if largest > allowed else None
