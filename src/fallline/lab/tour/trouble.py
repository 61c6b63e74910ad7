"""The tour's last pages: gradients that vanish or explode, units that are dead, and a network that learns by heart."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fallline as fl
from fallline import nn, optim
from fallline.lab.tour.controls import Choice, Count, Experiment, Found, Slider, finite
from fallline.lab.tour.descents import flowers
from fallline.ops import philox
from fallline.training.callbacks import Callback

Array = NDArray[Any]
WIDTH = 16
ACTIVATIONS: dict[str, type[nn.Module]] = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU}
VANISHED, EXPLODED = 1e-4, 1e2
"""Sizes of dL/dw that no ordinary learning rate makes up for, where weights and loss are about 1."""

TRAINING, HELD_OUT, EPOCHS = 14, 40, 2000
KEPT = sorted({0, *(round(10 ** (k / 8)) for k in range(27)), EPOCHS})
SMOOTH = np.linspace(-1.0, 1.0, 81).reshape(-1, 1)


class Watched(nn.Module):
    """A deep network that gives out what each of its hidden layers gives."""

    def __init__(self, layers: list[nn.Module]) -> None:
        self.layers = layers

    def __call__(self, x: fl.Tensor) -> fl.Tensor:
        """(rows, hidden layers × width)."""
        kept = []
        for number, layer in enumerate(self.layers[:-1]):
            x = layer(x)
            if number % 2:
                kept.append(x)
        joined: fl.Tensor = fl.concatenate(kept, axis=1)
        return joined


def _deep(depth: int, activation: str, scale: float) -> Found:
    x, y = flowers()
    layers: list[nn.Module] = []
    for number in range(depth):
        layers += [nn.Linear(WIDTH if number else 4, WIDTH), ACTIVATIONS[activation]()]
    net = nn.Sequential(*layers, nn.Linear(WIDTH, 3), seed=0)
    weights = net.parameters()
    net.load_parameters({name: value * (scale if value.ndim == 2 else 1.0) for name, value in weights.items()})
    loss, gradients = fl.loss_and_gradients(net, x, y)
    norms = [float(optim.global_norm({n: g})) for n, g in gradients.items() if n.endswith("weight")]
    hidden = Watched(net.layers).predict(x).reshape(len(x), depth, WIDTH)
    dead = int((hidden == 0.0).all(axis=0).sum())
    ratio = norms[0] / norms[-1] if norms[-1] else float("nan")
    return {
        "loss": loss, "norms": finite(norms), "ratio": finite([ratio])[0], "spread": hidden.std(axis=(0, 2)).tolist(),
        "dead": dead, "units": depth * WIDTH, "activation": activation,
        "verdict": _verdict(norms),
        "printed": [
            f"first layer {norms[0]:.3e}, last layer {norms[-1]:.3e}", f"{dead} of {depth * WIDTH} units dead",
        ],
    }  # fmt: skip


def _verdict(norms: list[float]) -> str:
    if not max(norms) < EXPLODED:  # NaN, too
        return "explodes"
    return "vanishes" if norms[0] < VANISHED else "arrives"


def _noise(name: str, count: int) -> Array:
    """Numbers between −1 and 1 with mean near 0, the same everywhere: the sum of three uniform ones."""
    words = philox.words(philox.key(0, "tour", name), [0], 3 * count)[0].reshape(3, count)
    return np.asarray((words / 2.0**32).sum(axis=0) * (2.0 / 3.0) - 1.0)


@cache
def wave() -> tuple[Array, Array, Array, Array]:
    """(training x, y, validation x, y): a sine wave with noise."""
    parts = []
    for name, count in (("training", TRAINING), ("validation", HELD_OUT)):
        x = np.linspace(-1.0, 1.0, count)
        parts += [x.reshape(-1, 1), (np.sin(3.0 * x) + 0.45 * _noise(name, count)).reshape(-1, 1)]
    return parts[0], parts[1], parts[2], parts[3]


class _Curves(Callback):
    """What the network answers after some of the epochs."""

    def __init__(self) -> None:
        self.parameters: dict[int, dict[str, Array]] = {}

    def on_train_begin(self, run: fl.Run) -> None:
        self.parameters[0] = run.network.parameters()

    def on_epoch_end(self, run: fl.Run, epoch: int) -> None:
        if epoch + 1 in KEPT:
            self.parameters[epoch + 1] = run.network.parameters()


@cache
def _learned(width: int) -> dict[str, Any]:
    x, y, held_x, held_y = wave()
    net = nn.Sequential(nn.Linear(1, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1), seed=0)
    curves = _Curves()
    run = fl.fit(
        net, x, y, loss="mse", optimizer=optim.Adam(lr=0.01), batch_size="all", epochs=EPOCHS,
        validation=(held_x, held_y), restore_best=False, callbacks=curves, progress=False,
    )  # fmt: skip
    answers = []
    for epoch in KEPT:
        net.load_parameters(curves.parameters[epoch])
        answers.append(net.predict(SMOOTH)[:, 0].tolist())
    every = sorted({*KEPT[1:], *range(20, EPOCHS + 1, 20), int(run.best_epoch or 0) + 1})
    return {
        "epochs": every, "training": [run.history["loss"][k - 1] for k in every],
        "validation": [run.history["validation_loss"][k - 1] for k in every],
        "best": int(run.best_epoch or 0) + 1, "lowest": min(run.history["validation_loss"]),
        "kept": KEPT, "answers": answers, "end": run.history["validation_loss"][-1],
        "end_training": run.history["loss"][-1],
    }  # fmt: skip


def _stop(width: str, moment: int) -> Found:
    x, y, held_x, held_y = wave()
    found = _learned(int(width))
    epoch = found["kept"][moment]
    return {
        **found, "epoch": epoch, "answer": found["answers"][moment], "smooth": SMOOTH[:, 0].tolist(),
        "x": x[:, 0].tolist(), "y": y[:, 0].tolist(), "held_x": held_x[:, 0].tolist(), "held_y": held_y[:, 0].tolist(),
        "printed": [
            f"lowest validation loss {found['lowest']:.4f} after epoch {found['best']}",
            f"at the end {found['end']:.4f}, on the training rows {found['end_training']:.4f}",
        ],
    }  # fmt: skip


EXPERIMENTS = {
    "wrong": Experiment(
        _deep, Choice("activation", "activation", {name: name for name in ACTIVATIONS}, "sigmoid"),
        Count("depth", "hidden layers", 1, 12, 1, 8),
        Slider("scale", "scale of the first weights", 0.25, 4.0, 0.05, 1.0, logarithmic=True),
    ),
    "stop": Experiment(
        _stop, Choice("width", "units in each layer", {"2": "2", "8": "8", "48": "48"}, "48"),
        Count("moment", "moment of the training", 0, len(KEPT) - 1, 1, len(KEPT) - 1),
    ),
}  # fmt: skip
