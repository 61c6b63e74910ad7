"""Why the first tensor that differs does: from its kind follows which settings or rows it depends on."""

from collections.abc import Iterable, Sequence

import numpy as np

from fallline.insight.changed_rows import ChangedRow, changed_rows
from fallline.insight.changed_settings import (
    COMPUTED,
    NUMBERS,
    ROWS,
    SEED,
    START,
    WEIGHTS_OF_ROWS,
    Setting,
    among,
)
from fallline.insight.kernel_check import wrong_kernel, wrong_on_threads
from fallline.insight.sides import Side
from fallline.insight.values import Change
from fallline.nn.trace import DENOMINATOR, SAMPLE_WEIGHT, X, Y
from fallline.nn.trace import SEED as SEED_INPUT
from fallline.training.hashes import weights_hash

ROW_INPUTS = tuple(name.removeprefix("@") for name in (X, Y, SAMPLE_WEIGHT, DENOMINATOR))
ROWS_SHOWN = 3
Reason = tuple[str, str, Sequence[ChangedRow]]


def beginning(a: Side, b: Side, step: int, settings: Iterable[Setting]) -> tuple[str, str]:
    """(kind, cause) where runs differ at the first moment that both know."""
    for side in (a, b):
        origin = side.branched_from
        if origin is not None and side.first == step and origin.get("weights") != weights_hash(side.state(step).values):
            return "fault", (
                f"the start of {side.name} is not what it was when it branched off {origin.get('run')}: a memory, disk "
                "or hardware fault has changed it, or somebody has edited it"
            )
    if step:
        late = a if a.first == step else b
        return "weights", (
            f"{late.name} begins at step {step:,}, with other weights than the other run had there; what came before "
            f"is in the run that it branched off{_from(late)}: compare that one"
        )
    if found := among(settings, START):
        return "setting", _settings(found)
    return "weights", (
        "no setting: the same network and seed, but other initial weights; one of them was trained before, loaded or "
        "changed by hand, or its start has been damaged or edited"
    )


def reason(a: Side, b: Side, step: int, change: Change | None, settings: Sequence[Setting]) -> Reason:
    """(kind, cause, rows) of the first tensor that differs in a step before which all is the same.

    Args:
        a, b: the runs.
        step: the step.
        change: the tensor, and how it differs; None where no tensor does, though the step's results do.
        settings: those that differ and can matter.
    """
    name = None if change is None else change.tensor
    groups: tuple[str, ...] = COMPUTED
    if name in ROW_INPUTS:
        numbers = [side.replayer.batches.numbers_of(step) for side in (a, b)]
        same = np.array_equal(numbers[0], numbers[1])
        if same and (rows := changed_rows(a, b)):
            return _data(rows, {int(number) for number in numbers[0]})
        groups = WEIGHTS_OF_ROWS if same else ROWS
        if len(a.recording.rows) != len(b.recording.rows) and not among(settings, ("validation",)):
            return "data", f"the training data: {len(a.recording.rows):,} rows → {len(b.recording.rows):,} rows", ()
    elif name == SEED_INPUT.removeprefix("@"):
        groups = SEED
    elif name is not None and f"@{name}" in a.replayer.update.scalars:
        groups = NUMBERS
    if found := among(settings, groups) or list(settings):
        return "setting", _settings(found) + _branch(a, b, step) + _batches(found), ()
    for side in (a, b):
        if (wrong := wrong_kernel(side, side.state(step))) is not None:
            return "kernel", str(wrong), ()
        if threads := wrong_on_threads(side, side.state(step), step + 1):
            return "kernel", f"no setting: {threads}, which is a defect of Fallline", ()
    versions = ", ".join(f"{key} {v} → {b.made_by[key]}" for key, v in a.made_by.items() if v != b.made_by[key])
    if versions:
        return "version", f"no setting or row: {versions}", ()
    return "kernel", "no setting or row: the same step of the same numbers has two results, a defect of Fallline", ()


def _data(rows: Sequence[ChangedRow], batch: set[int]) -> Reason:
    """Of the rows that differ, first those in the batch."""
    here = [row for row in rows if row.place in batch]
    others = [row for row in rows if row.place not in batch]
    shown = "; ".join(map(str, here[:ROWS_SHOWN]))
    more = f", and {len(here) - ROWS_SHOWN:,} more rows of the batch" if len(here) > ROWS_SHOWN else ""
    later = f"; {len(others):,} more rows differ, which come later" if others else ""
    return "data", f"the training data, {shown}{more}{later} (rows and columns are numbered from 0)", (*here, *others)


def _settings(found: Sequence[Setting]) -> str:
    return f"setting {', '.join(map(str, found))}" if len(found) == 1 else f"settings {', '.join(map(str, found))}"


def _branch(a: Side, b: Side, step: int) -> str:
    """Where the difference comes of a branch that begins with it."""
    for name, side in (("a", a), ("b", b)):
        if side.first and side.branched_from is not None:
            return f", from step {side.first:,} on, where {name} branched off{_from(side)}"
    return ""


def _from(side: Side) -> str:
    origin = side.branched_from
    return "" if origin is None else f" ({origin.get('run')})"


def _batches(found: Sequence[Setting]) -> str:
    if all(setting.name != "batch_size" for setting in found):
        return ""
    return "; steps of different batch sizes see different rows, so that they cannot be compared one to one"
