"""What a check of gradients found: per parameter tensor, how many digits can be trusted, and where the fewest are.

    digits(a, b; s) = −log₁₀( |a − b| / max(|a|, |b|, s) )        cut to 0 … the digits that the type holds

With s = 0 these are the digits of the entry itself ("own"); with s = the tensor's largest entry, those of the tensor.
An entry is a sum over rows and paths. Where large terms cancel, what is left keeps few digits of its own, however
well every term was computed, but its error stays small beside the tensor's largest entry. So few own digits and many
of the tensor are no defect; few of both need an explanation, and `Precision.attainable` gives it.
"""

import textwrap
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
TOLERANCE = 1e-5
WIDTH = 98
FLOAT32_DIGITS, FLOAT64_DIGITS = (-float(np.log10(np.finfo(kind).eps / 2.0)) for kind in (np.float32, np.float64))
"""A correctly rounded number agrees with the exact one to that many digits: 7.2 and 16.0."""
FEW, LOST, NOTHING = 5.0, 1.5, 1.0
"""A tensor is told to lose digits in the arithmetic where it keeps fewer than 5, and 1.5 less than attainable; to be
0 but for rounding where less than 1 is attainable."""
NAMED = 3


def digits(a: Any, b: Any, scale: float = 0.0, most: float = FLOAT64_DIGITS) -> Array:
    """On how many decimal digits a and b agree, entry by entry: −log₁₀(|a − b| / max(|a|, |b|, scale)).

    From 0 to `most`, which equal values get; 0 where one of them is not finite.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    with np.errstate(all="ignore"):
        found = -np.log10(np.abs(a - b) / np.maximum(np.maximum(np.abs(a), np.abs(b)), scale))
    found = np.where((a == b) & np.isfinite(a), most, np.where(np.isnan(found), 0.0, found))
    return np.clip(found, 0.0, most) + 0.0  # no −0


@dataclass(frozen=True)
class Entry:
    """One entry of a gradient, computed twice.

    Attributes:
        place: where in the tensor.
        digits: its own agreeing digits.
        float32: its value in float32.
        float64: its value in float64.
    """

    place: tuple[int, ...]
    digits: float
    float32: float
    float64: float


@dataclass(frozen=True)
class Precision:
    """What float32 keeps of one parameter tensor's gradient, over all its entries.

    Both gradients are taken at the same point, weights and data rounded to float32, so that they differ by the
    rounding of the arithmetic alone.

    Attributes:
        digits: the fewest digits of any entry, relative to the tensor's largest entry.
        farthest: the entry with those, whose |float32 − float64| is largest.
        loosest: the entry with the fewest digits of its own.
        attainable: as `digits`, for float64 at weights and inputs moved by half a unit in float32's last place: what
            no float32 program can be expected to exceed by much. Near `digits`: the terms of the gradients cancel.
            Far above: the arithmetic on the way loses the digits.
    """

    digits: float
    farthest: Entry
    loosest: Entry
    attainable: float

    @property
    def lossy(self) -> bool:
        """Whether few digits are left, and the arithmetic is to blame."""
        return self.digits < FEW and self.digits < self.attainable - LOST

    @property
    def vanishing(self) -> bool:
        """Whether the whole gradient is 0 but for the rounding of weights and inputs, so that it has no digits."""
        return self.attainable < NOTHING


@dataclass(frozen=True)
class ParameterCheck:
    """One parameter tensor's comparison.

    Attributes:
        name: dotted name.
        shape: its shape.
        entries: how many entries were compared with finite differences.
        error: the largest |backpropagation − difference| / max(|…|, |…|, scale), with scale a thousandth
            of the tensor's largest gradient plus what rounding of the loss can make of a difference (so
            that entries near 0 are not judged by their rounding).
        place: the entry with that error.
        gradient: backpropagation's value there, in float64.
        difference: the finite difference there.
        kinks: entries left out because the loss has a kink within ±h of the weight.
        digits: the fewest digits on which backpropagation and a difference agree, relative to the tensor's largest
            gradient (or to scale, where that is larger).
        precision: what float32 keeps of the gradient.
    """

    name: str
    shape: tuple[int, ...]
    entries: int
    error: float
    place: tuple[int, ...]
    gradient: float
    difference: float
    kinks: int = 0
    digits: float = 0.0
    precision: Precision | None = None

    @property
    def own_digits(self) -> float:
        """The digits of the entry with the largest error: −log₁₀(error)."""
        return float(digits(self.error, 0.0, 1.0))


@dataclass(frozen=True)
class GradientReport:
    """All parameters' comparisons; `str()` is a table, and what it says in words.

    Attributes:
        loss: the loss at which was compared.
        checks: one per parameter tensor.
        tolerance: the largest error that counts as agreement.
    """

    loss: float
    checks: tuple[ParameterCheck, ...]
    tolerance: float = TOLERANCE

    @property
    def max_error(self) -> float:
        """The largest relative error of any entry."""
        return max((check.error for check in self.checks), default=0.0)

    @property
    def ok(self) -> bool:
        """Whether every gradient agrees with its finite difference."""
        return all(check.error <= self.tolerance for check in self.checks)

    @property
    def float32_digits(self) -> float:
        """The fewest digits that float32 keeps of any tensor's gradient, relative to the tensor's largest entry.

        Gradients that are 0 but for rounding (`Precision.vanishing`) do not count; 0.0 where all are.
        """
        kept = [check.precision for check in self.checks if check.precision]
        return min((precision.digits for precision in kept if not precision.vanishing), default=0.0)

    @property
    def difference_digits(self) -> float:
        """The fewest digits on which backpropagation and finite differences agree, likewise."""
        return min((check.digits for check in self.checks if check.entries), default=0.0)

    def __str__(self) -> str:
        verdict = "agree" if self.ok else "DISAGREE"
        return "\n".join(
            [
                *_table(self.checks),
                "",
                *textwrap.wrap(" ".join(_words(self)), WIDTH, break_on_hyphens=False, break_long_words=False),
                f"backpropagation and finite differences {verdict}: "
                f"largest relative error {self.max_error:.1e}, allowed {self.tolerance:.0e}",
            ]
        )


HEADINGS = ("parameter", "shape", "compared", "entries", "digits", "own", "worst entry", "in float64", "compared")
RIGHT = (3, 4, 5, 7, 8)


def _table(checks: tuple[ParameterCheck, ...]) -> list[str]:
    """Two lines per tensor: float32 and finite differences, each compared with float64's backpropagation."""
    rows: list[tuple[tuple[str, ...], str]] = [(HEADINGS, "")]
    for check in checks:
        names = (check.name, "×".join(map(str, check.shape)) or "1")
        if check.precision:
            found, worst = check.precision, check.precision.loosest
            size = int(np.prod(check.shape))
            cells = _cells(size, found.digits, worst.digits, worst.place, worst.float64, worst.float32)
            rows.append(((*names, "float32", *cells), ""))
            names = ("", "")
        cells = _cells(check.entries, check.digits, check.own_digits, check.place, check.gradient, check.difference)
        left_out = f"  ({check.kinks} at a kink left out)" if check.kinks else ""
        rows.append(((*names, "difference", *cells), left_out))
    widths = [max(len(cells[k]) for cells, _ in rows) for k in range(len(HEADINGS))]
    return [
        "  ".join(
            f"{cell:>{width}}" if k in RIGHT else f"{cell:<{width}}"
            for k, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ).rstrip()
        + after
        for cells, after in rows
    ]


def _cells(
    entries: int, tensor: float, own: float, place: tuple[int, ...], value: float, compared: float
) -> tuple[str, ...]:
    if not entries:
        return ("0", "", "", "", "", "")
    return (str(entries), f"{tensor:.1f}", f"{own:.1f}", _at(place), f"{value:.8g}", f"{compared:.8g}")


def _at(place: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, place))}]" if place else ""


def _words(report: GradientReport) -> list[str]:
    """The last paragraph: what the numbers say."""
    said = [
        "Digits are decimal digits on which two values agree, relative to the tensor's largest entry; own: relative to "
        "the entry itself. An entry with few of its own but many digits is a small remainder of terms that cancel, "
        "no defect."
    ]
    kept = [(check.name, check.precision) for check in report.checks if check.precision]
    if kept:
        said += _words_of_float32(kept)
    compared = [check for check in report.checks if check.entries]
    if compared and report.ok:
        fewest = min(compared, key=lambda check: check.digits)
        said.append(
            f"Finite differences confirm at least {fewest.digits:.1f} digits of backpropagation; "
            f"fewest in {fewest.name}."
        )
    elif compared:
        wrong = [check.name for check in report.checks if not check.error <= report.tolerance]
        said.append(f"Finite differences contradict backpropagation in {_list(wrong)}.")
    return said


def _words_of_float32(kept: list[tuple[str, Precision]]) -> list[str]:
    said = []
    standing = [item for item in kept if not item[1].vanishing]
    if standing:
        name, fewest = min(standing, key=lambda item: item[1].digits)
        entry = fewest.farthest
        said.append(
            f"float32 keeps at least {fewest.digits:.1f} digits; fewest in {name}{_at(entry.place)}: "
            f"{entry.float32:.8g}, in float64 {entry.float64:.8g}."
        )
        said += _why(name, fewest, [(name, precision) for name, precision in standing if precision.lossy])
    if len(standing) < len(kept):
        gone = _list([name for name, precision in kept if precision.vanishing])
        said.append(
            f"0 but for the rounding of weights and inputs is the gradient of {gone}: all its terms cancel, as they "
            "do at a minimum, or in a bias before BatchNorm. No defect."
        )
    return said


def _why(name: str, fewest: Precision, lossy: list[tuple[str, Precision]]) -> list[str]:
    """Where float32 keeps few digits: because its arithmetic loses them, or because there are no more."""
    if lossy:
        attainable = min(precision.attainable for _, precision in lossy)
        return [
            f"The arithmetic in float32 loses digits in {_list([name for name, _ in lossy])}: rounding the weights "
            f"and the inputs alone would leave {attainable:.1f}. Look for large numbers that are added and "
            "subtracted again, or take dtype='float64'."
        ]
    if fewest.digits < FEW:
        return [
            f"Rounding the weights and the inputs alone leaves {fewest.attainable:.1f} in {name}: large terms cancel, "
            "as they do near a minimum. No defect."
        ]
    return []


def _list(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
