"""A training in a process of its own, to be killed: `python -m benchmarks.crash_worker kind folder epochs …`.

It goes on with the run in the folder, or starts it anew where it had not begun yet; see `main` for what it is told.
"""

import argparse
import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fallline as fl
from fallline import nn, optim

Array = NDArray[Any]
INTERRUPTED, NOT_BEGUN = 3, 4
"""Exit codes: stopped by SIGTERM; the folder holds no run that had begun."""
OPERATIONS = ("open", "fdopen", "fsync", "chmod", "replace", "unlink", "truncate")
"""Of module os: all that changes a run's folder, but for the writing itself."""


@dataclass(frozen=True)
class Kind:
    """A network with its data and settings.

    Attributes:
        title: in words.
        network: makes it.
        x, y: the data.
        settings: for `fl.fit`.
        again: of the settings, those that `fl.resume` must be given again.
    """

    title: str
    network: Callable[[], nn.Module]
    x: Array
    y: Array
    settings: dict[str, Any]
    again: tuple[str, ...] = ()


class Fifty(nn.Module):
    """One shared weight, applied fifty times."""

    def __init__(self, width: int) -> None:
        self.weight = nn.Parameter((width, width))

    def __call__(self, x: fl.Tensor) -> fl.Tensor:
        for _ in range(50):
            x = fl.tanh(x @ self.weight) + 0.1 * x
        return x


class Words(nn.Module):
    """Four words → the mean of their rows of a table → `Fifty` → three classes."""

    def __init__(self) -> None:
        self.table = nn.Embedding(40, 8)
        self.inner = Fifty(8)
        self.last = nn.Linear(8, 3)

    def __call__(self, x: fl.Tensor) -> fl.Tensor:
        return self.last(self.inner(fl.mean(self.table(x), axis=1)))


def perceptron(epochs: int) -> Kind:
    """A multilayer perceptron with momentum, validation, best weights, patience and a plateau, in three shards."""
    random = np.random.default_rng(1)
    x = random.normal(size=(1003, 12)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] + 0.7 * random.normal(size=len(x)) > 0).astype(int)

    def network() -> nn.Module:
        return nn.Sequential(nn.Linear(12, 24), nn.ReLU(), nn.Linear(24, 16), nn.Tanh(), nn.Linear(16, 2), seed=3)

    settings = {
        "optimizer": optim.SGD(lr=0.001, momentum=0.9),
        "schedule": optim.ReduceOnPlateau(factor=0.5, patience=epochs // 30),
        "validation": 0.2,
        "patience": epochs // 3,
        "metrics": ("accuracy",),
        "batch_size": 32,
        "shards": 3,
    }
    return Kind("multilayer perceptron, float32, three shards", network, x, y, settings)


def normalised(epochs: int) -> Kind:
    """BatchNorm and Dropout with AdamW, clipping, weights of rows and a cosine, in float64."""
    random = np.random.default_rng(2)
    x = random.normal(size=(501, 10))
    y = x[:, :1] - np.sin(x[:, 1:2]) + 0.1 * random.normal(size=(501, 1))

    def network() -> nn.Module:
        return nn.Sequential(
            nn.Linear(10, 20), nn.BatchNorm(20), nn.ReLU(), nn.Dropout(0.25), nn.Linear(20, 20), nn.BatchNorm(20),
            nn.Tanh(), nn.Linear(20, 1), seed=4,
        )  # fmt: skip

    settings = {
        "loss": "mse",
        "optimizer": optim.AdamW(lr=0.003),
        "schedule": optim.Warmup(2.0, optim.Cosine()),
        "clip_norm": 1.0,
        "sample_weight": random.uniform(0.0, 2.0, size=501),
        "batch_size": 20,
        "dtype": "float64",
        "seed": 5,
    }
    return Kind("BatchNorm and Dropout, float64", network, x, y, settings, ("sample_weight",))


def shared(epochs: int) -> Kind:
    """An Embedding and one weight applied fifty times, with NAdam, judged on rows of its own."""
    random = np.random.default_rng(3)
    words = random.integers(0, 40, size=(415, 4))
    y = words.sum(axis=1) % 3
    settings = {
        "optimizer": optim.NAdam(lr=0.0005),
        "schedule": optim.ExponentialDecay(0.999),
        "validation": (words[:100], y[:100]),
        "batch_size": 32,
        "clip_value": 0.5,
        "seed": 6,
    }
    return Kind(
        "Embedding and one weight applied fifty times, float32", Words, words[100:], y[100:], settings, ("validation",)
    )


KINDS: dict[str, Callable[[int], Kind]] = {"perceptron": perceptron, "normalised": normalised, "shared": shared}


class Bomb:
    """Kills this process before its n-th operation on files, counted from when it is armed.

    Args:
        count: n, from 1.
    """

    def __init__(self, count: int) -> None:
        self.left = count
        for name in OPERATIONS:
            setattr(os, name, self._counted(name, getattr(os, name)))

    def _counted(self, name: str, operation: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                if name == "fdopen":  # half a file
                    os.write(arguments[0], bytes(range(100)))
                print(f"killed before {name}", file=sys.stderr, flush=True)
                os.kill(os.getpid(), signal.SIGKILL)
            return operation(*arguments, **named)

        return counted


class Armed(fl.Callback):
    """Sets a bomb when the training has ended, so that it goes off among the last files."""

    def __init__(self, count: int) -> None:
        self.count = count

    def on_train_end(self, run: fl.Run) -> None:
        """Arm it."""
        Bomb(self.count)


def train(kind: Kind, folder: Path, epochs: int, every: float, threads: int, own: bool, callbacks: Any) -> fl.Run:
    """Start the run in the folder, or go on with it.

    Args:
        kind: what to train.
        folder: of the run.
        epochs, every, threads: for `fit`.
        own: whether to go on with the network of the code, not with the stored one.
        callbacks: for both.
    """
    if folder.exists():
        settings = {name: kind.settings[name] for name in kind.again}
        network = kind.network() if own else None
        return fl.resume(folder, kind.x, kind.y, threads=threads, callbacks=callbacks, net=network, **settings)
    return fl.fit(
        kind.network(), kind.x, kind.y, **kind.settings, epochs=epochs, threads=threads, run_dir=folder,
        checkpoint_every=every, callbacks=callbacks, progress=False,
    )  # fmt: skip


def main() -> int:
    """0 when the training is at its end, INTERRUPTED, or NOT_BEGUN; the folder of the last is removed."""
    told = argparse.ArgumentParser()
    told.add_argument("kind", choices=KINDS)
    told.add_argument("folder", type=Path)
    told.add_argument("epochs", type=int)
    told.add_argument("--every", type=float, default=0.03, help="seconds between checkpoints")
    told.add_argument("--threads", type=int, default=1)
    told.add_argument("--own", action="store_true", help="go on with the network of the code, not the stored one")
    told.add_argument("--bomb", type=int, default=0, help="be killed before so many operations on files")
    told.add_argument("--bomb-at-end", type=int, default=0, help="the same, counted from the end of the training")
    given = told.parse_args()
    if given.bomb:
        Bomb(given.bomb)
    callbacks = [Armed(given.bomb_at_end)] if given.bomb_at_end else []
    kind = KINDS[given.kind](given.epochs)
    try:
        run = train(kind, given.folder, given.epochs, given.every, given.threads, given.own, callbacks)
    except fl.RunFolderError as error:
        if list((given.folder / "checkpoints").glob("step-*.safetensors")):
            raise  # it had begun
        print(error, file=sys.stderr)
        shutil.rmtree(given.folder)
        return NOT_BEGUN
    return INTERRUPTED if run.stopped == "interrupted" else 0


if __name__ == "__main__":
    sys.exit(main())
