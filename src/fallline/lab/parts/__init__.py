"""The parts of the server, each with the routes of one part of the page: those there are."""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

from starlette.routing import BaseRoute

from fallline.lab.place import Lab

PARTS = ("runs", "live", "network", "explain", "descent", "race", "play", "tour")


def part_routes() -> list[Callable[[Lab], list[BaseRoute]]]:
    """The `routes` of each part, for `make_app`."""
    names = [f"{__name__}.{name}" for name in PARTS]
    return [import_module(name).routes for name in names if find_spec(name) is not None]
