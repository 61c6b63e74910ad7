"""The playground: any step has the bits of `fl.fit`, and its three phases those of the public functions."""

import itertools
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline import nn, optim
from fallline.data.planar import PLANAR
from fallline.insight.plane_data import built_in, losses_for, outputs_for, targets_for
from fallline.insight.playground import Playground, Recipe, activation_formulas
from fallline.nn.activations import ACTIVATIONS

RECIPE = Recipe((5, 3), "tanh", "cross_entropy", "sgd", 0.3, 0.0, 16, 2)


def played(recipe: Recipe = RECIPE, kind: str = "moons") -> Playground:
    return Playground(built_in(kind, 60, 0.1, 0), recipe)


def fitted(ground: Playground, epochs: int) -> fl.Run:
    """The same training by `fl.fit`."""
    recipe = ground.recipe
    net = recipe.network(outputs_for(recipe.loss, ground.classes))
    y = targets_for(recipe.loss, ground.data.y, ground.classes)
    return fl.fit(
        net, ground.data.x, y, loss=recipe.loss, optimizer=recipe.rule(), batch_size=recipe.batch_size, epochs=epochs,
        seed=recipe.seed,
    )  # fmt: skip


@pytest.mark.parametrize("rule", optim.RULES)
def test_a_step_has_the_bits_of_fit(rule: str) -> None:
    ground = played(Recipe((4,), "relu", "cross_entropy", rule, 0.05, 0.5, 7, 1))
    run = fitted(ground, 3)
    moment = ground.moment(27)
    assert moment.step == len(run.steps["loss"]) == 27
    assert all(np.array_equal(moment.weights[name], w) for name, w in run.network.parameters().items())


def test_going_back_and_forth_changes_nothing() -> None:
    ground = played()
    ahead = ground.moment(41)
    for step in (7, 0, 23, 41, 8):
        alone = played().moment(step)
        again = ground.moment(step)
        assert all(np.array_equal(again.weights[name], w) for name, w in alone.weights.items())
    assert all(np.array_equal(ground.moment(41).weights[name], w) for name, w in ahead.weights.items())


@pytest.mark.parametrize(("rule", "momentum"), [("sgd", 0.0), ("sgd", 0.9), ("adam", 0.0), ("rmsprop", 0.5)])
def test_the_phases_are_backpropagation_and_update_bit_for_bit(rule: str, momentum: float) -> None:
    ground = played(Recipe((5, 3), "tanh", "cross_entropy", rule, 0.05, momentum, 16, 2))
    for step in (0, 3, 10):
        opened = ground.opened(step)
        numbers = fl.batch_order(60, 2, step // 4)[step % 4 * 16 :][:16]
        assert np.array_equal(opened.rows, numbers)
        net = ground.recipe.network(2)
        net.load_parameters(ground.moment(step).weights)
        loss, grads = fl.loss_and_gradients(net, ground.data.x[numbers], ground.data.y[numbers])
        assert opened.loss == loss
        assert all(np.array_equal(opened.gradients[name], grads[name]) for name in grads)
        weights, state = ground.optimizer.update(opened.before.weights, grads, opened.before.state)
        after = ground.moment(step + 1)
        for name, w in weights.items():
            assert np.array_equal(opened.after.weights[name], w)
            assert np.array_equal(after.weights[name], w)
        assert state["step"] == after.step == step + 1


def test_forward_values_are_the_layers_and_slopes_obey_the_chain_rule() -> None:
    ground = played()
    opened = ground.opened(5)
    w, x = opened.before.weights, ground.data.x[opened.rows]
    first = x @ w["0.weight"] + w["0.bias"]
    assert opened.values[0] == pytest.approx(first, abs=1e-6)
    assert opened.values[1] == pytest.approx(np.tanh(first), abs=1e-6)
    assert opened.slopes[1] == pytest.approx(opened.slopes[2] @ w["2.weight"].T, abs=1e-7)
    assert opened.slopes[0] == pytest.approx(opened.slopes[1] * (1.0 - opened.values[1] ** 2), abs=1e-7)
    assert opened.gradients["2.weight"] == pytest.approx(opened.values[1].T @ opened.slopes[2], abs=1e-6)
    assert opened.gradients["2.bias"] == pytest.approx(opened.slopes[2].sum(axis=0), abs=1e-6)
    shares = np.exp(opened.values[4]) / np.exp(opened.values[4]).sum(axis=1, keepdims=True)
    wanted = (shares - np.eye(2)[ground.data.y[opened.rows]]) / len(opened.rows)
    assert opened.slopes[4] == pytest.approx(wanted, abs=1e-6)
    assert np.mean(opened.losses) == pytest.approx(opened.loss, rel=1e-6)


def test_units_and_outputs_are_those_that_predict_gives() -> None:
    ground = played()
    moment = ground.moment(9)
    net = ground.recipe.network(2)
    net.load_parameters(moment.weights)
    found = ground.units(moment, ground.data.x)
    assert np.array_equal(found[:, 8:], net.predict(ground.data.x))
    hidden = nn.Sequential(*net.layers[:2])
    assert np.array_equal(found[:, :5], hidden.predict(ground.data.x))
    units, shares = ground.pictures(moment, 4)
    assert (units.shape, shares.shape) == ((8, 4, 4), (1, 4, 4))
    reach = ground.data.reach
    corner = ground.units(moment, [[-reach, reach]])  # the picture's first place is at the upper left
    assert units[:, 0, 0] == pytest.approx(corner[0, :8])


def test_the_curve_is_evaluates_loss_at_ends_of_epochs() -> None:
    ground = played()
    curve = ground.curve(14)
    assert [step for step, *_ in curve] == [0, 4, 8, 12, 14]
    run = fitted(ground, 3)
    data = ground.data
    assert curve[3][1] == fl.evaluate(run.network, data.x, data.y)["loss"]
    assert curve[3][2] == fl.evaluate(run.network, data.test_x, data.test_y)["loss"]
    assert len(ground.marks(200_000)) < 350


@pytest.mark.parametrize("kind", PLANAR)
def test_every_loss_that_fits_trains_with_every_set(kind: str) -> None:
    for loss in losses_for(PLANAR[kind].classes):
        ground = played(Recipe((4,), loss=loss, lr=0.1), kind)
        losses = [loss for _, loss, _ in ground.curve(60)]
        assert losses[-1] < losses[0]
        _, shares = ground.pictures(ground.moment(60), 5)
        assert len(shares) == max(1, PLANAR[kind].classes if PLANAR[kind].classes > 2 else 1)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_can_be_chosen_and_tells_its_formula(activation: str) -> None:
    ground = played(Recipe((3,), activation))
    assert np.isfinite(ground.losses(ground.moment(4))[0])
    assert activation_formulas()[activation].startswith("y = ")


def test_a_loss_that_is_not_finite_ends_it_at_the_last_good_step() -> None:
    ground = played(Recipe((), loss="mse", lr=1e4), "plane")
    last = ground.moment(5000)
    assert 0 < last.step == ground.ended < 5000
    assert ground.moment(4000).step == last.step
    assert ground.moment(2).step == 2
    assert ground.curve(5000)[-1][0] <= last.step
    assert all(np.isfinite(w).all() for w in last.weights.values())


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"layers": (13,)}, "play: a network here has at most 4 hidden layers of 1 to 12 units, found 13"),
        ({"layers": (2,) * 5}, "at most 4 hidden layers"),
        ({"loss": "binary_cross_entropy", "kind": "gaussians"}, "'binary_cross_entropy' does not fit a target of 3 cl"),
        ({"loss": "cross_entropy", "kind": "plane"}, "'cross_entropy' does not fit a target of numbers"),
        ({"activation": "tan"}, "no activation is named 'tan': did you mean 'tanh'"),
        ({"optimizer": "adm"}, "no optimizer is named so: did you mean 'adam'"),
        ({"lr": -1.0}, "lr must be greater than 0"),
        ({"batch_size": 0}, "play: batch_size must be a whole number of at least 1"),
    ],
)
def test_what_cannot_be_trained_is_said(changed: dict[str, Any], says: str) -> None:
    kind = changed.pop("kind", "moons")
    with pytest.raises(fl.ArgumentError, match=says):
        played(Recipe(**changed), kind)


@pytest.mark.parametrize("step", [-1, 200_001, True, 1.5])
def test_a_step_that_is_none_is_said(step: Any) -> None:
    with pytest.raises(fl.ArgumentError, match="play: step must be a whole number from 0 to 200,000"):
        played().moment(step)


def test_losses_and_targets_go_together() -> None:
    for loss, classes in itertools.product(("cross_entropy", "mse", "hinge", "binary_cross_entropy"), (0, 2, 3)):
        if not outputs_for(loss, classes):
            continue
        y = np.array([0, 1, 2])[: classes or 3] if classes else np.array([0.5, -1.0, 0.0])
        targets = targets_for(loss, y, classes)
        net = nn.Sequential(nn.Linear(2, outputs_for(loss, classes)))
        value, _ = fl.loss_and_gradients(net, np.zeros((len(y), 2)), targets, loss=loss)
        assert np.isfinite(value)
    assert losses_for(0) == ["mse", "mae", "huber"]
    assert "poisson" not in losses_for(2)
