"""The runs that the lab shows: the list of them, their history, and what they are asked."""

from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fallline.lab.answers import answer, asked, query_number
from fallline.lab.losses import losses_between
from fallline.lab.place import Lab, run_id
from fallline.lab.run_files import About, all_lines, last_loss, lines_from, number, numbers, part, size_of, text, whole
from fallline.training.control import ask
from fallline.training.run_folder import HISTORY, OBSERVATIONS, SELECTION

MOST_POINTS, MOST_EPOCHS, MOST_OBSERVATIONS = 20_000, 20_000, 5_000


def routes(lab: Lab) -> list[BaseRoute]:
    """Of the list, the history, the observations, and of control and forks."""

    async def runs(request: Request) -> Response:
        return answer(await run_in_threadpool(listed, lab))

    async def history(request: Request) -> Response:
        folder, points = lab.folder(request.path_params["run"]), query_number(request, "points", 2000, 2, MOST_POINTS)
        return answer(await run_in_threadpool(history_of, folder, points))

    async def observations(request: Request) -> Response:
        return answer(await run_in_threadpool(observations_of, lab.folder(request.path_params["run"])))

    async def control(request: Request) -> Response:
        folder, action = lab.folder(request.path_params["run"]), text((await asked(request)).get("action"), 40)
        await run_in_threadpool(ask, folder, action)
        return answer({"asked": action})

    async def fork(request: Request) -> Response:
        folder = lab.folder(request.path_params["run"])
        return answer({"id": run_id(await run_in_threadpool(lab.forks.start, folder, await asked(request)))})

    return [
        Route("/runs", runs),
        Route("/runs/{run}/history", history),
        Route("/runs/{run}/observations", observations),
        Route("/runs/{run}/control", control, methods=["POST"]),
        Route("/runs/{run}/fork", fork, methods=["POST"]),
    ]


def listed(lab: Lab) -> list[dict[str, Any]]:
    """All runs; forks that have no folder yet, or never got one, behind them."""
    folders = lab.folders()
    found = [summary(folder, folders) for folder in folders.values()]
    for fork in [fork for fork in lab.forks.started if run_id(fork.folder) not in folders]:
        state = {"status": "failed", "problem": fork.problem} if fork.failed else {"status": "starting", "problem": ""}
        found.append(
            {"id": run_id(fork.folder), "name": text(fork.folder.name), "path": text(str(fork.folder)), **state}
        )
    return found


def summary(folder: Path, folders: dict[str, Path]) -> dict[str, Any]:
    """One run, as the list has it."""
    about = About.of(folder)
    content, config = about.content, part(about.content, "config")
    steps, loss = last_loss(folder)
    lines = _last_lines(folder)
    last = lines[-1] if lines else {}
    metric = text(content.get("metric"), 40)
    epoch = whole(last.get("epoch")) or 0
    return {
        "id": run_id(folder),
        "name": text(f"{folder.parent.name}/{SELECTION}" if folder.name == SELECTION else folder.name),
        "path": text(str(folder), 1000),
        "status": about.status,
        "problem": text(content.get("problem"), 1000),
        "stopped": text(content.get("stopped"), 40),
        "data": text(content.get("data")),
        "target": text(content.get("target")),
        "task": text(content.get("task"), 40),
        "created": text(content.get("created"), 40),
        "metric": metric,
        "score": number(content.get("score")) if metric else None,
        "epoch": epoch,
        "epochs": about.epochs,
        "step": steps,
        "steps_per_epoch": about.batches,
        "rows": whole(config.get("rows")),
        "batch_size": whole(config.get("batch_size")),
        "parameters": whole(config.get("parameters")),
        "seconds": number(content.get("seconds")),
        "loss": loss,
        "lr": number(last.get("learning_rate", part(config, "optimizer").get("lr"))),
        "last": numbers(last),
        "parent": _parent(content, folders),
    }


def _parent(content: dict[str, Any], folders: dict[str, Path]) -> dict[str, Any] | None:
    """The run that a fork has left, and after which step."""
    origin = part(content, "branched_from")
    if not isinstance(origin.get("run"), str):
        return None
    name = run_id(Path(origin["run"]))
    return {
        "id": name if name in folders else None,
        "name": text(Path(origin["run"]).name),
        "step": whole(origin.get("step")),
    }


def _last_lines(folder: Path) -> list[dict[str, Any]]:
    path = folder / HISTORY
    return lines_from(path, max(0, size_of(path) - 4096))[0]


def history_of(folder: Path, points: int) -> dict[str, Any]:
    """Losses of steps, and the numbers of epochs, as a page draws them."""
    about = About.of(folder)
    losses, steps = losses_between(folder, 0, points)
    epochs = [numbers(line) for line in _at_most(MOST_EPOCHS, all_lines(folder / HISTORY))]
    return {
        "status": about.status,
        "step": steps,
        "steps_per_epoch": about.batches,
        "losses": losses,
        "decimated": len(losses) < steps,
        "epochs": epochs,
    }


def observations_of(folder: Path) -> list[dict[str, Any]]:
    """What observers have noted; of very many, only some."""
    return _at_most(MOST_OBSERVATIONS, all_lines(folder / OBSERVATIONS))


def _at_most(most: int, lines: Any) -> list[dict[str, Any]]:
    """So many of the lines, evenly spaced; memory is bounded, whatever the file holds."""
    kept: list[dict[str, Any]] = []
    stride = 1
    last: dict[str, Any] | None = None
    for place, line in enumerate(lines):
        last = line
        if place % stride == 0:
            kept.append(line)
        if len(kept) > most:
            kept, stride = kept[::2], 2 * stride
    if last is not None and kept and kept[-1] is not last:
        kept.append(last)
    return kept
