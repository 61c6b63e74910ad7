"""The table: named columns of equal length, each one NumPy array, and where each row came from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fallline.data.by_blocks import gather, numbers_of
from fallline.data.image_form import ImageForm
from fallline.errors import DataError, nearest

Column = NDArray[Any]
LABELS = "y"
"""The column of the targets where a table is made of an array and its targets."""
CLASS = "class"
"""The column of the targets where a table is made of folders of images, one for each class."""


def taken(values: Column, rows: NDArray[np.int64]) -> Column:
    """Some rows of a column, by their numbers."""
    return gather(values, rows) if isinstance(values, np.ndarray) else values[rows]


@dataclass(frozen=True)
class Layout:
    """What is known of a table whose columns are the entries of an array's rows.

    Attributes:
        shape: of a row, such as (28, 28).
        no_labels: where labels were looked for in vain, as a sentence; empty where there are some, or need not be.
        labels: the column that they would be in.
        form: of images that were read from files.
        files: of each row in the source, where each is a file.
    """

    shape: tuple[int, ...]
    no_labels: str = ""
    labels: str = LABELS
    form: ImageForm | None = None
    files: tuple[str, ...] = ()


class Table:
    """Ordered columns: name → one-dimensional array, all of one length.

    A column holds numbers (float64, NaN = missing; int64; uint8 for the points of images), truth values (bool),
    moments (datetime64[us], NaT = missing) or text (object array of `str | None`, None = missing).

    Args:
        columns: the arrays by name, in order.
        source: what messages call this table: a file's name, or such as "the DataFrame".
        notices: what a person should be told about the reading of it.
        lines: for each row the line in the file (from 1) where it begins, where that is known.
        default_target: the column that this data set is usually asked about, if it knows one.
        numbers: for each row its number (from 0) in the source, where the table is a part of it.
        layout: of the array that the columns come from, if they do.
        first_line: the line in the file of row number 0, where every row is a line.
        mapped: whether the columns are mapped files, as of a table that memory may not hold.
    """

    def __init__(
        self,
        columns: Mapping[str, Column],
        source: str = "the table",
        notices: Iterable[str] = (),
        lines: NDArray[np.int64] | None = None,
        default_target: str | None = None,
        numbers: NDArray[np.int64] | None = None,
        layout: Layout | None = None,
        first_line: int | None = None,
        mapped: bool = False,
    ) -> None:
        self.columns: dict[str, Column] = dict(columns)
        self.source = source
        self.notices: list[str] = list(notices)
        self.lines = lines
        self.default_target = default_target
        self.numbers = numbers
        self.layout = layout
        self.first_line, self.mapped = first_line, mapped
        lengths = {len(values) for values in self.columns.values()}
        if len(lengths) > 1:
            shown = ", ".join(f"{name!r} has {len(values)}" for name, values in list(self.columns.items())[:5])
            raise DataError(f"{source}: every column needs the same number of rows; {shown}.")
        self._rows = lengths.pop() if lengths else 0

    def __len__(self) -> int:
        return self._rows

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def __repr__(self) -> str:
        return f"<Table {self.source}: {len(self)} rows, {len(self.columns)} columns>"

    @property
    def names(self) -> list[str]:
        """The columns' names, in order."""
        return list(self.columns)

    def column(self, name: str) -> Column:
        """The array of one column.

        Raises:
            DataError: no column has that name; the message gives the nearest.
        """
        if name not in self.columns:
            known = "" if self.layout is None or name != self.layout.labels else self.layout.no_labels
            raise DataError(f"{self.source} has no column {name!r}: {known or nearest(name, self.columns)}")
        return self.columns[name]

    def resolve_column(self, spec: str | int) -> str:
        """The name of the column that `spec` means: a name, a number counted from 1, or "last".

        A column named exactly like `spec` comes before the other readings.

        Raises:
            DataError: there is no such column.
        """
        text = str(spec).strip()
        for exact in (str(spec), text):
            if exact in self.columns:
                return exact
        if text.lower() == "last" and self.columns:
            return self.names[-1]
        if text.isdecimal():
            if 1 <= int(text) <= len(self.columns):
                return self.names[int(text) - 1]
            raise DataError(
                f"{self.source} has no column number {text}: it has {len(self.columns)} columns, counted from 1."
            )
        raise DataError(f"{self.source} has no column {text!r}: {nearest(text, self.columns)}")

    def select(self, rows: ArrayLike) -> "Table":
        """The table of the given rows (indices from 0, or a mask), in the given order."""
        index = np.asarray(rows)
        if index.size == 0 and index.dtype != bool:
            index = index.astype(np.int64)
        if index.dtype == bool:
            index = numbers_of(index)
        columns = {name: taken(values, index) for name, values in self.columns.items()}
        lines = None if self.lines is None else gather(self.lines, index)
        if self.numbers is not None:
            numbers = gather(self.numbers, index)
        else:
            numbers = np.where(index < 0, index + len(self), index) if index.min(initial=0) < 0 else index
        return self._with(columns, lines=lines, numbers=numbers)

    def replaced(self, columns: Mapping[str, Column]) -> "Table":
        """The table with other columns of the same rows."""
        return self._with(columns, lines=self.lines, numbers=self.numbers)

    def _with(self, columns: Mapping[str, Column], **rows: Any) -> "Table":
        return Table(
            columns, self.source, self.notices, default_target=self.default_target, layout=self.layout,
            first_line=self.first_line, mapped=self.mapped, **rows,
        )  # fmt: skip

    def drop(self, names: Iterable[str]) -> "Table":
        """The table without the named columns, each of which must exist."""
        gone = {self.resolve_column(name) for name in names}
        columns = {name: values for name, values in self.columns.items() if name not in gone}
        rest = self.replaced(columns)
        rest.default_target = None if self.default_target in gone else self.default_target
        return rest

    def place(self, row: int) -> str:
        """Where row `row` (from 0) is, for a message: "cars.csv, row 3 (line 4)", or "photos, file cat/3.png"."""
        if file := self.file(row):
            return self.source if file == self.source else f"{self.source}, file {file}"
        number, known = self.row_number(row), ""
        if self.lines is not None:
            known = f" (line {int(self.lines[row])})"
        elif self.first_line is not None:
            known = f" (line {number - 1 + self.first_line})"
        return f"{self.source}, row {number}{known}"

    def row_number(self, row: int) -> int:
        """The number, from 1, that row `row` (from 0) has in the source."""
        return 1 + (row if self.numbers is None else int(self.numbers[row]))

    def file(self, row: int) -> str:
        """The file that row `row` (from 0) is, where each row is one; else nothing."""
        files = () if self.layout is None else self.layout.files
        return files[self.row_number(row) - 1] if files else ""

    def row_name(self, row: int) -> str:
        """What row `row` (from 0) is called in a list: "row 1,234", or its file."""
        return self.file(row) or f"row {self.row_number(row):,}"
