"""JSON lines (one object a line), or one JSON array of objects, as a table."""

import json
from typing import Any

import numpy as np

from fallline.data.objects import column_from_values
from fallline.data.table import Table
from fallline.data.text_files import TextFile
from fallline.errors import DataError


def read_json(text: TextFile) -> Table:
    """The table of a JSON file. Columns come in the order in which their names first appear; absent ones are missing.

    Raises:
        DataError: a line is not JSON, not an object, has a nested value, or names a column twice.
    """
    content = text.path.read_text(encoding="utf-8")
    rows, lines = _array(content, text.source) if content.lstrip().startswith("[") else _lines(content, text.source)
    if not rows:
        raise DataError(f"{text.source} holds no objects: there is no row to read.")
    names = list(dict.fromkeys(name for row in rows for name in row))
    if not names:
        raise DataError(f"{text.source}: its objects are empty: there is no column to read.")

    def place(row: int) -> str:
        return f"{text.source}, row {row + 1}" if lines is None else f"{text.source}, line {lines[row]}"

    columns = {name: column_from_values([row.get(name) for row in rows], name, place) for name in names}
    return Table(columns, text.source, text.notices, None if lines is None else np.asarray(lines, dtype=np.int64))


def _lines(content: str, source: str) -> tuple[list[dict[str, Any]], list[int]]:
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    for number, line in enumerate(content.split("\n"), start=1):
        if line.strip():
            rows.append(_object(_parse(line, source, number), f"{source}, line {number}"))
            lines.append(number)
    return rows, lines


def _array(content: str, source: str) -> tuple[list[dict[str, Any]], None]:
    first_line = content.lstrip().split("\n", 1)[0]
    try:
        entries = _loaded(content)
    except (ValueError, RecursionError) as problem:
        if not isinstance(problem, UnicodeEncodeError) and _is_json(first_line):  # lines that are arrays, not one array
            _object(json.loads(first_line), f"{source}, line 1")
        raise DataError(
            f"{source}, line {getattr(problem, 'lineno', 1)}: this is not JSON ({_complaint(problem)}). "
            f"Correct that line."
        ) from None
    return [_object(entry, f"{source}, entry {i}") for i, entry in enumerate(entries, start=1)], None


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as it was written, so that a name used twice is seen."""


def _parse(line: str, source: str, number: int) -> Any:
    try:
        return _loaded(line)
    except (ValueError, RecursionError) as problem:
        raise DataError(
            f"{source}, line {number}: this is not JSON ({_complaint(problem)}); expected one object a "
            f'line, such as {{"age": 31, "city": "Bern"}}.'
        ) from None


def _loaded(text: str) -> Any:
    value = json.loads(text, object_pairs_hook=_Pairs)
    if "\\ud" in text.lower():  # half of a pair of surrogates is no letter: no file could hold it
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _complaint(problem: ValueError | RecursionError) -> str:
    """What the reader found, such as "Expecting value, column 7"."""
    if isinstance(problem, json.JSONDecodeError):
        return f"{problem.msg}, column {problem.colno}"
    if isinstance(problem, UnicodeEncodeError):
        return "an escape such as \\ud800 alone is no letter"
    return "nested too deeply" if isinstance(problem, RecursionError) else str(problem)


def _object(entry: Any, place: str) -> dict[str, Any]:
    if not isinstance(entry, _Pairs):
        kind = {list: "an array", str: "text", bool: "a truth value", type(None): "null"}.get(type(entry), "a number")
        raise DataError(f'{place}: expected an object such as {{"age": 31, "city": "Bern"}}, found {kind}.')
    row = {name: dict(value) if isinstance(value, _Pairs) else value for name, value in entry}
    if len(row) != len(entry):
        twice = next(name for i, (name, _) in enumerate(entry) if name in [other for other, _ in entry[:i]])
        raise DataError(f"{place}: the name {twice!r} occurs twice in one object. Keep one of them.")
    return row
