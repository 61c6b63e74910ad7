"""Modules: dotted names, weights in and out, predictions, and what a wrong module is told."""

from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline import nn


class Tied(nn.Module):
    """A weight used by two layers, layers in a dict and a tuple, a parameter and a buffer of its own."""

    def __init__(self) -> None:
        self.encoder = nn.Linear(3, 2, bias=False)
        self.weight = self.encoder.weight
        self.blocks = {"a": nn.Linear(2, 2), "b": (nn.Linear(2, 2), nn.Tanh())}
        self.same = self.blocks["a"]
        self.offset = nn.Buffer([1.0, 2.0])

    def __call__(self, x: Any) -> Any:
        hidden = self.blocks["b"][1](self.blocks["b"][0](self.same(self.encoder(x))))
        return (hidden + self.offset) @ self.weight.T


def test_names_are_those_of_the_attributes_and_shared_parts_count_once() -> None:
    net = Tied()
    assert list(net.parameters()) == [
        "weight",
        "blocks.a.weight",
        "blocks.a.bias",
        "blocks.b.0.weight",
        "blocks.b.0.bias",
    ]
    assert list(net.buffers()) == ["offset"]
    assert list(net.named_modules()) == ["", "encoder", "blocks.a", "blocks.b.0", "blocks.b.1"]


def test_a_tied_weight_learns_from_both_uses() -> None:
    net, x = Tied(), np.random.default_rng(0).normal(size=(6, 3))
    assert fl.check_gradients(net, x, x, loss="mse").ok
    before = net.parameters()["weight"]
    fl.fit(net, x, x, loss="mse", epochs=2)
    assert not np.array_equal(before, net.parameters()["weight"])
    assert net.encoder.weight.value is net.weight.value


def test_parameters_and_buffers_are_copies() -> None:
    net = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm(2))
    net.parameters()["0.weight"][:] = 7.0
    net.buffers()["1.running_mean"][:] = 7.0
    assert not np.any(net.parameters()["0.weight"] == 7.0)
    assert not np.any(net.buffers()["1.running_mean"] == 7.0)
    given = np.zeros((3, 2), np.float32)
    net.load_parameters({**net.parameters(), "0.weight": given})
    given[:] = 7.0
    assert not np.any(net.parameters()["0.weight"] == 7.0)


def refusal(net: nn.Module, weights: Any) -> str:
    before = net.parameters()
    with pytest.raises(fl.ArgumentError) as error:
        net.load_parameters(weights)
    after = net.parameters()
    assert all(before[name].tobytes() == after[name].tobytes() for name in before), "refused, so nothing is changed"
    return str(error.value)


def test_load_parameters_is_strict() -> None:
    net = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 2, bias=False))
    w = {name: value + 1.0 for name, value in net.parameters().items()}
    assert refusal(net, {**w, "0.wieght": w["0.weight"]}) == (
        "load_parameters: the network has no parameter named '0.wieght'; did you mean '0.weight'?"
    )
    assert refusal(net, {"0.weight": w["0.weight"]}) == (
        "load_parameters: 2 of 3 parameters were not given: 0.bias, 2.weight; give every one of them"
    )
    assert refusal(net, {**w, "0.weight": w["0.weight"].T}) == (
        "load_parameters: parameter '0.weight' needs shape (3, 2), found (2, 3)"
    )
    assert refusal(net, {**w, "2.weight": [[1, 2], [3, np.inf]]}) == (
        "load_parameters: parameter '2.weight' must be finite, found inf at (1, 1)"
    )
    assert (
        refusal(net, {**w, "0.bias": ["a", "b"]}) == "load_parameters: parameter '0.bias' must hold numbers, found <U1"
    )
    with pytest.raises(fl.ArgumentError, match="load_buffers: the network has no buffer named 'x'; there is none"):
        net.load_buffers({"x": 1.0})


def test_one_float64_weight_makes_the_network_float64() -> None:
    net = nn.Linear(2, 2)
    assert net.dtype == "float32"
    net.load_parameters({"weight": np.ones((2, 2), np.float32), "bias": np.full(2, 0.1)})
    assert net.dtype == "float64"
    assert net.predict([[1.0, 1.0]]).tolist() == [[2.1, 2.1]]
    net.load_parameters({name: value.astype(np.float32) for name, value in net.parameters().items()})
    assert net.dtype == "float32"


def test_predictions_do_not_depend_on_how_rows_are_cut() -> None:
    net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2))
    x = np.random.default_rng(0).normal(size=(23, 3))
    np.testing.assert_allclose(net.predict(x, batch_size=5), net.predict(x), rtol=1e-6)
    assert net.predict(x, batch_size=5).shape == (23, 2)
    assert net.predict(x[:0]).shape == (0, 2)
    assert net.predict(x).dtype == np.float32


@pytest.mark.parametrize(
    ("x", "options", "kind", "text"),
    [
        ([["a", "b", "c"]], {}, fl.KindError, "predict: x must hold numbers, found <U1; for tables with text use"),
        (3.0, {}, fl.ShapeError, "predict: x must have rows, shape (rows, …), found a single number"),
        (
            [[1.0, 2.0, 3.0], [1.0]],
            {},
            fl.ShapeError,
            "predict: x must have rows of one length, found rows",
        ),
        ([[1e300, 0, 0]], {}, fl.ArgumentError, "predict: x must fit float32, found 1e+300 in row 0, column 0"),
        ([[1.0, 2.0, 3.0]], {"batch_size": 0}, fl.ArgumentError, "predict: batch_size must be a whole number"),
        ([[1.0, 2.0, 3.0]], {"batch_size": "9"}, fl.ArgumentError, "at least 1, found '9'"),
    ],
)
def test_predict_refuses(x: Any, options: dict[str, Any], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind) as error:
        nn.Linear(3, 2).predict(x, **options)
    assert text in str(error.value)


class Forgetful(nn.Module):
    """Makes a layer while it is called, so that nobody holds it."""

    def __init__(self) -> None:
        self.kept = nn.Linear(3, 2)

    def __call__(self, x: Any) -> Any:
        return self.kept(x) + nn.Linear(3, 2)(x)


class Hidden(nn.Module):
    """Keeps its layer in a set, whose members have no order and no names."""

    def __init__(self) -> None:
        self.layers = {nn.Linear(3, 2)}

    def __call__(self, x: Any) -> Any:
        return next(iter(self.layers))(x)


class Returns(nn.Module):
    """Returns what it is told to."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def __call__(self, x: Any) -> Any:
        return self.function(x)


@pytest.mark.parametrize(
    ("net", "kind", "text"),
    [
        (Forgetful(), fl.ArgumentError, "Forgetful: __call__ uses a parameter of shape (3, 2) that no attribute holds"),
        (Hidden(), fl.ArgumentError, "Hidden: __call__ uses a parameter of shape (3, 2) that no attribute holds"),
        (Returns(lambda x: None), fl.KindError, "Returns.__call__ must return a tensor, found NoneType"),
        (Returns(lambda x: fl.sum(x)), fl.ShapeError, "must have a row per row of the input, (n, …), found ()"),
        (Returns(lambda x: fl.sum(x, axis=0)), fl.ShapeError, "found (3,) from an input (n, 3)"),
        (Returns(lambda x: x if x > 0 else -x), fl.KindError, "has no truth value while a network is traced"),
        (Returns(lambda x: float(x)), fl.KindError, "has no number yet: the network is being traced, not run"),
        (
            Returns(lambda x: x @ np.ones((2, 2))),
            fl.ShapeError,
            "need (…, n, k) @ (…, k, m), got (n, 3) @ (2, 2)",
        ),
        (nn.Module(), NotImplementedError, "Module must define __call__(self, x)"),
    ],
)
def test_wrong_modules_are_told_what_is_wrong(net: nn.Module, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind) as error:
        net.predict(np.ones((4, 3)))
    assert text in str(error.value)


def test_random_numbers_need_a_trace() -> None:
    with pytest.raises(fl.ArgumentError, match="Dropout: random numbers exist only while a network is traced"):
        nn.trace.random_stream(nn.Dropout(0.5))
