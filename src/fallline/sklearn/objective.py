"""What is minimised, as graphs: scikit-learn's objective of a multilayer perceptron, its gradient, and a training step.

    L = (Σᵢ wᵢ·lᵢ + α/2·Σ W²) / Σᵢ wᵢ        over the rows of a batch; W are the weights, not the intercepts

α is an input of the programs, as the learning rate is, so that a search over either compiles nothing anew.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fallline import nn
from fallline.backprop.gradients import gradients
from fallline.engine.programs import ForwardProgram
from fallline.ir.graph import Graph, nodes_in
from fallline.ir.transform import retype_floats
from fallline.ir.types import BATCH, DType
from fallline.nn.module import Buffer, Module, Parameter
from fallline.nn.trace import DENOMINATOR, SAMPLE_WEIGHT, TracedNetwork, Y, trace_network
from fallline.ops import functions as f
from fallline.ops.leaf import make_input
from fallline.ops.tensor import Tensor
from fallline.optim import Optimizer
from fallline.sklearn.losses import OUT_ACTIVATIONS, row_losses
from fallline.sklearn.rules import SklearnAdam, SklearnSGD
from fallline.training.step import GRADIENT, LOSS, LOSS_SCOPE, OUTPUTS, ROWS
from fallline.training.update_graph import UpdateGraph, with_update

Array = NDArray[Any]
ALPHA, TOLD = "alpha", "told"
GRAPHS_KEPT, PROGRAMS_KEPT = 64, 8
"""Of the designs used last; programs have memory of their own."""
ACTIVATIONS = {"logistic": "sigmoid"}
"""scikit-learn's name → Fallline's, where they differ."""


@dataclass(frozen=True)
class Design:
    """A network and its loss: all that decides their graphs.

    Attributes:
        widths: numbers of features, of hidden neurons layer by layer, and of outputs.
        activations: of each hidden layer.
        dropout: of each hidden layer.
        loss: see `losses.row_losses`; None where only predictions are wanted.
        out_activation: "identity", "exp", "logistic" or "softmax".
        dtype: "float32" or "float64".
    """

    widths: tuple[int, ...]
    activations: tuple[str, ...]
    dropout: tuple[float, ...]
    loss: Any
    out_activation: str
    dtype: str

    @property
    def layers(self) -> int:
        """How many weight matrices there are."""
        return len(self.widths) - 1


class Perceptron(Module):
    """x·W + b and an activation, layer after layer; the last layer's outputs are raw."""

    def __init__(self, design: Design) -> None:
        pairs = list(zip(design.widths, design.widths[1:], strict=False))
        self.coefs = [Parameter(pair, "zeros") for pair in pairs]
        self.intercepts = [Parameter((width,), "zeros") for _, width in pairs]
        self.alpha = Buffer(0.0)
        self.activations = [nn.activations.by_name(ACTIVATIONS.get(name, name)) for name in design.activations]
        self.dropouts = [nn.Dropout(p) for p in design.dropout]

    def __call__(self, x: Tensor) -> Tensor:
        """(rows, features) → (rows, outputs)."""
        last = len(self.coefs) - 1
        for number, (weight, bias) in enumerate(zip(self.coefs, self.intercepts, strict=True)):
            x = x @ weight + bias
            if number < last:
                x = self.dropouts[number](self.activations[number](x))
        return x

    @property
    def penalty(self) -> Tensor:
        """α/2·Σ W²."""
        squares = [(weight * weight).sum() for weight in self.coefs]
        total = squares[0]
        for square in squares[1:]:
            total = total + square
        return total * self.alpha * 0.5


def values(coefs: list[Array], intercepts: list[Array], alpha: float, dtype: str) -> dict[str, Array]:
    """Weights and α by their names in the graphs."""
    named = {f"coefs.{number}": array for number, array in enumerate(coefs)}
    named |= {f"intercepts.{number}": array for number, array in enumerate(intercepts)}
    return {name: np.asarray(array, dtype=dtype, order="C") for name, array in {**named, ALPHA: alpha}.items()}


Made = TypeVar("Made")


def _kept(most: int) -> Callable[[Callable[..., Made]], Callable[..., Made]]:
    """Keep what a function has made of the designs used last, but for a user's own loss: it may change meanwhile."""

    def decorate(make: Callable[..., Made]) -> Callable[..., Made]:
        cached = lru_cache(maxsize=most)(make)

        @wraps(make)
        def made(design: Design, *further: Any) -> Made:
            own = design.loss is not None and not isinstance(design.loss, str)
            return make(design, *further) if own else cached(design, *further)

        return made

    return decorate


@_kept(GRAPHS_KEPT)
def objective_graph(design: Design, weighted: bool, training: bool) -> Graph:
    """L, dL/dw for every weight and intercept, and in "told" what scikit-learn tells of L (see `losses`).

    In training, where nothing but what is told of L is needed, that is the output "loss".

    Args:
        design: the network and its loss.
        weighted: whether rows have weights; Σ w is the input @denominator where they have none.
        training: whether dropout acts.
    """
    net = Perceptron(design)
    traced = trace_network(net, design.widths[:1], DType.FLOAT32, training)
    targets = make_input(Y, (BATCH, design.widths[-1]), "float32")
    given = {Y: targets}
    with nodes_in(LOSS_SCOPE):
        rows, share = row_losses(design.loss, design.out_activation, traced.outputs, targets)
        if weighted:
            given[SAMPLE_WEIGHT] = weight = make_input(SAMPLE_WEIGHT, (BATCH,), "float32")
            rows = rows * weight
            total = weight.sum()
            total = f.where(total > 0.0, total, 1.0)  # a batch whose rows all weigh nothing
        else:
            given[DENOMINATOR] = total = make_input(DENOMINATOR, (), "float32")
        data, penalty = rows.sum(), net.penalty
        loss = (data + penalty) / total
        told = loss if share == 1.0 else (data * share + penalty) / total
    parameters = net.named_parameters()
    found = gradients(loss, list(parameters.values()))
    results = {LOSS: told} if training else {LOSS: loss, TOLD: told}
    results |= {GRADIENT + name: tensor for name, tensor in zip(parameters, found, strict=True)}
    return _typed(traced, results, given, design.dtype)


@_kept(GRAPHS_KEPT)
def step_graph(design: Design, weighted: bool, rule: tuple[tuple[str, Any], ...]) -> UpdateGraph:
    """A step of training: L, dL/dw and the update, in one graph.

    Args:
        design, weighted: as in `objective_graph`.
        rule: ("solver", "sgd" or "adam") and the rule's hyper-parameters, as pairs.
    """
    return with_update(objective_graph(design, weighted, True), optimizer(dict(rule)))


def optimizer(rule: dict[str, Any]) -> Optimizer:
    """scikit-learn's optimizer; its learning rate is 1, which every step multiplies."""
    kind = {"sgd": SklearnSGD, "adam": SklearnAdam}[rule["solver"]]
    return kind(**{name: value for name, value in rule.items() if name != "solver"})


@_kept(PROGRAMS_KEPT)
def forward_program(design: Design) -> ForwardProgram:
    """The outputs after the last activation, and, where the design has a loss, that of each row as it is told."""
    traced = trace_network(Perceptron(design), design.widths[:1], DType.FLOAT32, training=False)
    results, given = {OUTPUTS: OUT_ACTIVATIONS[design.out_activation](traced.outputs)}, {}
    if design.loss is not None:
        given[Y] = make_input(Y, (BATCH, design.widths[-1]), "float32")
        rows, share = row_losses(design.loss, design.out_activation, traced.outputs, given[Y])
        results[ROWS] = rows * share
    return ForwardProgram(_typed(traced, results, given, design.dtype))


def _typed(traced: TracedNetwork, results: dict[str, Tensor], given: dict[str, Tensor], dtype: str) -> Graph:
    graph = traced.graph(results, given)
    return graph if dtype == "float32" else retype_floats(graph, DType(dtype))
