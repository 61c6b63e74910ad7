"""What the page Network shows: a run's layers, and what flowed through them at any step."""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fallline.errors import FalllineError
from fallline.insight.anatomy import LINEAR, SCALE, Anatomy, Stage
from fallline.insight.passes import Passes
from fallline.ir.graph import Node
from fallline.lab.answers import answer, query_number
from fallline.lab.past import PastRun
from fallline.lab.place import Lab

Array = NDArray[Any]
SHOWN, MOST_ROWS, MOST_MEMBERS = 24, 32, 1 << 20
"""Units of a layer, and rows of a batch, that a page draws at most; members of an ensemble."""


def routes(lab: Lab) -> list[BaseRoute]:
    """GET runs/ID/network and runs/ID/step/K."""

    async def network(request: Request) -> Response:
        run = lab.past[lab.folder(request.path_params["run"])]
        return answer(await run_in_threadpool(describe, run))

    async def step(request: Request) -> Response:
        run = lab.past[lab.folder(request.path_params["run"])]
        rows = query_number(request, "rows", 8, 1, MOST_ROWS)
        member = query_number(request, "member", 0, 0, MOST_MEMBERS)
        return answer(await run_in_threadpool(flows, run, request.path_params["step"], rows, member))

    return [Route("/runs/{run}/network", network), Route("/runs/{run}/step/{step:int}", step)]


def describe(run: PastRun) -> dict[str, Any]:
    """The layers, their sizes and costs; how many steps can be looked at, or why none."""
    anatomy, stored = run.anatomy(), run.stored
    inputs, outputs = run.names()
    try:
        steps, refusal = run.steps(), None
    except FalllineError as error:
        steps, refusal = 0, str(error)
    columns = [_column(node) for node in anatomy.carried]
    return {
        "name": run.path.name,
        "loss": stored.config.get("loss"),
        "optimizer": stored.config.get("optimizer"),
        "batch_size": stored.config.get("batch_size"),
        "steps": steps,
        "refusal": refusal,
        "columns": columns,
        "stages": [_stage(stage) for stage in anatomy.stages],
        "parameters": sum(stage.count for stage in anatomy.stages),
        "multiply_adds": sum(stage.multiply_adds for stage in anatomy.stages),
        "inputs": _names(inputs, columns[0]),
        "outputs": _names(outputs, columns[-1]),
    }


def _names(names: list[str], column: dict[str, Any]) -> list[str] | None:
    """Of the units that are shown; None where the names are of something else."""
    return [names[unit] for unit in column["shown"]] if len(names) == column["units"] else None


def _column(node: Node) -> dict[str, Any]:
    units, positions = _sizes(node)
    return {"units": units, "positions": positions, "shown": shown(units)}


def _sizes(node: Node) -> tuple[int, int]:
    """(units, positions or members) of a row."""
    rest = [int(size) for size in node.type.shape[1:]]  # type: ignore[arg-type]
    return (rest[-1], int(np.prod(rest[:-1]))) if rest else (1, 1)


def shown(units: int) -> list[int]:
    """The units that are drawn: all, or so many evenly from the first to the last."""
    if units <= SHOWN:
        return list(range(units))
    return [round(place * (units - 1) / (SHOWN - 1)) for place in range(SHOWN)]


def _stage(stage: Stage) -> dict[str, Any]:
    return {
        "name": stage.name,
        "kind": stage.kind,
        "module": stage.module,
        "parameters": {name: list(shape) for name, shape in stage.parameters.items()},
        "count": stage.count,
        "multiply_adds": stage.multiply_adds,
        "uses": stage.uses,
        "then": list(stage.then),
        "sources": list(stage.sources),
        "main": stage.main,
        "weight": stage.weight,
    }


def flows(run: PastRun, step: int, rows: int, member: int) -> dict[str, Any]:
    """A step's passes, cut to what a page draws: values and gradients of the shown units, weights between them."""
    with run.lock:
        passes, reader = run.passes(step), run.reader()
        anatomy, after = reader.anatomy, reader.after(step)
        targets = reader.replayer.batches.rows.y[passes.numbers[:rows]]
    columns = [_values(array[:rows], member) for array in passes.carried]
    return {
        "step": passes.step,
        "epoch": passes.epoch,
        "loss": passes.loss,
        "learning_rate": passes.learning_rate,
        "batch": len(passes.numbers),
        "rows": passes.numbers[:rows].tolist(),
        "targets": targets.reshape(len(targets), -1)[:, 0].tolist(),
        "row_losses": None if passes.row_losses is None else passes.row_losses[:rows].tolist(),
        "columns": [column.tolist() for column in columns],
        "stages": moved(passes, anatomy, rows, member),
        "sizes": _lengths(anatomy, passes, after.weights),
    }


def _values(array: Array, member: int) -> Array:
    """(rows, shown units) of one position or member; rounded, since a page shows few digits."""
    flat = array.reshape(len(array), -1, array.shape[-1]) if array.ndim > 1 else array.reshape(-1, 1, 1)
    values = flat[:, min(member, flat.shape[1] - 1)]
    return values[:, shown(values.shape[-1])].astype(np.float64)


def moved(passes: Passes, anatomy: Anatomy, rows: int, member: int) -> dict[str, Any]:
    """By layer of the path: what it gave, dL/d of that, and its weights with their gradients.

    Where a layer's numbers are put together anew before the next one takes them, they belong to no unit that is drawn,
    and are left out.
    """
    found: dict[str, Any] = {}
    for stage, (come_in, handed_on) in zip(anatomy.main, pairwise(passes.carried), strict=True):
        given, deltas = (of[stage.name][:rows] for of in (passes.given, passes.deltas))
        fits = given.shape[-1] == handed_on.shape[-1]
        found[stage.name] = {
            "given": _values(given, member).tolist() if fits else [],
            "deltas": _values(deltas, member).tolist() if fits else [],
            **_between(stage, passes, member, (come_in.shape[-1], handed_on.shape[-1])),
        }
    return found


def _between(stage: Stage, passes: Passes, member: int, units: tuple[int, int]) -> dict[str, Any]:
    """The weights between the shown units, and their gradients; prefix: where such a weight's place begins."""
    name = stage.weight
    if name is None or stage.kind not in (LINEAR, SCALE):
        return {"weights": None}
    weights, grads = passes.before.weights[name], passes.gradients[name]
    prefix = []
    if weights.ndim == 3 or stage.kind == SCALE:
        prefix = [min(member, len(weights) - 1)]
        weights, grads = weights[prefix[0]], grads[prefix[0]]
    if weights.shape != (units if stage.kind == LINEAR else units[1:]):
        return {"weights": None}
    chosen = np.ix_(*(shown(size) for size in weights.shape))
    return {"weights": weights[chosen].tolist(), "gradients": grads[chosen].tolist(), "prefix": prefix}


def _lengths(anatomy: Anatomy, passes: Passes, after: dict[str, Array]) -> list[dict[str, Any]]:
    """By parameter: ‖w‖, ‖dL/dw‖ and ‖Δw‖."""
    found: list[dict[str, Any]] = []
    for stage in anatomy.stages:
        for name in stage.parameters:
            before = passes.before.weights[name]
            lengths = [_length(array) for array in (before, passes.gradients[name], after[name] - before)]
            found.append({"name": name, **dict(zip(("weight", "gradient", "update"), lengths, strict=True))})
    return found


def _length(array: Array) -> float:
    return float(np.sqrt(np.square(array, dtype=np.float64).sum()))
