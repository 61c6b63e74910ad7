"""Whatever is wrong with what a person gives: one sentence, exit code 2, and nothing left behind."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import fallline as fl
from fallline import nn
from fallline.cli.main import cli as commands

TINY = ("--hidden", "4", "--epochs", "1")
Refused = Callable[..., str]
Make = Callable[..., Path]


def training(data: Any, target: Any, *words: Any) -> tuple[Any, ...]:
    return ("train", data, "--target", target, *TINY, *words)


# ---- files


def test_a_missing_file_gets_the_nearest_name(refused: Refused, shop: Path) -> None:
    assert refused(*training("shpo.csv", "kind")) == "shpo.csv is not there: did you mean 'shop.csv'?"
    assert refused(*training("no/shop.csv", "kind")) == "no/shop.csv is not there: the folder no does not exist."


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "t.csv is empty: there is no row to read."),
        (b" \n\n", "t.csv is empty: there is no row to read."),
        (b"a,b,y\n", "t.csv holds column names and no rows: add rows, or say that it has no header."),
        (
            b"a,b,y\n1,2,3\n1,2\n3,4,5\n",
            "t.csv, line 3: 2 cells separated by commas, where 3 were expected as in most lines. Correct that line, or "
            "put quotes around cells that hold a comma.",
        ),
        (b"a,y\n1,2\n\x00,3\n", "t.csv is not text: it holds a zero byte in line 3. Export it as CSV in UTF-8."),
        (b"a,y\n1,2\n\x01\xff,3\n", "t.csv is not text: line 3 is neither UTF-8 nor Latin-1. Export it"),
        (b"PK\x03\x04", "t.csv is a zip or Excel file, not text: give it the file ending"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_table(refused: Refused, tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    assert refused(*training("t.csv", "y")).startswith(sentence)


def test_a_file_of_an_unknown_kind(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "t.xlsx").write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    assert refused(*training("t.xlsx", "y")).startswith("t.xlsx is a spreadsheet, which cannot be read: save the sheet")
    assert refused(*training("folder", "y")) == "folder is a folder: give a file in it."


def test_another_encoding_is_read_and_told(train: Callable[..., Any], tmp_path: Path, numbered: Any) -> None:
    lines = ["a,städte,y", *(f"{a},{'Zürich' if b == 'u' else b},{y}" for a, b, y in numbered(30))]
    (tmp_path / "t.csv").write_bytes("\n".join(lines).encode("latin-1"))
    code, out, _ = train("t.csv", "y")
    assert code == 0
    assert "note        t.csv is not UTF-8 (line 1): read as Latin-1." in out
    assert "1 category (städte)" in out


# ---- the target


def test_a_missing_target_option_lists_the_columns_and_suggests_one(cli: Callable[..., Any], shop: Path) -> None:
    code, out, err = cli("train", "shop.csv")
    assert (code, out) == (2, "")
    assert err.splitlines()[0] == "error: which column is to be predicted? shop.csv has 7 columns:"
    assert [line.split()[1] for line in err.splitlines()[1:8]] == [
        "size",
        "weight",
        "colour",
        "fresh",
        "day",
        "kind",
        "price",
    ]
    assert err.splitlines()[-2:] == ["'price' is a usual name for a target; try:",
                                     "  fallline train shop.csv --target price"]  # fmt: skip


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("knd", "shop.csv has no column 'knd': did you mean 'kind'?"),
        ("9", "shop.csv has no column number 9: it has 7 columns, counted from 1."),
        ("0", "shop.csv has no column number 0: it has 7 columns, counted from 1."),
    ],
)
def test_a_target_that_is_not_there(refused: Refused, shop: Path, target: str, sentence: str) -> None:
    assert refused(*training(shop, target)) == sentence


def test_dates_cannot_be_predicted(refused: Refused, tmp_path: Path) -> None:
    days = np.datetime64("2024-01-01") + np.arange(30)
    pq.write_table(pa.table({"a": np.arange(30.0) ** 0.5, "day": days}), tmp_path / "t.parquet")
    assert refused(*training("t.parquet", "day")) == (
        "The target holds dates, which cannot be predicted: choose numbers or classes."
    )


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        ([""] * 30, "t.csv: the target 'y' is missing in all 30 rows. Choose another target."),
        (
            ["p"] * 30,
            "The target 'y' has one class only, 'p', in 30 rows; a classifier needs at least two. Choose another "
            "target, or add rows of another class.",
        ),
        ([5] * 30, "The target 'y' is 5 in all 30 rows: there is nothing to learn. Choose another target."),
        (
            ["inf" if i == 3 else i * 0.5 for i in range(30)],
            "t.csv, row 4 (line 5), target 'y': the target is infinite. Correct it, or leave that row out.",
        ),
        (
            [f"c{i}" for i in range(30)],
            "30 rows in 30 classes cannot be split for test: every class has one row only, which training needs. "
            "Give more rows of each class.",
        ),
    ],
)
def test_a_target_column_that_cannot_be_learnt(
    refused: Refused, table: Make, numbered: Any, cells: list[Any], sentence: str
) -> None:
    data = table("t.csv", ["a", "b", "y"], [[a, b, y] for (a, b, _), y in zip(numbered(30), cells, strict=True)])
    assert refused(*training(data, "y")) == sentence


def test_text_is_no_number(refused: Refused, shop: Path) -> None:
    sentence = refused(*training(shop, "kind", "--task", "regression"))
    assert sentence.startswith(
        "shop.csv, row 1 (line 2), target 'kind': expected a number for regression, found 'small'"
    )


@pytest.mark.parametrize("rows", [1, 2, 3])
@pytest.mark.parametrize("numbers", [True, False])
def test_too_few_rows(refused: Refused, table: Make, rows: int, numbers: bool) -> None:
    values = [0.5, 1.25, 7.5] if numbers else ["p", "q", "p"]
    data = table("t.csv", ["a", "y"], [[i, values[i]] for i in range(rows)])
    sentence = refused(*training(data, "y"))
    assert "at least" in sentence or "Give more rows" in sentence or "Choose another target" in sentence


def test_three_rows_of_numbers_leave_one_for_training(refused: Refused, table: Make) -> None:
    data = table("t.csv", ["a", "y"], [[1, 0.5], [2, 1.25], [3, 7.5]])
    assert refused(*training(data, "y")) == (
        "t.csv has 3 rows with a target; after setting some aside for validation and test, training needs at least 2. "
        "Give more rows."
    )


# ---- the other columns


def test_no_column_is_left(refused: Refused, table: Make, numbered: Any) -> None:
    data = table("t.csv", ["a", "b", "y"], [[1, 2, y] for _, _, y in numbered(30)])
    sentence = (
        "t.csv: no column is left to learn from: all are dropped or have one value only in the 19 training rows. "
        "Give a table with columns that vary."
    )
    assert refused(*training(data, "y")) == sentence
    assert refused(*training(data, "y", "--drop", "a", "--drop", "b")) == sentence
    only = table("one.csv", ["y"], [[y] for _, _, y in numbered(30)])
    assert "no column is left to learn from" in refused(*training(only, "y"))


def test_columns_that_are_not_there(refused: Refused, shop: Path) -> None:
    assert refused(*training(shop, "kind", "--drop", "pric")) == "shop.csv has no column 'pric': did you mean 'price'?"
    assert refused(*training(shop, "kind", "--drop", "kind")) == (
        "the target 'kind' cannot be dropped or be the weight column as well"
    )
    assert refused(*training(shop, "kind", "--weight-column", "wight")) == (
        "shop.csv has no column 'wight': did you mean 'weight'?"
    )


def test_weights_that_cannot_be(refused: Refused, shop: Path, table: Make, numbered: Any) -> None:
    need = "the weight column {!r} must hold a finite number of 0 or more in every row"
    assert refused(*training(shop, "kind", "--weight-column", "colour")) == (
        need.format("colour") + "; it holds text. Choose another column."
    )
    sentence = refused(*training(shop, "kind", "--weight-column", "weight"))
    assert sentence.startswith("shop.csv, row ")
    assert need.format("weight") + ", found " in sentence
    zero = table("t.csv", ["a", "w", "y"], [[a, 0, y] for a, _, y in numbered(30)])
    assert refused(*training(zero, "y", "--weight-column", "w")) == (
        need.format("w") + "; all of them are 0, so that no row counts. Choose another column."
    )


def test_the_same_name_twice_is_told(train: Callable[..., Any], table: Make, numbered: Any) -> None:
    data = table("t.csv", ["a", "a", "y"], numbered(30))
    told = " ".join(train(data, "y").out.split())
    assert "note t.csv: Columns 1 and 2 are both named 'a': the later one is called 'a_2'." in told


def test_odd_names_are_names(cli: Callable[..., Any], train: Callable[..., Any], table: Make, numbered: Any) -> None:
    names = ["two words", 'say "no"', "größe €", "a\nb", "it's, that", "[bold]", "zu messen"]
    rows = [[a, a + i % 3, -a, i % 4, i % 5, i % 7, y] for i, (a, _, y) in enumerate(numbered(40))]
    data = table("t.csv", names, rows)
    code, out, err = train(data, "zu messen")
    assert (code, err) == (0, "")
    assert "größe €" in out
    assert "[bold]" in out
    assert fl.load("runs/t-1/model.safetensors").encoder.source_columns == names[:-1]
    assert cli("predict", "runs/t-1", data).out.count("\n") == 41


def test_numbers_that_are_huge_or_infinite_do_no_harm(
    cli: Callable[..., Any], train: Callable[..., Any], table: Make, numbered: Any
) -> None:
    rows = [[a * 1e300, "inf" if i % 9 == 0 else a, "-inf", 1e-310 * i, y] for i, (a, _, y) in enumerate(numbered(40))]
    data = table("t.csv", ["huge", "some", "all", "tiny", "y"], rows)
    code, out, err = train(data, "y")
    assert (code, err) == (0, "")
    assert "infinite values, taken as missing." in out
    assert cli("predict", "runs/t-1", data).out.count("\n") == 41


@pytest.mark.parametrize("scale", [1e300, 1e-300, 1e30])
def test_targets_of_any_size_are_learnt(
    cli: Callable[..., Any], train: Callable[..., Any], table: Make, numbered: Any, scale: float
) -> None:
    data = table("t.csv", ["a", "b", "y"], [[a, b, (a + 1) * scale] for a, b, _ in numbered(40)])
    code, out, err = train(data, "y", "--json")
    assert (code, err) == (0, ""), err
    assert 0.01 < json.loads(out)["score"] / scale < 100
    assert train(data, "y").err == ""


def test_long_cells_and_many_columns(train: Callable[..., Any], table: Make, numbered: Any) -> None:
    long = table("long.csv", ["a", "text", "y"], [[a, b * 300_000, y] for a, b, y in numbered(30)])
    assert train(long, "y", "--quiet") == (0, "", "")
    wide = table("wide.csv", [*(f"c{i}" for i in range(1000)), "y"], [[*(a * i % 7 for i in range(1000)), y]
                                                                      for a, _, y in numbered(30)])  # fmt: skip
    code, out, _ = train(wide, "y")
    assert code == 0
    assert "(c1, c2, c3, c4, c5, c6, c7, c8, …)" in " ".join(out.split())
    assert len(out.splitlines()) < 30


# ---- options


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--lr 0", "optim.AdamW(lr=0.0): lr must be greater than 0, found 0.0."),
        ("--lr -1", "optim.AdamW(lr=-1.0): lr must be greater than 0, found -1.0."),
        ("--lr nan", "optim.AdamW(lr=nan): lr must be a finite number, found nan."),
        ("--lr x", "Invalid value for '--lr': 'x' is not a valid float; `fallline train --help` lists"),
        ("--optimizer adm", "optim.by_name('adm'): no optimizer is named so: did you mean 'adam'?"),
        ("--activation rel", "no activation is named 'rel': did you mean 'relu'?"),
        ("--schedule cosin", "schedules.by_name('cosin'): no schedule is named so: did you mean 'cosine'?"),
        ("--dropout nan", "nn.Dropout: p must be at least 0 and less than 1, found nan"),
        ("--dropout 1", "Invalid value for '--dropout': 1.0 is not in the range 0.0<=x<1.0"),
        ("--validation 2", "Invalid value for '--validation': need a share between 0 and 1, such as 0.2, or a file"),
        ("--validation nan", "Invalid value for '--validation': need a share between 0 and 1, such as 0.2, or a file"),
        ("--validation shp.csv", "shp.csv is not there: did you mean 'shop.csv'?"),
        ("--test shp.csv", "shp.csv is not there: did you mean 'shop.csv'?"),
        ("--batch 0", "Invalid value for '--batch': need a whole number of at least 1, or all; found '0'"),
        ("--batch ²", "Invalid value for '--batch': need a whole number of at least 1, or all; found '²'"),
        (
            "--hidden 8,0",
            "Invalid value for '--hidden': need widths such as 128 or 256,256, or none for a linear model",
        ),
        ("--hidden 900000,900000", "a network with hidden layers of 900000, 900000 has 810,0"),
        ("--epochs 0", "Invalid value for '--epochs': 0 is not in the range x>=1"),
        ("--patience 0", "Invalid value for '--patience': 0 is not in the range x>=1"),
        ("--shards 0", "Invalid value for '--shards': 0 is not in the range x>=1"),
        ("--seed -1", "Invalid value for '--seed': -1 is not in the range 0<=x<="),
        (f"--seed {2**63}", f"Invalid value for '--seed': {2**63} is not in the range 0<=x<={2**63 - 1}"),
        ("--task clustering", "Invalid value for '--task': 'clustering' is not one of 'auto', 'classification', 'regr"),
        ("--class-weight rare", "Invalid value for '--class-weight': 'rare' is not 'balanced'"),
        ("--bogus", "No such option '--bogus'"),
    ],
)
def test_options_that_cannot_be(refused: Refused, shop: Path, words: str, sentence: str) -> None:
    assert refused(*training(shop, "kind"), *words.split()).startswith(sentence)


def test_class_weights_are_for_classes(refused: Refused, shop: Path) -> None:
    assert refused(*training(shop, "price", "--class-weight", "balanced")) == (
        "class weights are for classes, and 'price' is predicted as a number; leave --class-weight away, or ask for "
        "--task classification"
    )


def test_a_run_folder_is_never_written_over(refused: Refused, shop: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("precious")
    assert refused(*training(shop, "kind", "--out", "mine")) == (
        "the run folder 'mine' exists already and is not empty; choose another name with --out, or remove it"
    )
    assert refused(*training(shop, "kind", "--out", "shop.csv")) == (
        "the run folder 'shop.csv' is a file; choose another name with --out, or remove it"
    )
    assert refused(*training(shop, "kind", "--out", "shop.csv/run")) == (
        f"cannot make the run folder 'shop.csv/run': {tmp_path / 'shop.csv'} is a file; choose another with --out"
    )
    assert "File name too long" in refused(*training(shop, "kind", "--out", "x" * 300))


@pytest.mark.parametrize("option", ["--test", "--validation"])
def test_further_files_are_looked_at_before_training(refused: Refused, shop: Path, table: Make, option: str) -> None:
    names = ["size", "weight", "colour", "fresh", "day", "kind", "price"]
    row = [1.5, 2.5, "red", "true", "2024-01-02", "big", 3.5]
    new = table("new.csv", names, [row, [*row[:5], "huge", 3.5]])
    assert refused(*training(shop, "kind", option, new)) == (
        "new.csv, row 2 (line 3), target 'kind': 'huge' is none of the classes of training: 'big', 'small'."
    )
    less = table("less.csv", names[1:], [row[1:], row[1:]])
    assert refused(*training(shop, "kind", option, less)).startswith("less.csv lacks the column 'size' of training")
    none = table("none.csv", ["size", "colour"], [[1, "red"], [2, "red"]])
    assert refused(*training(shop, "kind", option, none)) == (
        "none.csv has no column 'kind', the target; it cannot be used to judge a model."
    )


def test_a_model_to_go_on_from_must_fit(refused: Refused, shop: Path, models: dict[str, Path]) -> None:
    init = ("--init", models["kind"])
    words = ("train", shop, "--target")
    assert refused(*words, "price", *init) == (
        "the model that training starts from predicts 'kind' (classification), not 'price' (classification); name the "
        "same target or leave --init away"
    )
    assert refused(*words, "kind", *init, "--hidden", "8,8") == (
        "the model that training starts from has hidden (4,); it cannot become (8, 8)"
    )
    assert refused(*words, "kind", *init, "--activation", "tanh") == (
        "the model that training starts from has activation relu; it cannot become tanh"
    )
    assert refused(*words, "kind", *init, "--drop", "size").startswith(
        "the model that training starts from uses the column 'size'; it cannot be left out."
    )
    assert refused(*words, "kind", "--init", "nowhere").startswith("there is no model file 'nowhere'")


# ---- models and rows to predict


def changed(models: dict[str, Path], tmp_path: Path, **metadata: Any) -> Path:
    """The model of kinds with other metadata."""
    with safe_open(models["kind"] / "model.safetensors", framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        stored = {**json.loads(file.metadata()["fallline"]), **metadata}
    save_file(arrays, tmp_path / "changed.safetensors", metadata={"fallline": json.dumps(stored)})
    return Path("changed.safetensors")


def test_model_files_that_are_none(refused: Refused, shop: Path, models: dict[str, Path], tmp_path: Path) -> None:
    assert refused("predict", "nowhere", shop).startswith("there is no model file 'nowhere'")
    assert refused("predict", shop, shop).startswith("'shop.csv' is not a whole safetensors file (")
    (tmp_path / "empty").mkdir()
    assert refused("predict", "empty", shop).startswith("there is no model file 'empty/model.safetensors'")
    data = (models["kind"] / "model.safetensors").read_bytes()
    for length in (0, 7, 100, len(data) // 2, len(data) - 1):
        (tmp_path / "cut.safetensors").write_bytes(data[:length])
        assert refused("predict", "cut.safetensors", shop).endswith("it may be truncated: save or copy it again")
    save_file({"x": np.zeros(3)}, tmp_path / "foreign.safetensors")
    assert refused("predict", "foreign.safetensors", shop) == (
        "'foreign.safetensors' holds tensors, but was not written by Fallline: it has no prediction graph"
    )
    assert refused("predict", changed(models, tmp_path, format=99), shop).startswith(
        "'changed.safetensors' has model format 99; this Fallline reads format 1: use the version that wrote it"
    )


def test_a_network_of_python_has_no_encoders(refused: Refused, shop: Path, tmp_path: Path) -> None:
    nn.Sequential(nn.Linear(2, 2)).save(tmp_path / "net.safetensors")
    for command in ("predict", "evaluate", "check"):
        assert refused(command, "net.safetensors", shop).startswith(
            "'net.safetensors' is a network without encoders, made in Python: open it there with fl.load"
        )
    assert refused(*training(shop, "kind", "--init", "net.safetensors")).startswith(
        "'net.safetensors' is a network without encoders; --init needs a model made by `fallline train`"
    )


def test_rows_that_do_not_fit_the_model(
    refused: Refused, cli: Callable[..., Any], table: Make, models: dict[str, Path]
) -> None:
    names = ["size", "weight", "colour", "fresh", "day"]
    row = [1.5, 2.5, "red", "true", "2024-01-02"]
    less = table("less.csv", names[:-1], [row[:-1], row[:-1]])
    assert refused("predict", models["kind"], less).startswith("less.csv lacks the column 'day' of training: ")
    words = table("words.csv", names, [row, ["large", *row[1:]]])
    assert refused("predict", models["kind"], words, "--out", "out.csv") == (
        "words.csv, row 2 (line 3), column 'size': expected a number as in training, found 'large'. Correct that cell, "
        "or leave it empty."
    )
    never = table("never.csv", names, [row, [*row[:4], "someday"]])
    assert refused("predict", models["kind"], never).startswith(
        "never.csv, row 2 (line 3), column 'day': expected a date as in training (YYYY-MM-DD), found 'someday'."
    )
    assert refused("predict", models["price"], "--proba", less) == (
        "this model predicts numbers ('price'); it has no classes"
    )
    new = table("new.csv", names, [row, [1.5, 2.5, "violet", "true", "2024-01-02"]])
    code, out, err = cli("predict", models["kind"], new)
    assert (code, out.count("\n")) == (0, 3)
    assert err == "note: Column 'colour' holds categories that training did not see: 'violet'.\n"


def test_labels_that_training_did_not_see(refused: Refused, table: Make, models: dict[str, Path]) -> None:
    names = ["size", "weight", "colour", "fresh", "day", "kind"]
    row = [1.5, 2.5, "red", "true", "2024-01-02", "big"]
    data = table("new.csv", names, [row, [*row[:5], "medium"]])
    assert refused("evaluate", models["kind"], data) == (
        "new.csv, row 2 (line 3), target 'kind': 'medium' is none of the classes of training: 'big', 'small'."
    )
    less = table("less.csv", names[:-1], [row[:-1], row[:-1]])
    assert refused("evaluate", models["kind"], less).startswith("less.csv has no column 'kind'")


def test_predictions_go_nowhere_but_where_they_can(refused: Refused, shop: Path, models: dict[str, Path]) -> None:
    assert refused("predict", models["kind"], shop, "--out", "no/such/file.csv") == (
        "cannot write 'no/such/file.csv': No such file or directory; choose a folder that exists, is writable and has "
        "1 MB free"
    )


# ---- a full disk


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


# ---- our own faults


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
