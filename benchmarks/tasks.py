"""A work with its arrays: made once by the measuring process, then read from a folder by every worker."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.works import SEED, Work, make_data

Array = NDArray[Any]
MOST_ORDERS, ORDER_ENTRIES = 64, 8_000_000
"""Orders of rows are stored for at most so many epochs, and entries in all (but for four epochs at least)."""


@dataclass(frozen=True)
class Task:
    """What a contender is given.

    Attributes:
        work: which training.
        x: (rows, inputs), float32, or uint8 where the work has a scale.
        y: (rows,) int64 labels or (rows, outputs) float32 numbers.
        weights: W₁ (in, out), b₁ (out,), W₂, b₂ …, float32: where every contender starts.
        orders: (epochs, rows) int64: which rows an epoch takes, in which order.
    """

    work: Work
    x: Array
    y: Array
    weights: tuple[Array, ...]
    orders: Array

    def order(self, epochs: int, first: int = 0) -> Array:
        """The orders of some epochs, (epochs, rows); beyond the stored ones they begin anew."""
        return self.orders[np.arange(first, first + epochs) % len(self.orders)]


def network(work: Work) -> Any:
    """The Fallline network of a work, with its initial weights."""
    from fallline import nn

    layers: list[nn.Module] = [scaling(work.scale)] if work.scale else []
    for before, after in zip(work.sizes, work.sizes[1:], strict=False):
        layers += [nn.Linear(before, after), nn.Tanh() if work.activation == "tanh" else nn.ReLU()]
    return nn.Sequential(*layers[:-1], seed=SEED)


def scaling(factor: float) -> Any:
    """A layer that makes numbers of bytes, so that images stay bytes in memory."""
    import fallline as fl
    from fallline import nn

    class Scale(nn.Module):
        """y = factor·x, x of any dtype."""

        def __call__(self, x: Any) -> Any:
            return fl.cast(x, "float32") * factor

    return Scale()


def make_task(work: Work, data: tuple[Array, Array] | None = None) -> Task:
    """A work's data (made unless given), initial weights and orders."""
    import fallline as fl

    x, y = data or make_data(work)
    weights = tuple(value.copy() for value in network(work).parameters().values())
    count = min(MOST_ORDERS, max(4, ORDER_ENTRIES // work.rows))
    orders = np.stack([fl.batch_order(work.rows, SEED, epoch) for epoch in range(count)])
    return Task(work, x, y, weights, orders)


def save(task: Task, folder: Path) -> None:
    """Write a task for the workers."""
    for name, array in (("x", task.x), ("y", task.y), ("orders", task.orders)):
        np.save(folder / f"{name}.npy", array)
    for number, weight in enumerate(task.weights):
        np.save(folder / f"weight{number}.npy", weight)
    (folder / "work.json").write_text(json.dumps(dataclasses.asdict(task.work)), encoding="utf-8")


def read(folder: Path) -> Task:
    """Read a task. Files are mapped, so that the workers of a work share their pages."""
    fields = json.loads((folder / "work.json").read_text(encoding="utf-8"))
    work = Work(**{**fields, "sizes": tuple(fields["sizes"]), "targets": ()})

    def array(name: str) -> Array:
        return np.asarray(np.load(folder / f"{name}.npy", mmap_mode="c"))

    weights = tuple(np.array(array(f"weight{number}")) for number in range(2 * (len(work.sizes) - 1)))
    return Task(work, array("x"), array("y"), weights, array("orders"))
