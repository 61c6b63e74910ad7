"""Rows of a table as the inputs of an exported model."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.data.column_encoders import NumberEncoder
from fallline.data.encoders import TableEncoder
from fallline.data.numbers import as_numbers
from fallline.data.spelling import distinct
from fallline.data.table import Column, Table
from fallline.errors import KindError
from fallline.export.columns import ENCODABLE, POINTS, encoded_columns, input_name
from fallline.tables.model import TableModel

Array = NDArray[Any]


def onnx_inputs(model: TableModel, data: Any) -> dict[str, Array]:
    """What `onnxruntime.InferenceSession.run` is fed with for rows of a table.

    Numbers and categories go in as they are, and need no help. Dates and free text, for which ONNX has no operators,
    are encoded here.

    Args:
        model: of which the ONNX file was made.
        data: a DataFrame, path, dict of columns, … with the columns of training; of images a folder or files.

    Returns:
        Arrays by input: numbers (rows,) of float64, texts (rows,) of str, encoded columns (rows, width) of float32.

    Raises:
        DataError: a column is missing, or a cell cannot be what its column was in training.
        KindError: `model` is no model of a table.
    """
    if not isinstance(model, TableModel):
        raise KindError(f"onnx_inputs: model must be a model of a table, found {type(model).__name__}")
    table = model.read(data)
    encoder = model.encoder
    matrix = encoder.transform(table) if encoded_columns(encoder) or encoder.dtype == np.uint8 else None
    return feeds_of(encoder, table, matrix)


def feeds_of(encoder: TableEncoder, table: Table, matrix: Array | None) -> dict[str, Array]:
    """Arrays by input, those of encoded columns taken out of the matrix that the encoder made of the table."""
    if encoder.dtype == np.uint8 and matrix is not None:
        return {POINTS: matrix}
    places = encoder.places()
    feeds: dict[str, Array] = {}
    for each in encoder.encoders:
        values = table.column(each.name)
        if isinstance(each, NumberEncoder):
            feeds[input_name(each.name)] = as_numbers(values, each.name, table.place, [])
        elif isinstance(each, ENCODABLE):
            feeds[input_name(each.name)] = _texts(values)
        elif matrix is not None:
            feeds[input_name(each.name)] = np.ascontiguousarray(matrix[:, places[each.name]])
    return feeds


def _texts(values: Column) -> Array:
    """Cells as text in the way that categories are compared; "" where one is missing."""
    labels, codes = distinct(values)
    words = np.asarray([*labels, ""], dtype=object)
    return words[codes]  # code −1 takes the last
