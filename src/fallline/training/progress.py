"""What a person sees while a network trains: one line that grows, on standard error."""

import sys
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from fallline.training.run import Run


class ProgressView(Protocol):
    """Told what happens; never changes the training."""

    def start(self, run: Run, epochs: int, steps_per_epoch: int) -> None: ...
    def steps(self, run: Run, count: int) -> None: ...
    def epoch(self, run: Run) -> None: ...
    def finish(self, run: Run) -> None: ...


class Silent:
    """Shows nothing."""

    def start(self, run: Run, epochs: int, steps_per_epoch: int) -> None:
        """Nothing."""

    def steps(self, run: Run, count: int) -> None:
        """Nothing."""

    def epoch(self, run: Run) -> None:
        """Nothing."""

    def finish(self, run: Run) -> None:
        """Nothing."""


class Terminal:
    """A bar with the epoch, the losses and the metrics; the last state stays on the screen."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._progress = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[numbers]}"),
            TimeElapsedColumn(),
            console=self._console,
        )

    def start(self, run: Run, epochs: int, steps_per_epoch: int) -> None:
        """Show the empty bar."""
        self._epochs, self._known = epochs, epochs < 10_000
        total = epochs * steps_per_epoch if self._known else None
        self._task = self._progress.add_task("", total=total, epoch="1", numbers="")
        if run.epochs:  # it goes on
            self.epoch(run)
        self._progress.start()

    def steps(self, run: Run, count: int) -> None:
        """So many more steps."""
        self._progress.advance(self._task, count)

    def epoch(self, run: Run) -> None:
        """The numbers of the finished epoch."""
        shown = {k: v[-1] for k, v in run.history.items() if k not in ("seconds", "learning_rate", "train_loss")}
        numbers = "  ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in shown.items())
        of = f"/{self._epochs}" if self._known else ""
        self._progress.update(self._task, epoch=f"{run.epochs}{of}", numbers=numbers)

    def finish(self, run: Run) -> None:
        """Leave the last line standing."""
        self._progress.stop()


def choose(progress: "bool | ProgressView | None") -> ProgressView:
    """The view: a terminal's by default where standard error is one, nothing where it is not."""
    if progress is None:
        progress = sys.stderr.isatty()
    if isinstance(progress, bool):
        return Terminal() if progress else Silent()
    return progress
