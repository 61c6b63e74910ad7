"""The tour's middle pages: the chain rule with numbers, one backward walk, and the check by finite differences."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fallline as fl
from fallline import nn
from fallline.lab.tour.controls import Choice, Count, Experiment, Found, Slider, finite

Array = NDArray[Any]
X, B1, B2 = 1.5, -0.2, 0.1

ROWS = np.array([[1.0, 2.0], [3.0, 1.0]])
TARGETS = np.array([[1.0], [2.0]])
WEIGHTS = {
    "0.weight": np.array([[0.50, -1.0], [0.25, 0.5]]),
    "0.bias": np.array([0.0, 0.5]),
    "2.weight": np.array([[1.0], [2.0]]),
    "2.bias": np.array([-0.5]),
}
STAGES = 6
"""Of the walk: the input, two layers forwards, the loss, two layers backwards, and all of dL/dw."""
SMALLEST = 14


def _chain(w1: float, w2: float, y: float) -> Found:
    first, activation, second = nn.Linear(1, 1), nn.Tanh(), nn.Linear(1, 1)
    net = nn.Sequential(first, activation, second)
    net.load_parameters({
        "0.weight": np.array([[w1]]), "0.bias": np.array([B1]),
        "2.weight": np.array([[w2]]), "2.bias": np.array([B2]),
    })  # fmt: skip
    x, target = np.array([[X]]), np.array([[y]])
    z = float(nn.Sequential(first).predict(x)[0, 0])
    a = float(nn.Sequential(first, activation).predict(x)[0, 0])
    o = float(net.predict(x)[0, 0])
    loss, gradients = fl.loss_and_gradients(net, x, target, loss="mse")
    links = {  # how each thing changes with the one before it, each by itself
        "loss_by_o": float(fl.grad(lambda out: (out - y) * (out - y))(np.float64(o))),
        "o_by_a": float(fl.grad(lambda value: value * w2 + B2)(np.float64(a))),
        "a_by_z": float(fl.grad(fl.tanh)(np.float64(z))),
        "z_by_w1": float(fl.grad(lambda weight: X * weight + B1)(np.float64(w1))),
    }
    product = 1.0
    for link in links.values():
        product *= link
    found = {name: float(value.ravel()[0]) for name, value in gradients.items()}
    return {
        "x": X, "w1": w1, "b1": B1, "z": z, "a": a, "w2": w2, "b2": B2, "o": o, "y": y, "loss": loss,
        "links": links, "product": product, "gradients": found,
        "printed": [
            f"loss {loss:.6f}", f"product of the links {product:.6f}", f"backpropagation {found['0.weight']:.6f}",
        ],
    }  # fmt: skip


def network(activation: nn.Module) -> nn.Sequential:
    """Two inputs, two hidden units, one output."""
    net = nn.Sequential(nn.Linear(2, 2), activation, nn.Linear(2, 1))
    net.load_parameters(WEIGHTS)
    return net


def _backward(row: str, stage: int) -> Found:
    net = network(nn.ReLU())
    chosen = slice(0, 2) if row == "both" else slice(int(row) - 1, int(row))
    loss, gradients = fl.loss_and_gradients(net, ROWS[chosen], TARGETS[chosen], loss="mse")
    rows = []
    for k in range(*chosen.indices(len(ROWS))):
        one = slice(k, k + 1)
        _, own = fl.loss_and_gradients(net, ROWS[one], TARGETS[one], loss="mse")
        count = chosen.stop - chosen.start
        rows.append(
            {
                "x": ROWS[k].tolist(),
                "z": nn.Sequential(net[0]).predict(ROWS[one])[0].tolist(),
                "a": nn.Sequential(net[0], net[1]).predict(ROWS[one])[0].tolist(),
                "o": net.predict(ROWS[one])[0].tolist(),
                "y": TARGETS[k].tolist(),
                # of one row, a bias's gradient is its unit's delta; the loss is the mean over the rows
                "delta1": (own["0.bias"] / count).tolist(),
                "delta2": (own["2.bias"] / count).tolist(),
            }
        )
    return {
        "weights": {name: value.tolist() for name, value in WEIGHTS.items()}, "rows": rows, "loss": loss,
        "stage": stage,
        "gradients": {name: value.tolist() for name, value in gradients.items()},
        "printed": [f"loss {loss:g}", *(f"{n} {' '.join(f'{v:g}' for v in g.ravel())}" for n, g in gradients.items())],
    }  # fmt: skip


def _places() -> dict[str, tuple[str, tuple[int, ...]]]:
    """Every weight of the network by the way it is written: 0.weight[1,0]."""
    return {
        f"{name}[{','.join(map(str, place))}]": (name, place)
        for name, value in WEIGHTS.items()
        for place in np.ndindex(value.shape)
    }


@cache
def _measured(weight: str) -> tuple[float, float, list[float], list[float]]:
    """(loss, dL/dw, slopes from one side, slopes from both sides) for h = 0.1, 0.01 and so on."""
    net = network(nn.Tanh())
    loss, gradients = fl.loss_and_gradients(net, ROWS, TARGETS, loss="mse")
    name, place = _places()[weight]

    def loss_at(change: float) -> float:
        moved = {key: value.copy() for key, value in WEIGHTS.items()}
        moved[name][place] += change
        net.load_parameters(moved)
        return float(fl.loss_and_gradients(net, ROWS, TARGETS, loss="mse")[0])

    steps = [10.0**-k for k in range(1, SMALLEST + 1)]
    one = [(loss_at(h) - loss) / h for h in steps]
    both = [(loss_at(h) - loss_at(-h)) / (2.0 * h) for h in steps]
    return loss, float(gradients[name][place]), one, both


def _check(weight: str, digits: int) -> Found:
    loss, slope, one, both = _measured(weight)
    steps = [float(f"1e-{k}") for k in range(1, SMALLEST + 1)]
    h, measured = steps[digits - 1], one[digits - 1]
    return {
        "weight": weight, "h": h, "loss": loss, "slope": slope, "measured": measured, "steps": steps,
        "one": finite(abs(value - slope) for value in one), "both": finite(abs(value - slope) for value in both),
        "printed": [f"backpropagation {slope:.9f}", f"measured        {measured:.9f}"],
    }  # fmt: skip


EXPERIMENTS = {
    "chain": Experiment(
        _chain, Slider("w1", "first weight w₁", -2.0, 2.0, 0.05, 0.8),
        Slider("w2", "second weight w₂", -2.0, 2.0, 0.05, 1.2),
        Slider("y", "wanted y", -1.0, 2.0, 0.05, 0.5),
    ),
    "backward": Experiment(
        _backward, Choice("row", "rows", {"1": "row 1", "2": "row 2", "both": "both"}, "both"),
        Count("stage", "the walk", 0, STAGES, 1, STAGES),
    ),
    "check": Experiment(
        _check, Choice("weight", "weight", {name: name for name in _places()}, "0.weight[1,1]"),
        Count("digits", "h = 10⁻ⁿ, n", 1, SMALLEST, 1, 5),
    ),
}  # fmt: skip
