"""The tour's first pages: one neuron, its loss, the slope of it, and steps downhill."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fallline as fl
from fallline import nn, optim
from fallline.lab.tour.controls import Experiment, Found, Slider, finite

Array = NDArray[Any]
HOURS = np.array([[1.0], [2.0], [3.0], [4.0], [5.0]])
CONES = np.array([[3.0], [4.0], [8.0], [9.0], [11.0]])
LOWEST, HIGHEST = -1.0, 6.0
STEPS = 12


def neuron(w: float, b: float = 0.0) -> nn.Sequential:
    """One neuron with one input: w·x + b."""
    net = nn.Sequential(nn.Linear(1, 1))
    net.load_parameters({"0.weight": np.array([[w]]), "0.bias": np.array([b])})
    return net


def _loss_and_slope(w: float, b: float = 0.0) -> tuple[float, float]:
    loss, gradients = fl.loss_and_gradients(neuron(w, b), HOURS, CONES, loss="mse")
    return loss, float(gradients["0.weight"][0, 0])


def _one_neuron(w: float, b: float) -> Found:
    net = neuron(w, b)
    outputs = net.predict(HOURS)
    loss = fl.evaluate(net, HOURS, CONES, loss="mse")["loss"]
    return {
        "x": HOURS[:, 0].tolist(),
        "y": CONES[:, 0].tolist(),
        "outputs": outputs[:, 0].tolist(),
        "errors": (outputs - CONES)[:, 0].tolist(),
        "loss": loss,
        "w": w,
        "b": b,
        "printed": [" ".join(f"{o:.2f}" for o in outputs[:, 0]), f"loss {loss:.4f}"],
    }


@cache
def _valley() -> dict[str, list[float]]:
    """The loss over the one weight: (places, heights)."""
    places = np.linspace(LOWEST, HIGHEST, 57).tolist()
    return {"places": places, "heights": [_loss_and_slope(w)[0] for w in places]}


def _stepped(w: float, slope: float, lr: float) -> float:
    """w after gradient descent's step; the bias is held still."""
    rule = optim.SGD(lr=lr)
    weights = {"w": np.array(w)}
    stepped, _ = rule.update(weights, {"w": np.array(slope)}, rule.init(weights))
    return float(stepped["w"])


def _slope(w: float, lr: float) -> Found:
    loss, slope = _loss_and_slope(w)
    after = _stepped(w, slope, lr)
    lower = _loss_and_slope(after)[0]
    return {
        **_valley(), "w": w, "loss": loss, "slope": slope, "after": after, "loss_after": lower, "lr": lr,
        "printed": [f"loss {loss:.4f}, slope {slope:.4f}", f"w {w:g} becomes {after:.4f}, loss {lower:.4f}"],
    }  # fmt: skip


def _rate(lr: float) -> Found:
    w, places, losses = 0.5, [], []
    for _ in range(STEPS + 1):
        loss, slope = _loss_and_slope(w)
        places.append(w)
        losses.append(loss)
        w = _stepped(w, slope, lr)
    # the slope of the slope, which is the same everywhere on a parabola
    curvature = float(fl.grad(lambda v: fl.sum((v * HOURS - CONES) * HOURS) * (2.0 / len(HOURS)))(np.float64(0.0)))
    return {
        **_valley(), "walk": finite(places), "losses": finite(losses), "limit": 2.0 / curvature, "lr": lr,
        "lowest": _loss_and_slope(float((HOURS * CONES).sum() / (HOURS * HOURS).sum()))[0],
        "printed": [f"loss after {STEPS} steps: {losses[-1]:.4f}"],
    }  # fmt: skip


WEIGHT = Slider("w", "weight w", -1.0, 6.0, 0.05, 0.5)
EXPERIMENTS = {
    "neuron": Experiment(_one_neuron, WEIGHT, Slider("b", "bias b", -3.0, 5.0, 0.05, 0.0)),
    "slope": Experiment(_slope, WEIGHT, Slider("lr", "learning rate η", 0.005, 0.1, 0.005, 0.02)),
    "rate": Experiment(_rate, Slider("lr", "learning rate η", 0.001, 0.11, 0.001, 0.02)),
}
