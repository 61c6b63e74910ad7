"""What the page shows of one weight: where its gradient comes from, row by row, and what the update makes of it."""

import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fallline.errors import ArgumentError, nearest
from fallline.insight.passes import shares
from fallline.lab.answers import answer, query_number
from fallline.lab.parts.network import places
from fallline.lab.past import PastRun
from fallline.lab.place import Lab

Array = NDArray[Any]
LISTED = 8
_SPELLED = re.compile(r"(?P<name>[^\[\]]+)\[(?P<place>\s*\d{1,9}\s*(?:,\s*\d{1,9}\s*)*)\]")


def routes(lab: Lab) -> list[BaseRoute]:
    """GET runs/ID/explain?step=K&weight=0.weight[2,5]."""

    async def explain(request: Request) -> Response:
        run = lab.past[lab.folder(request.path_params["run"])]
        step = query_number(request, "step", 0, 0, 1 << 48)
        return answer(await run_in_threadpool(explained, run, step, request.query_params.get("weight", "")))

    return [Route("/runs/{run}/explain", explain)]


def explained(run: PastRun, step: int, weight: str) -> dict[str, Any]:
    """One weight at one step: its value, gradient and update, and what each row (or position) contributed."""
    with run.lock:
        passes, reader = run.passes(step), run.reader()
        after = reader.after(step).weights
    name, place = located({key: array.shape for key, array in passes.gradients.items()}, weight)
    before, gradient = passes.before.weights[name][place], passes.gradients[name][place]
    found = shares(passes, reader.anatomy.main, name, place)
    activations, deltas = (np.empty((0, 1)), np.empty((0, 1))) if found is None else map(_wide, found)
    products = activations * deltas  # (rows, positions)
    order = np.argsort(-np.abs(products.ravel()), kind="stable")
    listed = [divmod(int(at), products.shape[1]) for at in order[:LISTED]]
    others = math.fsum(products.ravel()[order[LISTED:]])
    return {
        "weight": f"{name}{places(place)}",
        "step": step,
        "before": shortest(before),
        "gradient": shortest(gradient),
        "batch": len(passes.numbers),
        "terms": products.size,
        "parts": [
            {"row": int(passes.numbers[r]), "factor": activations[r, c], "delta": deltas[r, c], "share": products[r, c]}
            for r, c in listed
        ],
        "others": {"sum": others, "count": products.size - len(listed)},
        "rounding": [math.fsum([float(gradient), -others, *(-float(products[at]) for at in listed)])],
        "update": {
            "rule": repr(reader.replayer.recording.optimizer),
            "after": shortest(after[name][place]),
            "learning_rate": passes.learning_rate,
        },
    }


def _wide(array: Array) -> Array:
    return array.reshape(len(array), -1).astype(np.float64)


def shortest(value: Any) -> float:
    """A number with no more digits than tell it from its neighbours in its own type."""
    return float(str(value))


def located(shapes: dict[str, tuple[int, ...]], weight: str) -> tuple[str, tuple[int, ...]]:
    """("0.weight", (2, 5)) from "0.weight[2,5]".

    Raises:
        ArgumentError: there is no such weight.
    """
    found = _SPELLED.fullmatch(weight.strip())
    if found is None:
        raise ArgumentError(f"a weight is spelled like 0.weight[2,5] or 0.bias[5]; found {weight[:80]!r}")
    name, place = found["name"].strip(), tuple(int(number) for number in found["place"].split(","))
    if name not in shapes:
        raise ArgumentError(f"the network has no weight named {name[:80]!r}; {nearest(name, shapes)}")
    shape = shapes[name]
    if len(place) != len(shape) or any(at >= size for at, size in zip(place, shape, strict=True)):
        last = places([size - 1 for size in shape])
        raise ArgumentError(f"{weight[:80]!r} does not exist; the last one is {name}{last}, counted from 0")
    return name, place
