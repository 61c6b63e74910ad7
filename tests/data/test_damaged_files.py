"""Files of every kind that are damaged where their reader does not look: refused with a sentence that names them."""

import io
import json
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import feather, parquet

import fallline as fl
from fallline.data.sources import read_table
from fallline.tables.columns import guess_target
from fallline.tables.prepare import TableOptions, prepare


def refusal(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(fl.DataError) as error:
        read_table(path)
    assert str(error.value).startswith(str(path))
    assert str(error.value).isprintable()
    return str(error.value).removeprefix(str(path))


def arrow(values: pa.Array, path: Path) -> bytes:
    feather.write_feather(pa.table({"word": values, "y": [1.0] * len(values)}), str(path), compression="uncompressed")
    return path.read_bytes()


@pytest.mark.parametrize(
    ("values", "found", "becomes", "says"),
    [
        (pa.array(["häuser", "b"]), "häuser".encode(), b"h\xff\xffuser", "Invalid UTF8 sequence"),
        (pa.array(["abcd", "b"]), b"\0\0\0\0\4\0\0\0\5\0\0\0", b"\0\0\0\0\4\0\0\x7f\5\0\0\0", "outside of value"),
        (pa.array(["aaa", "bbb"]).dictionary_encode(), b"\0\0\0\0\1\0\0\0", b"\0\0\0\0\1\0\0\1", "out of bounds"),
    ],
)  # fmt: skip
def test_arrow_files_whose_lengths_lie(
    values: pa.Array, found: bytes, becomes: bytes, says: str, tmp_path: Path
) -> None:
    """pyarrow believes them, and would read what lies beyond the file."""
    content = arrow(values, tmp_path / "good.feather")
    assert found in content
    place = content.rindex(found)
    said = refusal(tmp_path / "bad.feather", content[:place] + becomes + content[place + len(found) :])
    assert said.startswith(" cannot be read as Arrow (")
    assert said.endswith("): the file is damaged, cut short or of another format.")


def test_parquet_files_with_names_that_are_no_text(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"weight": [1.0, 2.0], "y": [1, 2]}), tmp_path / "good.parquet")
    content = (tmp_path / "good.parquet").read_bytes().replace(b"weight", b"we\xffght")
    assert refusal(tmp_path / "bad.parquet", content).startswith(" cannot be read as Parquet (")


def npz(change: Callable[[zipfile.ZipFile], None]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        change(archive)
    return packed.getvalue()


def npy(header: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode("latin-1")


def one() -> bytes:
    packed = io.BytesIO()
    np.save(packed, np.ones((2, 2)))
    return packed.getvalue()


@pytest.mark.parametrize(("flag", "method"), [(1, 0), (0x41, 0), (0, 99), (0, 9)])
def test_npz_files_that_are_packed_in_other_ways(flag: int, method: int, tmp_path: Path) -> None:
    """Encrypted, or compressed by a method that Python lacks."""
    content = bytearray(npz(lambda archive: archive.writestr("x.npy", one())))
    for magic, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place += content.index(magic)
        content[place : place + 4] = flag.to_bytes(2, "little") + method.to_bytes(2, "little")
    assert refusal(tmp_path / "x.npz", bytes(content)).startswith(" cannot be read as NumPy arrays (")


def test_npz_files_that_hold_something_else(tmp_path: Path) -> None:
    content = npz(lambda archive: archive.writestr("x", b"text"))
    assert refusal(tmp_path / "x.npz", content) == " holds 'x', which is no array: save it again with numpy.savez."


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000000,), }\n", "Unable to allocate"),
        ("{'descr': ((((((((\n", "(EOF in multi-line statement"),
        ("{'descr': f(1), 'fortran_order': False, 'shape': (1,), }\n", "(its header is damaged)"),
        ("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n", "Object arrays cannot be loaded"),
        ("{'descr': '<f8', 'x': 1, 'y': '\x00" + "z" * 5000 + "'}\n", "Header does not contain the correct keys"),
    ],
)  # fmt: skip
def test_npy_headers(header: str, says: str, tmp_path: Path) -> None:
    said = refusal(tmp_path / "x.npy", npy(header))
    assert said.startswith(" cannot be read as NumPy arrays (")
    assert len(said) < 600


def test_idx_files_of_more_axes_than_arrays_have(tmp_path: Path) -> None:
    content = bytes((0, 0, 8, 200)) + (1).to_bytes(4, "big") * 200 + b"\1"
    assert refusal(tmp_path / "x-idx3-ubyte", content) == (
        " announces an array of 200 axes, and 8 at most can be read: it is damaged."
    )


@pytest.mark.parametrize("array", ["", "[]"])
def test_half_a_letter_in_json(array: str, tmp_path: Path) -> None:
    """No file could hold it: the training would end when its report is written."""
    line = r'{"a": 1, "word": "x\uD800"}'
    said = refusal(tmp_path / "x.json", (f"[{line}]" if array else f"{line}\n").encode())
    assert "line 1: this is not JSON (an escape such as \\ud800 alone is no letter)" in said
    (tmp_path / "x.json").write_text(r'{"word": "\ud83d\ude00", "a": "\\ud800"}')
    assert read_table(tmp_path / "x.json").column("word").tolist() == ["\U0001f600"]


def test_signalling_not_a_number_is_a_missing_value(tmp_path: Path) -> None:
    """Bits that processors complain about, in float64 and in a wider type."""
    values = np.linspace(0, 1, 40)
    x = np.stack([values, values**2], axis=1)
    x.view(np.uint64)[5] = 0x7FF0000000000001
    np.savez(tmp_path / "x.npz", x=x, y=np.arange(40) % 2)
    prepared = prepare(read_table(tmp_path / "x.npz"), "y", TableOptions())
    assert all(np.isfinite(rows).all() for rows, _ in prepared.matrices.values())


def test_arrays_without_a_row(tmp_path: Path) -> None:
    nothing = bytes((0, 0, 8, 1)) + bytes(4)
    assert refusal(tmp_path / "labels-idx1-ubyte", nothing) == " holds arrays without values: there is no row to read."
    np.save(tmp_path / "x.npy", np.zeros(0, dtype=[("a", "<f8")]))
    content = (tmp_path / "x.npy").read_bytes()
    assert refusal(tmp_path / "y.npy", content) == " has the shape (0,): there is no row to read."


@pytest.mark.parametrize("letter", [0x7FFFFFFF, 0xD800])
def test_numpy_text_that_holds_no_letters(letter: int, tmp_path: Path) -> None:
    words = np.array(["ab", "c"])
    words.view(np.uint32)[1] = letter
    np.savez(tmp_path / "x.npz", word=words, y=np.arange(2))
    said = refusal(tmp_path / "x.npz", (tmp_path / "x.npz").read_bytes())
    assert said == ", row 1, column 'word': its text holds numbers that are no letters: the data are damaged."


def test_a_structured_array_has_a_column_for_each_field(tmp_path: Path) -> None:
    fields = np.array([(1.5, "a"), (2.5, "b")], dtype=[("size", "<f4"), ("word", "<U3")])
    np.save(tmp_path / "x.npy", fields)
    table = read_table(tmp_path / "x.npy")
    assert table.names == ["size", "word"]
    assert table.column("word").tolist() == ["a", "b"]


def test_a_cell_of_a_million_letters_does_not_fill_the_terminal() -> None:
    with pytest.raises(fl.DataError) as error:
        prepare(
            read_table({"a": [1.5, 2.5, "x" * 10**6] * 10, "y": [1, 2, 3] * 10}), "a", TableOptions(task="regression")
        )
    text = str(error.value)
    assert text.startswith("the dictionary, row 3, target 'a': expected a number for regression, found 'xxxxx")
    assert text.endswith("xxx'. Correct that cell, or ask for classification.")
    assert len(text) < 2000


def test_names_from_a_file_move_no_cursor() -> None:
    with pytest.raises(fl.DataError) as error:
        read_table({"\x1b[2Jred": [1.0, 2.0], "b": [1, 2]}).column("rad")
    assert "\x1b" not in str(error.value)


@pytest.mark.parametrize("name", ["x.npz", "x.parquet", "x.feather"])
def test_ctrl_c_is_no_damage(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "load", interrupted)
    monkeypatch.setattr(feather, "read_table", interrupted)
    monkeypatch.setattr("fallline.data.duck.fetch", interrupted)
    parquet.write_table(pa.table({"a": [1.0, 2.0]}), tmp_path / name)
    with pytest.raises(KeyboardInterrupt):
        read_table(tmp_path / name)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers(-(10**30), 10**30)
    | st.text(max_size=4)
    | st.dates().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)


@settings(max_examples=150)
@given(
    rows=st.lists(st.dictionaries(st.sampled_from(["a", "b", "", "\x1b[2J", "ß"]), JSON, max_size=4), max_size=12),
    ending=st.sampled_from([".json", ".jsonl"]),
)
def test_any_json_is_a_table_or_refused(rows: list[dict[str, Any]], ending: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, f"x{ending}")
        lines = [json.dumps(row) for row in rows]
        path.write_text(f"[{','.join(lines)}]" if ending == ".json" else "\n".join(lines), encoding="utf-8")
        try:
            table = read_table(path)
            target, _ = guess_target(table)
            prepared = prepare(table, target, TableOptions())
        except fl.FalllineError:  # what it says is tested elsewhere: here, that nothing else is raised
            return
        assert len(table) == len(rows)
        assert all(np.isfinite(part).all() for pair in prepared.matrices.values() for part in pair)
