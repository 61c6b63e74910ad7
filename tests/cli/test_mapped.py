"""`fallline train --mapped`, on files, folders and patterns: the same run as in memory, from files of columns."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fallline.cli import reading
from fallline.data import by_blocks, delimited_head, scratch

WORDS = ("--target", "kind", "--drop", "price", "--hidden", "4", "--seed", "4", "--quiet")


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(delimited_head, "PART_BYTES", 500)
    monkeypatch.setattr(by_blocks, "ROWS", 64)
    monkeypatch.setattr(scratch, "SMALL", 100)
    yield
    scratch.use(None)


@pytest.fixture
def parts(shop: Path) -> str:
    """The shop in three files of a folder."""
    header, *lines = shop.read_text(encoding="utf-8").splitlines()
    Path("parts").mkdir()
    for k in range(3):
        text = "\n".join([header, *lines[20 * k : 20 * (k + 1)]])
        Path(f"parts/shop-{k}.csv").write_text(f"{text}\n", encoding="utf-8")
    return "parts"


@pytest.mark.parametrize("how", [("--epochs", "3"), ()], ids=["one training", "two trainings"])
def test_a_mapped_run_is_the_run_in_memory(
    cli: Callable[..., Any], shop: Path, parts: str, bits: Callable[..., Any], told: Callable[..., Any], how: Any
) -> None:
    how = how or ("--refit", "--epochs", "3")
    for out, data, option in (
        ("memory", shop, "--in-memory"),
        ("mapped", shop, "--mapped"),
        ("folder", parts, "--mapped"),
        ("pattern", f"{parts}/*.csv", "--in-memory"),
    ):
        assert cli("train", data, *WORDS, *how, option, "--out", out).code == 0
    assert bits("memory") == bits("mapped") == bits("folder") == bits("pattern")
    assert told("memory")["config"]["data_hash"] == told("folder")["config"]["data_hash"]
    assert np.load("mapped/columns/0.npy").shape == (60,)
    assert json.loads(Path("mapped/columns/table.json").read_text(encoding="utf-8"))["rows"] == 60
    assert not Path("memory/columns").exists()
    assert " --mapped" in told("mapped")["command"]
    assert " --in-memory" in told("memory")["command"]


def test_a_mapped_run_goes_on_and_is_computed_again(
    cli: Callable[..., Any], interrupted: Callable[..., Any], parts: str, bits: Callable[..., Any]
) -> None:
    common = (f"{parts}/*", *WORDS, "--epochs", "6", "--mapped")
    assert cli("train", *common, "--out", "whole").code == 0
    interrupted(4, *common, "--out", "part")
    made = Path("part/columns/table.json").stat().st_mtime_ns
    assert cli("train", "--resume", "part", "--quiet").code == 0
    assert bits("part") == bits("whole")
    assert Path("part/columns/table.json").stat().st_mtime_ns == made  # they were used again
    assert cli("verify", "part").code == 0
    assert cli("train", "--resume", "part", "--branch", "other", "--epochs", "7", "--quiet").code == 0


def test_files_that_changed_are_refused(
    cli: Callable[..., Any], interrupted: Callable[..., Any], refused: Callable[..., str], parts: str, shop: Path
) -> None:
    interrupted(4, parts, *WORDS, "--epochs", "6", "--mapped", "--out", "part")
    one = Path("parts/shop-1.csv")
    text = one.read_text(encoding="utf-8")
    one.write_text(text.replace("red", "blue"), encoding="utf-8")
    assert refused("train", "--resume", "part").endswith(
        "has changed since the run 'part' began; put the old one back, or train anew"
    )
    one.write_text(text, encoding="utf-8")  # another time, the same content: it is read again
    Path("parts/shop-3.csv").write_text(text, encoding="utf-8")
    assert refused("train", "--resume", "part") == (
        "train --resume: 'parts' no longer means the files of the run 'part' (the difference: shop-3.csv); put them "
        "back, or train anew"
    )
    Path("parts/shop-3.csv").unlink()
    assert cli("train", "--resume", "part", "--quiet").code == 0


def test_what_is_wrong_is_told_before_anything_is_read(
    cli: Callable[..., Any], refused: Callable[..., str], shop: Path
) -> None:
    asked = ("train", shop, "--mapped", "--out", "run")
    assert refused(*asked, "--target", "kin") == "shop.csv has no column 'kin': did you mean 'kind'?"
    assert refused(*asked, "--target", "kind", "--drop", "prize").endswith("no column 'prize': did you mean 'price'?")
    assert "which column is to be predicted? shop.csv has 7 columns:" in cli(*asked).err
    assert not Path("run").exists()
    assert refused(*asked, "--target", "kind", "--lr", "-1") != ""
    assert not Path("run").exists()


def test_an_interrupt_while_reading_leaves_nothing(
    cli: Callable[..., Any], shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(self: Any, done: int, whole: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(reading.Reading, "told", stop)
    assert cli("train", shop, *WORDS, "--mapped", "--out", "run").code == 130
    assert not Path("run").exists()


def test_a_folder_and_a_pattern_are_predicted_and_scored_as_one_file(
    cli: Callable[..., Any], shop: Path, parts: str, models: dict[str, Path]
) -> None:
    for words in (("predict",), ("evaluate", "--json")):
        name, *options = words
        wanted = cli(name, models["kind"], shop, *options).out
        assert wanted
        assert cli(name, models["kind"], parts, *options).out == wanted
        assert cli(name, models["kind"], f"{parts}/shop-?.csv", *options).out == wanted
