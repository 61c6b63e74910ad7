"""The tour's text and its experiments, over HTTP."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fallline.errors import ArgumentError, nearest
from fallline.lab.answers import answer
from fallline.lab.place import Lab
from fallline.lab.tour.experiments import EXPERIMENTS
from fallline.lab.tour.text import tour_pages


def routes(lab: Lab) -> list[BaseRoute]:
    """`tour`: all pages with what can be set on them; `tour/NAME?setting=value`: the figure's numbers."""

    def pages(request: Request) -> Response:
        return answer(
            [
                page.to_json() | {"controls": [c.to_json() for c in EXPERIMENTS[page.name].controls.values()]}
                for page in tour_pages()
            ]
        )

    async def experiment(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in EXPERIMENTS:
            raise ArgumentError(f"tour: there is no page {name!r}: {nearest(name, EXPERIMENTS)}")
        return answer(await run_in_threadpool(EXPERIMENTS[name], dict(request.query_params)))

    return [Route("/tour", pages), Route("/tour/{name}", experiment)]
