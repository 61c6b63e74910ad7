"""What a person sees while the columns of large files are read: bytes, their rate, the time that is left."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)


class Reading:
    """A bar on a terminal; nothing where there is no console."""

    def __init__(self, console: Console | None) -> None:
        columns = (
            TextColumn("reading"), BarColumn(bar_width=24), TaskProgressColumn(), DownloadColumn(),
            TransferSpeedColumn(), TimeRemainingColumn(),
        )  # fmt: skip
        self._progress = None if console is None else Progress(*columns, console=console, transient=True)
        self._task = None if self._progress is None else self._progress.add_task("", total=None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def told(self, done: int, whole: int) -> None:
        """So many bytes of how many have been read."""
        if self._progress is not None and self._task is not None:
            self._progress.start()
            self._progress.update(self._task, completed=done, total=whole)
