"""Models of every kind of column and target, and a service to ask without a socket."""

import asyncio
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the service needs fallline[serve]")
pytest.importorskip("httpx", reason="asks the service as a client would")

import httpx

import fallline as fl
from fallline.data.sources import read_table
from fallline.serving.app import make_app
from fallline.tables.prepare import TableOptions, prepare
from fallline.tables.train import train_table

WORDS = ("soft", "dark", "loam", "near", "the", "old", "wall", "with", "a", "little", "chalk", "under", "stones")


def garden(count: int = 160) -> dict[str, list[Any]]:
    """Columns of every kind, some with gaps, and two targets."""
    return {
        "height": [None if i % 11 == 5 else round(math.sin(i) * 3 + 5, 3) for i in range(count)],
        "soil": [("clay", "sand", "peat")[i * 7 // 3 % 3] for i in range(count)],
        "shade": [i % 3 == 0 for i in range(count)],
        "open": [None if i % 13 == 4 else ("yes", "no")[i % 2] for i in range(count)],
        "planted": [f"20{10 + i % 9}-0{1 + i % 7}-15" for i in range(count)],
        "plant": [f"plant {i % 20}" for i in range(count)],
        "note": [" ".join(WORDS[(i * 7 + k * k) % len(WORDS)] for k in range(6 + i % 5)) for i in range(count)],
        "fruit": ["ripe" if math.sin(i) > 0.2 else "unripe" for i in range(count)],
        "yield": [round(math.sin(i) * 40 + i % 3, 3) for i in range(count)],
    }


def _model(path: Path, target: str, other: str) -> Any:
    wishes = TableOptions(drop=(other,), hidden=(4,), epochs=2)
    train_table(prepare(read_table(garden()), target, wishes), wishes).model.save(path)
    return fl.load(path)


@pytest.fixture(scope="session")
def fruit(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Classes."""
    return _model(tmp_path_factory.mktemp("fruit") / "fruit.safetensors", "fruit", "yield")


@pytest.fixture(scope="session")
def harvest(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Numbers."""
    return _model(tmp_path_factory.mktemp("harvest") / "harvest.safetensors", "yield", "fruit")


@pytest.fixture(scope="session")
def rows(fruit: Any) -> list[dict[str, Any]]:
    """The rows of the garden, without its targets."""
    columns = garden()
    return [{name: columns[name][i] for name in fruit.encoder.source_columns} for i in range(160)]


class Client:
    """Asks a service without a socket.

    Args:
        app: the service.
    """

    def __init__(self, app: Any) -> None:
        self.transport = httpx.ASGITransport(app, raise_app_exceptions=False)

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def asking() -> httpx.Response:
            async with httpx.AsyncClient(transport=self.transport, base_url="http://127.0.0.1:8390") as client:
                return await client.request(method, path, **options)

        return asyncio.run(asking())

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.ask("GET", path, **options)

    def post(self, value: Any, query: str = "", **options: Any) -> Any:
        """(status, JSON) of a prediction."""
        found = self.ask("POST", f"/predict{query}", json=value, **options)
        return found.status_code, json.loads(found.text)

    def csv(self, text: str | bytes, query: str = "", **headers: str) -> httpx.Response:
        """A prediction of rows in CSV."""
        return self.ask("POST", f"/predict{query}", content=text, headers={"content-type": "text/csv", **headers})

    def refused(self, value: Any, query: str = "") -> list[str]:
        """The sentences of a request that does not fit the model."""
        status, found = self.post(value, query)
        assert status == 422, found
        return list(found["errors"])


@pytest.fixture
def service(fruit: Any) -> Callable[..., Client]:
    """`service(model, …)`: one to ask."""
    return lambda model=fruit, **options: Client(make_app(model, **options))
