"""Files and targets that cannot be learnt from: one sentence, exit code 2, and nothing left behind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

TINY = ("--hidden", "4", "--epochs", "1")
Refused = Callable[..., str]
Make = Callable[..., Path]


def training(data: Any, target: Any, *words: Any) -> tuple[Any, ...]:
    return ("train", data, "--target", target, *TINY, *words)


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
    assert refused(*training("folder", "y")) == (
        "folder is a folder without images, CSV or Parquet files: give a file. It is empty."
    )


def test_another_encoding_is_read_and_told(train: Callable[..., Any], tmp_path: Path, numbered: Any) -> None:
    lines = ["a,städte,y", *(f"{a},{'Zürich' if b == 'u' else b},{y}" for a, b, y in numbered(30))]
    (tmp_path / "t.csv").write_bytes("\n".join(lines).encode("latin-1"))
    code, out, _ = train("t.csv", "y")
    assert code == 0
    assert "note        t.csv is not UTF-8 (line 1): read as Latin-1." in out
    assert "1 category (städte)" in out


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
    assert sentence.startswith("shop.csv, row 1 (line 2), target 'kind': expected a number for regression, found '")


@pytest.mark.parametrize("rows", [1, 2, 3])
@pytest.mark.parametrize("values", [[0.5, 1.25, 7.5], ["p", "q", "p"]])
def test_too_few_rows(refused: Refused, table: Make, rows: int, values: list[Any]) -> None:
    data = table("t.csv", ["a", "y"], [[i, values[i]] for i in range(rows)])
    assert refused(*training(data, "y")) == (
        f"t.csv has {rows} row{'s' if rows > 1 else ''} with a target; 4 are needed: 2 to train on, 1 for validation, "
        "1 for the test. Give more rows."
    )


def test_four_rows_are_enough(train: Callable[..., Any], table: Make) -> None:
    for name, values in {"n.csv": [0.5, 1.25, 7.5, 2], "w.csv": ["p", "q", "p", "q"]}.items():
        code, out, _ = train(table(name, ["a", "y"], [[i, value] for i, value in enumerate(values)]), "y")
        assert code == 0
        assert "2 training, 1 validation, 1 test" in out


def test_a_share_that_leaves_too_few(refused: Refused, table: Make) -> None:
    data = table("t.csv", ["a", "y"], [[i, i * 0.7] for i in range(5)])
    assert refused(*training(data, "y", "--validation", "0.9")) == (
        "t.csv: 1 row is left to train on after setting some aside; 2 are needed. Give more rows, or set a smaller "
        "share aside for validation."
    )
