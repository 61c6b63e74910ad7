"""A full disk, a lack of memory, our own defects: nothing is lost, and it is said whose fault it is."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fallline as fl
from fallline.cli.main import cli as commands

TINY = ("--hidden", "4", "--epochs", "1")
Refused = Callable[..., str]


def training(data: Any, target: Any, *words: Any) -> tuple[Any, ...]:
    return ("train", data, "--target", target, *TINY, *words)


def full(name: str, patch: pytest.MonkeyPatch, only: str = "") -> None:
    """From now on, `os.fsync` or `os.replace` (onto files called `only`) finds the disk full."""
    real = getattr(os, name)

    def fail(*arguments: Any) -> Any:
        if only and not str(arguments[-1]).endswith(only):
            return real(*arguments)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    patch.setattr(os, name, fail)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_nothing(
    refused: Refused, shop: Path, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    full(call, monkeypatch)
    assert "No space left on device" in refused(*training(shop, "kind", "--quiet"))
    for name in ("out.csv", "out.parquet"):
        assert refused("predict", models["kind"], shop, "--out", name).startswith(
            f"cannot write '{name}': No space left on device; "
        )


def test_a_disk_that_fills_at_the_end_leaves_the_checkpoints(
    cli: Callable[..., Any], shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full("replace", monkeypatch, only="/model.safetensors")
    code, _, err = cli(*training(shop, "kind", "--quiet", "--out", "run"))
    assert code == 2
    assert err.startswith("error: cannot write 'run/model.safetensors': No space left on device; ")
    assert not Path("run/model.safetensors").exists()
    assert fl.load("run/checkpoints/best.safetensors").classes == ["big", "small"]


def test_a_disk_that_fills_before_the_report_leaves_the_model(
    cli: Callable[..., Any], shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full("replace", monkeypatch, only="report.html")
    code, _, err = cli(*training(shop, "kind", "--quiet", "--out", "run"))
    assert code == 2
    assert err.startswith("error: cannot write 'run/report.html': No space left on device; ")
    assert len(fl.load("run/model.safetensors").predict(shop)) == 60
    assert not Path("run/report.html").exists()


@pytest.mark.parametrize("error", [ValueError("oh"), RecursionError("deep"), KeyError("k"), fl.GraphError("bad graph")])
def test_a_defect_is_said_to_be_ours(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.delenv("FALLLINE_DEBUG", raising=False)
    cli("--version")  # the commands exist once one was asked for

    def fail(**given: Any) -> int:
        raise error

    monkeypatch.setattr(commands.commands["train"], "callback", fail)
    code, out, err = cli("train", "iris")
    assert (code, out) == (1, "")
    assert err == (
        f"fallline failed: {type(error).__name__}: {error}\n"
        "This is a defect of Fallline, not of your data. Run it again with FALLLINE_DEBUG=1 for the details to "
        "report.\n"
    )
    monkeypatch.setenv("FALLLINE_DEBUG", "1")
    assert "Traceback" in cli("train", "iris").err


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (MemoryError(), 2, "error: there is not enough memory for this data; use fewer rows or a smaller network\n"),
        (
            PermissionError(13, "Permission denied", "a.csv"),
            2,
            "error: cannot read or write 'a.csv': Permission denied; try another place\n",
        ),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)  # fmt: skip
def test_what_a_machine_or_a_person_stops(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, sentence: str
) -> None:
    cli("--version")

    def fail(**given: Any) -> int:
        raise error

    monkeypatch.setattr(commands.commands["train"], "callback", fail)
    answer = cli("train", "iris")
    assert (answer.code, answer.out, answer.err.lstrip("\n")) == (code, "", sentence)
