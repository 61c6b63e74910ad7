"""Race: batch, mini-batch and stochastic descent, and update rules, from the same weights on the same rows."""

from functools import lru_cache
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fallline import optim
from fallline.errors import ArgumentError, told
from fallline.insight import landscape as land
from fallline.insight.components import principal_components
from fallline.insight.race import MOST_RACERS, Race, Racer, race
from fallline.lab.answers import answer
from fallline.lab.asked import Asked
from fallline.lab.place import Lab
from fallline.lab.sources import Source, rings, source_of, turn
from fallline.training.run_folder import plain

DEFAULT = "sgd:0.1:all,sgd:0.1:16,sgd:0.05:1,adam:0.02:16"
MOST_EPOCHS, GRID = 500, 33


def routes(lab: Lab) -> list[BaseRoute]:
    """Of races."""

    async def answered(request: Request) -> Response:
        asked = Asked(request.query_params, "race", {"racers": DEFAULT, "epochs": "30"})
        return answer(await run_in_threadpool(_raced, lab, asked))

    return [Route("/race", answered)]


def _raced(lab: Lab, asked: Asked) -> dict[str, Any]:
    source = source_of(asked, lab)
    given, epochs = asked.text("racers"), asked.whole("epochs", 1, MOST_EPOCHS)
    racers_of(given)
    with turn(source, "race"):
        return _race(source, given, epochs)


@lru_cache(maxsize=8)
def _race(source: Source, given: str, epochs: int) -> dict[str, Any]:
    replayer = source.replayer
    found = race(replayer.recording, replayer.state(0), racers_of(given), epochs)
    shown: dict[str, Any] = plain(
        {
            "title": source.title,
            "epochs": epochs,
            "rows": found.rows,
            "all_rows": found.all_rows,
            "laps": [
                {
                    "name": lap.racer.name,
                    "rule": lap.racer.optimizer.rule.name,
                    "eta": lap.racer.optimizer.lr,
                    "batch_size": lap.batch_size,
                    "steps": lap.steps,
                    "rows_seen": lap.rows_seen,
                    "seconds": lap.seconds,
                    "losses": lap.losses,
                    "stopped": lap.run.stopped,
                }
                for lap in found.laps
            ],
            "map": _map(found),
        }
    )
    return shown


def _map(found: Race) -> dict[str, Any]:
    """All paths on one plane, that of their common components, with the loss below them."""
    moments = [moment for lap in found.laps for moment in lap.moments]
    plane = principal_components([moment.weights for moment in moments])
    paths = [[plane.place(moment.weights) for moment in lap.moments] for lap in found.laps]
    across, up = land.window([place for path in paths for place in path], GRID, air=0.12)
    ground = land.Ground(found.graphs, land.sampled(found.ground.rows, 512), found.ground.buffers)
    surface = land.compute(ground, plane, across, up).surface
    losses = [loss for lap in found.laps for loss in lap.losses]
    levels = land.levels(surface, losses)
    return {
        "across": [float(across[0]), float(across[-1])],
        "up": [float(up[0]), float(up[-1])],
        "grid": GRID,
        "levels": levels,
        "outlines": rings(surface, levels),
        "explained": plane.explained,
        "paths": paths,
    }


def racers_of(given: str) -> list[Racer]:
    """The racers of "rule:η:rows a step,…", such as "sgd:0.1:all,adam:0.01:16".

    Raises:
        ArgumentError: that is not how one is written, or a rule or number cannot be.
    """
    found = []
    for part in given.split(","):
        rule, *rest = part.split(":")
        if len(rest) != 2:
            raise ArgumentError(
                f"race: a racer is written rule:η:rows a step, such as adam:0.01:16; found {told(part, 60)!r}"
            )
        asked = Asked({"rule": rule, "eta": rest[0], "batch": rest[1]}, "race")
        name = asked.word("rule", optim.RULES)
        rate = asked.number("eta", 1e-9, 1e4)
        batch: int | str = "all" if rest[1] == "all" else asked.whole("batch", 1, 10**6)
        found.append(Racer(f"{name}, {batch} rows", optim.by_name(name, rate), batch))
    if len(found) > MOST_RACERS:
        raise ArgumentError(f"race: takes 1 to {MOST_RACERS} racers, found {len(found)}")
    return found
