"""The digits that a gradient check tells: what float32 keeps, and whom to blame where it keeps little."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline import nn
from fallline.ir.op import REGISTRY
from fallline.training.gradient_check import StepProgram
from fallline.training.gradient_report import digits

Array = Any
RNG = np.random.default_rng(5)
X = RNG.normal(size=(16, 3)).astype(np.float32)
Y = RNG.normal(size=(16, 2)).astype(np.float32)


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2), seed=1)


def complex_step(net: nn.Module, name: str) -> Array:
    """dL/dw = Im L(w + ih)/h with h = 1e-40: no difference is taken, so every digit of float64 is right.

    W. Squire, G. Trapp, "Using complex variables to estimate derivatives of real functions", SIAM Review 40 (1998).
    """
    weights = {key: value.astype(complex) for key, value in net.parameters().items()}
    found = np.zeros(weights[name].shape)
    for place in np.ndindex(found.shape):
        moved = {key: value.copy() for key, value in weights.items()}
        moved[name][place] += 1e-40j
        hidden = np.tanh(X.astype(complex) @ moved["0.weight"] + moved["0.bias"])
        error = hidden @ moved["2.weight"] + moved["2.bias"] - Y.astype(complex)
        found[place] = np.mean(error * error).imag / 1e-40
    return found


def test_digits_are_those_of_the_ratio() -> None:
    assert digits(1.0, 1.001, most=20.0) == pytest.approx(-math.log10(0.001 / 1.001))
    assert str(digits(-2.0, 2.0)) == "0.0"  # no −0, which the table would show
    assert digits(1e-9, 2e-9, scale=1.0) == pytest.approx(9.0)
    assert digits([0.0, 5.0], [0.0, 5.0], most=7.0).tolist() == [7.0, 7.0]
    assert digits([math.nan, math.inf, 1.0, math.inf], [1.0, 1.0, math.inf, math.inf], scale=9.0).tolist() == [0.0] * 4


def test_both_gradients_against_the_complex_step() -> None:
    net = network()
    report = fl.check_gradients(net, X, Y, "mse")
    _, float32 = fl.loss_and_gradients(net, X, Y, "mse", training=False)
    for check in report.checks:
        exact, found = complex_step(net, check.name), check.precision
        assert found is not None
        largest = np.abs(exact).max()
        assert abs(check.gradient - exact[check.place]) < 1e-14 * largest
        for entry in (found.loosest, found.farthest):
            assert abs(entry.float64 - exact[entry.place]) < 1e-14 * largest
            assert entry.float32 == float32[check.name][entry.place]
        distance = np.abs(float32[check.name] - exact)
        assert found.digits == pytest.approx(min(-np.log10(distance.max() / largest), 7.225), abs=1e-3)
        assert found.farthest.place == np.unravel_index(distance.argmax(), exact.shape)
        own = -np.log10(distance / np.abs(exact))
        assert found.loosest.digits == pytest.approx(min(own.min(), 7.225), abs=1e-3)
        assert check.digits > 9.0
    assert report.float32_digits == min(check.precision.digits for check in report.checks if check.precision) > 6.0
    assert report.difference_digits == min(check.digits for check in report.checks)


def test_a_factor_of_a_thousandth_leaves_three_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """float32 and float64 share the wrong rule, so they agree; the differences tell."""
    op = REGISTRY["tanh"]
    right: Any = op.gradient
    wrong_op = dataclasses.replace(op, gradient=lambda *given, **named: [1.001 * right(*given, **named)[0]])
    monkeypatch.setitem(REGISTRY, "tanh", wrong_op)
    report = fl.check_gradients(network(), X, Y, "mse")
    wrong = {check.name: check for check in report.checks if check.error > report.tolerance}
    assert set(wrong) == {"0.weight", "0.bias"}
    for check in wrong.values():
        assert check.own_digits == pytest.approx(3.0, abs=0.01)
        assert check.digits == pytest.approx(3.0, abs=0.01)
    assert report.float32_digits > 6.0
    assert "Finite differences contradict backpropagation in 0.weight, 0.bias." in " ".join(str(report).split())


def spoil(monkeypatch: pytest.MonkeyPatch, dtype: str, change: Callable[[dict[str, Array]], None]) -> None:
    """Change the gradients of programs of one dtype for the length of a test."""
    right = StepProgram.__call__

    def wrong(self: Any, *arguments: Any, **named: Any) -> Any:
        result = right(self, *arguments, **named)
        if self.dtype == dtype and result.gradients:
            change(result.gradients)
        return result

    monkeypatch.setattr(StepProgram, "__call__", wrong)


def test_one_wrong_entry_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def change(gradients: dict[str, Array]) -> None:
        gradients["0.weight"][2, 1] *= 1.01

    spoil(monkeypatch, "float64", change)
    report = fl.check_gradients(network(), X, Y, "mse")
    assert [check.name for check in report.checks if check.error > report.tolerance] == ["0.weight"]
    assert report.checks[0].place == (2, 1)
    assert report.checks[0].own_digits == pytest.approx(2.0, abs=0.01)


def test_one_entry_that_float32_computes_wrong_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def change(gradients: dict[str, Array]) -> None:
        gradients["2.weight"][3, 0] *= np.float32(1.01)

    spoil(monkeypatch, "float32", change)
    report = fl.check_gradients(network(), X, Y, "mse")
    assert report.ok
    found = report.checks[2].precision
    assert found is not None
    assert found.loosest.place == found.farthest.place == (3, 0)
    assert found.loosest.digits == pytest.approx(2.0, abs=0.01)
    assert found.lossy
    text = " ".join(str(report).split())
    assert "fewest in 2.weight[3,0]: " in text
    assert "The arithmetic in float32 loses digits in 2.weight: rounding the weights and the inputs alone" in text


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_float32_that_overflows_keeps_no_digit(monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    spoil(monkeypatch, "float32", lambda gradients: gradients["0.bias"].__setitem__(2, value))
    report = fl.check_gradients(network(), X, Y, "mse")
    found = report.checks[1].precision
    assert found is not None
    assert (report.float32_digits, found.farthest.place, found.lossy) == (0.0, (2,), True)


def test_large_numbers_added_and_subtracted_lose_digits_where_they_meet() -> None:
    """Output 0 goes through 2¹⁸, where float32 has steps of 1/32: gradients of its weights keep 2 to 5 digits."""
    large = np.asarray([2.0**18, 0.0])

    def loss(outputs: Any, targets: Any) -> Any:
        error = ((outputs + large) - large) - targets
        return fl.mean(error * error, axis=1)

    report = fl.check_gradients(network(), X, Y, loss)
    assert report.ok
    found = report.checks[3].precision
    assert found is not None
    assert found.farthest.place == (0,)
    assert 2.0 < found.digits < 5.0
    assert found.attainable > 6.0
    weights = report.checks[2].precision
    assert weights is not None
    assert weights.farthest.place[1] == weights.loosest.place[1] == 0
    assert "take dtype='float64'" in " ".join(str(report).split())
    assert fl.check_gradients(network(), X, Y, "mse").float32_digits > 6.0


def test_what_is_attainable_follows_from_the_rounding_of_the_weights() -> None:
    """dL/dw = 2(w − 1) with w = 1 + 2⁻¹³: half a unit of w, 2⁻²⁴·w, is 2⁻¹¹ of it; the subtraction itself is exact."""
    net = nn.Embedding(1, 1)
    net.load_parameters({"weight": [[1.0 + 2.0**-13]]})
    report = fl.check_gradients(net, [[0]], [[1.0]], loss=lambda o, t: (o[:, 0, 0] - t[:, 0]) ** 2)
    found = report.checks[0].precision
    assert found is not None
    assert found.attainable == pytest.approx(11.0 * math.log10(2.0), abs=1e-3)
    assert found.digits == pytest.approx(7.2247, abs=1e-4)


def near_the_minimum(distance: float) -> tuple[nn.Linear, Array]:
    """A linear regression at its least squares, but for its bias, with targets that it cannot reach."""
    targets = Y[:, :1].astype(np.float64)
    best, *_ = np.linalg.lstsq(np.column_stack([X, np.ones(len(X))]).astype(np.float64), targets)
    net = nn.Linear(3, 1)
    net.load_parameters({"weight": best[:3], "bias": best[3] + distance})
    return net, targets


def test_shares_that_cancel_are_no_defect() -> None:
    """A little beside the minimum gradients are small remainders of large shares, whatever computes them."""
    net, targets = near_the_minimum(1e-4)
    report = fl.check_gradients(net, X, targets, "mse")
    found = report.checks[1].precision
    assert found is not None
    assert 2.0 < found.digits < 5.0
    assert not found.lossy
    assert not found.vanishing
    assert "large terms cancel, as they do near a minimum. No defect." in " ".join(str(report).split())


def test_a_gradient_that_is_nothing_but_rounding_is_told_so() -> None:
    net, targets = near_the_minimum(0.0)
    report = fl.check_gradients(net, X, targets, "mse")
    assert report.ok
    assert report.float32_digits == 0.0
    text = " ".join(str(report).split())
    assert "0 but for the rounding of weights and inputs is the gradient of weight, bias: all its terms cancel" in text
    assert "float32 keeps" not in text


def test_a_bias_before_batch_normalisation_does_not_hide_the_others() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm(4), nn.Linear(4, 2))
    report = fl.check_gradients(net, X, Y, "mse", training=True)
    assert [check.name for check in report.checks if check.precision and check.precision.vanishing] == ["0.bias"]
    assert report.float32_digits > 5.5


def test_a_small_entry_beside_large_ones_loses_only_digits_of_its_own() -> None:
    """The two rows' shares in input 0's weight are nearly opposite, in input 1's nearly equal."""
    net = nn.Linear(2, 1, bias=False)
    net.load_parameters({"weight": [[1e-4], [0.0]]})
    report = fl.check_gradients(net, [[1.0, 1.0], [-1.0, 1.0]], [[0.3], [0.3]], loss=lambda o, t: fl.tanh(o - t)[:, 0])
    found = report.checks[0].precision
    assert found is not None
    assert found.digits > 6.0
    assert found.loosest.place == (0, 0)
    assert found.loosest.digits < 5.0


@pytest.mark.parametrize("layer", [nn.Dropout(0.5), nn.LayerNorm(4)], ids=["dropout", "layer norm"])
def test_both_types_drop_the_same_units(layer: nn.Module) -> None:
    net = nn.Sequential(nn.Linear(3, 4), layer, nn.Linear(4, 2))
    assert fl.check_gradients(net, X, Y, "mse", training=True).float32_digits > 5.5


def test_rows_that_are_weighted() -> None:
    weight = RNG.uniform(0.1, 2.0, len(X))
    assert fl.check_gradients(network(), X, Y, "mse", sample_weight=weight).float32_digits > 6.0


def test_a_float64_network_whose_weights_float32_cannot_hold() -> None:
    net = nn.Linear(3, 2)
    net.load_parameters({"weight": np.full((3, 2), 1e200), "bias": np.zeros(2)})
    report = fl.check_gradients(net, X * 1e-200, Y, "mse")
    assert report.ok
    assert report.float32_digits == 0.0


def test_the_table_fits_a_page_and_ends_in_words() -> None:
    lines = str(fl.check_gradients(network(), X, Y, "mse")).splitlines()
    assert max(map(len, lines)) <= 100
    assert " ".join(lines[0].split()) == "parameter shape compared entries digits own worst entry in float64 compared"
    assert lines[1].split()[:4] == ["0.weight", "3×4", "float32", "12"]
    assert lines[2].split()[:2] == ["difference", "12"]
    assert lines[9] == ""
    assert lines[10].startswith("Digits are decimal digits on which two values agree, ")
