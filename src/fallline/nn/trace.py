"""Tracing: from a module to its graph, for training or for prediction."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.engine.programs import ForwardProgram
from fallline.errors import ArgumentError, KindError, ShapeError
from fallline.ir.graph import Graph, nodes_in, provenance, topological
from fallline.ir.transform import retype_floats
from fallline.ir.types import BATCH, DType, format_shape
from fallline.nn.checks import as_array, as_floats, size
from fallline.nn.module import Buffer, Module
from fallline.ops.leaf import make_input
from fallline.ops.tensor import Tensor

Array = NDArray[Any]

X, Y, SAMPLE_WEIGHT, DENOMINATOR, SEED, STEP = "@x", "@y", "@sample_weight", "@denominator", "@seed", "@step"
"""Names of what a program is given besides parameters and buffers, whose dotted names never start with @."""


@dataclass
class Trace:
    """One tracing in progress.

    Attributes:
        training: for training (Dropout acts, BatchNorm uses the batch) or for prediction.
        names: dotted name by id of module.
        updates: new values of buffers, by id of buffer.
        calls: how often each module has asked for random numbers.
        entered: how often each module has been called.
    """

    training: bool
    names: dict[int, str]
    updates: dict[int, Tensor] = field(default_factory=dict)
    calls: Counter[int] = field(default_factory=Counter)
    entered: Counter[int] = field(default_factory=Counter)
    seed: Tensor = field(default_factory=lambda: make_input(SEED, (), "int64"))
    step: Tensor = field(default_factory=lambda: make_input(STEP, (), "int64"))


_current: ContextVar[Trace | None] = ContextVar("trace", default=None)


def current_trace() -> Trace | None:
    """The tracing that is going on in this context, if any."""
    return _current.get()


@contextmanager
def tracing(net: Module, training: bool) -> Iterator[Trace]:
    """Within the block, layers know their dotted names and whether they train."""
    trace = Trace(training, {id(module): name for name, module in net.named_modules().items()})
    token = _current.set(trace)
    try:
        yield trace
    finally:
        _current.reset(token)


def scope_of(module: Module) -> AbstractContextManager[None]:
    """Nodes made inside the block remember the module's dotted name, where a network that holds it is traced."""
    trace = current_trace()
    name = None if trace is None else trace.names.get(id(module))
    if trace is None or name is None or name == provenance().scope:  # the last: a class that calls its base's
        return nullcontext()
    trace.entered[id(module)] += 1
    return nodes_in(name, trace.entered[id(module)])


def assign(buffer: Buffer, value: Tensor) -> None:
    """Let a buffer hold `value` after the step that is being traced."""
    trace = current_trace()
    if trace is not None and trace.training:
        trace.updates[id(buffer)] = value


def held(buffer: Buffer) -> Tensor:
    """What a buffer holds at this point of the trace: a layer that is called twice goes on from its first call."""
    trace = current_trace()
    return buffer if trace is None else trace.updates.get(id(buffer), buffer)


def random_stream(module: Module) -> tuple[str, Tensor, Tensor]:
    """(stream, seed, step) for a layer's random numbers; a layer that is called again gets another stream."""
    trace = current_trace()
    if trace is None:
        raise ArgumentError(f"{type(module).__name__}: random numbers exist only while a network is traced")
    count = trace.calls[id(module)]
    trace.calls[id(module)] += 1
    name = trace.names.get(id(module), "")
    return (f"{name}#{count}" if count else name), trace.seed, trace.step


@dataclass
class TracedNetwork:
    """A network's outputs as tensors, with its leaves by name.

    Attributes:
        x: the input, (n, …).
        outputs: what `__call__` returned.
        leaves: parameters and buffers by dotted name.
        updates: new buffer values by dotted name (training only).
    """

    x: Tensor
    outputs: Tensor
    leaves: dict[str, Tensor]
    updates: dict[str, Tensor]
    seed: Tensor
    step: Tensor

    def graph(self, outputs: Mapping[str, Tensor], inputs: Mapping[str, Tensor] | None = None) -> Graph:
        """A graph from the network's inputs (and further ones) to the given outputs."""
        named: dict[str, Tensor] = {X: self.x, SEED: self.seed, STEP: self.step, **self.leaves, **(inputs or {})}
        return Graph({name: t.node for name, t in named.items()}, {name: t.node for name, t in outputs.items()})


def trace_network(net: Module, shape: tuple[int, ...], dtype: DType, training: bool) -> TracedNetwork:
    """Trace a network on an input of (n, *shape).

    Raises:
        KindError: `__call__` did not return a tensor.
        ArgumentError: `__call__` uses a parameter that the module does not hold.
        ShapeError: a layer does not fit its input; or the outputs have lost the rows.
    """
    x = make_input(X, (BATCH, *shape), dtype)
    with tracing(net, training) as trace:
        outputs = net(x)
    if not isinstance(outputs, Tensor):
        raise KindError(f"{type(net).__name__}.__call__ must return a tensor, found {type(outputs).__name__}")
    if not outputs.shape or outputs.shape[0] != BATCH:
        raise ShapeError(
            f"{type(net).__name__}: the outputs must have a row per row of the input, (n, …), "
            f"found {format_shape(outputs.shape)} from an input {format_shape(x.shape)}"
        )
    buffers = net.named_buffers()
    leaves: dict[str, Tensor] = {**net.named_parameters(), **buffers}
    updates = {name: trace.updates[id(buffer)] for name, buffer in buffers.items() if id(buffer) in trace.updates}
    _check_leaves(net, outputs, [x, trace.seed, trace.step, *leaves.values()])
    return TracedNetwork(x, outputs, leaves, updates, trace.seed, trace.step)


def check_network(net: Any, call: str) -> None:
    """Refuse what is not a network."""
    if not isinstance(net, Module):
        hint = f"; make an object of it, {net.__name__}(…)" if isinstance(net, type) else ""
        raise KindError(f"{call}: net must be an object of fallline.nn.Module, found {net!r}{hint}")


def _check_leaves(net: Module, outputs: Tensor, known: list[Tensor]) -> None:
    """Refuse a parameter that is used but not held, for gradient descent could not find it."""
    ids = {id(tensor.node) for tensor in known}
    for node in topological([outputs.node]):
        if node.op.name == "input" and id(node) not in ids:
            raise ArgumentError(
                f"{type(net).__name__}: __call__ uses a {node.attributes['name']} of shape "
                f"{format_shape(node.type.shape)} that no attribute holds; make layers and parameters in __init__ "
                "and keep them as attributes, or in lists, tuples or dicts that are attributes"
            )


def as_input(x: Any, dtype: str, call: str) -> Array:
    """x as rows of numbers: floats in the network's dtype, whole numbers as they are."""
    array = as_array(f"{call}: x", x)
    if array.dtype.kind not in "fiub":
        raise KindError(
            f"{call}: x must hold numbers, found {array.dtype}; for tables with text use `fallline train` "
            "or encode the columns first"
        )
    if array.ndim == 0:
        raise ShapeError(f"{call}: x must have rows, shape (rows, …), found a single number")
    if array.dtype.kind in "fb":
        return as_floats(f"{call}: x", array, dtype)
    return array if array.dtype == np.uint8 else np.asarray(array, dtype=np.int64)


def remember_input(net: Module, x: Array) -> None:
    """Keep the shape and dtype of a row, so that the network can be saved without being told them."""
    net._input_signature = (x.shape[1:], "float32" if x.dtype.kind == "f" else str(x.dtype))


def values_of(net: Module) -> dict[str, Array]:
    """Parameters and buffers by dotted name, in the network's dtype."""
    return {**net.parameters(), **{name: value.astype(net.dtype) for name, value in net.buffers().items()}}


def prediction_graph(net: Module, x: Array) -> Graph:
    """The graph x → outputs, in the network's dtype."""
    input_dtype = DType(str(x.dtype))
    traced = trace_network(net, x.shape[1:], DType.FLOAT32 if input_dtype.is_float else input_dtype, training=False)
    graph = traced.graph({"outputs": traced.outputs})
    return graph if net.dtype == "float32" else retype_floats(graph, DType(net.dtype))


def predict(net: Module, x: Any, batch_size: int) -> Array:
    """The network's outputs, `batch_size` rows at a time."""
    size("predict", "batch_size", batch_size)
    rows = as_input(x, net.dtype, "predict")
    remember_input(net, rows)
    graph = prediction_graph(net, rows)
    values = {**values_of(net), SEED: np.asarray(0), STEP: np.asarray(0)}
    forward = ForwardProgram(graph)
    parts = []
    for start in range(0, max(len(rows), 1), batch_size):
        part = np.ascontiguousarray(rows[start : start + batch_size])
        parts.append(forward({**values, X: part})["outputs"])
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
