"""What a person should know of the target before training: uneven classes, values that pile up at a limit."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.data.by_blocks import different, ordered
from fallline.data.table import Table
from fallline.data.targets import ClassTarget, NumberTarget, target_numbers
from fallline.errors import DataError
from fallline.tables.columns import ColumnInfo
from fallline.tables.leaks import leaks

Array = NDArray[Any]
UNEVEN, RARE = 5, 5
"""So many times more rows of the most than of the least frequent class are told, and so few rows of a class."""
PILE_ROWS, PILE_SHARE, PILE_TIMES, PILE_VALUES = 10, 0.005, 5, 50
"""Values pile up at the end of their range where so many rows, and such a share of them, have the very last value, so
many times more than any of the twenty values next to it; with fewer different values that is no sign of a limit."""


def about_rows(
    training: Table, infos: Sequence[ColumnInfo], codec: ClassTarget | NumberTarget, targets: Array, balanced: bool
) -> list[str]:
    """What a person should know of the training rows.

    Args:
        training: the rows.
        infos: what each column is.
        codec: of the target.
        targets: as the network is given them.
        balanced: whether each class counts alike.
    """
    if isinstance(codec, ClassTarget):
        return about_classes(codec, targets, balanced) + leaks(training, infos, targets, codec.name)
    return leaks(training, infos, target_numbers(training.column(codec.name), codec.name), codec.name)


def about_classes(codec: ClassTarget, codes: Array, balanced: bool) -> list[str]:
    """What is uneven about the classes of the training rows.

    Raises:
        DataError: they are all of one class, as a split by time may leave them.
    """
    counts = np.bincount(codes, minlength=len(codec.classes))
    if (counts > 0).sum() < 2:
        raise DataError(
            f"the {len(codes):,} training rows have one class of {codec.name!r} only, "
            f"{codec.classes[int(counts.argmax())]!r}; a classifier needs two. Leave the time column away, or give "
            "earlier rows of other classes"
        )
    most, least = int(counts.argmax()), int(counts.argmin())
    notices = []
    if counts[most] >= UNEVEN * counts[least] and not balanced:
        shares = f"{codec.classes[most]!r} has {counts[most]:,} of {len(codes):,} training rows"
        notices.append(
            f"The classes are uneven: {shares} ({100 * counts[most] / len(codes):.0f} %), {codec.classes[least]!r} "
            f"{counts[least]:,}. Accuracy says little of rare classes; --class-weight balanced lets each count alike."
        )
    rare = [f"{label!r} ({count})" for label, count in zip(codec.classes, counts, strict=True) if count < RARE]
    if rare and len(codes) >= 10 * RARE:
        shown = ", ".join(rare[:5]) + (", …" if len(rare) > 5 else "")
        notices.append(f"Too few training rows to learn a class from: {shown}.")
    return notices


def limits(values: Array) -> tuple[float | None, float | None]:
    """(low, high): the ends of the values' range at which they pile up, such as a cap; None where they do not."""
    ascending = ordered(values)
    if len(different(values)) < PILE_VALUES:
        return None, None
    enough = max(PILE_ROWS, PILE_SHARE * len(values))

    def piled(last: float, counts: list[int]) -> float | None:
        return float(last) if counts[0] >= enough and counts[0] >= PILE_TIMES * max(counts[1:]) else None

    return piled(ascending[0], _lowest(ascending)), piled(ascending[-1], _highest(ascending))


def _lowest(ascending: Array) -> list[int]:
    """How many rows have the lowest value, the next one, …, of 21."""
    ends = [0]
    for _ in range(21):
        ends.append(int(np.searchsorted(ascending, ascending[ends[-1]], side="right")))
    return np.diff(ends).tolist()


def _highest(ascending: Array) -> list[int]:
    """How many rows have the highest value, the one before, …, of 21."""
    begins = [len(ascending)]
    for _ in range(21):
        begins.append(int(np.searchsorted(ascending, ascending[begins[-1] - 1], side="left")))
    return (-np.diff(begins)).tolist()


def about_limits(name: str, values: Array, low: float | None, high: float | None) -> list[str]:
    """What to know of a target whose values pile up at an end."""
    notices = []
    for limit, end, beyond in ((low, "smallest", "below"), (high, "largest", "above")):
        if limit is not None:
            rows = f"{int((values == limit).sum()):,} of {len(values):,} training rows"
            notices.append(
                f"The target {name!r} is exactly {limit:,.12g}, its {end} value, in {rows}: it looks cut off there. "
                f"What lies beyond cannot be learnt, and no prediction goes {beyond} it."
            )
    return notices
