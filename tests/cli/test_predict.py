"""`fallline predict`: one row out per row in, in order, in the words of the training data."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import fallline as fl


def read(text: str) -> tuple[list[str], list[list[str]]]:
    names, *rows = csv.reader(io.StringIO(text))
    return names, rows


def test_one_row_for_each_row_in_their_order(cli: Callable[..., Any], shop: Path, models: dict[str, Path]) -> None:
    code, out, err = cli("predict", models["kind"], shop, "--proba")
    names, rows = read(out)
    assert (code, err) == (0, "")
    assert names == ["prediction", "probability_big", "probability_small"]
    assert len(rows) == 60
    for label, *chances in rows:
        assert label == ("big" if float(chances[0]) > float(chances[1]) else "small")
        assert sum(map(float, chances)) == pytest.approx(1.0, abs=1e-12)

    header, *lines = shop.read_text(encoding="utf-8").splitlines()
    shop.write_text("\n".join([header, *reversed(lines)]), encoding="utf-8")
    assert read(cli("predict", models["kind"], shop, "--proba").out)[1] == rows[::-1]


def test_a_row_is_predicted_alone_as_among_others(
    cli: Callable[..., Any], shop: Path, models: dict[str, Path], tmp_path: Path
) -> None:
    _, rows = read(cli("predict", models["price"], shop).out)
    header, *lines = shop.read_text(encoding="utf-8").splitlines()
    (tmp_path / "one.csv").write_text("\n".join([header, lines[17]]), encoding="utf-8")
    alone = float(read(cli("predict", models["price"], "one.csv").out)[1][0][0])
    assert alone == pytest.approx(float(rows[17][0]), rel=1e-5)


@pytest.mark.parametrize("folder_or_file", ["", "model.safetensors"])
def test_the_target_and_other_columns_are_not_needed(
    cli: Callable[..., Any], shop: Path, models: dict[str, Path], tmp_path: Path, folder_or_file: str
) -> None:
    names, rows = read(shop.read_text(encoding="utf-8"))
    inputs = [3, 2, 4, 0, 1]  # in another order, without kind and price
    with (tmp_path / "inputs.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([row[i] for i in inputs] + ["new"] for row in [names, *rows])
    whole = cli("predict", models["kind"] / folder_or_file, shop).out
    assert cli("predict", models["kind"] / folder_or_file, "inputs.csv").out == whole


@pytest.mark.parametrize(
    ("labels", "written", "kind"),
    [
        (["no, thanks", 'a "yes"'], ["a \"yes\"", "no, thanks"], pa.string()),
        (["3", "7"], ["3", "7"], pa.int64()),
        (["0.5", "2.25"], ["0.5", "2.25"], pa.float64()),
        (["true", "false"], ["false", "true"], pa.string()),
        (["Größe", "naïve"], ["Größe", "naïve"], pa.string()),
    ],
)  # fmt: skip
def test_labels_come_back_as_they_were(
    cli: Callable[..., Any], train: Any, table: Any, numbered: Any, labels: list[str], written: list[str], kind: Any
) -> None:
    rows = [[a, labels["pq".index(y)]] for a, _, y in numbered(40)]
    data = table("t.csv", ["a", "y"], rows)
    assert train(data, "y", "--task", "classification", "--quiet").code == 0
    names, cells = read(cli("predict", "runs/t-1", data, "--proba").out)
    assert names == ["prediction", *(f"probability_{label}" for label in written)]
    assert {row[0] for row in cells} <= set(labels)

    code, out, err = cli("predict", "runs/t-1", data, "--proba", "--out", "p.csv")
    assert (code, out, err) == (0, "", "40 predictions written to p.csv\n")
    assert read(Path("p.csv").read_text(encoding="utf-8")) == (names, cells)

    assert cli("predict", "runs/t-1", data, "--proba", "--out", "p.parquet").code == 0
    stored = pq.read_table("p.parquet")
    assert stored.column_names == names
    assert stored.schema.field("prediction").type == kind
    assert [str(value) for value in stored["prediction"].to_pylist()] == [row[0] for row in cells]
    assert stored[names[1]].to_pylist() == [float(row[1]) for row in cells]  # all digits
    assert duckdb.sql("SELECT count(*) FROM 'p.parquet'").fetchall() == [(40,)]
    assert sorted(path.name for path in Path(".").iterdir()) == ["p.csv", "p.parquet", "runs", "t.csv"]


def test_truth_values_come_back_as_such(cli: Callable[..., Any], train: Any, tmp_path: Path) -> None:
    numbers = np.arange(40.0) % 7
    pq.write_table(pa.table({"a": numbers, "y": numbers > 3}), tmp_path / "t.parquet")
    assert train("t.parquet", "y", "--quiet").code == 0
    assert cli("predict", "runs/t-1", "t.parquet", "--out", "p.parquet").code == 0
    assert pq.read_table("p.parquet").schema.field("prediction").type == pa.bool_()


def test_numbers_have_all_their_digits(cli: Callable[..., Any], shop: Path, models: dict[str, Path]) -> None:
    _, rows = read(cli("predict", models["price"], shop).out)
    cli("predict", models["price"], shop, "--out", "p.parquet")
    values = fl.load(models["price"] / "model.safetensors").predict(str(shop))
    assert [float(row[0]) for row in rows] == values.tolist()
    assert pq.read_table("p.parquet")["prediction"].to_pylist() == values.tolist()


def test_names_that_parquet_cannot_tell_apart(cli: Callable[..., Any], train: Any, table: Any, numbered: Any) -> None:
    data = table("t.csv", ["a", "y"], [[a, "Yes" if y == "p" else "yes"] for a, _, y in numbered(40)])
    train(data, "y", "--quiet")
    code, _, err = cli("predict", "runs/t-1", data, "--proba", "--out", "p.parquet")
    assert code == 2
    assert err.splitlines()[-1] == (
        "error: the columns 'probability_Yes' and 'probability_yes' differ in capital letters only, which a Parquet "
        "file made here cannot hold; give --out a name that ends in .csv"
    )
    assert not Path("p.parquet").exists()
    assert cli("predict", "runs/t-1", data, "--proba", "--out", "p.csv").code == 0


def test_an_old_file_is_replaced_whole(cli: Callable[..., Any], shop: Path, models: dict[str, Path]) -> None:
    Path("p.csv").write_text("old")
    assert cli("predict", models["kind"], shop, "--out", "p.csv").code == 0
    assert Path("p.csv").read_text(encoding="utf-8").startswith("prediction\n")


def test_gaps_and_news_are_predicted_all_the_same(cli: Callable[..., Any], table: Any, models: dict[str, Path]) -> None:
    names = ["size", "weight", "colour", "fresh", "day"]
    rows = [["", "", "", "", ""], [1e12, -1e12, "violet", "maybe", "1970-01-01"], ["inf", 0, "red", "true", ""]]
    code, out, err = cli("predict", models["price"], table("new.csv", names, rows))
    values = [float(row[0]) for row in read(out)[1]]
    assert code == 0
    assert len(values) == 3
    assert np.isfinite(values).all()
    assert sorted(line.split(":")[0] for line in err.splitlines()) == ["note"] * 3


def test_headerless_rows_go_by_their_place(cli: Callable[..., Any], train: Any, table: Any, numbered: Any) -> None:
    data = table("t.data", None, numbered(30))
    train(data, "last", "--no-header", "--quiet")
    rows = table("more.data", None, [[a, b] for a, b, _ in numbered(9)])
    code, out, _ = cli("predict", "runs/t-1", rows, "--no-header")
    assert (code, out.count("\n")) == (0, 10)
