"""JSON lines, Parquet, Arrow, NumPy, idx, data frames: each comes back with its own types."""

import datetime
import gzip
import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import feather, parquet

from fallline.data.arrays import read_arrays
from fallline.data.sources import read_table
from fallline.data.table import Table
from fallline.errors import DataError, KindError

FRAME = {
    "whole": [1, 2, 3],
    "real": [0.5, None, -2.5],
    "truth": [True, False, True],
    "gaps": [True, None, False],
    "word": ["b", None, "a "],
    "when": [datetime.datetime(2020, 1, 2, 3, 4, 5), None, datetime.datetime(1969, 12, 31)],
}


def check(table: Table) -> None:
    assert table.names == list(FRAME)
    assert table.column("whole").dtype == np.int64
    assert table.column("whole").tolist() == [1, 2, 3]
    np.testing.assert_array_equal(table.column("real"), [0.5, np.nan, -2.5])
    assert table.column("truth").dtype == bool
    assert table.column("truth").tolist() == [True, False, True]
    assert table.column("gaps").tolist() == ["true", None, "false"]
    assert table.column("word").tolist() == ["b", None, "a"]
    expected = np.array(["2020-01-02T03:04:05", "NaT", "1969-12-31"], dtype="datetime64[us]")
    assert table.column("when").dtype == expected.dtype
    np.testing.assert_array_equal(table.column("when"), expected)


def test_parquet(tmp_path: Path) -> None:
    parquet.write_table(pa.table(FRAME), tmp_path / "a.parquet")
    check(read_table(tmp_path / "a.parquet"))
    (tmp_path / "b.parquet.gz").write_bytes(gzip.compress((tmp_path / "a.parquet").read_bytes()))
    check(read_table(tmp_path / "b.parquet.gz"))


def test_arrow_file_and_stream(tmp_path: Path) -> None:
    feather.write_feather(pa.table(FRAME), tmp_path / "a.feather")
    check(read_table(tmp_path / "a.feather"))
    with pa.ipc.new_stream(tmp_path / "b.arrow", pa.table(FRAME).schema) as stream:
        stream.write_table(pa.table(FRAME))
    check(read_table(tmp_path / "b.arrow"))


def test_frames() -> None:
    check(read_table(pd.DataFrame(FRAME)))
    check(read_table(pd.DataFrame(FRAME).convert_dtypes()))
    check(read_table(pl.DataFrame(FRAME)))
    check(read_table(pl.DataFrame(FRAME).lazy()))
    check(read_table(pa.table(FRAME)))
    check(read_table(FRAME))
    check(read_table([dict(zip(FRAME, row, strict=True)) for row in zip(*FRAME.values(), strict=True)]))


def test_moments_with_a_time_zone_are_read_in_utc(tmp_path: Path) -> None:
    frame = pd.DataFrame({"t": pd.to_datetime(["2020-06-01 12:00", None]).tz_localize("Europe/Zurich"), "k": [1, 2]})
    expected = np.array(["2020-06-01T10:00", "NaT"], dtype="datetime64[us]")
    np.testing.assert_array_equal(read_table(frame).column("t"), expected)
    np.testing.assert_array_equal(read_table(pl.from_pandas(frame)).column("t"), expected)
    np.testing.assert_array_equal(read_table(pa.Table.from_pandas(frame)).column("t"), expected)
    frame.to_parquet(tmp_path / "t.parquet")
    np.testing.assert_array_equal(read_table(tmp_path / "t.parquet").column("t"), expected)


def test_categories_and_decimals_of_frames() -> None:
    words = pd.DataFrame({"c": pd.Categorical(["x", None, "y"])})
    for frame in (words, pl.from_pandas(words), pa.Table.from_pandas(words)):
        assert read_table(frame).column("c").tolist() == ["x", None, "y"]
    money = pl.DataFrame({"m": ["1.5", None]}).cast(pl.Decimal(10, 2))
    for frame in (money, money.to_arrow()):
        np.testing.assert_array_equal(read_table(frame).column("m"), [1.5, np.nan])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.none() | st.floats(allow_nan=False, allow_infinity=False),
            st.none() | st.sampled_from(["red", "blé", 'q"uo,te']),
            st.integers(-(2**62), 2**62),
        ),
        min_size=1,
        max_size=10,
    )
)
def test_json_lines_and_parquet_round_trip(rows) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lines = "\n".join(json.dumps(dict(zip(("x", "w", "n"), row, strict=True))) for row in rows)
        (Path(folder) / "t.jsonl").write_text(lines, encoding="utf-8")
        types = pa.schema([("x", pa.float64()), ("w", pa.string()), ("n", pa.int64())])
        columns = [list(column) for column in zip(*rows, strict=True)]
        parquet.write_table(pa.table(columns, schema=types), Path(folder) / "t.parquet")
        tables = [read_table(Path(folder) / "t.jsonl"), read_table(Path(folder) / "t.parquet")]
    for table in tables:
        x = [None if value != value else value for value in table.column("x").astype(float).tolist()]
        assert x == columns[0]
        words = table.column("w")
        assert [None if isinstance(cell, float) else cell for cell in words.tolist()] == columns[1]
        assert table.column("n").tolist() == columns[2]


def test_json_array_and_absent_names(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[\n{"a": 1},\n{"b": "x", "a": 2}\n]')
    table = read_table(tmp_path / "a.json")
    assert table.column("a").tolist() == [1, 2]
    assert table.column("b").tolist() == [None, "x"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"a": 1}\n[1, 2]\n', "line 2: expected an object such as"),
        ('{"a": 1}\n\n3\n', "line 3: expected an object such as"),
        ("[1, 2]\n[3, 4]\n", "line 1: expected an object such as"),
        ('{"a": 1}\n{"a": }\n', "line 2: this is not JSON (Expecting value, column 7)"),
        (
            '{"a": 1}\n{"a": [1, 2]}\n',
            "line 2, column 'a': expected a number, text, true, false or null, found list [1, 2].",
        ),
        ('{"a": {"b": 1}}\n', "line 1, column 'a': expected a number, text, true, false or null, found dict {'b': 1}."),
        ('{"a": 1, "a": 2}\n', "line 1: the name 'a' occurs twice in one object."),
        ("[]", "holds no objects"),
    ],
)
def test_bad_json_is_told_with_its_line(tmp_path: Path, content: str, sentence: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(content)
    with pytest.raises(DataError) as problem:
        read_table(path)
    assert str(problem.value).startswith(str(path))
    assert sentence in str(problem.value)


def test_numpy_arrays(tmp_path: Path) -> None:
    matrix = np.arange(6, dtype=np.float32).reshape(3, 2)
    table = read_table(matrix)
    assert table.names == ["column_1", "column_2"]
    assert table.column("column_2").tolist() == [1.0, 3.0, 5.0]
    fields = np.array([(1, 2.5, "x"), (3, 4.5, "NA")], dtype=[("i", "i4"), ("f", "f4"), ("s", "U4")])
    assert read_table(fields).column("s").tolist() == ["x", None]
    np.savez(tmp_path / "a.npz", x=matrix, y=np.array(["p", "q", "p"]))
    table = read_table(tmp_path / "a.npz")
    assert table.names == ["column_1", "column_2", "y"]
    assert table.default_target == "y"
    assert table.column("y").tolist() == ["p", "q", "p"]
    np.savez(tmp_path / "b.npz", age=np.arange(3), size=np.ones(3))
    assert read_table(tmp_path / "b.npz").names == ["age", "size"]


def idx(array: np.ndarray) -> bytes:
    shape = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + shape + array.astype(np.uint8).tobytes()


def test_idx_images_find_their_labels(tmp_path: Path) -> None:
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
    assert read_table(tmp_path / "train-images-idx3-ubyte.gz").names[-1] == "column_12"
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.array([7, 9])))
    arrays = read_arrays(tmp_path / "train-images-idx3-ubyte.gz")
    np.testing.assert_array_equal(arrays["x"], images)
    assert arrays["x"].dtype == np.uint8
    table = read_table(tmp_path / "train-images-idx3-ubyte.gz")
    assert table.column("column_12").tolist() == [11, 23]
    assert table.column("column_12").dtype == np.uint8
    assert table.column("y").tolist() == [7, 9]


def test_damaged_files_are_told(tmp_path: Path) -> None:
    def sentence(name: str, content: bytes) -> str:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError) as problem:
            read_table(tmp_path / name)
        assert str(problem.value).startswith(str(tmp_path / name))
        return str(problem.value)

    packed = gzip.compress(b"a,b\n" + b"1,2\n" * 1000)
    assert "cannot be decompressed" in sentence("t.csv.gz", packed[:-20])
    assert "cannot be decompressed" in sentence("u.csv.gz", b"a,b\n1,2\n")
    whole = io.BytesIO()
    parquet.write_table(pa.table(FRAME), whole)
    assert "cannot be read as Parquet" in sentence("t.parquet", whole.getvalue()[:-30])
    assert "cannot be read as Arrow" in sentence("t.arrow", b"ARROW1 and no more")
    assert "cannot be read as NumPy arrays" in sentence("t.npz", b"PK\x03\x04 and no more")
    objects = io.BytesIO()
    np.savez(objects, x=np.array([{}], dtype=object), allow_pickle=True)
    assert "no Python objects" in sentence("o.npz", objects.getvalue())
    assert "announces 2 × 3 × 4 values in 40 bytes and has 39" in sentence(
        "t-idx3-ubyte", idx(np.zeros((2, 3, 4)))[:-1]
    )
    assert "is no idx file: it begins with 61 62" in sentence("u-idx3-ubyte", b"ab")
    nested = io.BytesIO()
    parquet.write_table(pa.table({"a": [[1], [2]]}), nested)
    assert "column 'a': expected numbers, text, truth values or dates, found BIGINT[]" in sentence(
        "n.parquet", nested.getvalue()
    )
    wrong = io.BytesIO()
    np.savez(wrong, x=np.zeros((3, 2)), y=np.zeros(2))
    assert "y needs the shape (3,), one target for each row of x (3, 2); it has (2,)." in sentence(
        "w.npz", wrong.getvalue()
    )


def test_missing_and_unknown_files_are_told(tmp_path: Path) -> None:
    (tmp_path / "cars.csv").write_text("a\n1\n")
    for name, sentence in {
        "car.csv": f"is not there: did you mean '{tmp_path}/cars.csv'?",
        "zebra.tsv": "has no file of that or a similar name.",
        "no/where.csv": f"is not there: the folder {tmp_path}/no does not exist.",
    }.items():
        with pytest.raises(DataError) as problem:
            read_table(f"{tmp_path}/{name}")
        assert sentence in str(problem.value)
    (tmp_path / "t.xlsx").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"t\.xlsx is a spreadsheet, which cannot be read: save the sheet as CSV"):
        read_table(tmp_path / "t.xlsx")
    (tmp_path / "t.foo").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"has the ending '\.foo', which does not tell how to read it.*\.parquet"):
        read_table(tmp_path / "t.foo")
    with pytest.raises(KindError, match=r"A table is read from a path, .* not from int"):
        read_table(3)


def test_repeated_and_nested_columns_of_frames_are_told() -> None:
    with pytest.raises(DataError, match="the DataFrame: columns 1 and 2 are both named 'a'"):
        read_table(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    with pytest.raises(DataError, match=r"the DataFrame, row 2, column 'a': expected a number.*found list \[1\]"):
        read_table(pd.DataFrame({"a": [None, [1]]}))
    with pytest.raises(DataError, match="column 'a': values of type complex128 have no meaning in a table"):
        read_table({"a": np.zeros(2, dtype=complex)})


def test_arrays_are_read_without_the_table_reader() -> None:
    code = (
        "import sys, numpy as np\nfrom fallline.data.sources import read_table\nread_table(np.zeros((2, 2)))\n"
        "print([m for m in ('duckdb', 'pandas', 'polars', 'pyarrow') if m in sys.modules])"
    )
    source = Path(__file__).parents[2] / "src"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=source, check=True)
    assert done.stdout.strip() == "[]"


def test_arrow_files_without_pyarrow_say_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fallline.errors import MissingExtraError

    (tmp_path / "t.feather").write_bytes(b"ARROW1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'fallline\[arrow\]'"):
        read_table(tmp_path / "t.feather")
