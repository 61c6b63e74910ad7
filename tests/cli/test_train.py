"""`fallline train`: what it prints, what it writes, and what each option does."""

import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline.data.samples import sample_target
from fallline.tables.network import TableNetwork

KEYS = "task metric score validation_score rows columns parameters epochs stopped seconds model run report"
LINES = "data target task inputs missing rows network training trained test validation model report run next"


def summary(answer: Any) -> dict[str, Any]:
    """The one line of `--json`."""
    assert answer.code == 0, answer.err
    assert answer.out.count("\n") == 1
    line: dict[str, Any] = json.loads(answer.out)
    return line


def config(run: str | Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(run) / "run.json").read_text(encoding="utf-8"))
    return found


def weights(run: str | Path) -> dict[str, np.ndarray]:
    return fl.load(Path(run) / "model.safetensors").network.parameters()


def same(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> bool:
    return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("name", "task", "rows"),
    [("penguins", "classification", 344), ("iris", "classification", 150), ("diabetes", "regression", 442)],
)
def test_the_bundled_sets_are_trained_on_and_summed_up_in_one_line(
    train: Callable[..., Any], name: str, task: str, rows: int
) -> None:
    line = summary(train(name, sample_target(name), "--json"))
    assert " ".join(line) == KEYS
    assert (line["task"], line["rows"], line["epochs"], line["stopped"]) == (task, rows, 1, "epochs")
    assert line["metric"] == {"classification": "accuracy", "regression": "rmse"}[task]
    assert all(math.isfinite(line[key]) for key in ("score", "validation_score", "seconds", "parameters", "columns"))
    assert all(Path(line[key]).exists() for key in ("model", "run", "report"))
    assert line["parameters"] == sum(array.size for array in weights(line["run"]).values())


def test_a_person_is_told_what_was_understood_what_came_out_and_what_to_type_next(
    train: Callable[..., Any], shop: Path, whole_report: None
) -> None:
    code, out, _ = train(shop, "kind", "--drop", "price")
    assert code == 0
    assert " ".join("".join(line[:12] for line in out.splitlines()).split()) == LINES
    assert "shop.csv: 60 rows, 7 columns" in out
    assert "2 numbers (size, weight)" in out
    assert "1 category (colour)" in out
    assert "1 truth value (fresh)" in out
    assert "1 date (day)" in out
    assert "38 training, 10 validation, 12 test (set aside)" in out
    assert "next        fallline predict runs/shop-1/model.safetensors shop.csv" in out
    assert all(len(line) <= 100 for line in out.splitlines())
    assert "<svg" in Path("runs/shop-1/report.html").read_text(encoding="utf-8")


def test_quiet_prints_nothing(train: Callable[..., Any], shop: Path, whole_report: None) -> None:
    assert train(shop, "kind", "--quiet") == (0, "", "")
    assert train(shop, "kind", "--quiet", "--json").out.count("\n") == 1


def test_the_next_command_keeps_what_is_needed_to_read_the_file(
    train: Callable[..., Any], cli: Callable[..., Any], table: Callable[..., Path], numbered: Any
) -> None:
    data = table("a file.csv", None, numbered(20))
    _, out, _ = train(data, "last", "--no-header")
    line = next(line for line in out.splitlines() if line.startswith("next"))
    assert line[12:] == "fallline predict 'runs/a file-1/model.safetensors' 'a file.csv' --no-header"
    code, predictions, _ = cli("predict", "runs/a file-1/model.safetensors", "a file.csv", "--no-header")
    assert (code, predictions.count("\n")) == (0, 21)


def test_what_made_a_run_can_be_typed_again(train: Callable[..., Any], cli: Callable[..., Any], shop: Path) -> None:
    words = ("--hidden", "none", "--dropout", "0", "--drop", "day", "--drop", "price", "--lr", "0.004", "--seed", "3")
    train(shop, "kind", *words, "--out", "first", "--quiet")
    typed = config("first")["command"].split()
    assert typed[:3] == ["fallline", "train", "shop.csv"]
    assert cli(*typed[1:], "--out", "second", "--quiet").code == 0
    assert same(weights("first"), weights("second"))


def test_a_seed_decides_every_bit(train: Callable[..., Any], shop: Path) -> None:
    for folder, seed in (("a", 5), ("b", 5), ("c", 6)):
        assert train(shop, "kind", "--seed", seed, "--out", folder, "--quiet").code == 0
    assert same(weights("a"), weights("b"))
    assert not same(weights("a"), weights("c"))


def test_the_task_can_be_said(train: Callable[..., Any], table: Callable[..., Path], numbered: Any) -> None:
    data = table("t.csv", ["a", "b", "y"], [[a, b, 1 + (y == "p")] for a, b, y in numbered(30)])
    assert summary(train(data, "y", "--json"))["task"] == "classification"
    assert summary(train(data, "y", "--json", "--task", "regression"))["task"] == "regression"


def test_columns_are_found_by_name_number_and_last(train: Callable[..., Any], shop: Path) -> None:
    for target, found in (("kind", "kind"), ("6", "kind"), ("last", "price"), ("1", "size")):
        assert train(shop, target, "--out", f"run-{target}", "--quiet").code == 0
        assert config(f"run-{target}")["target"] == found


def test_a_column_called_last_or_1_comes_before_the_other_meaning(
    train: Callable[..., Any], table: Callable[..., Path], numbered: Any
) -> None:
    data = table("odd.csv", ["a", "1", "last", "z"], [[a, b, y, a * 2] for a, b, y in numbered(30)])
    for target in ("1", "last"):
        assert train(data, target, "--out", f"run-{target}", "--quiet").code == 0
        assert config(f"run-{target}")["target"] == target


def test_dropped_columns_are_no_inputs(train: Callable[..., Any], shop: Path) -> None:
    line = summary(train(shop, "kind", "--drop", "price", "--drop", "5", "--json"))
    assert fl.load(line["model"]).encoder.source_columns == ["size", "weight", "colour", "fresh"]
    assert line["columns"] == 4


def test_columns_that_cannot_help_are_left_out_and_told(
    train: Callable[..., Any], table: Callable[..., Path], numbered: Any
) -> None:
    rows = [[i + 1, f"n{i}x{i * i}", 4, "", a, y] for i, (a, _, y) in enumerate(numbered(40))]
    code, out, _ = train(table("t.csv", ["id", "name", "same", "void", "a", "y"], rows), "y")
    flat = " ".join(out.split())
    assert code == 0
    assert "'id' is left out: it is a whole number that differs in every row" in flat
    assert "'name' is left out: it names single rows" in flat
    assert "'same' is left out: it is 4 in every row." in flat
    assert "'void' is left out: it has no value in any row." in flat
    assert fl.load("runs/t-1/model.safetensors").encoder.source_columns == ["a"]


def test_rows_without_a_target_are_left_out_and_told(
    train: Callable[..., Any], table: Callable[..., Path], numbered: Any
) -> None:
    rows = numbered(30)
    rows[4][2] = rows[9][2] = ""
    answer = train(table("t.csv", ["a", "b", "y"], rows), "y")
    told = " ".join(answer.out.split())
    assert "note t.csv: 2 rows left out, because the target 'y' is missing (first: row 5 (line 6))." in told
    assert "data t.csv: 30 rows" in told
    assert "p 14, q 14" in told


def test_whole_labels_stay_whole_where_some_are_missing(
    train: Callable[..., Any], cli: Callable[..., Any], table: Callable[..., Path], numbered: Any
) -> None:
    rows = [[a, b, "" if i == 3 else 1 + i % 2] for i, (a, b, _) in enumerate(numbered(30))]
    train(table("t.csv", ["a", "b", "y"], rows), "y", "--quiet")
    _, out, _ = cli("predict", "runs/t-1", "t.csv", "--proba")
    assert out.splitlines()[0] == "prediction,probability_1,probability_2"


def test_a_test_file_is_scored_as_predict_predicts(
    train: Callable[..., Any], cli: Callable[..., Any], table: Callable[..., Path], shop_test: list[list[Any]]
) -> None:
    test = table("test.csv", ["size", "weight", "colour", "fresh", "day", "kind", "price"], shop_test)
    line = summary(train("shop.csv", "kind", "--test", test, "--json"))
    _, out, _ = cli("predict", line["model"], test)
    predicted = out.splitlines()[1:]
    assert line["score"] == sum(p == row[5] for p, row in zip(predicted, shop_test, strict=True)) / len(shop_test)
    assert json.loads(cli("evaluate", line["run"], test, "--json").out)["accuracy"] == line["score"]

    line = summary(train("shop.csv", "price", "--test", test, "--json"))
    _, out, _ = cli("predict", line["model"], test)
    errors = [float(p) - row[6] for p, row in zip(out.splitlines()[1:], shop_test, strict=True)]
    assert line["score"] == pytest.approx(math.sqrt(math.fsum(e * e for e in errors) / len(errors)), rel=1e-12)
    assert json.loads(cli("evaluate", line["run"], test, "--json").out)["rmse"] == line["score"]


@pytest.fixture
def shop_test(shop: Path) -> list[list[Any]]:
    """Further rows like those of the shop: every third one of it, its size a little larger."""
    import csv

    with shop.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[1::3]
    return [[str(float(row[0]) + 0.25), *row[1:6], float(row[6])] for row in rows]


def test_all_rows_train_where_validation_and_test_are_files(
    train: Callable[..., Any], table: Callable[..., Path], shop_test: list[list[Any]]
) -> None:
    further = table("more.csv", ["size", "weight", "colour", "fresh", "day", "kind", "price"], shop_test)
    code, out, _ = train("shop.csv", "kind", "--test", further, "--validation", further)
    assert code == 0
    assert "60 training, 20 validation, 20 test (from the test file)" in out


def test_labels_of_a_test_file_may_end_in_a_dot(
    train: Callable[..., Any], table: Callable[..., Path], numbered: Any
) -> None:
    data = table("train.csv", ["a", "b", "y"], numbered(30))
    test = table("test.csv", ["a", "b", "y"], [[a, b, f"{y}."] for a, b, y in numbered(12)])
    dotted = train(data, "y", "--test", test)
    assert "The target 'y': 'p.' was taken as the class 'p' (6 rows)." in dotted.out
    plain = table("plain.csv", ["a", "b", "y"], numbered(12))
    scores = [summary(train(data, "y", "--test", file, "--json"))["score"] for file in (test, plain)]
    assert scores[0] == scores[1]


def test_headerless_files_are_recognised(train: Callable[..., Any], table: Callable[..., Path], numbered: Any) -> None:
    data = table("plain.data", None, [[a, i % 5, y] for i, (a, _, y) in enumerate(numbered(30))])
    test = table("more.data", None, [[a, i % 5, y] for i, (a, _, y) in enumerate(numbered(10))])
    code, out, _ = train(data, "last", "--test", test)
    assert code == 0
    assert "column_3: p 20, q 20" in out  # of 30 + 10 rows; no row was taken for a header
    assert config("runs/plain-1")["rows"] == {"training": 24, "validation": 6, "test": 10}


def test_no_header_is_obeyed(train: Callable[..., Any], table: Callable[..., Path], numbered: Any) -> None:
    rows = [["x", "z", "class"], *([b, "st"[i % 2], y] for i, (_, b, y) in enumerate(numbered(30)))]
    data = table("words.csv", None, rows)
    assert "30 rows, 3 columns" in train(data, "3").out
    assert "31 rows, 3 columns" in train(data, "3", "--no-header").out


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_good_weights(train: Callable[..., Any], shop: Path) -> None:
    code, out, err = train(shop, "kind", "--lr", "1e30", "--optimizer", "sgd", "--epochs", "5", "--batch", "8")
    assert code == 2
    assert err.count("\n") == 1
    assert err.startswith("error: the loss became ")
    assert " at step " in err
    assert " overflowed in layer " in err or " made '" in err
    assert "the initial weights were kept. Try a learning rate of " in err
    assert "the loss is no longer a number" in out
    assert "fallline train shop.csv --target kind" in out.splitlines()[-1]
    assert config("runs/shop-1")["stopped"] == "nan"
    model = fl.load("runs/shop-1/model.safetensors")
    assert same(model.network.parameters(), TableNetwork(model.plan, seed=0).parameters())


def test_runs_are_numbered(train: Callable[..., Any], shop: Path) -> None:
    for number in (1, 2):
        assert summary(train(shop, "kind", "--json"))["run"] == f"runs/shop-{number}"


def test_in_a_terminal_the_words_at_the_margin_are_bold_and_nothing_else() -> None:
    from rich.console import Console

    from fallline.cli import show

    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=60)
    show.print_listing(console, [("data", "three [bold]words[/bold] " + "on " * 20)])
    first, second = stream.getvalue().splitlines()
    assert first.startswith("\x1b[1mdata        \x1b[0mthree [bold]words[/bold] on")
    assert second.startswith("\x1b[1m            \x1b[0mon")
