"""NumPy meets symbolic tensors: operators work from both sides, functions are refused with a sentence."""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline.engine.reference import run
from fallline.ir.graph import Graph
from fallline.ops import make_input

LEFT = np.array([[1.0, 2.0], [3.0, 0.5]])
RIGHT = np.array([[2.0, -1.0], [0.25, 4.0]])
OPERATORS = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.matmul,
    operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge,
]  # fmt: skip


@pytest.mark.parametrize("apply", OPERATORS)
def test_an_array_on_the_left_gives_what_numpy_gives(apply: Callable[[Any, Any], Any]) -> None:
    x = make_input("x", (2, 2), "float64")
    left = np.abs(LEFT)
    node = apply(left, x).node
    found = run(Graph({"x": x.node}, {"y": node}), {"x": RIGHT})["y"]
    np.testing.assert_allclose(found, apply(left, RIGHT), rtol=1e-15)


@pytest.mark.parametrize("scalar", [np.float64(2.0), np.float32(2.0), np.int64(2)])
def test_a_numpy_scalar_on_the_left_works(scalar: Any) -> None:
    x = make_input("x", (2, 2), "float64")
    found = run(Graph({"x": x.node}, {"y": (scalar * x).node}), {"x": RIGHT})["y"]
    np.testing.assert_array_equal(found, 2.0 * RIGHT)


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (np.exp, "np.exp cannot take a symbolic tensor, which has no numbers while it is traced: use fl.exp"),
        (np.mean, "np.mean cannot take a symbolic tensor, which has no numbers while it is traced: use fl.mean"),
        (np.arctan, "np.arctan cannot take a symbolic tensor, .*: use operators and fl.* functions"),
        (np.median, "np.median cannot take a symbolic tensor, .*: use operators and fl.* functions"),
        (lambda x: np.maximum(x, 0.0), "np.maximum cannot take a symbolic tensor, .*: use fl.maximum"),
        (lambda x: np.add.reduce(x), "np.add cannot take a symbolic tensor"),
    ],
)
def test_a_numpy_function_is_refused(function: Callable[[Any], Any], sentence: str) -> None:
    with pytest.raises(fl.KindError, match=sentence):
        function(make_input("x", (2, 2), "float32"))


def test_shape_and_rank_are_known_while_tracing() -> None:
    x = make_input("x", (2, 3), "float32")
    assert np.shape(x) == (2, 3)
    assert np.ndim(x) == 2


def test_an_own_loss_made_with_numpy_is_refused_where_it_is_used() -> None:
    net = fl.nn.Sequential(fl.nn.Linear(2, 1))
    with pytest.raises(fl.KindError, match=r"np\.mean cannot take a symbolic tensor"):
        fl.fit(net, LEFT, LEFT[:, :1], loss=lambda outputs, targets: np.mean((outputs - targets) ** 2))
