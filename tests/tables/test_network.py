"""The ensemble for tables: what it computes, against plain NumPy, and what its plan says."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fallline as fl
from fallline.errors import ModelFileError
from fallline.nn.losses import Ensemble
from fallline.tables.network import NetworkPlan, Pieces, TableNetwork
from fallline.tables.recipe import quantile_knots

Array = NDArray[Any]
KNOTS: tuple[tuple[float, ...], ...] = ((-1.0, 0.0, 0.5, 2.0), ())
PLAN = NetworkPlan(2, ((3, 2),), (5, 4), 3, "relu", 0.0, members=6, knots=KNOTS)
ROWS = np.array([[0.25, 1.0, 0], [-3.0, 0.0, 2], [1.0, -0.5, 1], [9.0, 2.0, 1]], dtype=np.float32)


def members_of(plan: NetworkPlan, w: dict[str, Array], x: Array) -> Array:
    """(rows, members, outputs), member by member in float64."""
    codes = x[:, 2].astype(int)
    u = np.concatenate([x[:, :2], w["embeddings.0.weight"][codes]], axis=1).astype(np.float64)
    steps = [np.interp(x[:, 0], [low, high], [0.0, 1.0]) for low, high in zip(KNOTS[0], KNOTS[0][1:], strict=False)]
    common = u @ w["first.weight"] + np.stack(steps, axis=1) @ w["bends.weight"]
    found = []
    for m in range(plan.members):
        h = np.maximum(common * w["scales.scale"][m] + w["scales.bias"][m], 0.0)
        h = np.maximum(h @ w["layers.0.weight"] + w["layers.0.bias"], 0.0)
        found.append(h @ w["heads.weight"][m] + w["heads.bias"][m] + u @ w["direct.weight"] + w["direct.bias"])
    return np.stack(found, axis=1)


def changed(network: TableNetwork) -> dict[str, Array]:
    """Weights of which none is 0 any more, put into the network."""
    rng = np.random.default_rng(5)
    weights = {name: value + rng.normal(0, 0.3, value.shape) for name, value in network.parameters().items()}
    network.load_parameters(weights)
    return weights


def test_prediction_is_the_mean_of_the_members_probabilities() -> None:
    network = TableNetwork(PLAN, seed=1)
    logits = members_of(PLAN, changed(network), ROWS)
    each = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    given = network.predict(ROWS)
    np.testing.assert_allclose(np.exp(given), each.mean(axis=1), rtol=1e-5)
    assert given.shape == (4, 3)


def test_prediction_of_one_output_is_the_mean_of_the_members() -> None:
    plan = replace(PLAN, outputs=1)
    network = TableNetwork(plan, seed=2)
    expected = members_of(plan, changed(network), ROWS).mean(axis=1)
    np.testing.assert_allclose(network.predict(ROWS), expected, rtol=1e-5, atol=1e-6)


def test_each_member_is_trained_by_its_own_loss() -> None:
    network = TableNetwork(PLAN, seed=3)
    weights = changed(network)
    labels = np.array([0, 2, 1, 1])
    logits = members_of(PLAN, weights, ROWS)
    own = np.log(np.exp(logits).sum(axis=-1)) - logits[np.arange(4)[:, None], np.arange(6), labels[:, None]]
    loss, gradients = fl.loss_and_gradients(network, ROWS, labels, loss=Ensemble("cross_entropy"))
    assert loss == pytest.approx(own.mean(), rel=1e-5)
    judged = fl.evaluate(network, ROWS, labels, loss=Ensemble("cross_entropy"))["loss"]
    assert judged == pytest.approx(-np.log(np.exp(network.predict(ROWS))[np.arange(4), labels]).mean(), rel=1e-5)
    assert judged < loss  # the mean of probabilities is better than their geometric mean
    assert set(gradients) == set(weights)


def test_it_is_compiled_with_embeddings_too() -> None:
    run = fl.fit(TableNetwork(PLAN, seed=0), ROWS, [0, 2, 1, 1], loss=Ensemble("cross_entropy"), epochs=1)
    assert run.engine == "compiled"


def test_members_differ_from_the_beginning() -> None:
    network = TableNetwork(PLAN, seed=4)
    scales = network.parameters()["scales.scale"]
    assert set(np.unique(scales)) == {-1.0, 1.0}
    assert len(np.unique(TableNetwork(PLAN, seed=4).parameters()["heads.weight"], axis=0)) == PLAN.members
    assert not network.parameters()["bends.weight"].any()


def test_pieces_are_where_a_number_lies_between_its_knots() -> None:
    x = np.array([[-5.0, 7.0], [-0.5, 7.0], [0.125, 7.0], [2.0, 7.0], [8.0, 7.0]], dtype=np.float32)
    expected = [[0, 0, 0], [0.5, 0, 0], [1, 0.25, 0], [1, 1, 1], [1, 1, 1]]
    np.testing.assert_array_equal(Pieces(KNOTS).predict(x), np.array(expected, dtype=np.float32))


def test_knots_are_quantiles_each_once() -> None:
    values = np.arange(101, dtype=np.float32)
    assert quantile_knots(values, 4) == (0.0, 25.0, 50.0, 75.0, 100.0)
    mostly_zero = np.concatenate([np.zeros(900), np.arange(1, 101)]).astype(np.float32)
    assert quantile_knots(mostly_zero, 4) == (0.0, 33.0, 66.0, 100.0)  # of the rows alone: (0, 100)
    assert quantile_knots(np.array([0.0, 1.0, 1.0, 0.0]), 8) == ()


def test_the_plan_counts_the_weights_and_survives_json() -> None:
    for plan in (PLAN, replace(PLAN, hidden=()), replace(PLAN, knots=((), ())), replace(PLAN, hidden=(7,), outputs=1)):
        counted = sum(value.size for value in TableNetwork(plan).parameters().values())
        assert plan.parameters == counted
        assert NetworkPlan.from_json(plan.to_json()) == plan
    assert PLAN.describe() == (
        "2 numbers in 3 pieces, embeddings 3→2; 6 members with hidden 5 → 4, relu, dropout 0; 3 outputs"
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"members": 0},
        {"members": -2},
        {"knots": [[0.0, 1.0]]},
        {"knots": [[0.0, 0.0, 1.0], []]},
        {"knots": [[0.0, math.inf], []]},
        {"knots": 3},
    ],
    ids=str,
)
def test_a_damaged_plan_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ModelFileError, match="the network's plan in the file is damaged"):
        NetworkPlan.from_json({**PLAN.to_json(), **wrong})


def test_without_hidden_layers_it_is_a_linear_model() -> None:
    network = TableNetwork(replace(PLAN, hidden=()), seed=0)
    weights = changed(network)
    u = np.concatenate([ROWS[:, :2], weights["embeddings.0.weight"][ROWS[:, 2].astype(int)]], axis=1)
    np.testing.assert_allclose(network.predict(ROWS), u @ weights["direct.weight"] + weights["direct.bias"], rtol=1e-5)
