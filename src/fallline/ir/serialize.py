"""Graphs as plain JSON values and arrays, and back, checked on the way in."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fallline.errors import ArgumentError, FalllineError, GraphError, told
from fallline.ir.graph import Graph, Node
from fallline.ir.op import lookup
from fallline.ir.types import DType, SymbolicDim

MAX_NODES = 20_000
"""Of a graph in a file: a prediction's."""
MAX_STEP_NODES = 10 * MAX_NODES
"""Of a training step's."""


def graph_to_json(graph: Graph, arrays: dict[str, Any], most: int | None = None) -> dict[str, Any]:
    """The graph as JSON values; arrays that it holds as constants are put into `arrays` by a new name.

    Args:
        graph: the graph.
        arrays: receives its constants.
        most: nodes that a file may hold; None where it is for no file.

    Raises:
        ArgumentError: it has more nodes than a file may hold.
    """
    nodes = graph.nodes()
    listed = {id(node) for node in nodes}
    nodes += [node for node in graph.inputs.values() if id(node) not in listed]
    if most is not None and len(nodes) > most:
        raise ArgumentError(f"a network of {len(nodes)} operations cannot be stored: the limit is {most}")
    number = {id(node): i for i, node in enumerate(nodes)}
    return {
        "nodes": [
            {
                "op": node.op.name,
                "inputs": [number[id(parent)] for parent in node.inputs],
                "attributes": {key: _encode(value, arrays) for key, value in node.attributes.items()},
            }
            for node in nodes
        ],
        "inputs": {name: number[id(node)] for name, node in graph.inputs.items()},
        "outputs": {name: number[id(node)] for name, node in graph.outputs.items()},
    }


def graph_from_json(data: Any, arrays: Mapping[str, Any], most: int = MAX_NODES) -> Graph:
    """The graph of `graph_to_json`; every node's type is inferred anew.

    Raises:
        GraphError: the data are not a graph: wrong types, unknown ops, inputs that come later.
    """
    try:
        listed = data["nodes"]
        if not isinstance(listed, list) or len(listed) > most:
            raise GraphError(f"a stored graph must list at most {most} nodes")
        nodes: list[Node] = []
        for item in listed:
            places = [_place(place, len(nodes)) for place in item["inputs"]]
            attributes = {str(key): _decode(value, arrays) for key, value in item["attributes"].items()}
            nodes.append(Node(lookup(item["op"]), tuple(nodes[place] for place in places), attributes))
        ends = [
            {str(name): nodes[_place(place, len(nodes))] for name, place in data[key].items()}
            for key in ("inputs", "outputs")
        ]
        return Graph(*ends)
    except FalllineError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        raise GraphError(f"the stored graph is malformed: {type(error).__name__}: {told(error)}") from None


def _place(place: Any, nodes: int) -> int:
    if type(place) is not int or not 0 <= place < nodes:
        raise GraphError(
            f"the stored graph refers to node {told(repr(place), 40)}, but only {nodes} nodes come before that place"
        )
    return place


def _name_of_dim(name: Any) -> str:
    if not isinstance(name, str) or not name.isidentifier() or len(name) > 20:
        raise GraphError("the stored graph holds a size whose name is none")
    return name


def _encode(value: Any, arrays: dict[str, Any]) -> Any:
    if isinstance(value, DType):
        return {"dtype": value.value}
    if isinstance(value, SymbolicDim):
        return {"dim": value.name, "factor": value.factor}
    if isinstance(value, tuple):
        return {"tuple": [_encode(item, arrays) for item in value]}
    if isinstance(value, np.ndarray):
        name = f"@constant.{len(arrays)}"
        arrays[name] = np.ascontiguousarray(value)
        return {"array": name}
    if isinstance(value, float):
        return {"float": value.hex()}  # exact, and JSON has no infinity
    return value


def _decode(value: Any, arrays: Mapping[str, Any]) -> Any:
    if not isinstance(value, dict):
        return value
    if "dtype" in value:
        return DType(value["dtype"])
    if "dim" in value:
        return SymbolicDim(_name_of_dim(value["dim"]), int(value["factor"]))
    if "tuple" in value:
        return tuple(_decode(item, arrays) for item in value["tuple"])
    if "array" in value:
        return np.asarray(arrays[value["array"]])
    if "float" in value:
        return float.fromhex(value["float"])
    raise GraphError(f"the stored graph holds a value of an unknown kind: {told(repr(value), 80)}")
