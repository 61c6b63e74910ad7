"""`fl.diff`: the first step and the first tensor in which two runs differ, and why.

Both runs are taken again (`training/replay.py`). Once their states differ they stay apart, so the first step that makes
them differ is found by bisection: O(log steps) comparisons, each of them between moments that are near already. Of that
step every tensor of both is compared, in the order of computation; which of them differs first decides which settings
or rows can be the cause. What no setting explains is looked for in the runs themselves: does each of them reproduce
what it has stored?
"""

from dataclasses import replace
from typing import Any

import numpy as np

from fallline.errors import ArgumentError
from fallline.insight.changed_settings import LENGTH, among, changed_settings, influential
from fallline.insight.difference import Difference
from fallline.insight.faults import Broken, broken_checkpoint, explain, shown_at, unreproduced
from fallline.insight.kernel_check import wrong_kernel
from fallline.insight.reasons import beginning, reason
from fallline.insight.sides import Side, side_of, state_name, stored_run
from fallline.insight.values import Change, first_change
from fallline.nn.trace import DENOMINATOR, SAMPLE_WEIGHT, SEED, STEP, X, Y
from fallline.training.recording import Given
from fallline.training.run import Run
from fallline.training.run_reader import StoredRun
from fallline.training.step import LOSS

CALL = "diff"
NOT_FINITE = "NaN or infinite loss"
FIRST = tuple(name.removeprefix("@") for name in (X, Y, SAMPLE_WEIGHT, DENOMINATOR, SEED, STEP))
"""What a step is given, apart from weights and the rule's numbers: compared before anything that is computed of it."""


def diff(
    a: Any,
    b: Any,
    x: Any = None,
    y: Any = None,
    *,
    sample_weight: Any = None,
    other: Any = None,
    threads: int | None = None,
) -> Difference:
    """Find the first step and the first tensor in which two runs differ, and why: a row, a setting, a fault, a kernel.

    Args:
        a, b: runs as `fit` returns them, or run folders.
        x, y, sample_weight: for folders: the data, as `fit` was given them.
        other: (x, y) or (x, y, sample_weight) of b, where its data are other ones.
        threads: how many compute the replays of folders; never changes a bit.

    Returns:
        A `Difference`; `print` it. Runs with the same bits are `equal`; settings that nothing depends on do not count.

    Raises:
        ArgumentError: a run cannot be replayed, or the data are missing or those of another run.
        RunFolderError: there is no such run, or it was made under another exactness contract.

    A folder remembers its last three checkpoints and its start, so both runs may have to be taken again from there: it
    takes up to twice the time that training them took.
    """
    given = Given(x, y, sample_weight, None, None, None, (), threads)
    return compare_runs(a, b, given, _given_other(other, given))


def compare_runs(a: Any, b: Any, given: Given, other: Given | None = None) -> Difference:
    """`diff`, with what the folders do not hold."""
    one = side_of(a, given, CALL, "a")
    if other is None and not isinstance(b, Run) and (unknown := _other_data(one, stored_run(b, CALL))) is not None:
        return unknown
    return Search(one, side_of(b, given if other is None else other, CALL, "b")).find()


def _given_other(other: Any, given: Given) -> Given | None:
    if other is None:
        return None
    if not isinstance(other, tuple | list) or len(other) not in (2, 3):
        raise ArgumentError(f"diff: other must be (x, y) or (x, y, sample_weight), the data of b; found {other!r:.60}")
    return replace(given, x=other[0], y=other[1], sample_weight=other[2] if len(other) == 3 else None)


def _other_data(one: Side, stored: StoredRun) -> Difference | None:
    """What is known of a folder whose data are not at hand."""
    then = stored.config.get("data_hash")
    if then == one.data:
        return None
    rows = stored.config.get("rows")
    return Difference(
        one.name,
        str(stored.path),
        "data",
        None,
        f"the training data: those of a ({len(one.recording.rows):,} rows) have the hash {one.data}, those of b "
        f"({rows:,} rows) {then}. Give b's data as well, other=(x, y), and the row and the step are found",
        0,
        checked="the data's hashes only: b was not replayed",
    )


class Search:
    """The search for the first difference of two runs."""

    def __init__(self, a: Side, b: Side) -> None:
        self.a, self.b, self.sides = a, b, (a, b)
        self.settings = tuple(changed_settings(a, b))
        self.first, self.last = max(a.first, b.first), min(a.taken, b.taken)
        if self.last < self.first:
            raise ArgumentError(
                f"diff: the runs have no step in common: {a.name} has steps {a.first:,} to {a.taken:,}, {b.name} "
                f"{b.first:,} to {b.taken:,}"
            )
        self._same: dict[int, bool] = {}

    def find(self) -> Difference:
        """The difference."""
        if (change := first_change(*(side.state(self.first).values for side in self.sides))) is not None:
            kind, cause = beginning(self.a, self.b, self.first, self.settings)
            return self._difference(kind, self.first, cause, change, before=True)
        both = sorted(step for step in self.a.hashes if step in self.b.hashes and self.first < step <= self.last)
        apart = next((step for step in both if self.a.hashes[step] != self.b.hashes[step]), None)
        if apart is None and both and both[-1] == self.last:
            return self._equal(f"the hashes of the weights that both recorded, after step {self._listed(both)}")
        until = self.last if apart is None else apart
        broken = [found for side in self.sides if (found := unreproduced(side, self.first, until)) is not None]
        earliest = min(broken, key=lambda found: found.after, default=None)
        if self.same(until):
            return self._equal(self._replayed(until)) if earliest is None else self._broken(earliest)
        step = self._bisect(until)
        if earliest is not None and earliest.after <= step + 1:
            return self._broken(earliest)
        for side in self.sides:
            if (found := broken_checkpoint(side, self.first, step)) is not None:
                change = first_change(*(side.state(step + 1).values for side in self.sides))
                return self._broken(replace(found, change=change))
        return self._in_step(step, until)

    def same(self, step: int) -> bool:
        """Whether both have the same weights, buffers and memory of gradient descent before a step."""
        if step not in self._same:
            moments = [side.state(step) for side in self.sides]
            same_weights = first_change(*(moment.values for moment in moments)) is None
            kinds = [moment.state.keys() for moment in moments]
            same_memory = kinds[0] != kinds[1] or state_name(moments[0]) == state_name(moments[1])
            self._same[step] = same_weights and same_memory
        return self._same[step]

    def _bisect(self, until: int) -> int:
        """The step before which they are the same, and after which they are not."""
        same, different = self.first, until
        while different - same > 1:
            middle = (same + different) // 2
            if self.same(middle):
                same = middle
            else:
                different = middle
        return same

    def _in_step(self, step: int, until: int) -> Difference:
        """Of the step that makes them differ: the first tensor, and why."""
        change = self._first_tensor(step)
        kind, cause, rows = reason(self.a, self.b, step, change, influential(self.settings))
        if kind == "kernel" and change is None:  # both were computed by the same kernels, whatever recorded them
            found = (wrong_kernel(side, side.state(step)) for side in self.sides)
            change = next((wrong.change for wrong in found if wrong is not None), None)
        steps = [max((s for s in side.hashes if step < s <= until), default=None) for side in self.sides]
        known = [f"{side.name} after step {s:,}" for side, s in zip(self.sides, steps, strict=True) if s is not None]
        reproduced = f"; the hashes that they recorded are reproduced: {', '.join(known)}" if known else ""
        after = "others after it" if until > step else "which one of them could not take"
        checked = f"both runs, taken again: the same bits up to step {step:,}, {after}{reproduced}"
        return self._difference(kind, step, cause, change, rows=tuple(rows), checked=checked)

    def _first_tensor(self, step: int) -> Change | None:
        one, other = (side.replayer.tensors(side.state(step)) for side in self.sides)
        scalars = [name.removeprefix("@") for name in self.a.replayer.update.scalars]
        given = [name for name in (*FIRST, *scalars) if name in one]
        order = [*given, *(name for name in one if name not in given)]
        common = [name for name in order if name in other]
        found = first_change({name: one[name] for name in common}, {name: other[name] for name in common})
        if found is not None or one.keys() == other.keys():
            return found
        return first_change({name: one[name] for name in order}, other)

    def _broken(self, found: Broken) -> Difference:
        """A run that its own replay does not reproduce."""
        kind, cause, change = explain(found, self.a if found.side is self.b else self.b)
        step, since = shown_at(found)
        if kind == "kernel":
            step, since = found.before, None
        checked = (
            f"{found.side.name}, taken again from step {found.before:,} on: what it recorded after step "
            f"{found.after:,} is not reproduced"
        )
        return self._difference(kind, step, cause, found.change or change, since=since, checked=checked)

    def _equal(self, checked: str) -> Difference:
        if self.a.taken == self.b.taken:
            return self._difference("none", None, "", checked=checked)
        shorter = min(self.sides, key=lambda side: side.taken)
        if shorter.stopped == "nan":  # the next step is one that it could not take
            if (
                np.isfinite(shorter.replayer.tensors(shorter.state(self.last))[LOSS])
                and self._first_tensor(self.last) is None
            ):
                return self._broken(Broken(shorter, self.last, self.last + 1, what=NOT_FINITE))
            return self._in_step(self.last, self.last)
        settings = among(self.settings, LENGTH)
        lengths = f"a took {self.a.taken:,} steps, b {self.b.taken:,}"
        why = f"setting {', '.join(map(str, settings))}" if settings else "one of them was ended earlier"
        return self._difference("length", None, f"{lengths}: {why}", checked=checked)

    def _replayed(self, until: int) -> str:
        return f"both runs, taken again up to step {until:,}"

    def _listed(self, steps: list[int]) -> str:
        shown = [f"{step:,}" for step in steps]
        return ", ".join(shown) if len(shown) < 5 else f"{shown[0]}, {shown[1]}, … {shown[-1]}"

    def _difference(
        self, kind: str, step: int | None, cause: str, change: Change | None = None, **more: Any
    ) -> Difference:
        return Difference(
            self.a.name, self.b.name, kind, step, cause, self.last, change, settings=self.settings, **more
        )
