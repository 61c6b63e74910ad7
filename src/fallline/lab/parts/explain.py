"""What the page shows of one weight: `fl.explain`, at any step of a run."""

from typing import Any

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fallline.lab.answers import answer, query_number
from fallline.lab.past import PastRun
from fallline.lab.place import Lab

MOST, SHOWN = 1 << 48, 8


def routes(lab: Lab) -> list[BaseRoute]:
    """GET runs/ID/explain?step=K&weight=0.weight[2,5]&row=I."""

    async def explain(request: Request) -> Response:
        run = lab.past[lab.folder(request.path_params["run"])]
        step = query_number(request, "step", 0, 0, MOST)
        row = query_number(request, "row", 0, 0, MOST) if "row" in request.query_params else None
        return answer(await run_in_threadpool(explained, run, request.query_params.get("weight", ""), step, row))

    return [Route("/runs/{run}/explain", explain)]


def explained(run: PastRun, weight: str, step: int, row: int | None) -> dict[str, Any]:
    """`fl.explain(…).to_json()`, with numbers of no more digits than tell them from their neighbours."""
    with run.lock:
        found = run.explainer().explain(weight, step, row, SHOWN)
    told = found.to_json()
    if found.dtype == "float32":
        for place, name in ((told, "before"), (told, "gradient"), (told["update"] or {}, "after")):
            if place.get(name) is not None:
                place[name] = float(str(np.float32(place[name])))
    return told
