"""Losses against numbers found elsewhere: fractions by hand, SciPy, and known identities."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import special, stats

import fallline as fl
from fallline import nn
from fallline.errors import ArgumentError
from fallline.nn import losses

Array = NDArray[Any]
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(9, 4)) * 3.0
LABELS = RNG.integers(0, 4, 9)
SOFT = RNG.dirichlet(np.ones(4), 9)


class Given(nn.Module):
    """Its outputs are its weights, for as many rows as there are: outputs and dL/d(outputs) can be chosen and read."""

    def __init__(self, outputs: Any) -> None:
        values = np.asarray(outputs, dtype=np.float64)
        self.table = nn.Embedding(len(values), values.size // len(values))
        self.shape = values.shape[1:]
        self.load_parameters({"table.weight": values.reshape(len(values), -1)})

    def __call__(self, x: Any) -> Any:
        return self.table(x).reshape((x.shape[0], *self.shape))


def loss_of(outputs: Any, targets: Any, loss: Any, weight: Any = None) -> tuple[float, Array]:
    """(loss, dL/d(outputs)) of the traced loss, in float64."""
    net = Given(outputs)
    value, gradients = fl.loss_and_gradients(net, np.arange(len(np.asarray(outputs))), targets, loss, weight)
    return value, gradients["table.weight"].reshape(np.shape(outputs))


def test_mse_by_hand() -> None:
    """Errors 1, −2, 0 and 3: (1 + 4 + 0 + 9)/4."""
    value, gradient = loss_of([[2.0, 0.0], [1.0, 3.0]], [[1.0, 2.0], [1.0, 0.0]], "mse")
    assert Fraction(value) == Fraction(14, 4)
    assert gradient.tolist() == [[0.5, -1.0], [0.0, 1.5]]


def test_mae_by_hand() -> None:
    value, gradient = loss_of([[2.0, 0.0], [1.0, 3.0]], [[1.0, 2.0], [1.0, 0.0]], "mae")
    assert Fraction(value) == Fraction(6, 4)
    assert gradient.tolist() == [[0.25, -0.25], [0.0, 0.25]]


def test_huber_by_hand() -> None:
    """Errors ½, 2 and −4 with delta 1: 1/8, 2 − ½, 4 − ½."""
    value, gradient = loss_of([0.5, 2.0, -4.0], [0.0, 0.0, 0.0], "huber")
    assert value == float((Fraction(1, 8) + Fraction(3, 2) + Fraction(7, 2)) / 3)
    np.testing.assert_allclose(gradient, np.array([0.5, 1.0, -1.0]) / 3, rtol=1e-15)


@pytest.mark.parametrize("delta", [0.25, 1.0, 3.5])
def test_huber_equals_scipy(delta: float) -> None:
    value, _ = loss_of(LOGITS, SOFT, losses.Huber(delta))
    assert value == pytest.approx(special.huber(delta, LOGITS - SOFT).mean(), rel=1e-14)


def test_binary_cross_entropy_equals_scipy() -> None:
    """−log Bernoulli(t; p) for labels; for probabilities the entropy of t plus Σ t·log(t/p) of both outcomes."""
    labels = (LOGITS > 1.0).astype(float)
    p = special.expit(LOGITS)
    value, gradient = loss_of(LOGITS, labels, "binary_cross_entropy")
    assert value == pytest.approx(-stats.bernoulli.logpmf(labels, p).mean(), rel=1e-12)
    np.testing.assert_allclose(gradient, (p - labels) / LOGITS.size, rtol=1e-12)
    value, _ = loss_of(LOGITS, SOFT, "binary_cross_entropy")
    entropy = special.entr(SOFT) + special.entr(1 - SOFT)
    distance = special.rel_entr(SOFT, p) + special.rel_entr(1 - SOFT, 1 - p)
    assert value == pytest.approx((entropy + distance).mean(), rel=1e-12)


def test_cross_entropy_equals_scipy() -> None:
    value, gradient = loss_of(LOGITS, LABELS, "cross_entropy")
    logarithms = special.log_softmax(LOGITS, axis=1)
    assert value == pytest.approx(-logarithms[np.arange(9), LABELS].mean(), rel=1e-14)
    np.testing.assert_allclose(gradient, (special.softmax(LOGITS, axis=1) - np.eye(4)[LABELS]) / 9, atol=1e-16)


def test_soft_cross_entropy_is_entropy_plus_divergence() -> None:
    """H(t, p) = H(t) + KL(t ‖ p)."""
    value, gradient = loss_of(LOGITS, SOFT, "cross_entropy")
    p = special.softmax(LOGITS, axis=1)
    assert value == pytest.approx((special.entr(SOFT) + special.rel_entr(SOFT, p)).sum(axis=1).mean(), rel=1e-13)
    np.testing.assert_allclose(gradient, (p - SOFT) / 9, atol=1e-16)


def test_labels_one_hot_rows_and_soft_rows_agree() -> None:
    expected = loss_of(LOGITS, LABELS, "cross_entropy")
    for targets in (np.eye(4)[LABELS], np.eye(4, dtype=int)[LABELS], np.eye(4, dtype=bool)[LABELS], LABELS * 1.0):
        value, gradient = loss_of(LOGITS, targets, "cross_entropy")
        assert value == pytest.approx(expected[0], rel=1e-15)
        np.testing.assert_allclose(gradient, expected[1], rtol=1e-14, atol=1e-18)


def test_label_smoothing_is_cross_entropy_with_smoothed_targets() -> None:
    """Szegedy et al. 2016, section 7: q′ = (1 − ε)·q + ε/K."""
    smooth = losses.CrossEntropy(label_smoothing=0.2)
    mixed = 0.8 * np.eye(4)[LABELS] + 0.2 / 4
    for targets, q in ((LABELS, mixed), (SOFT, 0.8 * SOFT + 0.2 / 4)):
        p = special.softmax(LOGITS, axis=1)
        value, gradient = loss_of(LOGITS, targets, smooth)
        assert value == pytest.approx((special.entr(q) + special.rel_entr(q, p)).sum(axis=1).mean(), rel=1e-13)
        np.testing.assert_allclose(gradient, (p - q) / 9, atol=1e-16)


def test_cross_entropy_of_uniform_logits_is_log_of_the_classes() -> None:
    for classes in (1, 2, 10, 1000):
        value, _ = loss_of(np.full((2, classes), 7.0), [0, classes - 1], "cross_entropy")
        assert value == pytest.approx(math.log(classes), rel=1e-14, abs=1e-300)


def test_cross_entropy_of_positions_takes_the_mean_over_them() -> None:
    logits = RNG.normal(size=(3, 5, 4))
    labels = RNG.integers(0, 4, (3, 5))
    logarithms = special.log_softmax(logits, axis=2)
    expected = -np.take_along_axis(logarithms, labels[..., None], axis=2).mean()
    assert loss_of(logits, labels, "cross_entropy")[0] == pytest.approx(expected, rel=1e-14)


def test_two_classes_and_one_logit_tell_the_same() -> None:
    """softmax of (0, o) is sigmoid(o)."""
    one = LOGITS[:, :1]
    labels = (LOGITS[:, 1] > 0).astype(int)
    two = np.hstack([np.zeros_like(one), one])
    assert loss_of(one, labels[:, None], "binary_cross_entropy")[0] == pytest.approx(
        loss_of(two, labels, "cross_entropy")[0], rel=1e-14
    )


def test_poisson_equals_scipy_up_to_the_constant() -> None:
    counts = RNG.poisson(3.0, LOGITS.shape)
    rate = np.exp(LOGITS)
    value, gradient = loss_of(LOGITS, counts, "poisson")
    constant = special.gammaln(counts + 1.0).mean()
    assert value + constant == pytest.approx(-stats.poisson.logpmf(counts, rate).mean(), rel=1e-12)
    np.testing.assert_allclose(gradient, (rate - counts) / LOGITS.size, rtol=1e-12, atol=1e-17)


def test_hinge_by_hand() -> None:
    value, gradient = loss_of([0.5, -2.0, 3.0], [1, 1, -1], "hinge")
    assert value == float((Fraction(1, 2) + 3 + 4) / 3)
    np.testing.assert_allclose(gradient, np.array([-1.0, -1.0, 1.0]) / 3, rtol=1e-15)


def test_hinge_of_classes_by_hand() -> None:
    """Crammer & Singer: true 0 leads by 1½ → 0; true 2 trails by 1 → 2; a lead of ½ → ½."""
    logits = [[2.0, 0.5, -1.0], [1.0, 0.0, 0.0], [0.0, 0.5, 0.0]]
    value, gradient = loss_of(logits, [0, 2, 1], "hinge")
    assert value == float((Fraction(0) + 2 + Fraction(1, 2)) / 3)
    np.testing.assert_allclose(gradient, np.array([[0, 0, 0], [1, 0, -1], [0.5, -1, 0.5]]) / 3, rtol=1e-15)


def test_weighted_losses_are_weighted_means() -> None:
    """3·1² and 1·(−2)² and 0·9²: 7/4."""
    value, gradient = loss_of([1.0, -2.0, 9.0], [0.0, 0.0, 0.0], "mse", weight=[3.0, 1.0, 0.0])
    assert value == 7 / 4
    assert gradient.tolist() == [1.5, -1.0, 0.0]


@pytest.mark.parametrize("name", losses.LOSSES)
def test_a_traced_loss_equals_the_called_one(name: str) -> None:
    loss = losses.get(name)
    targets: dict[str, Array] = {"cross_entropy": LABELS, "hinge": LABELS, "poisson": RNG.poisson(1.0, LOGITS.shape)}
    y = targets.get(name, SOFT)
    assert loss_of(LOGITS, y, loss)[0] == pytest.approx(float(loss(LOGITS, y)), rel=1e-13)
    assert loss.rows(LOGITS, y).shape == (9,)


finite = st.floats(-30.0, 30.0, width=64)


@settings(max_examples=30)
@given(hnp.arrays(np.float64, (4, 3), elements=finite), finite)
def test_cross_entropy_is_not_changed_by_a_shift_and_never_negative(logits: Array, shift: float) -> None:
    value, gradient = loss_of(logits, [0, 1, 2, 0], "cross_entropy")
    shifted, _ = loss_of(logits + shift, [0, 1, 2, 0], "cross_entropy")
    assert value >= 0.0
    assert shifted == pytest.approx(value, rel=1e-9, abs=1e-12)
    np.testing.assert_allclose(gradient.sum(axis=1), 0.0, atol=1e-15)


@pytest.mark.parametrize("name", ["cross_entropy", "binary_cross_entropy", "hinge", "mse", "huber"])
def test_logits_of_thousands_do_not_overflow(name: str) -> None:
    logits = np.array([[1000.0, -1000.0, 0.0], [-1000.0, 1000.0, 1000.0]])
    targets: Any = [1, 0] if name in ("cross_entropy", "hinge") else [[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]]
    value, gradient = loss_of(logits, targets, name)
    assert math.isfinite(value)
    assert np.isfinite(gradient).all()
    if name == "cross_entropy":
        assert value == pytest.approx(2000.0 + math.log(2.0) / 2, rel=1e-15)


def test_the_gradient_of_a_class_of_probability_zero_is_finite() -> None:
    value, gradient = loss_of([[0.0, -2000.0]], [[1.0, 0.0]], "cross_entropy")
    assert value == 0.0
    assert gradient.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize(
    "own",
    [
        lambda o, t: (o - t) ** 2,
        lambda o, t: fl.mean((o - t) ** 2, axis=1),
        lambda o, t: fl.mean((o - t) ** 2),
    ],
    ids=["one per output", "one per row", "one number"],
)
def test_own_losses_may_return_numbers_of_outputs_rows_or_batch(own: Callable[[Any, Any], Any]) -> None:
    expected = loss_of(LOGITS, SOFT, "mse")
    value, gradient = loss_of(LOGITS, SOFT, own)
    assert value == pytest.approx(expected[0], rel=1e-14)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-13)


def test_losses_by_class_object_name_and_function() -> None:
    assert isinstance(losses.get("huber"), losses.Huber)
    assert isinstance(losses.get(losses.Huber), losses.Huber)
    assert losses.get(losses.Huber(2.0)).delta == 2.0
    assert repr(losses.CrossEntropy(0.1)) == "CrossEntropy(label_smoothing=0.1)"
    assert repr(losses.get(np.square)) != ""
    names = {"mse", "mae", "huber", "binary_cross_entropy", "cross_entropy", "poisson", "hinge", "ensemble"}
    assert set(losses.LOSSES) == names


def test_an_ensemble_is_trained_by_the_mean_of_its_members_losses() -> None:
    members = RNG.normal(size=(9, 4, 5))
    labels = np.arange(9) % 5
    each = [loss_of(members[:, m], labels, losses.CrossEntropy(0.1))[0] for m in range(4)]
    found = losses.Ensemble("cross_entropy", 0.1)(members, labels)
    assert float(found) == pytest.approx(sum(each) / 4, rel=1e-13)
    squared = losses.Ensemble()(members, members[:, 0] + 1.0)
    assert float(squared) == pytest.approx(np.mean((members - members[:, :1] - 1.0) ** 2), rel=1e-13)


def test_an_ensembles_prediction_is_judged_by_the_plain_loss() -> None:
    logits, labels = RNG.normal(size=(9, 5)), np.arange(9) % 5
    judged = losses.Ensemble("cross_entropy", 0.1)(logits, labels)
    assert float(judged) == pytest.approx(float(losses.CrossEntropy()(logits, labels)), rel=1e-13)
    assert losses.from_config(losses.config(losses.Ensemble("cross_entropy", 0.1))).label_smoothing == 0.1


@pytest.mark.parametrize("name", ["hinge", "nothing", 3])
def test_an_ensemble_of_another_loss_is_refused(name: Any) -> None:
    with pytest.raises(ArgumentError, match=r"ensemble: loss must be 'mse' or 'cross_entropy', found"):
        losses.Ensemble(name)
