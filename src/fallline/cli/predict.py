"""`fallline predict`: one row out per row in, in the same order."""

import csv
import io
import itertools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
from numpy.typing import NDArray

Columns = dict[str, NDArray[Any]]


@click.command(short_help="Predict with a model.")
@click.argument("model")
@click.argument("data", nargs=-1, required=True)
@click.option("--out", type=click.Path(path_type=Path), help="Write to this file (CSV, or Parquet by its ending).")
@click.option("--proba", is_flag=True, help="Add the probability of each class.")
@click.option("--no-header", is_flag=True, help="The first row of DATA is data.")
def predict(model: str, data: tuple[str, ...], out: Path | None, proba: bool, no_header: bool) -> int:
    """Predict each row of DATA with MODEL (a model file or a run folder).

    Writes a column `prediction`, and with --proba one column `probability_CLASS` per class; to standard
    output without --out. Of images, DATA is a folder, or one file or more; a column `file` names them.
    """
    import numpy as np

    from fallline.data.by_blocks import blocks
    from fallline.training.metrics import probabilities

    opened = open_model(model)
    classes = opened.classes if proba else []  # says so where the model has none
    notices: list[str] = []
    table = opened.read(_one_source(data), False if no_header else None)
    outputs = opened.outputs(table, notices)

    named = len(table) > 0 and table.file(0) != ""

    def columns(part: slice) -> Columns:
        files = [table.file(row) for row in range(*part.indices(len(table)))] if named else []
        told: Columns = {"file": np.asarray(files, dtype=object)} if named else {}
        told["prediction"] = opened.decode(outputs[part])
        if proba:
            chances = probabilities(outputs[part])
            told |= {f"probability_{label}": chances[:, i] for i, label in enumerate(classes)}
        return told

    parts = map(columns, blocks(max(len(outputs), 1)))
    for notice in [*table.notices, *notices]:
        click.echo(f"note: {notice}", err=True)
    if out is None:
        sys.stdout.writelines(csv_parts(parts))
        sys.stdout.flush()
    else:
        write_columns(parts, out)
        click.echo(f"{len(outputs):,} predictions written to {out}", err=True)
    return 0


def _one_source(data: tuple[str, ...]) -> str | list[str]:
    """A source, or several files of images.

    Raises:
        DataError: there are several, and not all are images.
    """
    from fallline.data.image_files import is_image
    from fallline.errors import DataError

    other = next((name for name in data if not is_image(Path(name))), None)
    if len(data) > 1 and other is not None:
        raise DataError(f"of several files all must be images, and {other} is none by its name; give one at a time")
    return data[0] if len(data) == 1 else list(data)


def model_path(text: str) -> Path:
    """A model file, or the one inside a run folder."""
    path = Path(text)
    return path / "model.safetensors" if path.is_dir() else path


def open_model(text: str) -> Any:
    """The model of a table in a file or run folder."""
    from fallline.errors import ArgumentError
    from fallline.tables.model import TableModel, load

    model = load(model_path(text))
    if not isinstance(model, TableModel):
        raise ArgumentError(
            f"{text!r} is a network without encoders, made in Python: open it there with fl.load and use "
            "predict; the command line takes models made by `fallline train`"
        )
    return model


def as_csv(columns: Columns) -> str:
    """CSV text with a header; numbers with all their digits."""
    return "".join(csv_parts([columns]))


def csv_parts(parts: Iterable[Columns]) -> Iterator[str]:
    """The same of some rows after the other, with one header."""
    for number, columns in enumerate(parts):
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if not number:
            writer.writerow(columns)
        writer.writerows(zip(*(_cells(values) for values in columns.values()), strict=True))
        yield text.getvalue()


def _cells(values: NDArray[Any]) -> list[Any]:
    return [repr(v) if isinstance(v, float) else v for v in values.tolist()]


def write_columns(parts: Iterator[Columns], out: Path) -> None:
    """Write a CSV or, where the name ends so, a Parquet file; whole or not at all."""
    from fallline.nn.model_file import write_whole

    if out.suffix.lower() in (".parquet", ".pq"):
        write_whole(out, _parquet(parts))
    else:
        write_whole(out, (text.encode() for text in csv_parts(parts)))


def _parquet(parts: Iterator[Columns]) -> Iterator[bytes]:
    """A Parquet file's bytes, by DuckDB."""
    import tempfile

    from fallline.data.duck import connection, identifier, quoted

    columns = next(parts)
    _require_different_names(columns)
    kinds = {"i": "BIGINT", "f": "DOUBLE", "b": "BOOLEAN"}
    types = {f"c{k}": kinds.get(values.dtype.kind, "VARCHAR") for k, values in enumerate(columns.values())}
    declared = ", ".join(f"{name}: {quoted(kind)}" for name, kind in types.items())
    named = ", ".join(f"{key} AS {identifier(name)}" for key, name in zip(types, columns, strict=True))
    dialect = "auto_detect = false, header = true, delim = ',', quote = '\"', escape = '\"'"
    with tempfile.TemporaryDirectory(prefix="fallline-") as folder, connection() as duck:
        source, target = Path(folder) / "predictions.csv", Path(folder) / "predictions.parquet"
        with open(source, "w", encoding="utf-8", newline="") as file:
            file.writelines(csv_parts(itertools.chain([columns], parts)))
        rows = f"read_csv({quoted(str(source))}, {dialect}, columns = {{{declared}}})"
        duck.execute(f"COPY (SELECT {named} FROM {rows}) TO {quoted(str(target))} (FORMAT parquet)")
        with open(target, "rb") as made:
            while data := made.read(1 << 20):
                yield data


def _require_different_names(columns: dict[str, NDArray[Any]]) -> None:
    """DuckDB would rename columns whose names differ in capital letters only."""
    from fallline.errors import DataError

    known: dict[str, str] = {}
    for name in columns:
        other = known.setdefault(name.lower(), name)
        if other != name:
            raise DataError(
                f"the columns {other!r} and {name!r} differ in capital letters only, which a Parquet file made here "
                "cannot hold; give --out a name that ends in .csv"
            )
