"""Norms of the rows' gradients: those of one-row backpropagation."""

from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline import nn
from fallline.nn.losses import Ensemble
from fallline.tables.network import NetworkPlan, TableNetwork


class Text(nn.Module):
    """Several positions in each row, and a table that has no short way."""

    def __init__(self) -> None:
        self.table, self.layer, self.head = nn.Embedding(6, 5), nn.Linear(5, 4), nn.Linear(4, 3)

    def __call__(self, x: Any) -> Any:
        return self.head(fl.tanh(self.layer(self.table(x)))).mean(1)


class Tied(nn.Module):
    """A shared weight has none either."""

    def __init__(self) -> None:
        self.layer, self.head = nn.Linear(4, 4), nn.Linear(4, 3)

    def __call__(self, x: Any) -> Any:
        return self.head(fl.tanh(self.layer(fl.tanh(self.layer(x)))))


def cases() -> list[Any]:
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(9, 4)), rng.integers(0, 3, 9)
    dense = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.BatchNorm(6), nn.Dropout(0.5), nn.Linear(6, 3))
    text = rng.integers(0, 6, (9, 5))
    plan = NetworkPlan(4, (), (6, 5), 3, members=2, knots=((0.0, 0.5, 1.0), (), (), (-1.0, 0.0, 1.0)))
    return [
        pytest.param(TableNetwork(plan), x, y, Ensemble("cross_entropy"), (), id="ensemble"),
        pytest.param(dense, x, y, "cross_entropy", (), id="dense"),
        pytest.param(dense, x, np.eye(3)[y], "mse", (), id="mse"),
        pytest.param(Text(), text, y, "cross_entropy", ("table.weight",), id="positions"),
        pytest.param(Tied(), x, y, "cross_entropy", ("layer.weight", "layer.bias"), id="tied"),
    ]


@pytest.mark.parametrize(("net", "x", "y", "loss", "left_out"), cases())
def test_they_are_those_of_each_row_by_itself(net: nn.Module, x: Any, y: Any, loss: Any, left_out: Any) -> None:
    found = fl.row_gradient_norms(net, x, y, loss, batch_size=4)
    assert found.left_out == left_out
    assert set(found.by_parameter) == set(net.parameters()) - set(left_out)
    for row in range(len(x)):
        value, grads = fl.loss_and_gradients(net, x[row : row + 1], y[row : row + 1], loss, training=False)
        squares = 0.0
        for name, norms in found.by_parameter.items():
            own = float(np.linalg.norm(grads[name].astype(np.float64)))
            assert norms[row] == pytest.approx(own, rel=1e-5, abs=1e-7)
            squares += own * own
        assert found.total[row] == pytest.approx(np.sqrt(squares), rel=1e-5)
        assert found.losses[row] == pytest.approx(value, rel=1e-6)
    assert f"{len(x)} rows of {len(x)} with the largest gradients" in str(found)


class Crowd(nn.Module):
    """Rows that depend on one another."""

    def __init__(self) -> None:
        self.layer = nn.Linear(4, 3)

    def __call__(self, x: Any) -> Any:
        return self.layer(x - x.mean(0))


@pytest.mark.parametrize(
    ("net", "loss", "says"),
    [
        (Crowd(), "cross_entropy", "a row's output depends on other rows"),
        (nn.Linear(4, 3), lambda o, t: (o * o).mean(), "gives one number for all rows; let it give one for each row"),
    ],
)
def test_rows_without_a_gradient_of_their_own_are_refused(net: nn.Module, loss: Any, says: str) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(fl.ArgumentError, match=says):
        fl.row_gradient_norms(net, rng.normal(size=(5, 4)), rng.integers(0, 3, 5), loss)
