"""Play: a small network on two inputs, step by step; and forward, backward and update apart."""

import base64
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fallline import optim
from fallline.data.planar import MOST_ROWS, PLANAR
from fallline.insight.opened import OpenedStep
from fallline.insight.plane_data import losses_for, numeric_columns, outputs_for, share_right
from fallline.insight.playground import MOST_LAYERS, MOST_STEPS, MOST_UNITS, Playground, activation_formulas
from fallline.lab.answers import answer
from fallline.lab.asked import Asked
from fallline.lab.place import Lab
from fallline.lab.playgrounds import OWN, defaults_of, own_table, playground_of, setting_of
from fallline.training.steppers import Snapshot

Array = NDArray[Any]
POINTS = 40
"""Of a picture's side."""


def routes(lab: Lab) -> list[BaseRoute]:
    """Of the menus, the rows, the state after a step, and the phases of the step to come."""

    def endpoint(compute: Callable[[Lab, Asked], Any]) -> Callable[[Request], Any]:
        async def answered(request: Request) -> Response:
            asked = Asked(request.query_params, "play", {"step": "0", "row": "0"})
            return answer(await run_in_threadpool(compute, lab, asked))

        return answered

    found = {"menu": menu, "data": data_of, "state": state_of, "phases": phases_of}
    return [Route(f"/play/{name}", endpoint(compute)) for name, compute in found.items()]


def menu(lab: Lab, asked: Asked) -> dict[str, Any]:
    """What there is to choose from, out of the registers."""
    sets = [{"name": kind.name, "title": kind.title, "classes": kind.classes} for kind in PLANAR.values()]
    own = None
    if lab.data is not None:
        table = own_table(lab.data)
        own = {"title": table.source, "numbers": numeric_columns(table), "columns": table.names}
    return {
        "defaults": defaults_of(lab),
        "sets": sets,
        "own": own,
        "activations": activation_formulas(),
        "losses": {str(classes): losses_for(classes) for classes in range(7) if classes != 1},
        "rules": [_rule(rule) for rule in optim.RULES.values()],
        "most": {"rows": MOST_ROWS, "layers": MOST_LAYERS, "units": MOST_UNITS, "steps": MOST_STEPS},
    }


def _rule(rule: optim.UpdateRule) -> dict[str, Any]:
    rate = rule.hypers[0].default
    return {
        "name": rule.name,
        "paper": rule.paper,
        "lr": 0.3 if rate is None else rate,
        "momentum": any(hyper.name == "momentum" for hyper in rule.hypers),
        "slots": {slot.name: slot.doc for slot in rule.slots},
    }


def data_of(lab: Lab, asked: Asked) -> dict[str, Any]:
    """The rows."""
    setting = setting_of(asked, lab)
    ground = playground_of(setting, lab.data)
    data = ground.data
    return {
        "title": data.title,
        "names": list(data.names),
        "target": data.target,
        "classes": list(data.classes),
        "x": np.round(data.x.astype(np.float64), 4).tolist(),
        "y": data.y.tolist(),
        "test_x": np.round(data.test_x.astype(np.float64), 4).tolist(),
        "test_y": data.test_y.tolist(),
        "reach": data.reach,
        "notices": list(data.notices),
        "own": setting.kind == OWN,
        "outputs": outputs_for(setting.recipe.loss, len(data.classes)),
        "batch_size": ground.batches.batch_size,
        "steps_per_epoch": ground.batches.steps_per_epoch,
        "parameters": sum(weight.size for weight in ground.net.parameters().values()),
        "losses": losses_for(len(data.classes)),
    }


def state_of(lab: Lab, asked: Asked) -> dict[str, Any]:
    """The network after a step: losses, weights, and what each unit makes of the plane."""
    ground = playground_of(setting_of(asked, lab), lab.data)
    step = asked.whole("step", 0, MOST_STEPS)
    with ground.lock:
        moment, curve = ground.moment(step), ground.curve(step)
        units, shares = ground.pictures(moment, POINTS)
        train, test = ground.losses(moment)
        right = [
            share_right(ground.shares(moment, x), y, ground.classes) if len(x) else None
            for x, y in ((ground.data.x, ground.data.y), (ground.data.test_x, ground.data.test_y))
        ]
    low, high = (-1.0, 1.0) if not ground.classes else (0.0, 1.0)
    return {
        "step": moment.step,
        "epoch": moment.step / ground.batches.steps_per_epoch,
        "ended": _ended(ground) if moment.step < step else None,
        "loss": train,
        "test_loss": test,
        "accuracy": right[0],
        "test_accuracy": right[1],
        "curve": curve,
        "layers": _layers(ground, moment),
        "points": POINTS,
        "units": [_picture(unit) for unit in units],
        "shares": [_picture(share, low, high) for share in shares],
    }


def _ended(ground: Playground) -> str:
    return (
        f"The loss of step {ground.ended:,} is not finite: the steps are too long. Choose a smaller learning rate, "
        f"η = {ground.recipe.lr:g} now."
    )


def _layers(ground: Playground, moment: Snapshot) -> list[dict[str, Any]]:
    return [{"weight": moment.weights[w].tolist(), "bias": moment.weights[b].tolist()} for w, b in ground.layer_names()]


def _picture(values: Array, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    """A square of numbers as bytes, from its lowest to its highest or within given bounds; and a few words on it."""
    finite = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=1e30, neginf=-1e30)
    least, most = float(finite.min()), float(finite.max())
    low, high = least if low is None else low, most if high is None else high
    scaled = (finite - low) / (high - low if high > low else 1.0)
    packed = np.round(np.clip(scaled, 0.0, 1.0) * 255.0).astype(np.uint8)
    return {"low": low, "high": high, "bytes": base64.b64encode(packed.tobytes()).decode()}


def phases_of(lab: Lab, asked: Asked) -> dict[str, Any]:
    """The step to come, opened: forward and backward of one row of its batch, and the update of all weights."""
    ground = playground_of(setting_of(asked, lab), lab.data)
    step = asked.whole("step", 0, MOST_STEPS)
    with ground.lock:
        opened = ground.opened(step)
        place = asked.whole("row", 0, MOST_ROWS) % len(opened.rows)
        x, target = ground.data.x[opened.rows[place]], ground.data.y[opened.rows[place]].item()
    rule = ground.optimizer.rule
    scalars, _ = ground.optimizer.step_scalars(opened.before.step + 1, opened.before.state["memory"])
    return {
        "step": opened.before.step,
        "rows": opened.rows.tolist(),
        "losses": opened.losses.tolist(),
        "loss": opened.loss,
        "place": place,
        "x": x.tolist(),
        "target": target,
        "layers": [_layer(ground, opened, number, place) for number in range(len(ground.recipe.layers) + 1)],
        "rule": {"name": rule.name, "paper": rule.paper, "scalars": next(iter(scalars.values()), {})},
        "activation": ground.recipe.activation,
        "loss_name": ground.recipe.loss,
    }


def _layer(ground: Playground, opened: OpenedStep, number: int, place: int) -> dict[str, Any]:
    """One affine layer and the activation behind it: its numbers for one row, and for its weights."""
    weight, bias = f"{2 * number}.weight", f"{2 * number}.bias"
    found: dict[str, Any] = {
        "z": opened.values[2 * number][place].tolist(),
        "dz": opened.slopes[2 * number][place].tolist(),
    }
    if number < len(ground.recipe.layers):
        found |= {
            "a": opened.values[2 * number + 1][place].tolist(),
            "da": opened.slopes[2 * number + 1][place].tolist(),
        }
    for key, name in (("weight", weight), ("bias", bias)):
        found[key] = opened.before.weights[name].tolist()
        found[f"d{key}"] = opened.gradients[name].tolist()
        found[f"new_{key}"] = opened.after.weights[name].tolist()
        found[f"{key}_slots"] = {
            slot: {"before": opened.before.state[slot][name].tolist(), "after": opened.after.state[slot][name].tolist()}
            for slot in ground.optimizer.rule.slots_for(ground.optimizer.hyper)
        }
    return found
