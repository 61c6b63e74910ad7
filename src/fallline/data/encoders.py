"""The encoder of a table: one encoder a column, together a matrix of float32, or of bytes where all are points."""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from fallline.data import scratch
from fallline.data.by_blocks import blocks
from fallline.data.column_encoders import (
    BooleanEncoder,
    CategoryEncoder,
    DateEncoder,
    NumberEncoder,
    shifted,
)
from fallline.data.image_form import ImageForm
from fallline.data.pixels import PixelEncoder
from fallline.data.table import Table
from fallline.data.text_encoder import TextEncoder
from fallline.errors import DataError, nearest

BLOCK_CELLS = 1 << 22
"""Cells of the matrix that are encoded at once."""
ColumnEncoder = NumberEncoder | BooleanEncoder | CategoryEncoder | DateEncoder | TextEncoder | PixelEncoder
_ENCODERS: dict[str, type[ColumnEncoder]] = {
    encoder.kind: encoder
    for encoder in (NumberEncoder, BooleanEncoder, CategoryEncoder, DateEncoder, TextEncoder, PixelEncoder)
}


class KnownColumn(Protocol):
    """What an encoder needs to know of a column: its name, its kind, and how its dates are written."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def date_format(self) -> str | None: ...


class TableEncoder:
    """Numbers for a network from the columns of a table, with statistics of the training rows alone.

    `transform` gives float32 (rows, dense_width + code columns + bags): first the dense features, then one column of
    integer codes for each embedded category, then for each text the numbers of its n-grams, and their weights; or uint8
    (rows, points) where every column is a point of an image. Columns are found by name, so their order does not matter
    and others are ignored.

    Attributes:
        feature_names: one readable name for each column of the matrix.
        dense_width: how many of those columns are dense.
        embedded: (column, cardinality) of each code column, in order.
        dtype: of the matrix.
        bags: (column, n-grams, slots) of each text with n-grams, in order.
        source_columns: the table columns that are used, in the order of training.
        images: the form of images that were read from files, where the columns are their points.
        dropped: columns without variance on the training rows, of which nothing is used.
        notices: what fitting noticed, such as infinite values.
    """

    def __init__(
        self, encoders: Iterable[ColumnEncoder], notices: Iterable[str] = (), images: ImageForm | None = None
    ) -> None:
        fitted = list(encoders)
        self.images = images
        self._bags = [e for e in fitted if isinstance(e, TextEncoder) and e.slots]
        used = [bool(encoder.features) or encoder in self._bags for encoder in fitted]
        self.encoders = [encoder for encoder, kept in zip(fitted, used, strict=True) if kept]
        self.dropped = [encoder.name for encoder, kept in zip(fitted, used, strict=True) if not kept]
        self.notices = list(notices)
        self._dense = [e for e in self.encoders if not (isinstance(e, CategoryEncoder) and e.embedded)]
        self._coded = [e for e in self.encoders if isinstance(e, CategoryEncoder) and e.embedded]
        pixels = bool(self.encoders) and all(isinstance(encoder, PixelEncoder) for encoder in self.encoders)
        self.dtype: np.dtype[Any] = np.dtype(np.uint8 if pixels else np.float32)
        self.source_columns = [encoder.name for encoder in self.encoders]
        self.embedded = [(encoder.name, encoder.cardinality) for encoder in self._coded]
        self.bags = [(encoder.name, len(encoder.hashes), encoder.slots) for encoder in self._bags]
        self.dense_width = sum(len(encoder.features) for encoder in self._dense)
        self.feature_names = [feature for e in (*self._dense, *self._coded) for feature in e.features]
        self.feature_names += [feature for encoder in self._bags for feature in encoder.bag_features]

    @classmethod
    def fit(cls, table: Table, infos: Iterable[KnownColumn]) -> Self:
        """An encoder from the training rows.

        Args:
            table: the training rows.
            infos: the columns to use and their kinds; those of a kind without an encoder are left out.

        Raises:
            DataError: no column is left that tells rows apart.
        """
        notices: list[str] = []
        fitted: list[ColumnEncoder] = []
        for info in infos:
            values = table.column(info.name)
            if info.kind == "date":
                fitted.append(DateEncoder.fit(values, info.name, table.place, notices, info.date_format))
            elif info.kind in _ENCODERS:
                fitted.append(_ENCODERS[info.kind].fit(values, info.name, table.place, notices))
        encoder = cls(fitted, notices, None if table.layout is None else table.layout.form)
        if not encoder.feature_names:
            raise DataError(
                f"{table.source}: no column is left to learn from: all are dropped or have one value only in the "
                f"{len(table)} training rows. Give a table with columns that vary."
            )
        if encoder.dropped:
            columns = ", ".join(repr(name) for name in encoder.dropped)
            encoder.notices.append(f"Not used, because all training rows have one value: {columns}.")
        return encoder

    def transform(self, table: Table, notices: list[str] | None = None) -> NDArray[Any]:
        """The matrix of a table's rows: (rows, len(feature_names)), of `dtype`.

        Args:
            table: rows with the columns of training, in any order.
            notices: what a person should be told is appended here.

        Raises:
            DataError: a column is missing, or a cell cannot be what its column was in training.
        """
        matrix = scratch.empty((len(table), len(self.feature_names)), self.dtype)
        for part, encoded in self.parts(table, notices):
            matrix[part] = encoded
        return matrix

    def parts(self, table: Table, notices: list[str] | None = None) -> Iterator[tuple[slice, NDArray[Any]]]:
        """The matrix of `transform`, some rows at a time."""
        self._require_columns(table)
        told: list[str] = [] if notices is None else notices
        size = max(1, BLOCK_CELLS // max(1, len(self.feature_names)))
        if len(table) > size:
            for encoder in (*self._dense, *self._coded):
                told += encoder.remarks(table.column(encoder.name), table.place)
            told = []
        for part in blocks(max(len(table), 1), size):
            yield part, self._encoded(table, part, told)

    def _encoded(self, table: Table, part: slice, told: list[str]) -> NDArray[Any]:
        """Some rows."""
        begin, place = 0, shifted(table.place, part)
        rows = min(part.stop, len(table)) - part.start
        matrix = np.empty((rows, len(self.feature_names)), dtype=self.dtype)
        for encoder in (*self._dense, *self._coded):
            end = begin + len(encoder.features)
            matrix[:, begin:end] = encoder.encode(table.column(encoder.name)[part], place, told)
            begin = end
        for bag in self._bags:
            end = begin + len(bag.bag_features)
            bag.fill(matrix[:, begin:end], table.column(bag.name)[part])
            begin = end
        return matrix

    def places(self) -> dict[str, NDArray[np.int64]]:
        """Which columns of the matrix each source column fills."""
        begin, found = 0, {}
        for encoder in (*self._dense, *self._coded):
            found[encoder.name] = np.arange(begin, begin + len(encoder.features))
            begin += len(encoder.features)
        for bag in self._bags:
            found[bag.name] = np.append(found[bag.name], np.arange(begin, begin + len(bag.bag_features)))
            begin += len(bag.bag_features)
        return {name: found[name] for name in self.source_columns}

    def to_json(self) -> dict[str, Any]:
        """What `from_json` needs, of plain JSON values; `json.dumps` keeps every bit of the floats."""
        columns = [{"kind": encoder.kind, **encoder.to_json()} for encoder in self.encoders]
        return {"columns": columns, **({} if self.images is None else {"images": self.images.to_json()})}

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Self:
        """The encoder that `to_json` described."""
        columns = [dict(column) for column in saved["columns"]]
        images = ImageForm.from_json(saved["images"]) if "images" in saved else None
        return cls((_ENCODERS[column.pop("kind")].from_json(column) for column in columns), images=images)

    def _require_columns(self, table: Table) -> None:
        missing = [name for name in self.source_columns if name not in table]
        form = None if table.layout is None else table.layout.form
        if form is not None and form != self.images:
            raise DataError(f"{table.source} holds images, read as {form}; the model takes {self._taken()}.")
        if missing and self.images is not None:
            raise DataError(f"{table.source} holds no images in files; the model takes {self._taken()}.")
        if missing:
            shown = ", ".join(repr(name) for name in missing[:10]) + (", …" if len(missing) > 10 else "")
            unused = [name for name in table.names if name not in self.source_columns]
            columns = "the column" if len(missing) == 1 else f"{len(missing)} columns"
            raise DataError(
                f"{table.source} lacks {columns} {shown} of training: {nearest(missing[0], unused or table.names)}"
            )

    def _taken(self) -> str:
        """What the model takes, for those who give something else."""
        if self.images is not None:
            return f"images of {self.images}: give a folder or files of them by name, and they are brought to that"
        names = ", ".join(map(repr, self.source_columns[:5])) + (", …" if len(self.source_columns) > 5 else "")
        return f"a table with the columns {names}"
