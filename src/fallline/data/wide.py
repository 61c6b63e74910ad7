"""Tables of thousands of columns: one long column of cells in the database, record after record."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.data import duck
from fallline.data.table import Column


class WideCells:
    """Cells of which number k·columns + j is that of record k in column j: the table `cells` with the column c0.

    Args:
        database: it is there.
        first: the cells of the first record.
    """

    def __init__(self, database: Any, first: tuple[str, ...]) -> None:
        self._database, self._columns = database, len(first)

    def survey(self, first: int) -> tuple[list[int], list[int], list[bool]]:
        """Per column, from record `first` on: filled cells, numbers among them, whether the first cell comes back."""
        n = self._columns
        found = (
            self._database.execute(
                f"SELECT count(a.c0), count({number('a.c0')}), coalesce(bool_or(a.c0 = b.c0), false) "
                f"FROM cells a JOIN cells b ON b.rowid = a.rowid % {n} WHERE a.rowid >= {first * n} "
                f"GROUP BY a.rowid % {n} ORDER BY a.rowid % {n}"
            ).fetchall()
            or [(0, 0, False)] * n
        )
        return [row[0] for row in found], [row[1] for row in found], [row[2] for row in found]

    def fetch(self, numeric: list[bool], start: int) -> list[Column]:
        """The columns: float64 or int64 where all cells are numbers, text otherwise."""
        places = [k for k, is_number in enumerate(numeric) if is_number]
        found: dict[int, Column] = dict(zip(places, self._select(places, number("c0"), start).T, strict=True))
        large = []
        for k, values in found.items():
            whole = all_whole(values)
            if whole and float(np.max(np.abs(values))) < 2.0**53:
                found[k] = values.astype(np.int64)
            elif whole:
                large.append(k)
        for k, digits in zip(large, self._select(large, f"CAST({exact('c0')} AS VARCHAR)", start).T, strict=True):
            if all(cell is not None for cell in digits):
                found[k] = np.array([int(cell) for cell in digits], dtype=np.int64)
        texts = [k for k, is_number in enumerate(numeric) if not is_number]
        for k, cells in zip(texts, self._select(texts, "c0", start).T, strict=True):
            found[k] = text_or_empty(cells)
        return [np.ascontiguousarray(found[k]) for k in range(self._columns)]

    def first_text(self, k: int, start: int) -> tuple[int, str]:
        """(row, cell) of the first cell of column k that is no number."""
        row, cell = self._database.execute(
            f"SELECT rowid, c0 FROM cells WHERE rowid >= {start * self._columns} AND rowid % {self._columns} = {k} "
            f"AND c0 IS NOT NULL AND ({number('c0')}) IS NULL ORDER BY rowid LIMIT 1"
        ).fetchone()
        return row // self._columns - start, cell

    def _select(self, places: list[int], what: str, start: int) -> NDArray[Any]:
        """What the cells of some columns give, (records, columns)."""
        self._database.execute("CREATE OR REPLACE TEMP TABLE places (k BIGINT)")
        self._database.execute("INSERT INTO places SELECT unnest(?)", [places])
        values = duck.fetch(
            self._database.execute(
                f"SELECT {what} AS c FROM cells WHERE rowid >= {start * self._columns} "
                f"AND rowid % {self._columns} IN (SELECT k FROM places) ORDER BY rowid"
            )
        )["c"]
        return values.reshape(-1, len(places)) if places else np.empty((0, 0))


def number(column: str) -> str:
    """The cell as DOUBLE, or NULL; DuckDB would also take 1_000, which is no number to others."""
    return f"CASE WHEN contains({column}, '_') THEN NULL ELSE TRY_CAST({column} AS DOUBLE) END"


def exact(column: str) -> str:
    """The cell as BIGINT, or NULL where it is not of at most 18 digits."""
    return f"CASE WHEN regexp_full_match({column}, '[+-]?[0-9]{{1,18}}') THEN TRY_CAST({column} AS BIGINT) END"


def all_whole(values: NDArray[np.float64]) -> bool:
    """Whether every number is whole and none is missing."""
    with np.errstate(invalid="ignore"):
        return bool(np.all(values == np.floor(values))) and bool(np.all(np.isfinite(values)))


def text_or_empty(values: Column) -> Column:
    """Text; a column without any value becomes float64, all NaN."""
    return np.full(len(values), np.nan) if all(cell is None for cell in values) else values
