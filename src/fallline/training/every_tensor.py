"""Every tensor of a step, with the bits that it had in the step.

Neither fusing kernels nor keeping tensors apart changes a bit of the compiled engine, so a program of the same graph
in which every node is an output shows what the training's program computed and never stored.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.engine.programs import COMPILED
from fallline.engine.reference import ReferenceProgram
from fallline.ir.graph import Graph, Node
from fallline.ir.types import bind
from fallline.training.batches import Batches
from fallline.training.step import StepProgram
from fallline.training.steppers import Snapshot
from fallline.training.update_graph import UpdateGraph

Array = NDArray[Any]


def every_tensor(
    graph: Graph,
    sizes: Mapping[str, int],
    inputs: Mapping[str, Any],
    engine: str = COMPILED,
    shards: int = 1,
    only: Callable[[Node], bool] | None = None,
) -> Iterator[tuple[Node, Array]]:
    """The nodes of a graph with their values, each after its inputs.

    Args:
        graph: what is computed, such as `UpdateGraph.graph`: a step with its update.
        sizes: the value of each symbolic dimension, {"n": rows of the batch}.
        inputs: what the step was given, by input name.
        engine: that of the training, "compiled" or "reference".
        shards: as the training cut its sums.
        only: which nodes are wanted; all by default.

    Raises:
        ArgumentError: an input is missing.
        CompileError: the compiled engine cannot compute the graph.
    """
    if engine == COMPILED:
        yield from _compiled(graph, sizes, inputs, shards, only)
        return
    for node, value in ReferenceProgram(graph, sizes, shards).trace(inputs):
        if only is None or only(node):
            yield node, value


def step_inputs(
    program: StepProgram, update: UpdateGraph, batches: Batches, before: Snapshot, factor: float
) -> dict[str, Any]:
    """What the graph of a step with its update is given, for `every_tensor`: the step that a snapshot stands before.

    Args:
        program: of the step's loss and backpropagation.
        update: the same with the update.
        batches: the rows of each step.
        before: weights, buffers and the optimizer's state, whose "step" is the step's number.
        factor: the schedule's factor of the step.
    """
    step = int(before.state["step"])
    denominator = float(batches.denominators(step, 1)[0])
    inputs = program.inputs(batches.rows_of(step), before.values, denominator, batches.seed, step)
    scalars, _ = update.scalar_values(step + 1, before.state["memory"], np.array([factor]))
    numbers = {name: np.asarray(n, program.dtype) for name, n in zip(update.scalars, scalars[0], strict=True)}
    return {**inputs, **update.state_inputs(before.weights, before.buffers, before.state), **numbers}


def _compiled(
    graph: Graph,
    sizes: Mapping[str, int],
    inputs: Mapping[str, Any],
    shards: int,
    only: Callable[[Node], bool] | None,
) -> Iterator[tuple[Node, Array]]:
    from fallline.engine.compiled import CompiledProgram

    nodes = [node for node in graph.nodes() if only is None or only(node)]
    outputs = {str(number): node for number, node in enumerate(nodes) if node.inputs}
    found = CompiledProgram(Graph(graph.inputs, outputs), sizes, shards)(inputs) if outputs else {}
    names = {id(node): name for name, node in graph.inputs.items()}
    for number, node in enumerate(nodes):
        if node.inputs:
            yield node, found[str(number)]
        elif id(node) in names:
            yield node, np.asarray(inputs[names[id(node)]], dtype=node.type.dtype.value)
        else:  # a constant
            attributes = {key: bind(value, sizes) for key, value in node.attributes.items()}
            yield node, np.asarray(node.op.reference(**attributes))
