"""A step's passes have the bits of the step: gradients are those of `fl.replay`, and deltas make them up."""

from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline import nn, optim
from fallline.errors import ArgumentError
from fallline.insight.passes import PassReader
from fallline.nn.losses import Ensemble
from fallline.tables.network import NetworkPlan, TableNetwork
from fallline.training.replay import Replayer

RNG = np.random.default_rng(1)
X = RNG.normal(size=(37, 4)).astype(np.float32)
LABELS = RNG.integers(0, 3, 37)
WEIGHT = RNG.uniform(0.1, 2.0, 37)


def reader_of(run: fl.Run, net: nn.Module) -> PassReader:
    return PassReader(Replayer.of_run(run), {name: type(each).__name__ for name, each in net.named_modules().items()})


@pytest.mark.parametrize("options", [{}, {"sample_weight": WEIGHT}, {"shards": 3}, {"dtype": "float64"}], ids=str)
@pytest.mark.parametrize("step", [0, 7])  # the second is the smaller last batch of an epoch
def test_gradients_are_those_of_the_step_and_deltas_make_them_up(options: dict[str, Any], step: int) -> None:
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Dropout(0.2), nn.Linear(6, 3), seed=0)
    run = fl.fit(net, X, LABELS, batch_size=5, epochs=2, optimizer=optim.Adam(lr=0.01), validation=None, **options)
    passes, replayed = reader_of(run, net).at(step), fl.replay(run, step)
    assert passes.loss == replayed.loss
    assert passes.learning_rate == replayed.learning_rate
    assert np.array_equal(passes.numbers, replayed.rows)
    assert passes.gradients.keys() == replayed.gradients.keys()
    for name, gradient in replayed.gradients.items():
        assert passes.gradients[name].tobytes() == gradient.tobytes()
    assert np.array_equal(passes.carried[0], X[passes.numbers].astype(passes.carried[0].dtype))
    for number, name in enumerate(["0", "3"]):
        delta = passes.deltas[name].astype(np.float64)
        product = passes.carried[number].astype(np.float64).T @ delta
        assert np.allclose(product, replayed.gradients[f"{name}.weight"], rtol=1e-4, atol=1e-7)
        assert np.allclose(delta.sum(0), replayed.gradients[f"{name}.bias"], rtol=1e-4, atol=1e-7)


def test_an_ensemble_has_a_pass_of_each_member() -> None:
    plan = NetworkPlan(
        dense=4, embedded=(), bags=(), hidden=(8, 6), outputs=3, activation="relu", dropout=0.1, members=4, knots=(),
    )  # fmt: skip
    net = TableNetwork(plan, 0)
    run = fl.fit(net, X, LABELS, loss=Ensemble("cross_entropy"), batch_size=16, epochs=2, validation=None)
    passes, replayed = reader_of(run, net).at(3), fl.replay(run, 3)
    for name, gradient in replayed.gradients.items():
        assert passes.gradients[name].tobytes() == gradient.tobytes()
    assert [array.shape for array in passes.carried] == [(16, 4), (16, 8), (16, 4, 8), (16, 4, 6), (16, 4, 3)]
    own = np.einsum("rmi,rmo->mio", *(a.astype(np.float64) for a in (passes.carried[3], passes.deltas["heads"])))
    assert np.allclose(own, replayed.gradients["heads.weight"], rtol=1e-4, atol=1e-7)
    scaled = np.einsum("ri,rmi->mi", *(a.astype(np.float64) for a in (passes.carried[1], passes.deltas["scales"])))
    assert np.allclose(scaled, replayed.gradients["scales.scale"], rtol=1e-4, atol=1e-7)


def test_there_is_no_step_beyond_the_last() -> None:
    net = nn.Sequential(nn.Linear(4, 3), seed=0)
    run = fl.fit(net, X, LABELS, batch_size=37, epochs=2, validation=None)
    with pytest.raises(ArgumentError, match="the run took 2 steps, numbered from 0; found step 2"):
        reader_of(run, net).at(2)
