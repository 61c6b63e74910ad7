"""Initial weights: their distributions, and that nothing but seed and dotted name decides them."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import fallline as fl
from fallline import nn
from fallline.nn import init
from fallline.ops import philox

ROWS, COLUMNS = 60, 100


def draw(name: str, shape: tuple[int, ...] = (ROWS, COLUMNS), seed: int = 1) -> Any:
    return init.get(name)(philox.key(seed, "init", "test"), shape)


# the bound or deviation as the papers give it, for fan_in 60 and fan_out 100
UNIFORM = {"glorot_uniform": math.sqrt(6 / 160), "he_uniform": math.sqrt(6 / 60), "lecun_uniform": math.sqrt(3 / 60)}
NORMAL = {"glorot_normal": math.sqrt(2 / 160), "he_normal": math.sqrt(2 / 60), "lecun_normal": math.sqrt(1 / 60)}


@pytest.mark.parametrize(("name", "limit"), [*UNIFORM.items(), ("uniform", 0.05)])
def test_uniform_ones_fill_their_interval_evenly(name: str, limit: float) -> None:
    values = draw(name).ravel()
    assert -limit <= values.min() < -0.99 * limit
    assert 0.99 * limit < values.max() < limit
    assert stats.kstest(values, "uniform", args=(-limit, 2 * limit)).pvalue > 1e-3


@pytest.mark.parametrize(("name", "deviation"), [*NORMAL.items(), ("normal", 0.05)])
def test_normal_ones_are_normal(name: str, deviation: float) -> None:
    values = draw(name).ravel()
    assert stats.kstest(values, "norm", args=(0.0, deviation)).pvalue > 1e-3
    # 6000 draws: the mean's standard error is σ/77, the deviation's σ/110
    assert abs(values.mean()) < 5 * deviation / 77
    assert abs(values.std() - deviation) < 5 * deviation / 110


def test_constants() -> None:
    assert not draw("zeros").any()
    assert (draw("ones") == 1.0).all()
    assert (init.Constant(0.25)((0, 0), (2, 2)) == 0.25).all()


@settings(max_examples=25)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 1000))
def test_orthogonal_has_orthonormal_columns_or_rows(rows: int, columns: int, seed: int) -> None:
    matrix = draw("orthogonal", (rows, columns), seed)
    gram = matrix.T @ matrix if rows >= columns else matrix @ matrix.T
    np.testing.assert_allclose(gram, np.eye(min(rows, columns)), atol=1e-14)


def test_orthogonal_of_more_axes_and_gain() -> None:
    cube = init.Orthogonal(gain=3.0)(philox.key(0, "init", "x"), (2, 4, 5))
    flat = cube.reshape(8, 5)
    np.testing.assert_allclose(flat.T @ flat, 9.0 * np.eye(5), atol=1e-13)


def test_orthogonal_matrices_have_no_preferred_direction() -> None:
    """Each entry of a random 2 × 2 rotation or reflection is cos of a uniform angle: variance ½, mean 0."""
    entries = np.array([draw("orthogonal", (2, 2), seed).ravel() for seed in range(400)])
    assert np.abs(entries.mean(axis=0)).max() < 5 * math.sqrt(0.5 / 400)
    assert np.abs((entries**2).mean(axis=0) - 0.5).max() < 5 * math.sqrt(0.125 / 400)


def test_fans() -> None:
    assert init.fans((60, 100)) == (60, 100)
    assert init.fans((3, 3, 8, 16)) == (72, 16)
    assert init.fans((7,)) == (7, 7)
    assert init.fans(()) == (1, 1)


def test_unknown_initialisers_are_refused() -> None:
    with pytest.raises(fl.ArgumentError, match="no initializer is named 'he_norm': did you mean 'he_normal'"):
        nn.Linear(2, 2, init="he_norm")
    with pytest.raises(fl.KindError, match=r"must be a name or an object of nn.init, found 0\.1"):
        nn.Linear(2, 2, init=0.1)
    with pytest.raises(fl.ArgumentError, match=r"init.Orthogonal: needs a matrix, found shape \(4,\)"):
        nn.Parameter((4,), "orthogonal").draw(0, "w")


def test_initialisers_show_themselves() -> None:
    assert repr(init.get("he_normal")) == "VarianceScaling(scale=2.0, fan='in', normal=True)"
    assert repr(init.Orthogonal(2.0)) == "Orthogonal(gain=2.0)"


class Pair(nn.Module):
    def __init__(self, first: str, second: str) -> None:
        for name in (first, second):
            setattr(self, name, nn.Linear(4, 3))


def test_weights_depend_on_the_dotted_name_not_on_the_order_of_making() -> None:
    one, other = Pair("left", "right").parameters(), Pair("right", "left").parameters()
    assert list(one) != list(other)
    for name, value in one.items():
        assert value.tobytes() == other[name].tobytes()
    assert not np.array_equal(one["left.weight"], one["right.weight"])


def test_weights_do_not_depend_on_other_layers_nor_on_how_the_network_is_nested() -> None:
    alone = nn.Sequential(nn.Linear(4, 3)).parameters()["0.weight"]
    longer = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm(3), nn.Linear(3, 3)).parameters()["0.weight"]
    assert alone.tobytes() == longer.tobytes()

    class Outer(nn.Module):
        def __init__(self) -> None:
            self.body = nn.Sequential(nn.Tanh(), nn.Sequential(nn.Linear(4, 3), seed=5), seed=6)

    class Flat(nn.Module):
        def __init__(self) -> None:
            self.body = {"1": [nn.Linear(4, 3)]}

    nested, flat = Outer().parameters(), Flat().parameters()
    assert list(nested) == list(flat) == ["body.1.0.weight", "body.1.0.bias"]
    assert nested["body.1.0.weight"].tobytes() == flat["body.1.0.weight"].tobytes()


def test_the_seed_of_the_whole_network_decides() -> None:
    def weights(seed: int) -> Any:
        return nn.Sequential(nn.Linear(4, 3), seed=seed).parameters()["0.weight"]

    assert np.array_equal(weights(7), weights(7))
    assert not np.array_equal(weights(7), weights(8))
    net = nn.Sequential(nn.Linear(4, 3), seed=7)
    assert np.array_equal(net.initialize(8).parameters()["0.weight"], weights(8))
    assert np.array_equal(net.initialize().parameters()["0.weight"], weights(8)), "the new seed stays"


def test_biases_start_at_zero_and_scales_at_one() -> None:
    w = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm(3), nn.LayerNorm(3)).parameters()
    assert not w["0.bias"].any()
    assert not w["1.bias"].any()
    assert (w["1.weight"] == 1.0).all()
    assert (w["2.weight"] == 1.0).all()


def test_float64_networks_start_from_the_float32_weights() -> None:
    """So that a run in float64 shows the rounding of the arithmetic alone."""
    net, same = nn.Linear(4, 3), nn.Linear(4, 3)
    seen = []
    fl.fit(
        net,
        np.ones((2, 4)),
        [0, 1],
        dtype="float64",
        epochs=1,
        optimizer=fl.optim.SGD(lr=1e-300),
        callbacks=lambda run, epoch: seen.append(run.network.parameters()["weight"]),
    )
    assert seen[0].dtype == np.float64
    assert np.array_equal(seen[0], same.parameters()["weight"].astype(np.float64))


def hexes(values: Any, count: int) -> list[str]:
    return [float(value).hex() for value in values.ravel()[:count]]


def test_frozen_initial_weights() -> None:
    """Frozen: other bits here are another contract number, for every trained network would change."""
    assert hexes(nn.Linear(4, 3).parameters()["weight"], 6) == [
        "0x1.23eb7c0000000p-2",
        "-0x1.9602d80000000p-1",
        "-0x1.02215c0000000p-1",
        "-0x1.442ee00000000p-2",
        "-0x1.9dc5b40000000p-1",
        "-0x1.d065760000000p-1",
    ]
    assert hexes(nn.Sequential(nn.Linear(4, 3)).parameters()["0.weight"], 2) == [
        "-0x1.cde9700000000p-3",
        "0x1.0964040000000p-3",
    ]
    assert hexes(nn.Linear(4, 3, init="he_normal").parameters()["weight"], 3) == [
        "0x1.1ec2360000000p-2",
        "-0x1.08d3f60000000p+0",
        "-0x1.0e36f60000000p-1",
    ]
    assert hexes(nn.Linear(4, 3, init="orthogonal").parameters()["weight"], 3) == [
        "0x1.d069380000000p-3",
        "-0x1.0ab2620000000p-1",
        "0x1.7854680000000p-5",
    ]
