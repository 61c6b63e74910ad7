"""Descent: the loss as a landscape, the path that a training took over it, and a descent from any place."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fallline.insight import landscape as land
from fallline.insight.plane import Spot, find_pair, spelled, walk
from fallline.lab.answers import answer
from fallline.lab.asked import Asked
from fallline.lab.place import Lab, run_id
from fallline.lab.sources import PLAY, Source, rings, source_of, turn
from fallline.training.replay import Replayer
from fallline.training.run_folder import plain

MOST_GRID, MOST_WALK, MOST_NAMES = 61, 200, 200
DEFAULTS = {
    "plane": "path", "grid": str(land.GRID), "zoom": "1", "eta": "0.1", "count": "30", "from_a": "0", "from_b": "0",
}  # fmt: skip
"""What a query that does not say so means."""


def routes(lab: Lab) -> list[BaseRoute]:
    """Of what there is to look at, of surfaces, and of descents from a place."""

    def endpoint(compute: Callable[[Lab, Asked], Any]) -> Callable[[Request], Any]:
        async def answered(request: Request) -> Response:
            asked = Asked(request.query_params, "descent", DEFAULTS)
            return answer(await run_in_threadpool(compute, lab, asked))

        return answered

    found = {"sources": sources, "about": about, "surface": surface, "walk": descent}
    return [Route(f"/descent/{name}", endpoint(compute)) for name, compute in found.items()]


def sources(lab: Lab, asked: Asked) -> list[dict[str, str]]:
    """The runs, and the playground."""
    runs = [{"id": run_id(folder), "name": folder.name} for folder in lab.folders().values()]
    return [*runs, {"id": PLAY, "name": "the playground"}]


def about(lab: Lab, asked: Asked) -> dict[str, Any]:
    """One of them: its weights and its steps."""
    source = source_of(asked, lab)
    recording = source.replayer.recording
    with source.lock:
        weights = source.replayer.state(source.taken).weights
    return {
        "title": source.title,
        "taken": source.taken,
        "steps_per_epoch": source.replayer.batches.steps_per_epoch,
        "rows": len(recording.rows),
        "parameters": sum(weight.size for weight in weights.values()),
        "weights": [{"name": name, "shape": list(w.shape)} for name, w in list(weights.items())[:MOST_NAMES]],
        "default": _default_pair(source),
        "lr": recording.optimizer.lr,
        "rule": recording.optimizer.rule.name,
        "batch_size": recording.settings.batch_size,
    }


def _default_pair(source: Source) -> list[str]:
    """The weight that the training moved most, and that which it moved most of another parameter."""
    with source.lock:
        first, last = source.replayer.state(0).weights, source.replayer.state(source.taken).weights
    moved: list[tuple[float, Spot]] = []
    for name, weight in last.items():
        far = np.abs(weight.astype(np.float64) - first[name])
        place = tuple(int(at) for at in np.unravel_index(np.argmax(far), far.shape))
        moved.append((float(far[place]), (name, place)))
    return [spelled(spot) for _, spot in sorted(moved, key=lambda one: -one[0])[:2]]


def surface(lab: Lab, asked: Asked) -> dict[str, Any]:
    """A surface with the path over it: on the plane of the path's components, or over two weights."""
    source = source_of(asked, lab)
    kind = asked.word("plane", ("path", "weights"))
    pair = (asked.text("a"), asked.text("b")) if kind == "weights" else None
    at = _moment(asked, source)
    grid, zoom = asked.whole("grid", 5, MOST_GRID), asked.number("zoom", 0.05, 20.0)
    with turn(source, "descent"):
        return _surface(source, pair, at, grid, zoom)


def _moment(asked: Asked, source: Source) -> int:
    """At which step the weights that do not move are held; at the last, where the query does not say."""
    return asked.assuming({"at": str(source.taken)}).whole("at", 0, source.taken)


@lru_cache(maxsize=8)
def _surface(source: Source, pair: tuple[str, str] | None, at: int, grid: int, zoom: float) -> dict[str, Any]:
    replayer, path = source.replayer, source.path
    here = replayer.state(at)
    ground = _ground(replayer, grid * grid)
    plane: land.AnyPlane = land.plane_of(path)
    if pair is not None:
        plane = land.WeightPlane(here.weights, find_pair(here.weights, pair, "descent"))
    places = [plane.place(moment.weights) for moment in path.moments]
    across, up = land.window(places, grid, air=0.3 * zoom, least=0.5 * zoom if pair else 1e-3)
    found = land.compute(ground, plane, across, up, len(replayer.recording.rows))
    losses = [ground.loss(moment.weights, moment.buffers) for moment in path.moments]
    steps = land.levels(found.surface, losses)
    shown: dict[str, Any] = plain(
        {
            "labels": list(found.labels),
            "across": across.tolist(),
            "up": up.tolist(),
            "surface": found.surface.tolist(),
            "levels": steps,
            "outlines": rings(found.surface, steps),
            "rows": found.rows,
            "all_rows": found.all_rows,
            "explained": found.explained,
            "lowest": float(np.nanmin(np.where(np.isfinite(found.surface), found.surface, np.nan))),
            "at": at,
            "path": places,
            "steps": path.steps,
            "losses": losses,
            "whole": path.whole,
            "overshoots": sum(later > earlier for earlier, later in zip(losses, losses[1:], strict=False)),
        }
    )
    return shown


def _ground(replayer: Replayer, points: int) -> land.Ground:
    recording = replayer.recording
    count = land.affordable_rows(recording.graphs, len(recording.rows), points)
    buffers = replayer.state(replayer.taken or 0).buffers
    return land.Ground(recording.graphs, land.sampled(recording.rows, count), buffers)


def descent(lab: Lab, asked: Asked) -> dict[str, Any]:
    """Gradient descent on all rows of the surface, over two weights alone, from any place."""
    source = source_of(asked, lab)
    at = _moment(asked, source)
    rate, count = asked.number("eta", 1e-9, 1e6), asked.whole("count", 1, MOST_WALK)
    start = [asked.number(name, -1e6, 1e6) for name in ("from_a", "from_b")]
    with source.lock:
        here = source.replayer.state(at)
        spots = find_pair(here.weights, (asked.text("a"), asked.text("b")), "descent")
        footing = _Footing(_ground(source.replayer, land.GRID**2), land.WeightPlane(here.weights, spots))
        with np.errstate(all="ignore"):
            walked = walk(footing, list(spots), start, rate, count)
    return {
        "eta": rate,
        "places": walked.places.tolist(),
        "losses": walked.losses,
        "always_falls": walked.always_falls,
        "ran_away": not all(map(math.isfinite, walked.losses)),
        "rows": len(footing.ground.rows),
    }


class _Footing:
    """Two weights on the ground that the surface shows."""

    def __init__(self, ground: land.Ground, plane: land.WeightPlane) -> None:
        self.ground, self.plane = ground, plane

    def at(self, spots: Any, values: Any) -> dict[str, Any]:
        """All weights, with the two at `values`."""
        return self.plane.at(*values)

    def loss_and_gradients(self, weights: dict[str, Any]) -> tuple[float, dict[str, Any]]:
        """L and dL/dw there."""
        loss, grads = self.ground.loss_and_gradients(weights)
        return loss, {name: grad.astype(np.float64) for name, grad in grads.items()}
