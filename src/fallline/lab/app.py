"""The lab's web application: the page's files, and the routes of each of its parts."""

from collections.abc import Callable, Sequence
from importlib.resources import files

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from fallline.errors import FalllineError
from fallline.lab.guard import Guard
from fallline.lab.place import Lab



def _mistake(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, status_code=400)


def make_app(lab: Lab, part_routes: Sequence[Callable[[Lab], list[BaseRoute]]] = ()) -> Guard:
    """The application, behind its guard.

    Args:
        lab: what is shown.
        part_routes: give the routes of each part of the page, below /api.
    """
    static = str(files("fallline.lab") / "static")
    routes: list[BaseRoute] = [
        Mount("/api", routes=[route for made in part_routes for route in made(lab)]),
        Mount("/", app=StaticFiles(directory=static, html=True)),
    ]
    return Guard(Starlette(routes=routes, exception_handlers={FalllineError: _mistake}), lab.token, lab.hosts)
