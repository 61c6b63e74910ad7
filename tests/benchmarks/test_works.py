"""The works are those that the targets name, and their arrays reach the workers unchanged."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from benchmarks.tasks import make_task, network, read, save
from benchmarks.works import WORKS, Work, make_data

import fallline as fl

SMALL = Work("tiny", (6, 5, 3), "relu", "cross_entropy", "sgd", 0.1, rows=24, batch=8)
REQUIRED = {
    "small": ("30-64-64-2, batch 32, momentum", [2.0, 20.0]),
    "digits": ("64-128-10, batch 32, SGD", [2.2]),
    "deep": ("10 layers of 64, tanh, batch 64, SGD", [2.3]),
    "wide": ("784-512-512-10, batch 128, Adam", [1.5]),
    "regression": ("100-256-256-256-1, batch 256, AdamW, squared error", [1.4]),
    "softmax": ("softmax regression, 1M × 50, batch 256, SGD", [3.0, 1.0]),
}


def test_the_six_works_and_what_they_require() -> None:
    found = {name: (work.title, [target.ratio for target in work.targets]) for name, work in WORKS.items()}
    assert found == REQUIRED


@pytest.mark.parametrize("work", WORKS.values(), ids=lambda work: work.name)
def test_every_step_is_of_one_size(work: Work) -> None:
    assert work.rows % work.batch == 0
    assert work.steps * work.batch == work.rows


@pytest.mark.parametrize("name", ["digits", "regression"])
def test_data_come_from_the_seed_alone(name: str) -> None:
    work = dataclasses.replace(WORKS[name], rows=512)
    (x, y), (again, targets) = make_data(work), make_data(work)
    np.testing.assert_array_equal(x, again)
    np.testing.assert_array_equal(y, targets)
    assert (x.dtype, x.shape) == (np.float32, (512, work.sizes[0]))
    if work.loss == "mse":
        assert (y.dtype, y.shape) == (np.float32, (512, 1))
    else:
        assert (y.dtype, y.shape) == (np.int64, (512,))
        assert set(np.unique(y)) == set(range(work.sizes[-1]))


def test_workers_read_what_was_made(tmp_path: Path) -> None:
    task = make_task(SMALL)
    save(task, tmp_path)
    found = read(tmp_path)
    assert found.work == SMALL
    for name in ("x", "y", "orders"):
        np.testing.assert_array_equal(getattr(found, name), getattr(task, name))
    assert [w.shape for w in found.weights] == [(6, 5), (5,), (5, 3), (3,)]
    for ours, start in zip(found.weights, network(SMALL).parameters().values(), strict=True):
        np.testing.assert_array_equal(ours, start)


def test_orders_are_those_of_fit_and_begin_anew_beyond_the_stored_ones() -> None:
    task = make_task(SMALL)
    np.testing.assert_array_equal(task.order(3)[2], fl.batch_order(24, 0, 2))
    np.testing.assert_array_equal(task.order(1, first=len(task.orders))[0], fl.batch_order(24, 0, 0))
