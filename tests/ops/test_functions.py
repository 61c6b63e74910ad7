"""`fl.*` functions: traced and called on arrays they say the same, and what SciPy says."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import special

from fallline.engine.reference import run
from fallline.errors import KindError
from fallline.ir.graph import Graph
from fallline.ops import functions as fl
from fallline.ops import make_input

X = np.array([[0.3, -1.2, 2.5, 0.0], [1.0, 1.0, -700.0, 800.0]])
P = np.array([[0.2, 1.5, 3.0, 0.7], [1.0, 2.0, 0.1, 9.0]])
I = np.array([[0, 2], [1, 1]])  # noqa: E741

CASES: list[tuple[str, Callable[..., Any], Callable[..., Any], tuple[Any, ...]]] = [
    ("exp", fl.exp, np.exp, (P,)),
    ("expm1", fl.expm1, np.expm1, (P,)),
    ("log", fl.log, np.log, (P,)),
    ("log1p", fl.log1p, np.log1p, (P,)),
    ("sqrt", fl.sqrt, np.sqrt, (P,)),
    ("tanh", fl.tanh, np.tanh, (X,)),
    ("sigmoid", fl.sigmoid, special.expit, (X,)),
    ("softplus", fl.softplus, lambda x: np.logaddexp(0.0, x), (X,)),
    ("erf", fl.erf, special.erf, (X,)),
    ("relu", fl.relu, lambda x: np.maximum(x, 0.0), (X,)),
    ("absolute", fl.absolute, np.abs, (X,)),
    ("sign", fl.sign, np.sign, (X,)),
    ("stop_gradient", fl.stop_gradient, lambda x: x, (X,)),
    ("maximum", fl.maximum, np.maximum, (X, P)),
    ("minimum", fl.minimum, np.minimum, (X, P)),
    ("clip", lambda x: fl.clip(x, -1.0, 0.5), lambda x: np.clip(x, -1.0, 0.5), (X,)),
    ("where", lambda x, p: fl.where(x > 0, p, -1.0), lambda x, p: np.where(x > 0, p, -1.0), (X, P)),
    ("matmul", fl.matmul, np.matmul, (X, P.T)),
    ("sum", lambda x: fl.sum(x, 0), lambda x: x.sum(0), (X,)),
    ("max", lambda x: fl.max(x, 1, keepdims=True), lambda x: x.max(1, keepdims=True), (X,)),
    ("mean", lambda x: fl.mean(x, (0, 1)), np.mean, (X,)),
    ("mean of columns", lambda x: fl.mean(x, 0), lambda x: x.mean(0), (X,)),
    ("logsumexp", fl.logsumexp, lambda x: special.logsumexp(x, axis=-1), (X,)),
    (
        "logsumexp kept",
        lambda x: fl.logsumexp(x, axis=0, keepdims=True),
        lambda x: special.logsumexp(x, axis=0, keepdims=True),
        (X,),
    ),
    ("logsumexp of all", lambda x: fl.logsumexp(x, axis=None), special.logsumexp, (X,)),
    ("log_softmax", fl.log_softmax, lambda x: special.log_softmax(x, axis=-1), (X,)),
    ("softmax", lambda x: fl.softmax(x, axis=0), lambda x: special.softmax(x, axis=0), (X,)),
    ("one_hot", lambda i: fl.one_hot(i, 3, "float64"), lambda i: np.eye(3)[i], (I,)),
    ("take", lambda x, i: fl.take(x.T, i), lambda x, i: x.T[i], (X, I)),
    ("concatenate", lambda x, p: fl.concatenate([x, p], 0), lambda x, p: np.concatenate([x, p]), (X, P)),
    ("concatenate one", lambda x: fl.concatenate([x]), lambda x: x, (X,)),
    ("stack", lambda x, p: fl.stack([x, p], axis=-1), lambda x, p: np.stack([x, p], axis=-1), (X, P)),
    ("reshape", lambda x: fl.reshape(x, (4, -1)), lambda x: x.reshape(4, -1), (X,)),
    ("transpose", fl.transpose, np.transpose, (X,)),
    ("transpose axes", lambda x: fl.transpose(x, (0, -1)), lambda x: x, (X,)),
    ("broadcast", lambda x: fl.broadcast(x, (3, 2, 4)), lambda x: np.broadcast_to(x, (3, 2, 4)), (X,)),
    ("cast", lambda x: fl.cast(x, "uint8"), lambda x: np.clip(x, 0, 255).astype(np.uint8), (X,)),
]


@pytest.mark.parametrize(("ours", "wanted", "arrays"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_functions_say_what_others_say(ours: Callable[..., Any], wanted: Callable[..., Any], arrays: Any) -> None:
    tensors = [make_input(str(i), array.shape, str(array.dtype)) for i, array in enumerate(arrays)]
    graph = Graph({str(i): tensor.node for i, tensor in enumerate(tensors)}, {"y": ours(*tensors).node})
    traced = run(graph, {str(i): array for i, array in enumerate(arrays)})["y"]
    called, right = np.asarray(ours(*arrays)), np.asarray(wanted(*arrays))
    assert traced.shape == called.shape == right.shape
    assert traced.dtype == called.dtype == right.dtype
    np.testing.assert_allclose(traced, right, rtol=1e-13, atol=1e-300)
    np.testing.assert_allclose(called, right, rtol=1e-13, atol=1e-300)


@pytest.mark.parametrize("fn", [fl.exp, fl.sqrt, fl.sigmoid, fl.softmax, fl.log_softmax, fl.softplus, fl.erf])
def test_float32_stays_float32(fn: Callable[..., Any]) -> None:
    array = P.astype(np.float32)
    assert fn(array).dtype == np.float32
    assert fn(make_input("x", array.shape, "float32")).dtype == "float32"


def test_whole_numbers_become_floats() -> None:
    assert fl.exp(3) == pytest.approx(np.exp(3.0))
    assert fl.sqrt(np.array([4, 9])).tolist() == [2.0, 3.0]


@pytest.mark.parametrize("fn", [fl.softmax, fl.log_softmax, fl.logsumexp, fl.sigmoid, fl.softplus])
def test_nothing_overflows(fn: Callable[..., Any]) -> None:
    with np.errstate(over="raise", invalid="raise"):
        assert np.all(np.isfinite(fn(np.array([[1000.0, -1000.0, 999.0]]))))


def test_nan_propagates() -> None:
    odd = np.array([np.nan, 1.0])
    for fn in (fl.relu, fl.exp, fl.sign, lambda x: fl.clip(x, 0.0, 1.0), lambda x: fl.maximum(x, 2.0), fl.max):
        assert np.isnan(np.atleast_1d(fn(odd))[0])


def test_picking_by_floats_is_refused() -> None:
    with pytest.raises(KindError, match="take: indices must be whole numbers, found float64"):
        fl.take(make_input("t", (3, 2), "float32"), make_input("i", (2,), "float64"))
