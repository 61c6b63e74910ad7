"""The column to predict: classes as codes, or numbers standardised; and back."""

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fallline.data.by_blocks import computed, first_of, first_rows, numbers_of
from fallline.data.numbers import as_numbers, standard
from fallline.data.spelling import NUMBER, canonical, distinct, in_order, is_missing
from fallline.data.table import Column, Table
from fallline.errors import DataError
from fallline.ops import exact

Place = Callable[[int], str]
FARTHEST, LEAST = 1e15, 10.0


def _row(row: int) -> str:
    return f"row {row + 1}"


def drop_missing_targets(table: Table, target: str) -> Table:
    """The rows whose target is known; how many were left out is told in the table's notices.

    Raises:
        DataError: the target is missing everywhere.
    """
    missing = is_missing(table.column(target))
    count = int(missing.sum())
    if count == 0:
        return table
    if count == len(table):
        raise DataError(f"{table.source}: the target {target!r} is missing in all {count} rows. Choose another target.")
    rest = table.select(numbers_of(~missing))
    rows = "1 row" if count == 1 else f"{count} rows"
    first = table.place(int(np.argmax(missing))).removeprefix(f"{table.source}, ")
    rest.notices.append(f"{table.source}: {rows} left out, because the target {target!r} is missing (first: {first}).")
    return rest


class ClassTarget:
    """Classes ↔ codes 0 … n−1, in the order of their values (numbers) or of the alphabet (text).

    Attributes:
        name: the target's name.
        classes: the labels as they were in the data: str, int, float or bool.
    """

    def __init__(self, name: str, classes: list[Any]) -> None:
        self.name = name
        self.classes = classes
        self._codes = {_key(label): code for code, label in enumerate(classes)}

    @classmethod
    def fit(cls, values: Column, name: str = "target", place: Place = _row) -> Self:
        """The classes that occur in the training rows.

        Raises:
            DataError: a target is missing or infinite, or there is only one class.
        """
        _require_known(values, name, place)
        keys, codes = distinct(values)
        if len(keys) < 2:
            found = f"one class only, {keys[0]!r}," if keys else "no class"
            raise DataError(
                f"The target {name!r} has {found} in {len(values)} rows; a classifier needs at least two. "
                f"Choose another target, or add rows of another class."
            )
        first, _ = first_rows(codes)
        original = {key: _plain(values[row]) for key, row in zip(keys, first, strict=True)}
        return cls(name, [original[key] for key in in_order(keys)])

    def encode(self, values: Column, place: Place = _row, notices: list[str] | None = None) -> NDArray[np.int64]:
        """(rows,) codes of labels.

        A label that is unknown as written but known without blanks around it and a dot at its end (as in the test part
        of the Adult data) is taken as that, with a notice.

        Raises:
            DataError: a label is missing, or belongs to no class.
        """
        _require_known(values, self.name, place)
        keys, raw = distinct(values)
        recode = np.full(len(keys), -1, dtype=np.int64)
        for k, key in enumerate(keys):
            recode[k] = self._codes.get(key, -1)
            trimmed = key.strip().removesuffix(".").strip()
            if recode[k] < 0 and canonical(trimmed) in self._codes:
                recode[k] = self._codes[canonical(trimmed)]
                if notices is not None:
                    count = int((raw == k).sum())
                    rows = "1 row" if count == 1 else f"{count} rows"
                    notices.append(f"The target {self.name!r}: {key!r} was taken as the class {trimmed!r} ({rows}).")
        if (recode < 0).any():
            row = int(np.argmax(recode[raw] < 0))
            shown = ", ".join(repr(label) for label in self.classes[:20]) + (", …" if len(self.classes) > 20 else "")
            raise DataError(
                f"{place(row)}, target {self.name!r}: {_plain(values[row])!r} is none of the classes "
                f"of training: {shown}."
            )
        return computed(len(raw), np.int64, lambda part: recode[raw[part]])

    def decode(self, codes: ArrayLike) -> NDArray[Any]:
        """The labels of codes, in their original type: (rows,) of int64, float64, bool or object."""
        return class_array(self.classes)[np.asarray(codes, dtype=np.int64)]

    def to_json(self) -> dict[str, Any]:
        """What `from_json` needs, of plain JSON values."""
        return {"task": "classification", "name": self.name, "classes": self.classes}

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Self:
        """The target that `to_json` described."""
        return cls(saved["name"], list(saved["classes"]))


class NumberTarget:
    """t = (y − mean) / deviation over the training rows; predictions go back to y = t · deviation + mean.

    On a logarithmic scale t = (ln y − mean) / deviation, and y = exp(t · deviation + mean).

    Attributes:
        name: the target's name.
        mean: of the training rows' y, in the target's units, or of their ln y.
        deviation: population standard deviation of the same.
        log: whether the scale is logarithmic.
        low, high: predictions beyond these bounds are taken back to them; None where there is no bound.
    """

    def __init__(
        self,
        name: str,
        mean: float,
        deviation: float,
        log: bool = False,
        low: float | None = None,
        high: float | None = None,
    ) -> None:
        self.name = name
        self.mean = mean
        self.deviation = deviation
        self.log = log
        self.low, self.high = low, high

    @classmethod
    def fit(
        cls,
        values: Column,
        name: str = "target",
        place: Place = _row,
        log: bool = False,
        low: float | None = None,
        high: float | None = None,
    ) -> Self:
        """Mean and deviation of the training rows.

        Raises:
            DataError: a target is missing, infinite or no number, or all are equal; or, for a logarithmic scale, one
                is not positive.
        """
        numbers = target_numbers(values, name, place)
        if log and not numbers.min() > 0:
            row = int(np.argmin(numbers))
            raise DataError(
                f"{place(row)}, target {name!r}: a logarithmic scale needs values above 0, found {numbers[row]:g}. "
                f"Correct that row, or predict the values as they are."
            )
        logarithms = computed(len(numbers), np.float64, lambda part: exact.log(numbers[part])) if log else numbers
        mean, deviation = standard(logarithms)
        if not deviation > 0:
            raise DataError(
                f"The target {name!r} is {numbers[0]:g} in all {len(numbers)} rows: there is nothing to learn. "
                f"Choose another target."
            )
        return cls(name, mean, deviation, log, low, high)

    def encode(self, values: Column, place: Place = _row, notices: list[str] | None = None) -> NDArray[np.float32]:
        """Standardised targets: (rows, 1) float32, at most ±10¹⁵, so that their squares stay in range.

        Training rows are far below that; a validation row may be anywhere. On a logarithmic scale, what is not
        positive there is taken as `LEAST` deviations below the mean.
        """
        numbers = target_numbers(values, self.name, place)
        return computed(len(numbers), np.float32, lambda part: self._scaled(numbers[part]))[:, None]

    def _scaled(self, numbers: NDArray[np.float64]) -> NDArray[np.float32]:
        """What the network learns of some targets: (rows,)."""
        if self.log:
            numbers = np.where(numbers > 0, exact.log(np.maximum(numbers, np.finfo(np.float64).tiny)), -np.inf)
        with np.errstate(over="ignore"):
            standardised = (numbers - self.mean) / self.deviation
        least = -LEAST if self.log else -FARTHEST
        return np.clip(standardised, least, FARTHEST).astype(np.float32)

    def decode(self, outputs: ArrayLike) -> NDArray[np.float64]:
        """Network outputs (rows, 1) or (rows,) in the target's units: (rows,) float64."""
        flat = np.asarray(outputs).reshape(-1)
        return computed(len(flat), np.float64, lambda part: self._unscaled(flat[part]))

    def _unscaled(self, outputs: NDArray[Any]) -> NDArray[np.float64]:
        """What some outputs mean: (rows,)."""
        largest = np.finfo(np.float64).max
        with np.errstate(over="ignore"):
            values = outputs.astype(np.float64) * self.deviation + self.mean
        if self.log:
            values = np.asarray(exact.exp(values))
        low, high = (-largest if self.low is None else self.low), (largest if self.high is None else self.high)
        return np.clip(values, low, high)

    def to_json(self) -> dict[str, Any]:
        """What `from_json` needs, of plain JSON values."""
        return {
            "task": "regression",
            "name": self.name,
            "mean": self.mean,
            "deviation": self.deviation,
            "log": self.log,
            "low": self.low,
            "high": self.high,
        }

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Self:
        """The target that `to_json` described."""
        return cls(**{name: value for name, value in saved.items() if name != "task"})


def target_from_json(saved: dict[str, Any]) -> ClassTarget | NumberTarget:
    """The target that a `to_json` described."""
    return ClassTarget.from_json(saved) if saved["task"] == "classification" else NumberTarget.from_json(saved)


def class_array(classes: list[Any]) -> NDArray[Any]:
    """Labels as an array of one type: bool, int64, float64, or objects."""
    kinds = {type(label) for label in classes}
    if kinds == {bool} or kinds == {int}:
        return np.asarray(classes)
    if kinds <= {int, float} and kinds:
        return np.asarray(classes, dtype=np.float64)
    array = np.empty(len(classes), dtype=object)
    array[:] = classes
    return array


def _key(label: Any) -> str:
    """The text under which a label is compared."""
    return canonical(str(label))


def _plain(cell: Any) -> Any:
    """A cell as a Python value that JSON can hold."""
    if isinstance(cell, np.generic):
        value = cell.item()
        return value if isinstance(value, (bool, int, float)) else str(value)
    return cell


def _require_known(values: Column, name: str, place: Place) -> None:
    missing = is_missing(values)
    if missing.any():
        raise DataError(
            f"{place(int(np.argmax(missing)))}, target {name!r}: the target is missing. "
            f"Fill it in, or leave that row out."
        )
    row = first_of(len(values), lambda part: np.isinf(values[part])) if values.dtype.kind == "f" else None
    if row is not None:
        raise DataError(f"{place(row)}, target {name!r}: the target is infinite. Correct it, or leave that row out.")
    if values.dtype.kind == "M":
        raise DataError(f"The target {name!r} holds dates, which cannot be predicted: choose numbers or classes.")


def target_numbers(values: Column, name: str, place: Place = _row) -> NDArray[np.float64]:
    """A target as finite float64 numbers.

    Raises:
        DataError: one is missing, infinite or no number.
    """
    if values.dtype.kind == "O":
        row = next((i for i, cell in enumerate(values) if cell is not None and not NUMBER.fullmatch(cell)), None)
        if row is not None:
            raise DataError(
                f"{place(row)}, target {name!r}: expected a number for regression, found {values[row]!r}. "
                f"Correct that cell, or ask for classification."
            )
        values = np.asarray([np.nan if cell is None else float(cell) for cell in values])
    _require_known(values, name, place)
    return as_numbers(values, name, place, [])
