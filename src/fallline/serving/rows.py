"""What was sent → rows for a model, or one sentence for each of its faults."""

import json
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from fallline.data.encoders import ColumnEncoder, TableEncoder
from fallline.data.image_files import ImageFiles
from fallline.data.images import read_images
from fallline.data.objects import column_from_values
from fallline.data.sources import read_table
from fallline.data.table import Column, Table
from fallline.errors import DataError, FalllineError, nearest, told
from fallline.serving.cells import SOURCE, place

MOST_FAULTS = 20
"""Sentences told of one request; whether there are more is told, too."""
_KINDS = {list: "an array", str: "text", bool: "a truth value", type(None): "null"}


class Faults(FalllineError, ValueError):
    """What is wrong with a request, a sentence for each fault.

    Args:
        sentences: of the faults, the first ones.
        status: of the answer.
    """

    def __init__(self, sentences: Iterable[str], status: int = 422) -> None:
        self.sentences, self.status = list(sentences), status
        super().__init__("; ".join(self.sentences))


class _Twice(ValueError):
    """An object names a column twice."""


def parse_json(body: bytes) -> Any:
    """The value that JSON of a request says.

    Raises:
        Faults: it is no JSON, names a column twice in one object, or has a number that is none.
    """
    try:
        text = body.decode()
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_no_number)
        if "\\ud" in text.lower():  # half of a pair of surrogates is no letter
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError:
        why = "is not UTF-8 text; send JSON in UTF-8"
    except UnicodeEncodeError:
        why = "has an escape such as \\ud800 alone, which is no letter; leave it out"
    except RecursionError:
        why = "is nested too deeply; send an object for a row, or a list of them"
    except _Twice as error:
        why = str(error)
    except ValueError as error:
        why = f"is not JSON ({told(error, 100)}); send an object for a row, or a list of them"
    else:
        return value
    raise Faults([f"{SOURCE} {why}"], 400)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _Twice(f"names {told(repr(twice))} twice in one object; keep one of them")
    return found


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no number of JSON: give null for a value that is missing")


class Reader:
    """Rows of requests for one model.

    Args:
        encoder: of the model.
        target: the name of the target, which a row may have; it is not looked at.
        most_rows: of one request.
        others: whether columns that the model does not know are left out without a word.
    """

    def __init__(self, encoder: TableEncoder, target: str, most_rows: int, others: bool = False) -> None:
        self.encoder, self.target, self.most_rows, self.others = encoder, target, most_rows, others
        self.names = encoder.source_columns
        self._needed = frozenset(self.names)

    def rows(self, value: Any) -> list[dict[str, Any]]:
        """The rows of a request in JSON, an object or a list of objects, each with every column of the model.

        Raises:
            Faults: there is none or there are too many, or one lacks a column or has an unknown one.
        """
        rows = [value] if isinstance(value, dict) else value
        if not isinstance(rows, list):
            found = _KINDS.get(type(value), "a number")
            raise Faults([f"{SOURCE} must be an object for a row, or a list of objects; found {found}"])
        self._count(len(rows))
        refuse(fault for number, row in enumerate(rows) for fault in self._wrong_row(row, number))
        return rows

    def table(self, rows: list[dict[str, Any]]) -> Table:
        """Rows as a table.

        Raises:
            Faults: a cell holds a list or an object.
        """
        columns: dict[str, Column] = {}
        faults: list[str] = []
        for name in self.names:
            values = [row[name] for row in rows]
            try:
                columns[name] = column_from_values(values, name, place)
            except DataError:
                trial = partial(_cell, values, name)
                faults += islice(_each(trial, len(rows)), MOST_FAULTS)
        refuse(faults)
        return Table(columns, SOURCE)

    def csv(self, body: bytes) -> Table:
        """The table of a request in CSV, read as `fallline predict` reads files; its first line names the columns.

        Raises:
            Faults: it cannot be read, has too many rows, lacks a column, or has an unknown one.
        """
        with tempfile.TemporaryDirectory(prefix="fallline-") as folder:
            file = Path(folder) / "request.csv"
            file.write_bytes(body)
            try:
                table = read_table(file, header=True)
            except DataError as error:
                raise Faults([str(error).replace(str(file), SOURCE)], 400) from None
        table.source, table.notices = SOURCE, [each.replace(str(file), SOURCE) for each in table.notices]
        self._count(len(table))
        if set(table.names) != self._needed:
            refuse(self._wrong_names(table.names, SOURCE, "name it in the first line"))
        return table

    def image(self, body: bytes) -> Table:
        """The table of a request that is an image in a file's bytes, brought to the form of training.

        Raises:
            Faults: the model takes no images, or this is none.
        """
        if self.encoder.images is None:
            raise Faults(["the model takes rows, and no images; send JSON or CSV"], 415)
        with tempfile.TemporaryDirectory(prefix="fallline-") as folder:
            file = Path(folder) / "request"
            file.write_bytes(body)
            try:
                return read_images(ImageFiles(SOURCE, (SOURCE,), (file,), named=True), self.encoder.images)
            except DataError as error:
                raise Faults([str(error)]) from None

    def faults(self, table: Table) -> Iterator[str]:
        """A sentence for each cell that cannot be what its column was in training."""
        for encoder in self.encoder.encoders:
            values = table.column(encoder.name)
            try:
                encoder.encode(values, table.place, [])
            except DataError:
                yield from _each(partial(_encoded, encoder, values, table.place), len(table))

    def _count(self, rows: int) -> None:
        if not rows:
            raise Faults([f"{SOURCE} has no row; send at least one"])
        if rows > self.most_rows:
            most = f"at most {self.most_rows:,} are taken in one"
            raise Faults([f"{SOURCE} has {rows:,} rows; {most}: send several"], 413)

    def _wrong_row(self, row: Any, number: int) -> Iterator[str]:
        if not isinstance(row, dict):
            found = _KINDS.get(type(row), "a number")
            yield f"{place(number)}: expected an object with a value for each column, found {found}"
        elif row.keys() != self._needed:
            yield from self._wrong_names(row, place(number), "give null where it is not known")

    def _wrong_names(self, names: Collection[str], where: str, hint: str) -> Iterator[str]:
        given = set(names)
        for name in self.names:
            if name not in given:
                yield f"{where}: the column {name!r} is missing; {hint}"
        for name in () if self.others else names:
            if name not in self._needed and name != self.target:
                known = nearest(name[:100], self.names)
                yield f"{where}: the model has no column {told(repr(name))}; {known}"


def refuse(faults: Iterable[str]) -> None:
    """Raise where there are faults.

    Raises:
        Faults: the first of them, and whether there are more.
    """
    found = list(islice(faults, MOST_FAULTS + 1))
    if len(found) > MOST_FAULTS:
        found[-1] = f"there are more faults like these {MOST_FAULTS}"
    if found:
        raise Faults(found)


def _cell(values: list[Any], name: str, row: int) -> None:
    column_from_values([values[row]], name, lambda _: place(row))


def _encoded(encoder: ColumnEncoder, values: Column, where: Callable[[int], str], row: int) -> None:
    encoder.encode(values[row : row + 1], lambda _: where(row), [])


def _each(trial: Callable[[int], Any], rows: int) -> Iterator[str]:
    """What is refused of each row by itself."""
    for row in range(rows):
        try:
            trial(row)
        except DataError as error:
            yield str(error)
