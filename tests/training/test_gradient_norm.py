"""The gradient's norm over the whole training set is taken part by part, so that it needs no memory for all rows."""

import numpy as np

import fallline as fl
from fallline import nn
from fallline.nn.losses import get
from fallline.training.evaluate import CHUNK, full_gradient_norm
from fallline.training.graphs import Graphs
from fallline.training.step import StepProgram, check_rows


def test_many_rows_are_taken_part_by_part() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(CHUNK + 100, 3)), rng.integers(0, 2, CHUNK + 100)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    rows = check_rows(net, x, y, get("cross_entropy"), None, "float32", "test")
    program = StepProgram.of(Graphs.of(net, rows, get("cross_entropy"), "float32").gradient, "float32")
    norm = full_gradient_norm(program, rows, net.parameters())
    assert sorted(program._programs) == [100, CHUNK]
    _, gradients = fl.loss_and_gradients(net, x, y)
    assert np.isclose(norm, np.sqrt(sum(np.sum(np.square(g, dtype=np.float64)) for g in gradients.values())), rtol=1e-5)
