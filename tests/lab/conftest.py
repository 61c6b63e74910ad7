"""A lab with runs in it, and a way to ask it as a browser would."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("starlette", reason="the lab needs fallline[lab]")
pytest.importorskip("httpx", reason="asks the lab as a browser would")

import httpx

import fallline as fl
from fallline import nn
from fallline.lab.app import make_app
from fallline.lab.parts import part_routes
from fallline.lab.place import Lab

X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
LABELS = (X[:, 0] > 0).astype(int)


def _train(folder: Path, **options: Any) -> fl.Run:
    """A small run: 5 steps an epoch."""
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2), seed=1)
    return fl.fit(net, X, LABELS, batch_size=8, run_dir=folder, **{"epochs": 4, "validation": None, **options})


@pytest.fixture(scope="session")
def train() -> Callable[..., fl.Run]:
    """`train(folder, …)`: a small run, 5 steps an epoch."""
    return _train


@pytest.fixture(scope="session")
def data() -> tuple[Any, Any]:
    """What the runs were trained on."""
    return X, LABELS


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one run, 'first'; nobody writes to it."""
    folder = tmp_path_factory.mktemp("trained")
    _train(folder / "first", callbacks=[fl.Observer()])
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder for runs."""
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


class Client:
    """Calls an application without a socket.

    Args:
        app: the application.
        loud: whether what it raises is raised here.
    """

    def __init__(self, app: Any, loud: bool = True) -> None:
        self.app, self.transport = app, httpx.ASGITransport(app, raise_app_exceptions=loud)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=self.transport, base_url="http://127.0.0.1:8360") as client:
                return await client.request(method, path, **options)

        return asyncio.run(ask())

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)


class Page:
    """Asks a lab as its own page does.

    Args:
        lab: what is shown.
    """

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.client = Client(make_app(lab, part_routes()))

    def quietly(self) -> Client:
        """The same application anew, whose defects are answers."""
        return Client(make_app(self.lab, part_routes()), loud=False)

    def ask(self, path: str, method: str = "GET", **options: Any) -> Any:
        return self.client.request(method, f"/{self.lab.token}/{path}", **options)

    def api(self, path: str, body: Any = None) -> Any:
        """(status, JSON) of a GET, or of a POST where there is a body."""
        if body is None:
            found = self.ask(f"api/{path}")
        else:
            found = self.ask(f"api/{path}", "POST", json=body)
        return found.status_code, json.loads(found.text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))

    def only(self) -> str:
        """The id of the only run."""
        _, (run,) = self.api("runs")
        return str(run["id"])


@pytest.fixture
def page() -> Callable[..., Page]:
    """`page(folder, …)`: the page of a lab that shows these."""
    return lambda *folders, **options: Page(Lab(runs=list(folders), **options))
