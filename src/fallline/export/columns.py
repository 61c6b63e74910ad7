"""The encoder of a table as ONNX nodes: raw columns in, the network's matrix out."""

from collections.abc import Iterable
from itertools import product

import numpy as np

from fallline.data.column_encoders import NO, YES, BooleanEncoder, CategoryEncoder, NumberEncoder
from fallline.data.encoders import ColumnEncoder, TableEncoder
from fallline.data.numbers import CLIP
from fallline.data.spelling import MISSING_MARKS, canonical
from fallline.data.text_encoder import TextEncoder
from fallline.export.writer import ML, GraphWriter, Port

OUTPUTS = ("label", "probabilities", "prediction")
POINTS = "points"
"""The one input of a model of images."""
ENCODABLE = (NumberEncoder, BooleanEncoder, CategoryEncoder)
"""Encoders that ONNX has operators for; columns of the others are given encoded."""


def input_name(column: str) -> str:
    """What a column's input is called: as the column, but for names that an output has, and for none."""
    return f"{column} (column)" if not column or column in OUTPUTS else column


def encoded_columns(encoder: TableEncoder) -> list[str]:
    """The columns that the file takes as they are encoded, because ONNX has no operators for them."""
    if encoder.dtype == np.uint8:
        return []
    return [each.name for each in encoder.encoders if not isinstance(each, ENCODABLE)]


def column_ports(encoder: TableEncoder) -> list[Port]:
    """The inputs of a model of a table."""
    if encoder.dtype == np.uint8:
        about = "the points of an image, a byte each, in the order of training"
        return [Port(POINTS, "uint8", (len(encoder.feature_names),), about)]
    widths = {name: len(places) for name, places in encoder.places().items()}
    return [_port(each, widths[each.name]) for each in encoder.encoders]


def _port(encoder: ColumnEncoder, width: int) -> Port:
    name = input_name(encoder.name)
    if isinstance(encoder, NumberEncoder):
        return Port(name, "float64", (), "a number; NaN where it is missing")
    if isinstance(encoder, BooleanEncoder):
        return Port(name, "str", (), '"true" or "false", "yes" or "no", "1" or "0"; "" where it is missing')
    if isinstance(encoder, CategoryEncoder):
        return Port(name, "str", (), 'a category as text; "" where it is missing')
    return Port(name, "float32", (width,), f"a {encoder.kind} as fallline.export.onnx_inputs encodes it")


def write_matrix(writer: GraphWriter, encoder: TableEncoder) -> str:
    """The nodes that make the matrix of the columns, (rows, features) of the encoder's dtype; its ONNX value."""
    if encoder.dtype == np.uint8:
        return POINTS
    dense: list[str] = []
    codes: list[str] = []
    bags: list[str] = []
    for each in encoder.encoders:
        name = input_name(each.name)
        if isinstance(each, NumberEncoder):
            dense += _number(writer, name, each)
        elif isinstance(each, BooleanEncoder):
            dense += _truth(writer, name, each)
        elif isinstance(each, CategoryEncoder):
            (codes if each.embedded else dense).append(_category(writer, name, each))
        elif isinstance(each, TextEncoder) and each.slots:
            width = len(each.features)
            dense += [_cut(writer, name, 0, width)] if width else []
            bags.append(_cut(writer, name, width, width + 2 * each.slots))
        else:
            dense.append(name)
    parts = [*dense, *codes, *bags]
    return parts[0] if len(parts) == 1 else writer.add("Concat", *parts, axis=1)


def _number(writer: GraphWriter, name: str, encoder: NumberEncoder) -> list[str]:
    """z = (x − mean)/deviation, clipped, in float64 as `NumberEncoder` computes it; 0 for what is NaN or infinite."""
    largest, zero, mean, deviation, low, high = (
        writer.constant(np.float64(number))
        for number in (np.finfo(np.float64).max, 0.0, encoder.mean, encoder.deviation, -CLIP, CLIP)
    )
    present = writer.add("LessOrEqual", writer.add("Abs", name), largest)
    columns = []
    if encoder.deviation > 0:
        z = writer.add("Div", writer.add("Sub", name, mean), deviation)
        columns.append(_column(writer, writer.add("Where", present, writer.add("Clip", z, low, high), zero)))
    if encoder.indicator:
        columns.append(_column(writer, writer.add("Not", present)))
    return columns


def _truth(writer: GraphWriter, name: str, encoder: BooleanEncoder) -> list[str]:
    """false → 0, true → 1, any other text → ½, by its number 0, 1 or 2."""
    known = {word: code for code, words in enumerate((NO, YES)) for word in _spellings(words)}
    number = _numbered(writer, name, known, 2)
    columns = [_column(writer, writer.add("Gather", writer.constant(np.asarray([0.0, 1.0, 0.5])), number))]
    if encoder.indicator:
        columns.append(_column(writer, writer.add("Equal", number, writer.constant(np.asarray(2)))))
    return columns


def _category(writer: GraphWriter, name: str, encoder: CategoryEncoder) -> str:
    """The slot of a category as one number, or as one of ones and zeros: none is 1 for the slot −1."""
    other = encoder.cardinality - 1 if encoder.other else -1
    known = {word: len(encoder.labels) for word in MISSING_MARKS} if encoder.missing else {}
    for slot, label in enumerate(encoder.labels):
        known |= dict.fromkeys(_also(label), slot)
    known |= {label: slot for slot, label in enumerate(encoder.labels)}
    slots = writer.add("Unsqueeze", _numbered(writer, name, known, other), writer.whole(1))
    if not encoder.embedded:
        slots = writer.add("Equal", slots, writer.constant(np.arange(encoder.cardinality)))
    return writer.cast(slots, "float32")


def _numbered(writer: GraphWriter, name: str, known: dict[str, int], other: int) -> str:
    """A whole number for each text; `other` for those that are not known."""
    return writer.add(
        "LabelEncoder",
        name,
        domain=ML,
        keys_strings=list(known),
        values_int64s=list(known.values()),
        default_int64=other,
    )


def _also(label: str) -> list[str]:
    """Other ways of writing a label that are the same to a `CategoryEncoder`."""
    if label in ("true", "false"):
        return [label.capitalize(), label.upper()]
    return [f"{label}.0"] if canonical(f"{label}.0") == label else []


def _spellings(words: Iterable[str]) -> list[str]:
    """Words in small and capital letters, mixed in every way, and numbers also with a decimal."""
    mixed = ["".join(letters) for word in words for letters in product(*({letter, letter.upper()} for letter in word))]
    return sorted({*mixed, *(other for word in mixed for other in _also(word))})


def _column(writer: GraphWriter, vector: str) -> str:
    """A vector (rows,) as a column (rows, 1) of the matrix."""
    return writer.add("Unsqueeze", writer.cast(vector, "float32"), writer.whole(1))


def _cut(writer: GraphWriter, name: str, begin: int, end: int) -> str:
    return writer.add("Slice", name, writer.whole(begin), writer.whole(end), writer.whole(1))
