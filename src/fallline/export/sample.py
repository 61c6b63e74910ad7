"""Rows on which an exported model is tried: of every kind, odd ones among them. They reach no weight."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.data.column_encoders import BooleanEncoder, CategoryEncoder, DateEncoder, NumberEncoder
from fallline.data.encoders import ColumnEncoder, TableEncoder
from fallline.data.table import Column, Table
from fallline.ir.types import DType

Array = NDArray[Any]
ROWS = 256
UNKNOWN = "a category that training did not see"
_MICROSECONDS = 86_400_000_000  # of a day


def sample_rows(shape: tuple[int, ...], dtype: DType, largest: int) -> Array:
    """Rows of a network's input: normal numbers, or whole ones from 0 to `largest`."""
    chance = np.random.default_rng(0)
    if dtype.is_float:
        return chance.normal(size=(ROWS, *shape)).astype(dtype.value)
    if dtype is DType.BOOL:
        return chance.integers(0, 2, size=(ROWS, *shape)).astype(bool)
    most = min(largest, int(np.iinfo(dtype.value).max))
    return chance.integers(0, most, size=(ROWS, *shape), endpoint=True).astype(dtype.value)


def sample_table(encoder: TableEncoder) -> Table:
    """Rows of a table with the columns of an encoder: of the training rows' spread, beyond it, unknown and missing."""
    chance = np.random.default_rng(0)
    columns = {each.name: _column(each, chance) for each in encoder.encoders}
    return Table(columns, "the generated rows")


def sample_matrix(encoder: TableEncoder, table: Table) -> Array:
    """What the encoder makes of generated rows, the n-grams of texts, which those have not, drawn as well."""
    chance = np.random.default_rng(1)
    matrix = encoder.transform(table)
    places = encoder.places()
    for name, count, slots in encoder.bags:
        bag = places[name][-2 * slots :]
        matrix[:, bag[:slots]] = chance.integers(0, count, size=(len(matrix), slots))
        matrix[:, bag[slots:]] = chance.uniform(0.0, 2.0 / slots, size=(len(matrix), slots))
    return matrix


def _column(encoder: ColumnEncoder, chance: np.random.Generator) -> Column:
    if isinstance(encoder, NumberEncoder):
        return _numbers(encoder, chance)
    if isinstance(encoder, DateEncoder):
        days = _numbers(encoder.elapsed, chance)
        moments = (np.nan_to_num(days) * _MICROSECONDS).astype(np.int64).astype("datetime64[us]")
        return np.where(np.isnan(days), np.datetime64("NaT", "us"), moments)
    if isinstance(encoder, CategoryEncoder):
        return _chosen([*encoder.labels, UNKNOWN, None], chance)
    if isinstance(encoder, BooleanEncoder):
        return _chosen(["true", "false", "Yes", "no", "1", "perhaps", None], chance)
    if encoder.kind == "pixel":
        return chance.integers(0, 256, size=ROWS).astype(np.uint8)
    return _chosen(["Some words, as people write them.", "3 OTHERS!", None], chance)


def _numbers(encoder: NumberEncoder, chance: np.random.Generator) -> Column:
    """Mostly within some deviations of the mean; a few missing."""
    numbers = encoder.mean + encoder.deviation * 2.0 * chance.standard_t(3, size=ROWS)
    return np.where(chance.uniform(size=ROWS) < 0.1, np.nan, numbers)


def _chosen(words: list[str | None], chance: np.random.Generator) -> Column:
    """One of the words in each row, each of them in turn and then by chance."""
    codes = np.concatenate([np.arange(len(words))[:ROWS], chance.integers(0, len(words), size=ROWS)])[:ROWS]
    return np.asarray(np.asarray(words, dtype=object)[chance.permutation(codes)])
