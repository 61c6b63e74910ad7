"""Where two arrays differ: the element, both values and, where it is but one, the bit."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
MANTISSA = {16: 10, 32: 23, 64: 52}


@dataclass(frozen=True)
class Change:
    """How two arrays differ.

    Attributes:
        tensor: its name.
        place: of the first element that differs; None where shapes or dtypes differ, or one of them has no such tensor.
        a, b: the values there; else shapes and dtypes, in words.
        count, size: how many elements differ, of how many.
        bit: the one bit that differs, from 0 for the lowest, where it is one bit of one element; else None.
        width: bits of an element.
    """

    tensor: str
    place: tuple[int, ...] | None
    a: Any
    b: Any
    count: int = 0
    size: int = 0
    bit: int | None = None
    width: int = 0

    @property
    def where(self) -> str:
        """The tensor with the element's place: "0.weight[2, 5]"."""
        return f"{self.tensor}[{', '.join(map(str, self.place))}]" if self.place else self.tensor

    @property
    def which_bit(self) -> str:
        """The bit in words; empty where more than one differ."""
        if self.bit is None:
            return ""
        mantissa = MANTISSA.get(self.width) if isinstance(self.a, float) else None
        part = ""
        if mantissa is not None:
            part = "mantissa" if self.bit < mantissa else "sign" if self.bit == self.width - 1 else "exponent"
            part = f", in its {part}" if part != "sign" else ", its sign"
        return f"bit {self.bit} of {self.width}{part}"

    def __str__(self) -> str:
        if self.place is None:
            return f"{self.tensor}: {self.a} in a, {self.b} in b"
        more = f"; {self.count:,} of its {self.size:,} elements differ" if self.size > 1 else ""
        return f"{self.where}: {shown(self.a)} in a, {shown(self.b)} in b{more}"


def shown(value: Any) -> str:
    """A value with all the digits that tell it from its neighbours."""
    return repr(value)


def bits(array: Array) -> Array:
    """An array's elements as whole numbers, flat."""
    return np.ascontiguousarray(array).reshape(-1).view(f"u{array.dtype.itemsize}")


def compare(name: str, a: Array | None, b: Array | None) -> Change | None:
    """How two arrays differ, bit by bit; None where they do not."""
    if a is None or b is None:
        return Change(name, None, "none" if a is None else _kind(a), "none" if b is None else _kind(b))
    if a.dtype != b.dtype or a.shape != b.shape:
        return Change(name, None, _kind(a), _kind(b))
    different = bits(a) ^ bits(b)
    places = np.flatnonzero(different)
    if not len(places):
        return None
    first = int(places[0])
    mask = int(different[first])
    one = len(places) == 1 and mask.bit_count() == 1
    return Change(
        name,
        tuple(int(k) for k in np.unravel_index(first, a.shape)),
        _plain(a.reshape(-1)[first]),
        _plain(b.reshape(-1)[first]),
        len(places),
        a.size,
        mask.bit_length() - 1 if one else None,
        8 * a.dtype.itemsize,
    )


def first_change(a: Mapping[str, Array], b: Mapping[str, Array]) -> Change | None:
    """The first of some arrays that differs, in the order of `a`; None where all are equal."""
    for name in [*a, *(name for name in b if name not in a)]:
        if (found := compare(name, a.get(name), b.get(name))) is not None:
            return found
    return None


def _kind(array: Array) -> str:
    shape = ", ".join(map(str, array.shape)) + ("," if array.ndim == 1 else "")
    return f"{array.dtype} ({shape})"


def _plain(value: Any) -> Any:
    """A NumPy number as Python's; float32 by the shortest digits that name it."""
    return float(str(value)) if isinstance(value, np.floating) else value.item()
