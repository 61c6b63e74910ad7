"""Small networks that between them use every layer's arithmetic, every optimizer, odd sizes and odd last batches."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fallline as fl
from fallline import nn, optim

Array = NDArray[Any]
ROWS, FEATURES, CLASSES = 37, 13, 5


@dataclass
class Training:
    """A network, its data and how it is trained."""

    net: nn.Module
    x: Array
    y: Array
    options: dict[str, Any] = field(default_factory=dict)

    def fit(self, threads: int) -> fl.Run:
        """Train it: two epochs in batches of eight, whose last is odd, where nothing else is said."""
        asked = {"batch_size": 8, "epochs": 2, "progress": False, "seed": 3} | self.options
        return fl.fit(self.net, self.x, self.y, threads=threads, **asked)


def grid(seed: int, shape: tuple[int, ...]) -> Array:
    """Random multiples of 1/2048 from −8 to 8: exact in every float type, and so the same on every machine."""
    return np.random.default_rng(seed).integers(-(2**14), 2**14, shape) / 2.0**11


def numbers(features: int = FEATURES) -> Array:
    """Inputs (ROWS, features) from −2 to 2."""
    return (grid(0, (ROWS, features)) / 4).astype(np.float32)


def classes(count: int = CLASSES) -> Array:
    """Classes (ROWS,)."""
    return np.random.default_rng(1).integers(0, count, ROWS)


def _momentum() -> Training:
    net = nn.Sequential(nn.Linear(FEATURES, 29), nn.ReLU(), nn.Linear(29, CLASSES), seed=0)
    return Training(net, numbers(), classes(), {"optimizer": optim.SGD(lr=0.1, momentum=0.9, nesterov=True)})


def _batchnorm() -> Training:
    hidden = (nn.Linear(FEATURES, 24), nn.BatchNorm(24), nn.LeakyReLU(), nn.Dropout(0.3))
    net = nn.Sequential(*hidden, nn.Linear(24, CLASSES), seed=0)
    return Training(net, numbers(), classes(), {"optimizer": optim.Adam(lr=0.01), "batch_size": 9})


def _embedding() -> Training:
    head = (nn.Flatten(), nn.LayerNorm(24), nn.Tanh(), nn.Linear(24, CLASSES))
    net = nn.Sequential(nn.Embedding(11, 6), *head, seed=0)
    words = np.random.default_rng(2).integers(0, 11, (ROWS, 4))
    return Training(net, words, classes(), {"optimizer": optim.AdamW(lr=0.01)})


def _float64() -> Training:
    net = nn.Sequential(nn.Linear(FEATURES, 19), nn.GELU(), nn.Linear(19, CLASSES), seed=0)
    options = {"dtype": "float64", "optimizer": optim.RMSprop(lr=0.01, momentum=0.5, centered=True)}
    return Training(net, numbers(), classes(), options)


def _own_loss() -> Training:
    def loss(outputs: Any, targets: Any) -> Any:
        gap = fl.tanh(outputs - targets)
        return fl.mean(fl.log(1.0 + fl.exp(gap)) + fl.log1p(gap * gap) + fl.erf(gap) ** 2, axis=1)

    net = nn.Sequential(nn.Linear(FEATURES, 17), nn.Mish(), nn.Linear(17, 9), nn.SiLU(), nn.Linear(9, 3), seed=0)
    target = (grid(4, (ROWS, 3)) / 8).astype(np.float32)
    return Training(net, numbers(), target, {"loss": loss, "optimizer": optim.SGD(lr=0.05)})


def _poisson() -> Training:
    net = nn.Sequential(nn.Linear(FEATURES, 17), nn.Softplus(), nn.Linear(17, 11), nn.SELU(), nn.Linear(11, 1), seed=0)
    counts = classes()[:, None].astype(np.float32)
    return Training(net, numbers(), counts, {"loss": "poisson", "optimizer": optim.NAdam(lr=0.01)})


def _weighted() -> Training:
    net = nn.Sequential(nn.Linear(FEATURES, 21), nn.Sigmoid(), nn.Linear(21, CLASSES), seed=0)
    options = {
        "optimizer": optim.Lion(lr=0.01, weight_decay=0.1),
        "shards": 3,
        "clip_norm": 0.5,
        "class_weight": "balanced",
        "sample_weight": np.random.default_rng(5).integers(1, 4, ROWS) / 2.0,
    }
    return Training(net, numbers(), classes(), options)


def _single_rows() -> Training:
    net = nn.Sequential(nn.Linear(FEATURES, 7), nn.Tanh(), nn.Linear(7, 1), seed=0)
    target = (classes(2)[:, None]).astype(np.float32)
    options = {"loss": "binary_cross_entropy", "batch_size": 1, "optimizer": optim.Adagrad(lr=0.1)}
    return Training(net, numbers(), target, options | {"schedule": optim.Cosine(), "clip_value": 0.1})


def _all_rows() -> Training:
    net = nn.Sequential(nn.Linear(FEATURES, 33), nn.ReLU(), nn.Linear(33, 2), seed=0)
    target = grid(6, (ROWS, 2)).astype(np.float32)
    options = {"loss": "huber", "batch_size": "all", "epochs": 5, "optimizer": optim.Adadelta(lr=1.0)}
    return Training(net, numbers(), target, options)


def _wide() -> Training:
    net = nn.Sequential(nn.Linear(67, 257), nn.ReLU(), nn.Linear(257, 33), nn.ReLU(), nn.Linear(33, 10), seed=0)
    pixels = np.random.default_rng(7).integers(0, 256, (ROWS, 67), dtype=np.uint8)
    return Training(net, pixels, classes(10), {"optimizer": optim.RAdam(lr=0.001), "batch_size": 19})


def _validated() -> Training:
    net = nn.Sequential(nn.Linear(FEATURES, 15), nn.ReLU(), nn.Linear(15, 1), seed=0)
    options = {"loss": "mse", "validation": 0.3, "metrics": ("mae",), "epochs": 4, "schedule": optim.Warmup(3)}
    target = grid(8, (ROWS, 1)).astype(np.float32)
    return Training(net, numbers(), target, options | {"optimizer": optim.SGD(lr=0.01)})


NETWORKS: dict[str, Callable[[], Training]] = {
    "ReLU, SGD with Nesterov momentum": _momentum,
    "BatchNorm, Dropout, LeakyReLU, Adam": _batchnorm,
    "Embedding, LayerNorm, tanh, AdamW": _embedding,
    "float64, GELU, centred RMSprop": _float64,
    "own loss of exp, log, log1p, erf, tanh; Mish, SiLU": _own_loss,
    "Poisson loss, Softplus, SELU, NAdam": _poisson,
    "sigmoid, Lion, three shards, clipped norm, weights of rows and classes": _weighted,
    "one row a step, tanh, Adagrad, cosine schedule, clipped entries": _single_rows,
    "all rows a step, Huber loss, Adadelta": _all_rows,
    "67-257-33-10 on uint8, RAdam": _wide,
    "validation, best weights, warm-up": _validated,
}
"""What a page calls a network, and what makes it anew."""
