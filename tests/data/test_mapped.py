"""Columns in files are those in memory, cell by cell; what is half-written, changed or damaged is no table."""

import csv
import gzip
import io
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fallline.data import delimited_head, encoded, mapped, parquet_parts, scratch
from fallline.data.sources import read_table
from fallline.data.spelling import is_missing
from fallline.data.table import Table
from fallline.errors import DataError

NUMBERS = ["", "NA", "?", "1", "2", "-7", "1.5", "1e3", " 4 ", "9007199254740993", "-0", "inf", "nan", "1_000", "0x10"]
TEXTS = ["red", "blue", " red", "a b", "café", "naïve\u00a0", "True", "2020-01-31", "x" * 40, 'say "so"', "a,b"]
CELLS = st.sampled_from([*NUMBERS, *TEXTS])
KINDS = {
    "numbers": ["1.5", "2", "-7", "", "NA", "1e3", "inf"],
    "whole": ["1", "2", "-7", "40"],
    "large": ["1", "9007199254740993", "-9007199254740995"],
    "text": ["red", "blue", "", "café", "a b", 'say "so"'],
    "mostly": ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "x"],
}


@pytest.fixture(autouse=True)
def _memory_again() -> Iterator[None]:
    yield
    scratch.use(None)


def require_same(found: Table, wanted: Table) -> None:
    assert found.names == wanted.names
    assert len(found) == len(wanted)
    for name in wanted.names:
        one, other = (np.asarray(table.columns[name]) for table in (found, wanted))
        assert one.dtype == other.dtype, name
        if other.dtype.kind == "f":
            assert np.array_equal(one, other, equal_nan=True), name
            assert np.array_equal(np.signbit(one[one == 0]), np.signbit(other[other == 0]))
        else:
            assert one.tolist() == other.tolist(), name
    assert found.notices == wanted.notices


def written(rows: list[list[str]], path: Path, end: str = "\n") -> Path:
    text = io.StringIO()
    csv.writer(text, lineterminator=end).writerows(rows)
    path.write_bytes(text.getvalue().encode())
    return path


@given(st.data())
@settings(max_examples=20)
def test_delimited_text_has_the_same_columns_in_files_as_in_memory(data: st.DataObject) -> None:
    width = data.draw(st.integers(2, 4))
    kinds = [data.draw(st.sampled_from([*KINDS, "any"])) for _ in range(width)]
    cells = [CELLS if kind == "any" else st.sampled_from(KINDS[kind]) for kind in kinds]
    rows = data.draw(st.lists(st.tuples(*cells).map(list), min_size=2, max_size=60))
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    header = [f"column {k}" for k in range(width)] if data.draw(st.booleans()) else []
    end = data.draw(st.sampled_from(["\n", "\r\n"]))
    with tempfile.TemporaryDirectory() as name:
        path = written([header, *rows] if header else rows, Path(name) / "t.csv", end)
        try:
            wanted = read_table(path)
        except DataError:
            return  # test_delimited.py is about those
        with patch.object(delimited_head, "PART_BYTES", 150), patch.object(delimited_head, "SAMPLE_BYTES", 200):
            require_same(read_table(path, mapped=True, folder=Path(name) / "columns"), wanted)


def test_marks_of_missing_cells_that_come_late_are_missing(tmp_path: Path) -> None:
    """They are looked for among numbers from the first part on in which one is; among texts always."""
    rows = [[f"{k}.5", "x" if k % 2 else "y", "1"] for k in range(300)]
    rows[200][1], rows[230][0], rows[250][1], rows[260][2], rows[270][0] = "NA", "n/a", "?", "NULL", "nan"
    path = written([["a", "b", "c"], *rows], tmp_path / "t.csv", "\n")
    with patch.object(delimited_head, "PART_BYTES", 150), patch.object(delimited_head, "SAMPLE_BYTES", 200):
        table = read_table(path, mapped=True, folder=tmp_path / "columns")
    require_same(table, read_table(path))
    missing = [np.flatnonzero(is_missing(table.columns[name])).tolist() for name in "abc"]
    assert missing == [[230, 270], [200, 250], [260]]


CELLS_OF = {
    pa.int64(): st.integers(-(2**40), 2**40),
    pa.int8(): st.integers(-100, 100),
    pa.float64(): st.floats(allow_nan=True),
    pa.float32(): st.floats(width=32),
    pa.bool_(): st.booleans(),
    pa.string(): st.sampled_from(["red", " red", "NA", "", "blau", "1"]),
    pa.timestamp("us"): st.datetimes(),
    pa.date32(): st.dates(),
}


@given(st.data())
@settings(max_examples=20)
def test_parquet_has_the_same_columns_in_files_as_in_memory(data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 40))
    kinds = data.draw(st.lists(st.sampled_from(list(CELLS_OF)), min_size=1, max_size=4))
    columns = {}
    for k, kind in enumerate(kinds):
        cell = CELLS_OF[kind] | st.none() if data.draw(st.booleans()) else CELLS_OF[kind]
        columns[f"c{k}"] = pa.array(data.draw(st.lists(cell, min_size=rows, max_size=rows)), kind)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "t.parquet"
        pq.write_table(pa.table(columns), path, row_group_size=7)
        with patch.object(parquet_parts, "ROWS", 9):
            require_same(read_table(path, mapped=True, folder=Path(name) / "columns"), read_table(path))


ROWS = [["size", "colour"], ["1.5", "red"], ["", "blue"], ["2", "NA"], ["3", "red"], ["4", "grey"]]


@pytest.mark.parametrize("how", [False, True])
@pytest.mark.parametrize("source", ["folder", "folder/*.csv", "packed/p*"])
def test_files_of_a_folder_or_a_pattern_are_one_table(tmp_path: Path, how: bool, source: str) -> None:
    whole = read_table(written(ROWS, tmp_path / "whole.csv"))
    for folder in ("folder", "packed"):
        (tmp_path / folder).mkdir()
        written([ROWS[0], *ROWS[3:]], tmp_path / folder / "part-2.csv")
        written(ROWS[:3], tmp_path / folder / "part-1.csv")
        (tmp_path / folder / "_SUCCESS").write_text("")
    for path in (tmp_path / "packed").glob("*.csv"):
        path.with_suffix(".csv.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    found = read_table(str(tmp_path / source), mapped=how, folder=tmp_path / "columns")
    require_same(found, whole)
    assert found.place(3) == f"{tmp_path / source}, row 4"


@pytest.mark.parametrize("how", [False, True])
def test_parquet_files_are_one_table(tmp_path: Path, how: bool) -> None:
    table = pa.table({"size": [1, 2, 3], "colour": ["red", None, "blue"]})
    pq.write_table(table.slice(2), tmp_path / "b.parquet")
    pq.write_table(table.slice(0, 2), tmp_path / "a.parquet")
    found = read_table(str(tmp_path / "*.parquet"), mapped=how, folder=tmp_path / "columns")
    assert found.columns["size"].tolist() == [1, 2, 3]
    assert np.asarray(found.columns["colour"]).tolist() == ["red", None, "blue"]


@pytest.mark.parametrize("how", [False, True])
def test_files_with_other_columns_are_refused_with_the_difference(tmp_path: Path, how: bool) -> None:
    def refused(second: list[str]) -> str:
        shutil.rmtree(tmp_path / "in", ignore_errors=True)
        (tmp_path / "in").mkdir()
        written(ROWS, tmp_path / "in" / "a.csv")
        written([second, ["1", "2", "3"][: len(second)]], tmp_path / "in" / "b.csv")
        with pytest.raises(DataError) as error:
            read_table(tmp_path / "in", mapped=how, folder=tmp_path / "columns")
        return str(error.value).replace(f"{tmp_path}/in/", "")

    same = ": files of one table need the same columns."
    assert refused(["size", "hue"]) == (
        f"b.csv lacks the column 'colour', which a.csv has, and has the column 'hue', which a.csv has not{same}"
    )
    assert refused(["size", "colour", "weight"]) == f"b.csv has the column 'weight', which a.csv has not{same}"
    assert refused(["colour", "size"]) == (
        "b.csv has the columns of a.csv in another order: files of one table need the same columns in one order."
    )


def test_parquet_files_with_other_types_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"size": [1]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"size": ["1"]}), tmp_path / "b.parquet")
    for how in (False, True):
        with pytest.raises(DataError, match=r"b.parquet, column 'size': its cells are VARCHAR, and BIGINT in .*a.parq"):
            read_table(tmp_path, mapped=how, folder=tmp_path / "columns")


def test_what_no_table_can_be_made_of_is_refused(tmp_path: Path) -> None:
    def refused(source: str, **how: Any) -> str:
        with pytest.raises(DataError) as error:
            read_table(str(tmp_path / source), **how)
        return str(error.value).replace(str(tmp_path), "X")

    (tmp_path / "in").mkdir()
    assert refused("in") == "X/in is a folder without images, CSV or Parquet files: give a file. It is empty."
    (tmp_path / "in" / "notes.md").write_text("x")
    assert refused("in") == "X/in is a folder without images, CSV or Parquet files: give a file. It holds notes.md."
    assert refused("in/*.csv") == "no file matches 'X/in/*.csv': correct the pattern, or give a file or a folder."
    written(ROWS, tmp_path / "in" / "a.csv")
    (tmp_path / "in" / "b.tsv").write_text("size\tcolour\n1\tred\n")
    assert refused("in").startswith("X/in means files of several kinds, such as a.csv and b.tsv: files of one table")
    (tmp_path / "x.jsonl").write_text('{"a": 1}\n{"a": 2}\n')
    assert refused("x.jsonl", mapped=True) == (
        "X/x.jsonl cannot be mapped: only columns of CSV and Parquet files can. Read it in memory."
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"a,b\n1,2\n\n3,4\n", "2 cells were expected in each, and a row must be one line"),
        (b'a,b\n1,"2\n2"\n3,4\n', "2 cells were expected in each, and a row must be one line"),
        (b"a,b\n1,2\n3,4,5\n" + b"1,2\n" * 9, "t.csv, line 3: 3 cells separated by commas, where 2 were expected"),
        (b"a,b\n1,2\r3,4\n5,6\r\n", "the line ends are of several kinds"),
        (b"a,b\n1,caf\xe9\n", "t.csv is not UTF-8 (line 2), as a table that is mapped must be: save it as UTF-8."),
    ],
)
def test_text_that_is_not_even_is_refused_in_parts(tmp_path: Path, text: bytes, told: str) -> None:
    (tmp_path / "t.csv").write_bytes(text)
    with pytest.raises(DataError) as error:
        read_table(tmp_path / "t.csv", mapped=True, folder=tmp_path / "columns")
    assert told in str(error.value)
    assert not (tmp_path / "columns").exists()


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return written([ROWS[0], *ROWS[1:] * 200], tmp_path / "shop.csv")


def reading(shop: Path, told: Callable[[int, int], None] = lambda done, whole: None, **how: Any) -> Table:
    with patch.object(delimited_head, "PART_BYTES", 1000):
        return read_table(shop, mapped=True, folder=shop.parent / "columns", told=told, **how)


def test_a_reading_that_is_interrupted_leaves_nothing(shop: Path) -> None:
    seen = []

    def stop(done: int, whole: int) -> None:
        assert not (shop.parent / "columns" / mapped.TABLE).exists()
        seen.append((done, whole))
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reading(shop, stop)
    assert not (shop.parent / "columns").exists()
    size = shop.stat().st_size
    assert [whole for _, whole in seen] == [size] * 3
    assert 0 < seen[0][0] < seen[1][0] < seen[2][0] < size
    require_same(reading(shop), read_table(shop))


def test_columns_are_used_again_as_long_as_the_file_is_the_same(shop: Path) -> None:
    calls: list[int] = []
    first = reading(shop, lambda done, whole: calls.append(done))
    assert calls[-1] == shop.stat().st_size
    calls.clear()
    require_same(reading(shop, lambda done, whole: calls.append(done)), first)
    assert calls == []
    written([ROWS[0], *ROWS[1:] * 201], shop)
    require_same(reading(shop, lambda done, whole: calls.append(done)), read_table(shop))
    assert calls != []
    table = reading(shop, drop=("colour",))
    assert np.isnan(table.columns["colour"].astype(float)).all()
    assert table.columns["size"].tolist()[:1] == [1.5]


def test_what_is_no_whole_table_is_read_again_or_refused(shop: Path) -> None:
    wanted, columns = reading(shop), shop.parent / "columns"
    (columns / mapped.TABLE).write_text((columns / mapped.TABLE).read_text()[:-20])
    require_same(reading(shop), wanted)
    (columns / "1.json").write_text(json.dumps(["red"]))
    with pytest.raises(
        DataError, match=r"are damaged .column 'colour': a row has a word that is not there.; remove the"
    ):
        reading(shop)
    (columns / "0.npy").write_bytes((columns / "0.npy").read_bytes()[:500])
    with pytest.raises(DataError, match=r"are damaged .column 'size'"):
        reading(shop)


def test_columns_are_opened_by_numpy(shop: Path) -> None:
    reading(shop)
    assert np.array_equal(np.load(shop.parent / "columns" / "0.npy"), read_table(shop).columns["size"], equal_nan=True)


def test_a_disk_that_is_too_small_is_told_before_anything_is_written(shop: Path) -> None:
    class Full:
        free = 1000

    with patch.object(mapped.shutil, "disk_usage", lambda folder: Full), pytest.raises(DataError) as error:
        reading(shop)
    assert "where 1 kB are free. Make room, or choose a folder on another disk with --out." in str(error.value)
    assert not (shop.parent / "columns").exists()


def test_more_texts_than_can_be_held_are_refused_with_the_remedy(shop: Path) -> None:
    with patch.object(mapped, "MOST_WORDS", 3), pytest.raises(DataError) as error:
        reading(shop)
    assert str(error.value).endswith("Leave it out: --drop colour")
    with patch.object(mapped, "MOST_WORDS", 3):
        assert len(reading(shop, drop=["colour"])) == 1000


def test_files_are_mapped_by_themselves_where_they_are_large(shop: Path) -> None:
    assert not read_table(shop).mapped
    with patch.object(encoded, "total_memory", lambda: shop.stat().st_size):
        assert read_table(shop).mapped
        assert not read_table(shop, mapped=False).mapped


def test_a_text_with_very_many_columns_is_refused(tmp_path: Path) -> None:
    path = written([[f"c{k}" for k in range(1600)], ["1"] * 1600], tmp_path / "wide.csv")
    with pytest.raises(DataError) as error:
        read_table(path, mapped=True, folder=tmp_path / "columns")
    assert str(error.value) == (
        f"{path} has 1,600 columns, and a CSV file that is mapped at most 1,499: save it as Parquet, or read it with "
        "--in-memory."
    )


@pytest.mark.parametrize("mapped", [True, False])
def test_a_damaged_gzip_file_among_others_is_named(shop: Path, tmp_path: Path, mapped: bool) -> None:
    folder = tmp_path / "several"
    folder.mkdir()
    whole = gzip.compress(shop.read_bytes())
    (folder / "1.csv.gz").write_bytes(whole)
    (folder / "2.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"2\.csv\.gz cannot be decompressed .*: the file is damaged, cut short or no "):
        read_table(folder, mapped=mapped, folder=tmp_path / "columns")
    assert not (tmp_path / "columns").exists()
    with pytest.raises(DataError, match=r"2\.csv\.gz cannot be decompressed"):
        read_table(folder / "2.csv.gz", mapped=mapped, folder=tmp_path / "columns")
