"""A file's rows part by part: read by several threads, written to the columns' files in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fallline.data import duck
from fallline.data.mapped import ColumnFile, Vocabulary
from fallline.engine.threads import usable_cores
from fallline.errors import DataError

MOST_THREADS = 4
FAST_WORDS = 5_000
"""Up to so many words DuckDB is told which they are, so that it gives their places."""
Told = Callable[[int], None]
"""Receives how many bytes more have been read."""


@dataclass
class Rows:
    """The rows of one part.

    Attributes:
        count: how many.
        columns: place of a column → its numbers; of text: cells (objects), or the places of words that are all known.
        refuted: places of columns of numbers that have other cells here.
        bytes: of the file that they were.
    """

    count: int
    columns: dict[int, NDArray[Any]]
    refuted: set[int] = field(default_factory=set)
    bytes: int = 0


@dataclass
class Encoded:
    """Files' columns as they were written.

    Attributes:
        names: of the columns.
        kinds: "number", "text" or "skipped" of each.
        rows: how many.
        notices: what a person should be told.
        first_line: of the first row.
    """

    names: list[str]
    kinds: list[str]
    rows: int
    notices: list[str]
    first_line: int | None


class Part(Protocol):
    """Some rows, to be read by any thread."""

    def read(self, worker: "Worker") -> Rows: ...


class Worker:
    """What one thread reads with: a database of its own, which knows the words of the columns of text.

    Args:
        database: a connection.
        marks: texts that stand for a missing cell.
    """

    def __init__(self, database: Any, marks: Iterable[str] = ()) -> None:
        self.database, self._marks = database, sorted(marks)
        self._types: dict[int, int] = {}  # of a column → how many words its type has

    def wanted(self, place: int, vocabulary: Vocabulary, cell: str, clean: str | None = None) -> list[str]:
        """What to select of a column of text: its words' places within a type of them, where there is one.

        Args:
            place: of the column.
            vocabulary: its words.
            cell: in SQL; marks may stand in it.
            clean: in SQL, NULL where a mark stands; None where `cell` is.
        """
        kind = self._word_type(place, vocabulary)
        if kind is None:
            return [f"{clean or cell} AS c{place}"]
        places = f"coalesce(enum_code(TRY_CAST({cell} AS {kind}))::INTEGER, -1)"
        return [f"{places} AS c{place}", f"{cell} IS NULL AS gap{place}"]

    def given(
        self, place: int, vocabulary: Vocabulary, found: Mapping[str, NDArray[Any]], cells: Callable[[], Any]
    ) -> NDArray[Any]:
        """What was selected, as places among the words, or as cells where some are not known yet.

        Args:
            place: of the column.
            vocabulary: its words.
            found: the columns that were selected.
            cells: selects the cells themselves.
        """
        values = found[f"c{place}"]
        if f"gap{place}" not in found:
            return values
        if np.count_nonzero(values < 0) == np.count_nonzero(found[f"gap{place}"]):
            return self._places(place, vocabulary, values)
        return np.asarray(cells(), dtype=object)

    def _word_type(self, place: int, vocabulary: Vocabulary) -> str | None:
        """The name of a type of the words that were known a moment ago; None where they are none, or too many."""
        texts = [text for text in list(vocabulary.known) if text is not None]  # a copy: others are taken up meanwhile
        if not 0 < len(texts) <= FAST_WORDS:
            return None
        if self._types.get(place) != len(texts):
            words = ", ".join(map(duck.quoted, (*self._marks, *texts)))
            self.database.execute(f"DROP TYPE IF EXISTS words_{place}")
            self.database.execute(f"CREATE TYPE words_{place} AS ENUM ({words})")
            self._types[place] = len(texts)
        return f"words_{place}"

    def _places(self, place: int, vocabulary: Vocabulary, found: NDArray[Any]) -> NDArray[np.int32]:
        """From the numbers within the type to places among the words; −1 for marks, and where it was."""
        known = list(vocabulary.known.values())[1 : self._types[place] + 1]
        table = np.array([*(-1 for _ in self._marks), *known, -1], dtype=np.int32)
        return np.asarray(table[found])


def each(parts: Iterator[Part], databases: list[Any], take: Callable[[Rows], None], marks: Iterable[str] = ()) -> None:
    """Read parts side by side, and take their rows one after the other, in order.

    Args:
        parts: what is to be read.
        databases: a connection for each thread.
        take: receives the rows.
        marks: texts that stand for a missing cell.
    """
    idle: SimpleQueue[Worker] = SimpleQueue()
    for database in databases:
        idle.put(Worker(database, marks))

    def read(part: Part) -> Rows:
        worker = idle.get()
        try:
            return part.read(worker)
        finally:
            idle.put(worker)

    waiting: deque[Future[Rows]] = deque()
    pool = ThreadPoolExecutor(len(databases))
    try:
        for part in parts:
            if len(waiting) > len(databases):  # one more than can be read, so that no thread waits for the next
                take(waiting.popleft().result())
            waiting.append(pool.submit(read, part))
        while waiting:
            take(waiting.popleft().result())
    finally:
        for database in databases:
            database.interrupt()
        pool.shutdown(wait=True, cancel_futures=True)


def threads() -> int:
    """How many read."""
    return min(MOST_THREADS, usable_cores())


def require_few_words(vocabulary: Vocabulary, source: str, name: str) -> None:
    """Refuse a column of text whose words cannot be held.

    Raises:
        DataError: they are too many.
    """
    if vocabulary.too_large:
        raise DataError(
            f"{source}: column {name!r} has more than {len(vocabulary.words):,} different texts, which are too many to "
            f"hold for a table that is mapped. Leave it out: --drop {name}"
        )


def write(file: ColumnFile, values: NDArray[Any], vocabulary: Vocabulary | None) -> None:
    """The rows of a column to its file."""
    if vocabulary is not None and values.dtype.kind == "O":
        values = vocabulary.codes(values.tolist(), len(values))
    file.write(values)
