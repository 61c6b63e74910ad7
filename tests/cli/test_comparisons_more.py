"""`fallline diff`, `verify` and `replay` on the runs of many options, and as JSON."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Cli = Callable[..., Any]
OPTIONS = ("--target", "kind", "--drop", "price", "--hidden", "4", "--epochs", "3", "--quiet", "--batch", "8")


@pytest.fixture
def trained(cli: Cli, shop: Path) -> Callable[..., str]:
    """`trained("a", options …)`: a run's folder."""

    def call(name: str, *words: Any) -> str:
        code, _, err = cli("train", shop, *OPTIONS, "--out", name, *words)
        assert (code, err) == (0, "")
        return name

    return call


def test_another_learning_rate_is_found(cli: Cli, trained: Callable[..., str]) -> None:
    runs = trained("a", "--lr", "0.01"), trained("b", "--lr", "0.02")
    code, out, _ = cli("diff", *runs)
    assert code == 0
    assert "verdict         The first step that differs is step 0 (steps are numbered from 0)." in out
    assert "cause           setting optimizer.lr 0.01 → 0.02\n" in out
    code, out, _ = cli("diff", *runs, "--json")
    found = json.loads(out)
    assert (code, found["equal"], found["kind"], found["step"]) == (0, False, "setting", 0)
    assert found["settings"] == ["optimizer.lr"]


def test_a_run_on_a_changed_table_is_found(cli: Cli, shop: Path, trained: Callable[..., str]) -> None:
    trained("a")
    lines = shop.read_text().splitlines()
    other = Path("other.csv")
    # a colour changes no statistics of the columns, so that one row changes only
    row = next(k for k, line in enumerate(lines) if k and ",red," in line)
    lines[row] = lines[row].replace(",red,", ",blue,")
    other.write_text("\n".join(lines) + "\n")
    assert cli("train", other, *OPTIONS, "--out", "b").code == 0
    code, out, _ = cli("diff", "a", "b", "--json")
    found = json.loads(out)
    assert (code, found["kind"], found["equal"]) == (0, "data", False)
    assert len(found["rows"]) == 1


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--validation", "0.3", "--seed", "4"),
        ("--class-weight", "balanced"),
        ("--weight-column", "size"),
        ("--drop", "day", "--drop", "fresh"),
    ],
)
def test_a_run_is_verified(cli: Cli, shop: Path, trained: Callable[..., str], words: tuple[str, ...]) -> None:
    if "--weight-column" in words:
        head, *rows = shop.read_text().splitlines()
        shop.write_text("\n".join([head, *(row.replace("-", "", 1) if row[0] == "-" else row for row in rows)]) + "\n")
    code, out, err = cli("verify", trained("a", *words))
    assert (code, err) == (0, "")
    assert out.startswith("a is reproduced bit for bit: ")
    assert "the model file" in out


def test_files_of_their_own_are_read_again(cli: Cli, shop: Path, trained: Callable[..., str]) -> None:
    head, *rows = shop.read_text().splitlines()
    Path("validation.csv").write_text("\n".join([head, *rows[:20]]) + "\n")
    Path("test.csv").write_text("\n".join([head, *rows[20:40]]) + "\n")
    run = trained("a", "--validation", "validation.csv", "--test", "test.csv")
    assert cli("verify", run).code == 0
    assert cli("train", shop, *OPTIONS[:4], *OPTIONS[6:], "--init", run, "--out", "b").code == 0
    assert cli("verify", "b").code == 0


def test_a_forged_run_is_not(cli: Cli, trained: Callable[..., str]) -> None:
    run = Path(trained("a"))
    about = json.loads((run / "run.json").read_text())
    about["weights"]["15"] = "0" * 32
    (run / "run.json").write_text(json.dumps(about))
    code, out, _ = cli("verify", run)
    assert code == 1
    assert "a is not reproduced: after step 15 it recorded weights of hash 0000" in out
    code, out, _ = cli("verify", run, "--json")
    found = json.loads(out)
    assert (code, found["ok"], found["mismatch"]["step"], found["mismatch"]["what"]) == (1, False, 15, "hash")


def test_intervals(cli: Cli, trained: Callable[..., str]) -> None:
    code, out, _ = cli("verify", trained("a"), "--intervals", "1", "--threads", "1", "--json")
    found = json.loads(out)
    assert (code, found["ok"], found["threads"]) == (0, True, 1)


def test_a_step_is_replayed(cli: Cli, trained: Callable[..., str]) -> None:
    run = trained("a")
    code, out, err = cli("replay", run, "--step", "7")
    assert (code, err) == (0, "")
    assert "step        7 (from 0), of epoch 2" in out
    assert "verified    the weights after step 15 have the hash that the run recorded" in out
    names = [line.split("  ")[0] for line in out.splitlines() if "×" in line]
    assert {"x", "first.weight", "outputs", "gradient of first.weight", "updated first.weight"} <= set(names)
    losses = np.fromfile(Path(run) / "losses.f64")
    code, out, _ = cli("replay", run, "--step", "7", "--json")
    found = json.loads(out)
    assert (code, found["step"], found["loss"]) == (0, 7, losses[7])
    assert len(found["rows"]) == 8
    code, out, _ = cli("replay", run, "--step", "7", "--tensor", "loss", "--json")
    assert json.loads(out) == {"tensor": "loss", "values": losses[7]}
    code, out, _ = cli("replay", run, "--step", "7", "--tensor", "direct.bias")
    assert (code, out[0], out.count("\n")) == (0, "[", 1)
