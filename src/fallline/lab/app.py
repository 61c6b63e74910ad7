"""The lab's web application: the page's files, and the routes of each of its parts."""

from collections.abc import Callable, Sequence
from importlib.resources import files

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from fallline.errors import FalllineError, told
from fallline.lab.answers import answer
from fallline.lab.guard import Guard
from fallline.lab.place import Lab


def _mistake(request: Request, error: Exception) -> Response:
    return answer({"error": str(error)}, 400)


def _not_there(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    return answer({"error": "the lab has nothing at this address, or not for this method"}, status)


def _defect(request: Request, error: Exception) -> Response:
    what = f"the lab failed: {type(error).__name__}: {told(error)}; this is a defect of Fallline, not of your data"
    return answer({"error": what}, 500)


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
    handlers = {FalllineError: _mistake, HTTPException: _not_there, Exception: _defect}
    return Guard(Starlette(routes=routes, exception_handlers=handlers), lab.token, lab.hosts)
