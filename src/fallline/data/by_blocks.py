"""What needs many rows at once, done by blocks of them, so that columns beyond memory can be worked on.

In the same way for columns in memory: there is one code, and so one result.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.data import scratch

Array = NDArray[Any]
ROWS = 1 << 18
"""Of a block."""


def blocks(rows: int, size: int = 0) -> Iterator[slice]:
    """Slices that cover so many rows, one after the other, of so many or of `ROWS`."""
    size = size or ROWS
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))


def gather(values: Array, rows: Array) -> Array:
    """values[rows], for row numbers or a mask; what is large lies in `scratch`."""
    if rows.dtype == bool:
        rows = numbers_of(rows)
    found = scratch.empty((len(rows), *values.shape[1:]), values.dtype)
    for part in blocks(len(rows)):
        found[part] = values[rows[part]]
    return found


def numbers_of(mask: Array) -> Array:
    """The numbers of the rows that are true, ascending: int64."""
    found, begin = scratch.empty(int(np.count_nonzero(mask)), np.int64), 0
    for part in blocks(len(mask)):
        rows = np.flatnonzero(mask[part])
        found[begin : begin + len(rows)] = rows + part.start
        begin += len(rows)
    return found


def computed(rows: int, dtype: Any, compute: Callable[[slice], Array]) -> Array:
    """(rows,) of `dtype`, of which `compute` gives each block."""
    found = scratch.empty(rows, dtype)
    for part in blocks(rows):
        found[part] = compute(part)
    return found


def chosen(rows: int, dtype: Any, compute: Callable[[slice], Array]) -> Array:
    """What `compute` gives of each block, which may be fewer rows than the block's, one after the other."""
    found, end = scratch.empty(rows, dtype), 0
    for part in blocks(rows):
        values = compute(part)
        found[end : end + len(values)] = values
        end += len(values)
    return found[:end]


def different(values: Array) -> Array:
    """The different values that are not NaN or NaT, ascending; as a mask on nothing else would give them."""
    present = chosen(len(values), values.dtype, lambda part: _known(values[part]))
    present.sort()
    return merged(present)


def ordered(values: Array) -> Array:
    """A sorted copy."""
    found = computed(len(values), values.dtype, lambda part: values[part])
    found.sort()
    return found


def merged(ordered: Array) -> Array:
    """Each different value of an ascending array once; the array is used up."""
    end = min(len(ordered), 1)
    for part in blocks(len(ordered)):
        values = ordered[part]
        last = ordered[end - 1]
        new = values[np.r_[values[0] != last, values[1:] != values[:-1]]]
        ordered[end : end + len(new)] = new
        end += len(new)
    return ordered[:end]


def counted(values: Array) -> tuple[Array, Array]:
    """(the different values, ascending; how many rows have each), none missing."""
    found = different(values)
    counts = np.zeros(len(found), dtype=np.int64)
    for part in blocks(len(values)):
        counts += np.bincount(np.searchsorted(found, values[part]), minlength=len(found))
    return found, counts


def counted_codes(codes: Array, many: int) -> tuple[int, Array]:
    """(how many rows have the code −1; how many have each of 0 … many − 1)."""
    counts = np.zeros(many + 1, dtype=np.int64)
    for part in blocks(len(codes)):
        counts += np.bincount(codes[part] + 1, minlength=many + 1)
    return int(counts[0]), counts[1:]


def first_rows(values: Array) -> tuple[Array, Array]:
    """(the first row of each different value, values ascending; each row's place among them), none missing."""
    found = different(values)
    place = computed(len(values), np.int64, lambda part: np.searchsorted(found, values[part]))
    return first_of_codes(place, len(found)), place


def first_of_codes(codes: Array, many: int) -> Array:
    """The first row of each code 0 … many − 1; the number of rows where it does not occur. −1 is no code."""
    first = scratch.empty(many, np.int64)
    first[:] = len(codes)
    for part in reversed(list(blocks(len(codes)))):
        here = codes[part][::-1]
        rows = np.arange(part.stop - 1, part.start - 1, -1)
        first[here[here >= 0]] = rows[here >= 0]  # of equal codes the last one stays, which is the first row
    return first


def any_of(rows: int, test: Callable[[slice], Array]) -> bool:
    """Whether a test holds for some row."""
    return any(bool(np.any(test(part))) for part in blocks(rows))


def first_of(rows: int, test: Callable[[slice], Any]) -> int | None:
    """The first row for which a test holds; None where it holds for none."""
    for part in blocks(rows):
        found = test(part)
        if found.any():
            return int(part.start + np.argmax(found))
    return None


def _known(values: Array) -> Array:
    if values.dtype.kind == "f":
        return values[~np.isnan(values)]
    return values[~np.isnat(values)] if values.dtype.kind == "M" else values
