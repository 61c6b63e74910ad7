"""Checks of a prediction graph that came from a file: nothing of it is believed before."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.engine.reference import ReferenceProgram
from fallline.errors import FalllineError, ModelFileError
from fallline.ir.graph import Graph, Node, topological
from fallline.ir.types import BATCH, DType, SymbolicDim, format_shape
from fallline.nn.trace import SEED, STEP, X

Array = NDArray[Any]
NUMBERS_PER_ROW, NUMBERS_PER_WEIGHT = 2**22, 256
"""What a graph may read and write for one row, summed over its nodes; and how much more for each weight in the file."""
MOST_ELEMENTS = 2**30
"""Of a tensor, per row: more than any network has, and less than what exhausts a machine."""


def check_prediction_graph(graph: Graph, arrays: Mapping[str, Array]) -> None:
    """Whether a graph takes rows and the file's arrays, and gives a row for each row.

    Raises:
        ModelFileError: a clause that says what is wrong.
    """
    for name in (X, SEED, STEP):
        if name not in graph.inputs:
            raise ModelFileError(f"the stored graph has no input {name!r}")
    for name, node in graph.inputs.items():
        if node.op.name != "input":
            raise ModelFileError(f"the input {name!r} of the stored graph is computed, by {node.op.name}")
        _check_type(node)
        if not name.startswith("@"):
            _check_array(name, node, arrays)
    if "outputs" not in graph.outputs:
        raise ModelFileError("the stored graph has no outputs")
    known = {id(node) for node in graph.inputs.values()}
    for node in topological([*graph.inputs.values(), *graph.outputs.values()]):
        if node.op.name == "input" and id(node) not in known:
            raise ModelFileError("the stored graph has an input that nothing gives")
        _check_type(node)
    for name, node in (("input", graph.inputs[X]), ("outputs", graph.outputs["outputs"])):
        if node.type.rank < 1 or node.type.shape[0] != BATCH:
            raise ModelFileError(f"the {name} of the stored graph must have rows, (n, …), found {node.type}")
    if any(isinstance(dim, SymbolicDim) for dim in graph.inputs[X].type.shape[1:]):
        raise ModelFileError(f"a row of the stored graph's input must have one size, found {graph.inputs[X].type}")
    _check_work(graph, arrays)
    _try_one_row(graph, arrays)


def _check_work(graph: Graph, arrays: Mapping[str, Array]) -> None:
    """Refuse a small file that asks for much: the first prediction would take all memory, or for ever."""
    numbers = sum(array.size for array in arrays.values())
    most = NUMBERS_PER_ROW + NUMBERS_PER_WEIGHT * numbers
    touched = sum(_elements(each) for node in graph.nodes() for each in (node, *node.inputs))
    if touched > most:
        raise ModelFileError(
            f"the stored graph touches {touched:.3g} numbers for one row; with {numbers} weights it may touch {most}"
        )


def _elements(node: Node) -> int:
    """Of one row."""
    return math.prod(dim.factor if isinstance(dim, SymbolicDim) else dim for dim in node.type.shape)


def _try_one_row(graph: Graph, arrays: Mapping[str, Array]) -> None:
    """Predict one row of zeros: an attribute that an op cannot use shows itself only now."""
    given = {name: arrays.get(name, np.asarray(0)) for name in graph.inputs}
    shape: Any = (1, *graph.inputs[X].type.shape[1:])
    given[X] = np.zeros(shape, dtype=graph.inputs[X].type.dtype.value)
    try:
        ReferenceProgram(graph, {BATCH.name: 1})(given)
    except FalllineError:
        return  # an index out of range, for example: zeros need not be valid data
    except Exception as error:
        raise ModelFileError(f"the stored graph does not compute: {type(error).__name__}: {error}") from None


def _check_array(name: str, node: Node, arrays: Mapping[str, Array]) -> None:
    needed = format_shape(node.type.shape)
    if name not in arrays:
        raise ModelFileError(f"the tensor {name!r} of shape {needed} is missing")
    if arrays[name].shape != node.type.shape:
        raise ModelFileError(f"the tensor {name!r} must have shape {needed}, found {format_shape(arrays[name].shape)}")
    if arrays[name].dtype not in ("float32", "float64") or not node.type.dtype.is_float:
        raise ModelFileError(f"the tensor {name!r} must be float32 or float64, found {arrays[name].dtype}")


def _check_type(node: Node) -> None:
    if not isinstance(node.type.dtype, DType) or not isinstance(node.type.shape, tuple):
        raise ModelFileError(f"the stored graph holds {node.op.name} of an impossible type {node.type!r}")
    sizes = [dim.factor if isinstance(dim, SymbolicDim) else dim for dim in node.type.shape]
    others = [dim for dim in node.type.shape if isinstance(dim, SymbolicDim) and dim.name != BATCH.name]
    whole = all(type(size) is int and size >= 0 for size in sizes)
    if others or not whole or math.prod(sizes) > MOST_ELEMENTS:
        raise ModelFileError(f"the stored graph holds {node.op.name} of an impossible shape {node.type}")
