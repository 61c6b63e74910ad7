"""What a profile holds, and its text form: a table of a step's kernels. `profile` measures it."""

from collections.abc import Sequence
from dataclasses import dataclass

from fallline.engine.calibration import Limits

WIDEST = 44
"""Letters of a kernel's description; the rest is cut."""
BEYOND = 1.15
SHORT = {"backpropagation": "backprop", "gradient descent": "descent"}
HEADINGS = ("part", "kernel", "calls", "µs/step", "share", "GFLOP/s", "GB/s", "of limit")


@dataclass(frozen=True)
class ProfiledKernel:
    """Kernels of a step that share their code, measured.

    Attributes:
        part: "forward", "backpropagation", "gradient descent", or several, joined by " + ".
        what: what they compute, and of what size.
        calls: how many there are in a step.
        seconds: of all of them, in one step; the mean over the threads.
        multiply_adds: of products, in all of them.
        bytes: read and written by all of them, each tensor once.
        limit_seconds: what they would take if each reached this machine's limit of arithmetic, of memory or of
            fetching rows, whichever is the nearest.
    """

    part: str
    what: str
    calls: int
    seconds: float
    multiply_adds: int
    bytes: int
    limit_seconds: float

    @property
    def gflops(self) -> float:
        """10⁹ operations a second; a multiply-add is two."""
        return 2e-9 * self.multiply_adds / self.seconds if self.seconds else 0.0

    @property
    def gbytes(self) -> float:
        """10⁹ bytes a second."""
        return 1e-9 * self.bytes / self.seconds if self.seconds else 0.0

    @property
    def of_limit(self) -> float:
        """The share of the limit that was reached: 1 is all of it.

        Functions such as exp count as no work, so that kernels full of them stay far below.
        """
        return self.limit_seconds / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Profile:
    """A measured training step; `str()` shows it as a table.

    Attributes:
        kernels: in the order of their first calls.
        waiting_seconds: of a step, in which threads wait for one another; the mean over them.
        between_seconds: of a step, outside its kernels: finding the batch's rows, calls, the loss.
        steps: how many were measured.
        batch_size: rows of each.
        threads: how many ran them.
        limits: of this machine, with so many threads.
    """

    kernels: tuple[ProfiledKernel, ...]
    waiting_seconds: float
    between_seconds: float
    steps: int
    batch_size: int
    threads: int
    limits: Limits

    @property
    def seconds_per_step(self) -> float:
        """All of a step."""
        return sum(kernel.seconds for kernel in self.kernels) + self.waiting_seconds + self.between_seconds

    def __str__(self) -> str:
        total = self.seconds_per_step
        lines = [HEADINGS, *(_row(kernel, total) for kernel in self.kernels)]
        for what, seconds in (
            ("waiting for other threads", self.waiting_seconds),
            ("between the steps", self.between_seconds),
            ("all", total),
        ):
            lines.append(("", what, "", _micro(seconds), _percent(seconds, total), "", "", ""))
        steps = "1 step" if self.steps == 1 else f"{self.steps:,} steps"
        rows = "1 row" if self.batch_size == 1 else f"{self.batch_size:,} rows"
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        head = f"{steps} of {rows} on {threads}: {_micro(total)} µs each"
        notes = [f"limits of {self.limits}"]
        if any(kernel.of_limit > BEYOND for kernel in self.kernels):
            notes.append("more than 100 % of a limit: something else was running while the limits were measured")
        return "\n".join([head, "", *aligned(lines), "", *notes])


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Cells below each other: the first two columns to the left, numbers to the right."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def _row(kernel: ProfiledKernel, total: float) -> tuple[str, ...]:
    part = kernel.part
    for word, short in SHORT.items():
        part = part.replace(word, short)
    what = kernel.what if len(kernel.what) <= WIDEST else kernel.what[: WIDEST - 1].rstrip(" ,") + "…"
    return (
        part,
        what,
        f"{kernel.calls}",
        _micro(kernel.seconds),
        _percent(kernel.seconds, total),
        f"{kernel.gflops:.1f}" if kernel.multiply_adds else "",
        f"{kernel.gbytes:.1f}",
        f"{100 * kernel.of_limit:.0f} %",
    )


def _micro(seconds: float) -> str:
    return f"{1e6 * seconds:,.2f}" if seconds < 1e-3 else f"{1e6 * seconds:,.0f}"


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else ""
