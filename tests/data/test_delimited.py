"""Text in every dialect comes back as the table it was written from."""

import csv
import gzip
import io
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fallline.data.sources import read_table
from fallline.data.spelling import MISSING_MARKS
from fallline.errors import DataError

WORDS = st.text(st.characters(codec="cp1252", exclude_categories=("Cc",)), min_size=1, max_size=8).filter(
    lambda w: w.strip() == w and w not in MISSING_MARKS and not any(c.isdigit() for c in w) and '"' not in w
    and "'" not in w and w.lower() not in ("inf", "infinity", "nan")
)  # fmt: skip
NUMBERS = st.floats(allow_nan=False, allow_infinity=False).map(lambda x: x + 0.0)


def write(folder: Path, content: bytes | str, name: str = "t.csv") -> str:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


@settings(max_examples=60, deadline=None)
@given(
    data=st.data(),
    rows=st.integers(2, 12),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    ending=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    header=st.booleans(),
    packed=st.booleans(),
    trailing=st.sampled_from(["", "\n", "\n\n"]),
)
def test_a_table_written_in_any_dialect_is_read_back(
    data, rows, delimiter, ending, encoding, quoting, header, packed, trailing
) -> None:  # fmt: skip
    texts = data.draw(st.lists(st.none() | WORDS, min_size=rows, max_size=rows))
    numbers = data.draw(st.lists(st.none() | NUMBERS, min_size=rows, max_size=rows))
    whole = data.draw(st.lists(st.integers(-(10**17), 10**17), min_size=rows, max_size=rows))
    mark = data.draw(st.sampled_from(sorted(MISSING_MARKS)))
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=ending, quoting=quoting)
    if header:
        writer.writerow(["word", "real", "count"])
    for word, number, count in zip(texts, numbers, whole, strict=True):
        writer.writerow([mark if word is None else word, mark if number is None else repr(number), count])
    content = text.getvalue().encode(encoding, errors="strict") + (trailing.encode() if encoding != "utf-16" else b"")
    seen_as_utf8 = content.decode("utf-8", errors="replace")
    ambiguous = encoding == "cp1252" and "\ufffd" not in seen_as_utf8  # the bytes of "Â¡" are also those of "¡"
    assume(not ambiguous or seen_as_utf8 == text.getvalue() + trailing)
    with tempfile.TemporaryDirectory() as folder:
        name = write(Path(folder), gzip.compress(content) if packed else content, "t.csv.gz" if packed else "t.csv")
        table = read_table(name, header=header)
    first, second, third = table.columns.values()
    assert len(table) == rows
    assert table.names == (["word", "real", "count"] if header else ["column_1", "column_2", "column_3"])
    assert [None if isinstance(cell, float) else cell for cell in first.tolist()] == texts
    expected = np.array([np.nan if number is None else number for number in numbers])
    np.testing.assert_array_equal(second.astype(np.float64), expected)
    assert third.dtype == np.int64
    assert third.tolist() == whole


@pytest.mark.parametrize(
    ("content", "names", "rows"),
    [
        ("a,b\n1,2\n3,4\n", ["a", "b"], 2),  # text over numbers
        ("1,2\n3,4\n", ["column_1", "column_2"], 2),  # a number in the first row
        ("name,city\nAnn,Bern\nBob,Basel\n", ["name", "city"], 2),  # nothing comes back
        ("ham,hello\nspam,buy\nham,bye\n", ["column_1", "column_2"], 3),  # "ham" comes back
        (",a,b\n0,1,x\n1,2,y\n", ["column_1", "a", "b"], 2),  # an index without a name
        ("a,a\n1,2\n3,4\n", ["a", "a_2"], 2),  # repeated names
        ("x\n1\n2\n", ["x"], 2),  # one column
        ("?,3\nu,4\n", ["column_1", "column_2"], 2),
    ],
)
def test_the_header_is_recognised(tmp_path: Path, content: str, names: list[str], rows: int) -> None:
    table = read_table(write(tmp_path, content))
    assert (table.names, len(table)) == (names, rows)


def test_the_caller_decides_about_the_header(tmp_path: Path) -> None:
    name = write(tmp_path, "a,b\n1,2\n")
    assert read_table(name, header=False).column("column_1").tolist() == ["a", "1"]
    assert read_table(write(tmp_path, "1,2\n3,4\n"), header=True).names == ["1", "2"]


def test_repeated_names_are_told(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "a,b,a\n1,2,3\n"))
    assert "Columns 1 and 3 are both named 'a': the later one is called 'a_2'." in table.notices[0]


def test_lines_are_counted_through_blank_lines_and_long_cells(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, 'a,b\n\n1,"x\ny"\n   \n2,z\n'))
    assert table.column("b").tolist() == ["x\ny", "z"]
    assert table.lines is not None
    assert table.lines.tolist() == [3, 6]
    assert table.place(1).endswith("t.csv, row 2 (line 6)")


@pytest.mark.parametrize(
    ("content", "cells"),
    [
        ('a,b\n1,"x, y"\n2,"say ""hi"""\n', ["x, y", 'say "hi"']),
        ('a, b\n1, "x, y"\n2, z\n', ["x, y", "z"]),  # blanks before a quote
        ('a,b\n1,"say \\"hi\\", you"\n2,z\n', ['say "hi", you', "z"]),  # backslash before a quote
        ("a,b\n1,'x, y'\n2,'z'\n", ["x, y", "z"]),  # single quotes
        ("a;b\n1,5;x\n2,5;z\n", ["x", "z"]),  # decimal commas do not make a comma the separator
        ('a\tb\n1\t5" pipe\n2\tz\n', ['5" pipe', "z"]),
        ("a,b\r1,x\r2,z\r", ["x", "z"]),  # line ends of old
        ("a,b\r\n1,x\n2,z\r\n", ["x", "z"]),  # mixed line ends
        ("a,b\n1,\u3000x\u00a0\n2,z\n", ["x", "z"]),
    ],
)
def test_quotes_and_separators(tmp_path: Path, content: str, cells: list[str]) -> None:
    table = read_table(write(tmp_path, content))
    assert list(table.columns.values())[1].tolist() == cells
    assert len(table) == 2


def test_stray_quotes_lose_no_row_and_are_told(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, 'ham\t"so he said\nspam\tbuy now\nham\tyes" he did\nham\tno\n', "t.tsv"))
    assert len(table) == 4
    assert table.column("column_2")[0] == '"so he said'
    assert "its quotation marks do not come in pairs around cells" in table.notices[0]


def test_latin_1_is_told_with_its_line(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "a,b\n1,x\n2,Zürich\n".encode("latin-1")))
    assert table.column("b").tolist() == ["x", "Zürich"]
    assert table.notices == [f"{tmp_path}/t.csv is not UTF-8 (line 3): read as Latin-1."]


@pytest.mark.parametrize("mark", sorted(MISSING_MARKS - {""}))
def test_missing_marks(tmp_path: Path, mark: str) -> None:
    table = read_table(write(tmp_path, f"a,b\n1,x\n {mark} ,{mark}\n"))
    np.testing.assert_array_equal(table.column("a"), [1.0, np.nan])
    assert table.column("b").tolist() == ["x", None]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", "2"], np.array([1, 2])),
        (["1.0", "2"], np.array([1, 2])),
        (["1e3", "-.5"], np.array([1000.0, -0.5])),
        (["9007199254740993", "1"], np.array([9007199254740993, 1])),  # beyond 2⁵³, exact as int64
        (["inf", "1"], np.array([np.inf, 1.0])),
        (["1_000", "1"], np.array(["1_000", "1"], dtype=object)),
        (["0x10", "1"], np.array(["0x10", "1"], dtype=object)),
        (["true", "false"], np.array(["true", "false"], dtype=object)),
        (["None", "1"], np.array(["None", "1"], dtype=object)),
    ],
)
def test_what_counts_as_a_number(tmp_path: Path, cells: list[str], expected: np.ndarray) -> None:
    column = read_table(write(tmp_path, "a,b\n" + "".join(f"{cell},x\n" for cell in cells))).column("a")
    assert column.dtype == expected.dtype
    assert column.tolist() == expected.tolist()


def test_a_nearly_numeric_column_is_told(tmp_path: Path) -> None:
    cells = "".join(f"{i},x\n" for i in range(20))
    table = read_table(write(tmp_path, "a,b\n" + cells + "12kg,x\n"))
    assert "column 'a' is read as text because of 1 cell that is no number: '12kg' in row 21." in table.notices[0]


def test_rows_come_in_the_order_of_the_file(tmp_path: Path) -> None:
    rows = 200_000  # enough that the reader uses several threads
    table = read_table(write(tmp_path, "n,t\n" + "".join(f"{i},w{i % 7}\n" for i in range(rows))))
    np.testing.assert_array_equal(table.column("n"), np.arange(rows))


def test_more_columns_than_fit_one_query(tmp_path: Path) -> None:
    head = ",".join(f"f{k}" for k in range(250))
    table = read_table(write(tmp_path, head + "\n" + ",".join(str(k) for k in range(250)) + "\n"))
    assert [int(values[0]) for values in table.columns.values()] == list(range(250))


def test_a_name_with_wildcards_is_only_a_name(tmp_path: Path) -> None:
    write(tmp_path, "a\n1\n", "data1.csv")
    assert read_table(write(tmp_path, "b\n2\n3\n", "data[1]*'?.csv")).names == ["b"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("a,b\n1,2\n3\n4,5\n", "line 3: 1 cell separated by commas, where 2 were expected as in most lines."),
        ("a\tb\n1\t2\n3\t4\t5\n", "line 3: 3 cells separated by tabs, where 2 were expected as in most lines."),
        ("", "is empty: there is no row to read."),
        ("\n \n", "is empty: there is no row to read."),
        ("a,b\n", "holds column names and no rows: add rows, or say that it has no header."),
        ('a,b\n1,2\n3,"x,5\n', "line 3: the quotation marks cannot be made out"),
        (b"a,b\n1,\x00\n", "is not text: it holds a zero byte in line 2."),
        (b"a,b\n\xff\xfe,\x01\n", "is not text: line 2 is neither UTF-8 nor Latin-1."),
        (b"PK\x03\x04abc", "is a zip or Excel file, not text"),
        (b"\xff\xfea", "begins like UTF-16 text but cannot be decoded"),
    ],
)
def test_a_bad_file_is_told_in_a_sentence(tmp_path: Path, content: bytes | str, sentence: str) -> None:
    name = write(tmp_path, content)
    with pytest.raises(DataError) as problem:
        read_table(name)
    assert str(problem.value).startswith(name)
    assert sentence in str(problem.value)


ODDITIES = [
    ",",
    ";",
    "\t",
    '"',
    "'",
    "\n",
    "\r\n",
    "\r",
    " ",
    "a",
    "1",
    "-",
    "?",
    "é",
    "\\",
    "|",
    "\ufeff",
    "x,y\n",
    "1,2\n",
]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(ODDITIES), max_size=25),
    st.sampled_from([".csv", ".tsv", ".jsonl"]),
    st.sampled_from([None, True, False]),
)
def test_whatever_a_file_holds_it_is_read_or_refused(parts: list[str], ending: str, header: bool | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        name = write(Path(folder), "".join(parts), "t" + ending)
        try:
            columns = read_table(name, header=header).columns.values()
        except DataError as problem:
            sentence = str(problem)
        else:
            sentence = name
            assert len({len(column) for column in columns} - {0}) == 1
    assert sentence.startswith(name)
