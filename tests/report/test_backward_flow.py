"""The backward flow: its numbers against those worked out by hand, its picture for networks of every kind."""

import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline import nn, optim
from fallline.nn.losses import get
from fallline.report.backward_flow import backward_picture
from fallline.report.layer_flow import Flow, flow_of
from fallline.training.step import check_rows


def by_hand() -> tuple[nn.Sequential, np.ndarray, np.ndarray]:
    """The network of docs/backpropagation-and-sgd.md."""
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    net.load_parameters(
        {
            "0.weight": np.array([[0.5, -1.0], [0.25, 0.5]]),
            "0.bias": np.array([0.0, 0.5]),
            "2.weight": np.array([[1.0], [2.0]]),
            "2.bias": np.array([-0.5]),
        }
    )
    return net, np.array([[1.0, 2.0], [3.0, 1.0]]), np.array([[1.0], [2.0]])


def flow(net: nn.Module, x: Any, y: Any, loss: str = "cross_entropy", training: bool = False) -> Flow:
    chosen = get(loss)
    rows = check_rows(net, x, y, chosen, None, net.dtype, "test")
    return flow_of(net, rows, chosen, optim.SGD(lr=0.1), training)


def test_the_numbers_are_those_worked_out_by_hand() -> None:
    found = flow(*by_hand(), "mse")
    first, second = found.layers
    assert (found.loss, found.inputs, found.outputs, found.rows) == (0.40625, 2, 1, 2)
    assert found.size_out == pytest.approx((1.5 + 1.25) / 2)
    assert found.size_back == pytest.approx((0.5 + 0.75) / 2)
    assert (first.module, first.kind, first.activation, second.activation) == ("Linear", "linear", "ReLU", "")
    assert second.size_in == pytest.approx((1.0 + 0.5 + 1.75 + 0.0) / 4)
    assert second.size_back == pytest.approx((0.5 + 1.0 + 0.75 + 1.5) / 4)
    assert first.norms["weight"] == pytest.approx(np.linalg.norm([-1.75, 1.0, 0.25, 2.0]))
    assert first.norms["bias"] == pytest.approx(np.linalg.norm([-0.25, 1.0]))
    assert first.largest == ("0.weight[1,1]", 2.0)
    assert (found.example, found.before, found.gradient) == ("0.weight[1,1]", 0.5, 2.0)
    assert found.after == pytest.approx(0.3)


def test_the_picture_tells_these_numbers() -> None:
    svg = backward_picture(*by_hand(), "mse")
    texts = [element.text for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    for told in ("0.4062", "2 → 2", "2 → 1", "then ReLU", "0.938", "2.85", "0.5000 − 0.1 × (2.000) = 0.3000", "mse"):
        assert told in texts
    assert "Backpropagation computes" in texts
    assert "Gradient descent uses it" in texts
    assert svg.count("http") == 1
    assert svg == backward_picture(*by_hand(), "mse")


def numbers(features: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    return rng.normal(size=(30, features)), rng.integers(0, 3, 30)


class Tables(nn.Module):
    """Two embeddings beside numbers, as for a table with categories."""

    def __init__(self) -> None:
        self.colour, self.size = nn.Embedding(5, 3), nn.Embedding(4, 2)
        self.body = nn.Sequential(nn.Linear(7, 6), nn.SiLU(), nn.LayerNorm(6), nn.Linear(6, 3))

    def __call__(self, x: Any) -> Any:
        parts = [self.colour(x[:, 0].astype("int64")), self.size(x[:, 1].astype("int64")), x[:, 2:4]]
        return self.body(fl.concatenate(parts, 1))


def test_embeddings_and_norms_are_layers_too() -> None:
    x, y = numbers()
    x[:, :2] = np.abs(x[:, :2].round()) % 4
    found = flow(Tables(), x, y)
    assert [layer.name for layer in found.layers] == ["colour", "size", "body.0", "body.2", "body.3"]
    kinds = [layer.kind for layer in found.layers]
    assert kinds == ["embedding", "embedding", "linear", "scale", "linear"]
    assert [layer.activation for layer in found.layers][2] == "SiLU"
    assert found.layers[0].size_back is None
    svg = backward_picture(Tables(), x, y)
    assert ">2 embeddings<" in svg
    assert ">body.0 · Linear<" in svg


class Shortcut(nn.Module):
    """A way past the hidden layer, as networks for tables have."""

    def __init__(self) -> None:
        self.direct, self.hidden, self.last = nn.Linear(4, 3), nn.Linear(4, 5), nn.Linear(5, 3)

    def __call__(self, x: Any) -> Any:
        return self.direct(x) + self.last(fl.relu(self.hidden(x)))


def test_a_shortcut_stands_beside_the_others() -> None:
    x, y = numbers()
    layers = flow(Shortcut(), x, y).layers
    assert [(layer.name, layer.beside) for layer in layers] == [("direct", True), ("hidden", False), ("last", False)]
    assert [layer.activation for layer in layers] == ["", "ReLU", ""]
    assert backward_picture(Shortcut(), x, y).count(">beside the others<") == 1


def test_the_gradients_are_backpropagations_own() -> None:
    x, y = numbers()
    net = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm(6), nn.Tanh(), nn.Linear(6, 3), seed=2)
    _, grads = fl.loss_and_gradients(net, x, y)
    for layer in flow(net, x, y, training=True).layers:
        for part, norm in layer.norms.items():
            assert norm == pytest.approx(np.linalg.norm(grads[f"{layer.name}.{part}"]), rel=1e-5)


@pytest.mark.parametrize("layers", [1, 2, 6, 9])
def test_networks_of_every_depth_have_a_picture(layers: int) -> None:
    x, y = numbers()
    net = nn.Sequential(*(nn.Linear(4, 4) for _ in range(layers - 1)), nn.Linear(4, 3))
    svg = backward_picture(net, x, y, optimizer=optim.Adam(lr=0.01))
    ET.fromstring(svg)
    assert (">4 more<" in svg) == (layers == 9)
    assert svg.count("· Linear<") == (layers if layers < 9 else 5)
    assert " becomes " in svg


def test_long_names_stay_inside_their_boxes() -> None:
    class Wide(nn.Module):
        def __init__(self) -> None:
            self.a_part_with_quite_a_long_name = nn.Sequential(*(nn.Linear(4, 4) for _ in range(6)))

        def __call__(self, x: Any) -> Any:
            return self.a_part_with_quite_a_long_name(x)

    x, y = numbers()
    svg = backward_picture(Wide(), x, y % 2)
    texts = [element.text or "" for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    assert not any("a_part_with_quite_a_long_name.0 · Linear" in text for text in texts)
    assert any(text.startswith("a_") and "…" in text for text in texts)


def test_a_wrong_optimizer_is_refused() -> None:
    x, y = numbers()
    with pytest.raises(fl.KindError, match=r"optimizer must be an object of fallline.optim, found 'sgd'"):
        backward_picture(nn.Sequential(nn.Linear(4, 3)), x, y, optimizer="sgd")  # type: ignore[arg-type]
