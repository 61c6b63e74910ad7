"""The six trainings that every contender is timed on, as data: sizes, rows, update rule, loss, and what is required.

The data are made here from a fixed seed. The initial weights are those of the Fallline network (`tasks.py`), so that
all start equal; the order of rows is `fl.batch_order`, so that all see the same batches.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
SEED = 0
JAX = ("jax-step", "jax-scan")


@dataclass(frozen=True)
class Target:
    """What is required of Fallline: a step at least `ratio` times as fast as the fastest of some peers.

    Attributes:
        ratio: the peer's time over Fallline's.
        over: names of contenders; empty means every peer.
        words: the peers in words.
    """

    ratio: float
    over: tuple[str, ...] = ()
    words: str = "the fastest peer"


@dataclass(frozen=True)
class Work:
    """One training.

    Attributes:
        name: what to ask for it by.
        sizes: of the inputs, each layer, and the outputs.
        activation: between the layers.
        loss: "cross_entropy" takes whole-number labels, "mse" numbers (rows, outputs); both are means.
        rule: the update rule.
        rate: learning rate η.
        rows: of the data; a multiple of `batch`, so that each step is of one size.
        batch: rows of a step.
        momentum, decay: of the rule, where it has them (betas 0.9 and 0.999, ε = 1e-8 otherwise).
        targets: what is required.
        scale: for inputs of bytes: what they are multiplied with after conversion to float32; 0 for float32 inputs.
    """

    name: str
    sizes: tuple[int, ...]
    activation: Literal["relu", "tanh"]
    loss: Literal["cross_entropy", "mse"]
    rule: Literal["sgd", "adam", "adamw"]
    rate: float
    rows: int
    batch: int
    momentum: float = 0.0
    decay: float = 0.0
    targets: tuple[Target, ...] = ()
    scale: float = 0.0

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return self.rows // self.batch

    @property
    def title(self) -> str:
        """The network, the batch and the rule in words."""
        deep = len(self.sizes) > 6
        widths = f"{len(self.sizes) - 2} layers of {self.sizes[1]}" if deep else "-".join(map(str, self.sizes))
        if len(self.sizes) == 2:
            widths = f"softmax regression, {self.rows / 1e6:.1g}M × {self.sizes[0]}"
        function = f", {self.activation}" if self.activation != "relu" else ""
        rule = {"sgd": "momentum" if self.momentum else "SGD", "adam": "Adam", "adamw": "AdamW"}[self.rule]
        squares = ", squared error" if self.loss == "mse" else ""
        return f"{widths}{function}, batch {self.batch}, {rule}{squares}"


WORKS = {
    work.name: work
    for work in (
        Work(
            "small", (30, 64, 64, 2), "relu", "cross_entropy", "sgd", 0.02, rows=8192, batch=32, momentum=0.9,
            targets=(Target(2.0), Target(20.0, ("torch-eager",), "PyTorch eager")),
        ),
        Work("digits", (64, 128, 10), "relu", "cross_entropy", "sgd", 0.1, rows=8192, batch=32, targets=(Target(2.2),)),
        Work(
            "deep", (64,) * 11 + (10,), "tanh", "cross_entropy", "sgd", 0.1, rows=8192, batch=64,
            targets=(Target(2.3),),
        ),
        Work(
            "wide", (784, 512, 512, 10), "relu", "cross_entropy", "adam", 1e-3, rows=12_800, batch=128,
            targets=(Target(1.5),),
        ),
        Work(
            "regression", (100, 256, 256, 256, 1), "relu", "mse", "adamw", 1e-3, rows=16_384, batch=256, decay=0.01,
            targets=(Target(1.4),),
        ),
        Work(
            "softmax", (50, 2), "relu", "cross_entropy", "sgd", 0.1, rows=1_000_192, batch=256,
            targets=(Target(3.0, JAX, "JAX"), Target(1.0, ("vowpal-wabbit",), "Vowpal Wabbit")),
        ),
    )
}  # fmt: skip


def make_data(work: Work, seed: int = SEED) -> tuple[Array, Array]:
    """Normal inputs, and targets that a network can learn but not perfectly.

    Returns:
        x float32 (rows, inputs), and y int64 (rows,) for labels: the largest of noisy linear functions of x, or
        float32 (rows, outputs) for numbers: a noisy tanh of a linear function.
    """
    rng = np.random.default_rng(seed)
    inputs, outputs = work.sizes[0], work.sizes[-1]
    x = rng.standard_normal((work.rows, inputs), dtype=np.float32)
    plane = rng.standard_normal((inputs, outputs), dtype=np.float32) / np.float32(inputs**0.5)
    if work.loss == "mse":
        noise = 0.1 * rng.standard_normal((work.rows, outputs))
        return x, (np.tanh(2 * x @ plane) + noise).astype(np.float32)
    noise = 0.3 * rng.standard_normal((work.rows, outputs))
    return x, (x @ plane + noise).argmax(axis=1).astype(np.int64)
