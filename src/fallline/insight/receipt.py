"""What verifying a run found, and its text form; `verify` finds it out."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mismatch:
    """Something that a run has stored and that training it again does not give.

    Attributes:
        step: after how many steps.
        what: "hash", "checkpoint", "loss" or "model file".
        sentence: both values, in words.
    """

    step: int
    what: str
    sentence: str


@dataclass(frozen=True)
class Receipt:
    """Whether a run is what training it again gives; `str()` tells it.

    Attributes:
        run: what it is called.
        steps: the steps after which what it stored was compared, in order.
        hashes, checkpoints, losses: how many of each were reproduced.
        model: whether the model file was; None where it was not compared.
        mismatch: the first thing that was not reproduced, or None.
        retrained: how many steps were taken again, of how many.
        taken: how many steps the run has.
        intervals: (first step, last step) of what was looked at, where not all was.
        seconds: how long it took.
        threads: how many threads computed it; None on the reference engine.
        engine: which engine computed it.
    """

    run: str
    steps: tuple[int, ...]
    hashes: int
    checkpoints: int
    losses: int
    model: bool | None
    mismatch: Mismatch | None
    retrained: int
    taken: int
    intervals: tuple[tuple[int, int], ...]
    seconds: float
    threads: int | None
    engine: str

    @property
    def ok(self) -> bool:
        """Whether something was compared, and all of it was reproduced."""
        return self.mismatch is None and bool(self.steps)

    def __str__(self) -> str:
        threads = "" if self.threads is None else f" on {_count(self.threads, 'thread')}"
        again = (
            f"{self.retrained:,} of {_count(self.taken, 'step')} taken again by the {self.engine} engine{threads} in "
            f"{self.seconds:.2f} s"
        )
        parts = [_count(self.hashes, "recorded hash", "recorded hashes"), _count(self.checkpoints, "checkpoint")]
        parts += [_count(self.losses, "loss", "losses")] + (["the model file"] if self.model else [])
        if self.intervals:
            spans = ", ".join(f"{first:,} to {last:,}" for first, last in self.intervals)
            again += f"; looked at: steps {spans}"
        if self.mismatch is not None:
            return f"{self.run} is not reproduced: {self.mismatch.sentence}.\n{again}"
        if not self.steps:
            return f"{self.run} has recorded nothing to compare with.\n{again}"
        return f"{self.run} is reproduced bit for bit: {', '.join(parts)}.\n{again}"


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
