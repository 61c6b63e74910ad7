"""A way to call the command line in an empty folder, files to call it on, and models to call it with."""

import csv
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import fallline as fl
from fallline.cli import train_job
from fallline.cli.main import main
from fallline.report import table_report

TINY = ("--hidden", "4", "--epochs", "1")


class Answer(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def _without_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than training a tiny network; tests/report looks at the pictures."""
    if "whole_report" not in request.fixturenames:
        monkeypatch.setattr(table_report, "pictures", lambda result: {})


@pytest.fixture
def whole_report() -> None:
    """For tests that let the report be drawn."""


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """`cli("train", "penguins", …)`: the exit code and what was written, in an empty folder of its own."""
    monkeypatch.chdir(tmp_path)

    def call(*words: Any) -> Answer:
        capsys.readouterr()
        code = main([str(word) for word in words])
        return Answer(code, *capsys.readouterr())

    return call


@pytest.fixture
def train(cli: Callable[..., Answer]) -> Callable[..., Answer]:
    """`train(DATA, TARGET, options …)` with a tiny network."""

    def call(data: Any, target: Any, *words: Any) -> Answer:
        return cli("train", data, "--target", target, *TINY, *words)

    return call


@pytest.fixture
def refused(cli: Callable[..., Answer], tmp_path: Path) -> Callable[..., str]:
    """`refused("train", …)`: the one sentence of a mistake; nothing may be left behind."""

    def call(*words: Any) -> str:
        before = sorted(tmp_path.rglob("*"))
        code, out, err = cli(*words)
        assert code == 2, (code, err)
        assert out == ""
        assert "Traceback" not in err
        assert sorted(tmp_path.rglob("*")) == before
        assert err.count("\n") == 1, err
        assert err.startswith("error: ")
        return err.removeprefix("error: ").strip()

    return call


def write(path: Path, names: Sequence[str] | None, rows: Sequence[Sequence[Any]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([*([names] if names else []), *rows])
    return path


def shop_rows(count: int, seed: int = 0) -> list[list[Any]]:
    """size, weight (with gaps), colour, fresh, day, kind, price: kind depends on size, price on size and weight."""
    chance = random.Random(seed)
    rows: list[list[Any]] = []
    for number in range(count):
        size, weight = round(chance.gauss(5, 2), 3), round(chance.gauss(0, 1), 3)
        rows.append(
            [
                size,
                weight if number % 7 else "",
                chance.choice(["red", "green", "blue"]),
                chance.choice(["true", "false"]),
                f"2024-{chance.randint(1, 12):02d}-{chance.randint(1, 28):02d}",
                "big" if size + chance.gauss(0, 0.5) > 5 else "small",
                round(3 * size - weight + chance.gauss(0, 0.1), 3),
            ]
        )
    return rows


SHOP = ["size", "weight", "colour", "fresh", "day", "kind", "price"]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A table of every kind of column: 60 rows, classes in `kind`, numbers in `price`."""
    write(tmp_path / "shop.csv", SHOP, shop_rows(60))
    return Path("shop.csv")


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    """`table("name.csv", ["a", "b"], rows)` writes a file (None: without a header)."""

    def make(name: str, names: Sequence[str] | None, rows: Sequence[Sequence[Any]]) -> Path:
        write(tmp_path / name, names, rows)
        return Path(name)

    return make


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Run folders of tiny models of the shop: "kind" (classes) and "price" (numbers)."""
    folder = tmp_path_factory.mktemp("models")
    data = write(folder / "shop.csv", SHOP, shop_rows(60))
    made = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_report, "pictures", lambda result: {})
        for target, other in (("kind", "price"), ("price", "kind")):
            made[target] = folder / target
            words = ["--target", target, "--drop", other, *TINY, "--quiet", "--out", str(made[target])]
            assert main(["train", str(data), *words]) == 0
    return made


@pytest.fixture
def numbered() -> Callable[[int], list[list[Any]]]:
    """Rows [a, b, y] with a number, one of three words, and one of two classes."""

    def make(count: int) -> list[list[Any]]:
        chance = random.Random(1)
        return [[round(chance.gauss(0, 1), 3), "uvw"[i % 3], "pq"[i % 2]] for i in range(count)]

    return make


@pytest.fixture
def bits() -> Callable[[str], dict[str, bytes]]:
    """`bits("run")`: the weights of a run's model."""

    def of(folder: str) -> dict[str, bytes]:
        weights = fl.load(f"{folder}/model.safetensors").network.parameters()
        return {name: value.tobytes() for name, value in weights.items()}

    return of


@pytest.fixture
def told() -> Callable[[str], dict[str, Any]]:
    """`told("run")`: what run.json says."""

    def of(folder: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((Path(folder) / "run.json").read_text(encoding="utf-8"))
        return content

    return of


class StopAfter(fl.Callback):
    """Ends a training after some steps, as Ctrl-C does."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_step_end(self, run: Any, step: int) -> None:
        if len(run.steps["loss"]) == self.steps:
            run.stopped = "interrupted"


@pytest.fixture
def interrupted(cli: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Answer]:
    """`interrupted(4, DATA, options …)`: a training that is stopped after some steps; with `second`, of the second one
    of two."""

    def run(steps: int, *words: Any, second: bool = False) -> Answer:
        real = train_job.train_table

        def stopped(*given: Any, folder: Path, callbacks: Any, **more: Any) -> Any:
            goes_on = second and folder.name == "selection"
            return real(*given, folder=folder, callbacks=() if goes_on else (StopAfter(steps),), **more)

        with monkeypatch.context() as patch:
            patch.setattr(train_job, "train_table", stopped)
            return cli("train", *words)

    return run


@pytest.fixture
def run(cli: Callable[..., Answer], shop: Path) -> str:
    """A run's folder: 6 epochs."""
    words = ("--target", "kind", "--hidden", "4", "--epochs", "6", "--seed", "4", "--out", "run", "--quiet")
    assert cli("train", shop, *words).code == 0
    return "run"
