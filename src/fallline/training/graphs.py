"""The graphs that a training computes: what a network, a loss and backpropagation became.

They are stored with a run, so that it can be resumed and replayed without the classes that made them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from fallline.backprop.gradients import gradients
from fallline.ir.graph import Graph, Provenance
from fallline.ir.serialize import MAX_STEP_NODES, graph_from_json, graph_to_json
from fallline.nn.losses import Loss
from fallline.nn.module import Module
from fallline.nn.trace import SAMPLE_WEIGHT
from fallline.ops.tensor import Tensor
from fallline.training.hashes import digest
from fallline.training.step import GRADIENT, LOSS, OUTPUTS, ROWS, Rows, typed_graph

Array = NDArray[Any]


@dataclass(frozen=True)
class Graphs:
    """What a training computes.

    Attributes:
        step: of training: the loss of a batch, every dL/dw, new values of buffers.
        forward: of prediction: outputs, the loss of each row, the loss.
        dtype: of weights and arithmetic.
        modules: dotted name of each of the network's modules → its class's name.
    """

    step: Graph
    forward: Graph
    dtype: str
    modules: Mapping[str, str]

    @classmethod
    def of(cls, net: Module, rows: Rows, loss: Loss, dtype: str) -> "Graphs":
        """The graphs of a network and a loss, for data like these."""
        step = typed_graph(net, rows, loss, dtype, training=True, backward=True)
        modules = {name: type(module).__name__ for name, module in net.named_modules().items()}
        return cls(step, typed_graph(net, rows, loss, dtype, training=False, backward=False), dtype, modules)

    @property
    def judge(self) -> Graph:
        """`forward` without sample weights: outputs and the loss of each row."""
        inputs = {name: node for name, node in self.forward.inputs.items() if name != SAMPLE_WEIGHT}
        outputs = {name: node for name, node in self.forward.outputs.items() if name in (OUTPUTS, ROWS)}
        return Graph(inputs, outputs)

    @property
    def gradient(self) -> Graph:
        """The loss in prediction mode, and its gradient; the loss of each row, where the loss is a sum over rows."""
        named = {name[len(GRADIENT) :] for name in self.step.outputs if name.startswith(GRADIENT)}
        parameters = {name: Tensor(node) for name, node in self.forward.inputs.items() if name in named}
        found = gradients(Tensor(self.forward.outputs[LOSS]), list(parameters.values()))
        grads = {GRADIENT + name: tensor.node for name, tensor in zip(parameters, found, strict=True)}
        losses = {name: node for name, node in self.forward.outputs.items() if name in (LOSS, ROWS)}
        return Graph(self.forward.inputs, {**losses, **grads})

    @cached_property
    def digest(self) -> str:
        """A name of both graphs: equal for equal arithmetic, whatever the code that made it."""
        arrays: dict[str, Array] = {}
        graphs = [graph_to_json(graph, arrays) for graph in (self.step, self.forward)]
        return digest(arrays, json.dumps([*graphs, self.dtype], sort_keys=True))

    def to_json(self, arrays: dict[str, Array]) -> dict[str, Any]:
        """As JSON; arrays that the graphs hold are put into `arrays` by new names."""
        stored: dict[str, Any] = {"dtype": self.dtype, "modules": dict(self.modules)}
        for name, graph in (("step", self.step), ("forward", self.forward)):
            places = [list(node.provenance) for node in graph.nodes()]
            stored[name] = {**graph_to_json(graph, arrays, MAX_STEP_NODES), "provenance": places}
        return stored

    @classmethod
    def from_json(cls, stored: Any, arrays: Mapping[str, Array]) -> "Graphs":
        """From `to_json`.

        Raises:
            GraphError: these are no graphs.
        """
        graphs = []
        for name in ("step", "forward"):
            graph = graph_from_json(stored[name], arrays, MAX_STEP_NODES)
            for node, found in zip(graph.nodes(), stored[name]["provenance"], strict=True):
                node.provenance = _provenance(*found)
            graphs.append(graph)
        return cls(graphs[0], graphs[1], str(stored["dtype"]), dict(stored["modules"]))


def _provenance(origin: Any, scope: Any, call: Any, derivative_of: Any) -> Provenance:
    """From JSON; only texts and a count are let in."""
    if (
        not all(isinstance(text, str) for text in (origin, "" if scope is None else scope, derivative_of))
        or type(call) is not int
    ):
        raise TypeError("a node comes from nowhere")
    return Provenance(origin, scope, call, derivative_of)
