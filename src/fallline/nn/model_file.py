"""Model files: safetensors with the weights, and JSON metadata with the graph that predicts.

No pickle: opening a file from a stranger runs nothing. A file is written beside its place and moved
there when it is whole, so a crash leaves the old one or none.
"""

import json
import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as safetensors_bytes

from fallline.errors import ArgumentError, FalllineError, KindError, ModelFileError, told
from fallline.ir.graph import Graph
from fallline.ir.serialize import MAX_NODES, graph_from_json, graph_to_json
from fallline.ir.transform import substitute
from fallline.ir.types import DType, format_shape
from fallline.nn.module import Buffer, Module, Parameter
from fallline.nn.stored_graph import check_prediction_graph
from fallline.nn.trace import SEED, STEP, X, current_trace, trace_network, values_of
from fallline.ops.tensor import Tensor

Array = NDArray[Any]
FORMAT_VERSION = 1
KEY = "fallline"


class StoredNetwork(Module):
    """A network read from a file: its prediction graph with its weights. It predicts; it has no layers to train.

    Attributes:
        metadata: what the file's writer stored beside the network.
    """

    def __init__(self, graph: Graph, values: dict[str, Array], metadata: dict[str, Any]) -> None:
        self.metadata = metadata
        self._graph = graph
        self._leaves_by_name: dict[str, Parameter | Buffer] = {}
        for name, node in graph.inputs.items():
            if name.startswith("@"):
                continue
            leaf: Parameter | Buffer
            if name in metadata["buffers"]:
                leaf = Buffer(values[name])
            else:
                leaf = Parameter(node.type.shape, "zeros")  # type: ignore[arg-type]
            leaf.value = values[name]  # in the dtype of the file
            self._leaves_by_name[name] = leaf

    def children(self) -> Any:
        """The stored parameters and buffers under their dotted names."""
        return iter(self._leaves_by_name.items())

    def __call__(self, x: Tensor) -> Tensor:
        """The stored graph with x in place of its input."""
        stored = self._graph.inputs[X].type
        if x.shape[1:] != stored.shape[1:]:
            raise ArgumentError(
                f"this network takes rows of shape {format_shape(stored.shape[1:])}, found {format_shape(x.shape[1:])}"
            )
        if x.dtype.is_float and not stored.dtype.is_float:
            raise KindError(
                f"this network takes whole numbers, {stored.dtype}, found {x.dtype}; give the data as it was trained on"
            )
        replaced = {id(self._graph.inputs[name]): leaf.node for name, leaf in self._leaves_by_name.items()}
        replaced[id(self._graph.inputs[X])] = x.astype(stored.dtype).node
        trace = current_trace()
        if trace is not None:
            replaced[id(self._graph.inputs[SEED])] = trace.seed.node
            replaced[id(self._graph.inputs[STEP])] = trace.step.node
        return Tensor(substitute(self._graph, replaced).outputs["outputs"])

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one row of x."""
        return tuple(int(dim) for dim in self._graph.inputs[X].type.shape[1:])  # type: ignore[arg-type]

    @property
    def input_dtype(self) -> DType:
        """The dtype of x."""
        return self._graph.inputs[X].type.dtype

    def describe(self) -> str:
        """What `repr` shows."""
        return f"{sum(leaf.value.size for leaf in self._leaves_by_name.values() if leaf.value is not None)} numbers"


def save_network(net: Module, path: Any, extra: dict[str, Any] | None = None, x_shape: Any = None) -> None:
    """Write a network to `path`.

    Args:
        net: the network; its input shape must be known from a training or prediction, or given.
        path: usually ends in .safetensors.
        extra: JSON values to store beside it.
        x_shape: (shape of one row, dtype name) of the input.
    """
    arrays, stored = describe_network(net, extra, x_shape)
    write_tensors(path, {**values_of(net), **arrays}, stored)


def describe_network(
    net: Module, extra: dict[str, Any] | None = None, x_shape: Any = None
) -> tuple[dict[str, Array], dict[str, Any]]:
    """(arrays that the prediction graph holds, JSON metadata): a model file without its weights and buffers.

    Args:
        net, extra, x_shape: as in `save_network`.
    """
    shape, dtype = x_shape or input_signature(net)
    traced = trace_network(net, tuple(shape), DType(dtype), training=False)
    known = dict(values_of(net))
    arrays = dict(known)
    stored = {
        "format": FORMAT_VERSION,
        "graph": graph_to_json(traced.graph({"outputs": traced.outputs}), arrays, MAX_NODES),
        "buffers": list(net.named_buffers()),
        **(extra or {}),
    }
    return {name: array for name, array in arrays.items() if name not in known}, stored


def input_signature(net: Module) -> tuple[tuple[int, ...], str]:
    """(shape of one row, dtype) of the network's input, as the last fit saw it or as its first layer tells."""
    if isinstance(net, StoredNetwork):
        return net.input_shape, net.input_dtype.value
    if net._input_signature is not None:
        return net._input_signature
    for module in net.named_modules().values():
        features = getattr(module, "in_features", None)
        if features is not None:
            return (features,), "float32"
        if any(isinstance(part, Parameter) for _, part in module.children()):
            break
    raise ArgumentError(
        "save: the shape of the network's input is not known yet; train it, or predict with it once, before saving"
    )


def write_tensors(path: Any, arrays: dict[str, Array], metadata: dict[str, Any]) -> None:
    """A safetensors file with JSON metadata, written whole or not at all."""
    target = Path(path)
    data = safetensors_bytes(
        {name: np.ascontiguousarray(array) for name, array in arrays.items()},
        metadata={KEY: json.dumps(metadata, allow_nan=False)},
    )
    write_whole(target, data)


def write_whole(target: Path, data: bytes | Iterable[bytes]) -> None:
    """Write a file, of bytes or of parts that are made one after the other, beside its place, and move it there.

    Raises:
        ModelFileError: the folder is missing, not writable, or the disk is full; nothing is left behind.
    """
    temporary, size = None, 0
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        with os.fdopen(handle, "wb") as file:
            for part in (data,) if isinstance(data, bytes) else data:
                size += len(part)
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)  # mkstemp makes files that nobody else can read
        os.replace(temporary, target)
        _flush_folder(target.parent)
    except BaseException as error:
        if temporary is not None:
            with suppress(OSError):
                Path(temporary).unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        raise ModelFileError(
            f"cannot write {str(target)!r}: {error.strerror or error}; choose a folder that exists, is writable "
            f"and has {max(size // 1_000_000, 1)} MB free"
        ) from None


def _flush_folder(folder: Path) -> None:
    """Make the move last, too; where the system cannot do it for folders, it does so by itself."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def read_tensors(path: Any) -> tuple[dict[str, Array], dict[str, Any]]:
    """The arrays and the JSON metadata of a file written by `write_tensors`.

    Raises:
        ModelFileError: missing, not a safetensors file, truncated, or not written by Fallline.
    """
    target = Path(path)
    if not target.is_file():
        raise ModelFileError(f"there is no model file {str(path)!r}; `fallline runs` lists the models made here")
    try:
        with safe_open(str(target), framework="numpy") as file:
            text = (file.metadata() or {}).get(KEY)
            arrays = {name: file.get_tensor(name) for name in file.keys()} if text else {}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelFileError(
            f"{str(path)!r} is not a whole safetensors file ({told(error)}); it may be truncated: save or copy it again"
        ) from None
    if text is None:
        raise ModelFileError(
            f"{str(path)!r} holds tensors, but was not written by Fallline: it has no prediction graph"
        )
    try:
        metadata = json.loads(text)
        # an escape such as \ud800 alone is no letter; NaN and infinity could not be written again
        json.dumps(metadata, ensure_ascii=False, allow_nan=False).encode()
        version = metadata["format"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ModelFileError(f"{str(path)!r}: its metadata are damaged; save or copy the file again") from None
    if version != FORMAT_VERSION:
        raise ModelFileError(
            f"{str(path)!r} has model format {told(repr(version), 40)}; this Fallline reads format {FORMAT_VERSION}: "
            "use the version that wrote it, or save the model again"
        )
    return arrays, metadata


def load_network(path: Any, into: Module | None = None) -> Module:
    """A network from its file; with `into`, its weights and buffers put into a network made in Python."""
    arrays, metadata = read_tensors(path)
    return network_from(arrays, metadata, path, into)


def network_from(arrays: dict[str, Array], metadata: dict[str, Any], path: Any, into: Module | None = None) -> Module:
    """`load_network` for a file that has been read."""
    try:
        buffers = set(metadata["buffers"])
        named = {name: array for name, array in arrays.items() if not name.startswith("@")}
        if into is not None:
            _put(into, named, buffers)
            return into
        graph = graph_from_json(metadata["graph"], arrays)
        check_prediction_graph(graph, named)
        return StoredNetwork(graph, named, metadata)
    except (FalllineError, KeyError, TypeError, RecursionError, MemoryError) as error:
        raise ModelFileError(f"{str(path)!r} does not fit: {told(error)}") from None


def _put(net: Module, named: dict[str, Array], buffers: set[str]) -> None:
    """All weights and buffers, or none of them."""
    before = net.parameters()
    net.load_parameters({name: array for name, array in named.items() if name not in buffers})
    try:
        net.load_buffers({name: array for name, array in named.items() if name in buffers})
    except FalllineError:
        net.load_parameters(before)
        raise
