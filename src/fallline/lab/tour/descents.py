"""The tour's pages on descent: how many rows a step takes, and what momentum and Adam make of the gradient."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fallline as fl
from fallline import nn, optim
from fallline.data.samples import load_sample
from fallline.insight.landscape import Ground, WeightPlane, compute
from fallline.lab.tour.controls import Choice, Experiment, Found, Slider, finite
from fallline.nn.losses import get as get_loss
from fallline.report.contours import outlines
from fallline.training.callbacks import Callback
from fallline.training.step import check_rows

Array = NDArray[Any]
EPOCHS, STEPS = 10, 60
SIZES = {"1": "1", "4": "4", "16": "16", "50": "50", "all": "all 150"}

FEATURES = np.array([[1.0, 0.3], [-1.0, 0.2], [0.5, -0.4], [-0.5, -0.1], [1.5, 0.1], [-1.5, -0.1]])
ANSWERS = np.array([[1.3], [-0.8], [0.1], [-0.6], [1.6], [-1.6]])
START = (-2.2, -2.6)
ACROSS, UP = np.linspace(-3.0, 3.4, 41), np.linspace(-4.0, 4.0, 41)


@cache
def flowers() -> tuple[Array, Array]:
    """The iris flowers: four measures, each with mean 0 and deviation 1, and the species as 0, 1 or 2."""
    *measures, species = load_sample("iris").columns.values()
    x = np.stack(measures, axis=1).astype(np.float64)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    return x, np.unique(species.astype(str), return_inverse=True)[1]


@cache
def _trained(batch_size: str, lr: float) -> dict[str, Any]:
    x, y = flowers()
    net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3), seed=0)
    before = fl.evaluate(net, x, y)["loss"]
    size = batch_size if batch_size == "all" else int(batch_size)
    run = fl.fit(
        net, x, y, optimizer=optim.SGD(lr=lr), batch_size=size, epochs=EPOCHS, metrics=("train_loss",), progress=False
    )
    losses = run.history["train_loss"]
    losses = [before, *losses, *[float("nan")] * (EPOCHS - len(losses))]
    return {
        "batch_size": batch_size, "steps": len(run.steps["loss"]), "seen": [len(x) * k for k in range(EPOCHS + 1)],
        "losses": finite(losses), "each": finite(run.steps["loss"]), "stopped": run.stopped,
    }  # fmt: skip


def _batch(batch_size: str, lr: float) -> Found:
    chosen = _trained(batch_size, lr)
    last = chosen["losses"][-1]
    return {
        "rows": len(flowers()[0]), "epochs": EPOCHS, "chosen": chosen,
        "others": [_trained(size, lr) for size in ("1", "16", "all")],
        "printed": [
            f"{chosen['steps']} steps", "loss is no longer a number" if last is None else f"loss {last:.4f}",
        ],
    }  # fmt: skip


def _two_weights(w1: float, w2: float) -> nn.Sequential:
    net = nn.Sequential(nn.Linear(2, 1, bias=False))
    net.load_parameters({"0.weight": np.array([[w1], [w2]])})
    return net


class _Places(Callback):
    """Keeps the two weights after each epoch, which here is one step on all rows."""

    def __init__(self) -> None:
        self.places = [list(START)]

    def on_epoch_end(self, run: fl.Run, epoch: int) -> None:
        self.places.append(run.network.parameters()["0.weight"][:, 0].tolist())


def _walk(rule: optim.Optimizer) -> dict[str, Any]:
    kept = _Places()
    run = fl.fit(
        _two_weights(*START), FEATURES, ANSWERS, loss="mse", optimizer=rule, batch_size="all", epochs=STEPS,
        dtype="float64", metrics=("train_loss",), callbacks=kept, progress=False,
    )  # fmt: skip
    losses = [run.steps["loss"][0], *run.history["train_loss"]]
    return {"places": kept.places[: len(losses)], "losses": finite(losses)}


@cache
def _valley() -> dict[str, Any]:
    """The loss over the two weights as outlines of equal height, from high to low."""
    net = _two_weights(*START)
    rows = check_rows(net, FEATURES, ANSWERS, get_loss("mse"), None, net.dtype, "tour")
    plane = WeightPlane(net.parameters(), (("0.weight", (0, 0)), ("0.weight", (1, 0))))
    heights = compute(Ground.of_network(net, rows, "mse"), plane, ACROSS, UP).surface
    low, high = float(heights.min()), float(heights.max())
    levels = [low + (high - low) * (k / 12) ** 2.5 for k in range(1, 12)]
    step = (float(ACROSS[1] - ACROSS[0]), float(UP[1] - UP[0]))
    rings = [
        [
            [[float(ACROSS[0]) + x * step[0], float(UP[0]) + y * step[1]] for x, y in outline]
            for outline in outlines(heights, level)
        ]
        for level in levels[::-1]
    ]
    best, *_ = np.linalg.lstsq(FEATURES, ANSWERS, rcond=None)
    return {
        "rings": rings, "across": [float(ACROSS[0]), float(ACROSS[-1])], "up": [float(UP[0]), float(UP[-1])],
        "best": best[:, 0].tolist(), "lowest": float(((FEATURES @ best - ANSWERS) ** 2).mean()),
    }  # fmt: skip


def _momentum(lr: float, momentum: float, adam: float) -> Found:
    walks = {
        "SGD": _walk(optim.SGD(lr=lr)),
        "momentum": _walk(optim.SGD(lr=lr, momentum=momentum)),
        "Adam": _walk(optim.Adam(lr=adam)),
    }
    ends = {name: walk["losses"][-1] for name, walk in walks.items()}
    return {
        **_valley(), "walks": walks, "start": list(START), "steps": STEPS,
        "printed": [f"{name} {'no number' if end is None else f'{end:.5f}'}" for name, end in ends.items()],
    }  # fmt: skip


EXPERIMENTS = {
    "batch": Experiment(
        _batch, Choice("batch_size", "rows per step", SIZES, "16"),
        Slider("lr", "learning rate η", 0.01, 1.0, 0.05, 0.1, logarithmic=True),
    ),
    "momentum": Experiment(
        _momentum, Slider("lr", "η of SGD and momentum", 0.01, 1.0, 0.05, 0.2, logarithmic=True),
        Slider("momentum", "momentum μ", 0.0, 0.95, 0.05, 0.8), Slider("adam", "η of Adam", 0.02, 1.0, 0.02, 0.1),
    ),
}  # fmt: skip
