"""The tour's numbers: each page's Python prints what its figure shows, and both agree with arithmetic done here."""

import contextlib
import io
import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from fallline.errors import ArgumentError
from fallline.lab.tour.controls import Choice, Count, Slider
from fallline.lab.tour.experiments import EXPERIMENTS
from fallline.lab.tour.text import tour_pages

PAGES = {page.name: page for page in tour_pages()}
OTHER = {
    "neuron": {"w": "2.25", "b": "-0.5"},
    "slope": {"w": "4.5", "lr": "0.095"},
    "rate": {"lr": "0.1"},
    "chain": {"w1": "-1.3", "w2": "0.4", "y": "-0.65"},
    "backward": {"row": "2"},
    "check": {"weight": "2.bias[0]", "digits": "9"},
    "batch": {"batch_size": "all", "lr": "0.5"},
    "momentum": {"lr": "0.05", "momentum": "0.95", "adam": "0.1"},
    "wrong": {"activation": "relu", "depth": "5", "scale": "0.5"},
    "stop": {"width": "8"},
}


def with_settings(code: str, settings: dict[str, str]) -> str:
    """A page's Python with other settings: as the page in the browser writes it."""
    for name, value in settings.items():
        written = value if re.fullmatch(r"-?[\d.]+", value) else f'"{value}"'
        code, found = re.subn(rf"(?m)^{name} = .*$", f"{name} = {written}", code)
        assert found == 1, f"the page has no line {name} = …"
    return code


def printed_by(code: str) -> list[str]:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(code, "page", "exec"), {"__name__": "__main__"})
    return said.getvalue().splitlines()


def test_there_are_ten_pages_and_each_has_its_experiment() -> None:
    assert list(PAGES) == list(OTHER) == list(EXPERIMENTS)


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("other", [False, True], ids=["at first", "moved"])
def test_the_pages_python_prints_what_the_figure_shows(name: str, other: bool) -> None:
    settings = OTHER[name] if other else {}
    assert printed_by(with_settings(PAGES[name].code, settings)) == EXPERIMENTS[name](settings)["printed"]


def ends() -> Iterator[tuple[str, dict[str, str]]]:
    """Every experiment with each of its controls at both ends, or at each choice."""
    for name, experiment in EXPERIMENTS.items():
        for control in experiment.controls.values():
            values = list(control.options) if isinstance(control, Choice) else [f"{control.low}", f"{control.high}"]
            for value in values:
                yield name, {control.name: value}


@pytest.mark.parametrize(("name", "settings"), list(ends()), ids=str)
def test_every_setting_gives_numbers_that_json_can_hold(name: str, settings: dict[str, str]) -> None:
    found = EXPERIMENTS[name](settings)
    assert json.loads(json.dumps(found, allow_nan=False))["printed"] == found["printed"]
    assert "nan" not in " ".join(found["printed"])


def test_the_first_values_are_among_what_may_be_set() -> None:
    for experiment in EXPERIMENTS.values():
        for control in experiment.controls.values():
            assert control.check(str(control.value)) == control.value
            assert control.to_json()["kind"] == ("choice" if isinstance(control, Choice) else "slider")


X, Y = np.array([1.0, 2.0, 3.0, 4.0, 5.0]), np.array([3.0, 4.0, 8.0, 9.0, 11.0])


def test_the_neuron_is_a_line_and_its_loss_the_mean_square() -> None:
    found = EXPERIMENTS["neuron"]({"w": "2", "b": "1"})
    assert found["outputs"] == [3.0, 5.0, 7.0, 9.0, 11.0]
    assert found["errors"] == [0.0, 1.0, -1.0, 0.0, 0.0]
    assert found["loss"] == pytest.approx(2.0 / 5.0)


def test_the_slope_is_that_of_the_parabola() -> None:
    """L(w) = mean (w·x − y)² = w²·11 − 2w·25.2 + 58.2, by hand."""
    found = EXPERIMENTS["slope"]({"w": "1.5", "lr": "0.01"})
    assert found["loss"] == pytest.approx(11 * 2.25 - 2 * 1.5 * 25.2 + 58.2)
    assert found["slope"] == pytest.approx(2 * 11 * 1.5 - 2 * 25.2)
    assert found["after"] == pytest.approx(1.5 - 0.01 * (33 - 50.4))
    for place, height in zip(found["places"], found["heights"], strict=True):
        assert height == pytest.approx(11 * place**2 - 50.4 * place + 58.2)


def test_the_edge_of_the_learning_rate_is_two_over_the_curvature() -> None:
    found = EXPERIMENTS["rate"]({})
    assert found["limit"] == pytest.approx(2.0 / 22.0)
    assert found["lowest"] == pytest.approx(np.mean((X * 126 / 55 - Y) ** 2))
    below, above = (EXPERIMENTS["rate"]({"lr": lr})["losses"] for lr in ("0.09", "0.092"))
    assert below[-1] < below[0]
    assert above[-1] > above[0]
    straight = EXPERIMENTS["rate"]({"lr": "0.045454545454545456"})
    assert straight["losses"][1] == pytest.approx(straight["lowest"])


def test_the_links_of_the_chain_are_those_of_the_book() -> None:
    found = EXPERIMENTS["chain"]({"w1": "-0.4", "w2": "1.1", "y": "0.25"})
    z = -0.4 * 1.5 - 0.2
    a = np.tanh(z)
    o = 1.1 * a + 0.1
    assert (found["z"], found["a"], found["o"]) == (pytest.approx(z), pytest.approx(a), pytest.approx(o))
    links = {"loss_by_o": 2 * (o - 0.25), "o_by_a": 1.1, "a_by_z": 1 - a**2, "z_by_w1": 1.5}
    assert found["links"] == pytest.approx(links)
    assert found["product"] == pytest.approx(found["gradients"]["0.weight"], rel=1e-14)
    assert found["gradients"]["2.weight"] == pytest.approx(2 * (o - 0.25) * a)


def test_the_walk_back_has_the_numbers_of_the_page_by_hand() -> None:
    """docs/backpropagation-and-sgd.md has the same network and rows, done by hand."""
    found = EXPERIMENTS["backward"]({})
    one, two = found["rows"]
    assert (one["z"], one["a"], one["o"]) == ([1.0, 0.5], [1.0, 0.5], [1.5])
    assert (two["z"], two["a"], two["o"]) == ([1.75, -2.0], [1.75, 0.0], [1.25])
    assert (one["delta2"], two["delta2"]) == ([0.5], [-0.75])
    assert (one["delta1"], two["delta1"]) == ([0.5, 1.0], [-0.75, 0.0])
    assert found["gradients"]["0.weight"] == [[-1.75, 1.0], [0.25, 2.0]]
    assert found["gradients"]["2.weight"] == [[-0.8125], [0.25]]
    assert found["loss"] == 0.40625


def test_the_check_finds_the_slope_and_loses_digits_at_both_ends() -> None:
    found = EXPERIMENTS["check"]({})
    assert min(found["one"]) < 1e-7 < found["one"][0]
    assert min(found["both"]) < 1e-9
    assert found["one"][-1] > 100 * min(found["one"])
    assert found["both"][1] / found["both"][0] == pytest.approx(0.01, rel=0.2)  # the error falls as h²
    assert found["one"][2] / found["one"][1] == pytest.approx(0.1, rel=0.2)  # and as h


def test_more_steps_of_fewer_rows_come_lower_at_this_rate() -> None:
    found = EXPERIMENTS["batch"]({})
    steps = {other["batch_size"]: other["steps"] for other in found["others"]}
    assert steps == {"1": 1500, "16": 100, "all": 10}
    ends = {other["batch_size"]: other["losses"][-1] for other in found["others"]}
    assert ends["1"] < ends["16"] < ends["all"]
    assert found["chosen"]["losses"] == next(o["losses"] for o in found["others"] if o["batch_size"] == "16")
    assert len({other["losses"][0] for other in found["others"]}) == 1


def test_the_three_walks_are_those_of_the_rules() -> None:
    """SGD and heavy-ball momentum on a quadratic bowl, in NumPy; every walk starts at the same place."""
    x = np.array([[1.0, 0.3], [-1.0, 0.2], [0.5, -0.4], [-0.5, -0.1], [1.5, 0.1], [-1.5, -0.1]])
    y = np.array([1.3, -0.8, 0.1, -0.6, 1.6, -1.6])
    found = EXPERIMENTS["momentum"]({"lr": "0.1", "momentum": "0.7"})
    for name, mu in (("SGD", 0.0), ("momentum", 0.7)):
        w, v = np.array([-2.2, -2.6]), np.zeros(2)
        for step, place in enumerate(found["walks"][name]["places"]):
            assert place == pytest.approx(w, abs=1e-9)
            assert found["walks"][name]["losses"][step] == pytest.approx(np.mean((x @ w - y) ** 2), abs=1e-9)
            v = mu * v + 2.0 * x.T @ (x @ w - y) / 6.0
            w = w - 0.1 * v
    assert found["best"] == pytest.approx([1.0, 1.0])
    assert found["walks"]["Adam"]["places"][1] == pytest.approx([-2.1, -2.5], abs=1e-6)  # its first step is η long
    inner = found["rings"][-1]
    assert all(abs(a - 1.0) < 1.0 and abs(b - 1.0) < 2.5 for ring in inner for a, b in ring)


def test_no_momentum_is_plain_descent() -> None:
    walks = EXPERIMENTS["momentum"]({"momentum": "0"})["walks"]
    assert walks["momentum"] == walks["SGD"]


def test_slopes_vanish_through_sigmoids_and_units_die() -> None:
    deep, shallow = (EXPERIMENTS["wrong"]({"depth": depth}) for depth in ("12", "1"))
    assert deep["verdict"] == "vanishes"
    assert deep["norms"][0] < 1e-5 * deep["norms"][-1]
    assert shallow["verdict"] == "arrives"
    assert len(deep["norms"]) == 13
    assert EXPERIMENTS["wrong"]({"activation": "relu", "depth": "12", "scale": "4"})["verdict"] == "explodes"
    assert EXPERIMENTS["wrong"]({"activation": "relu", "depth": "12"})["dead"] > 0
    assert EXPERIMENTS["wrong"]({"activation": "tanh"})["dead"] == 0


def test_learning_by_heart_shows() -> None:
    found = EXPERIMENTS["stop"]({})
    assert found["end_training"] < 0.1 * found["training"][found["epochs"].index(found["best"])]
    assert found["end"] > 1.5 * found["lowest"]
    assert found["lowest"] == pytest.approx(min(found["validation"]))
    assert found["kept"][0] == 0
    assert len(found["answer"]) == len(found["smooth"])
    last = np.interp(found["x"], found["smooth"], found["answer"])
    assert np.abs(last - found["y"]).max() < 0.2  # the line runs through the dots
    assert EXPERIMENTS["stop"]({"width": "2"})["end"] < 1.2 * EXPERIMENTS["stop"]({"width": "2"})["lowest"]


@pytest.mark.parametrize(
    ("name", "settings", "sentence"),
    [
        ("slope", {"lr": "1"}, "tour: lr must be a number from 0.005 to 0.1, found '1'"),
        ("slope", {"lr": "nan"}, "tour: lr must be a number from 0.005 to 0.1, found 'nan'"),
        ("slope", {"lr": "<b>"}, "tour: lr must be a number from 0.005 to 0.1, found '<b>'"),
        ("slope", {"rate": "1"}, "tour: this page has no setting 'rate': choose one of: w, lr"),
        ("backward", {"row": "3"}, "tour: there is no row '3': choose one of: 1, 2, both"),
        ("check", {"digits": "2.5"}, "tour: digits must be a whole number, found '2.5'"),
    ],
)
def test_a_setting_that_is_none_is_refused(name: str, settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ArgumentError, match=re.escape(sentence)):
        EXPERIMENTS[name](settings)


def test_a_count_is_a_whole_number() -> None:
    assert Count("n", "n", 0, 9, 1, 3).check("4") == 4
    assert Slider("n", "n", 0, 9, 1, 3).check("4.5") == 4.5
