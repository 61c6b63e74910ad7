"""`fl.export_onnx`: a network, or a model of a table, as an ONNX file that was tried before it was written."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.data.targets import ClassTarget
from fallline.errors import ArgumentError, FalllineError, KindError
from fallline.export.check import MOST, Runner, largest_difference, require_equal
from fallline.export.columns import OUTPUTS, column_ports, encoded_columns, write_matrix
from fallline.export.feeds import feeds_of
from fallline.export.network import whole_numbers, write_graph
from fallline.export.sample import sample_matrix, sample_rows, sample_table
from fallline.export.target import target_ports, write_target
from fallline.export.writer import GraphWriter, Port, require
from fallline.ir.graph import Graph
from fallline.ir.types import DType
from fallline.nn.model_file import input_signature, write_whole
from fallline.nn.module import Module
from fallline.nn.trace import SEED, STEP, X, as_input, prediction_graph, values_of
from fallline.tables.model import TableModel
from fallline.training.metrics import probabilities

Array = NDArray[Any]
Feeds = dict[str, Array]


@dataclass(frozen=True)
class OnnxExport:
    """What was exported.

    Attributes:
        path: the file.
        inputs, outputs: what it takes and gives, in order.
        encoded: columns of a table that ONNX has no operators for: the file takes them as `onnx_inputs` encodes them.
        rows: on how many rows it was compared with the model, in onnxruntime.
        difference: the largest difference found, relative to the values' size.
    """

    path: Path
    inputs: list[Port]
    outputs: list[Port]
    encoded: list[str]
    rows: int
    difference: float

    def __str__(self) -> str:
        lines = [
            f"{self.path}: on {self.rows} rows, onnxruntime's outputs differ by at most {self.difference:.1g} of their "
            f"size (allowed: {MOST:g})"
        ]
        return "\n".join([*lines, *self.notices()])

    def notices(self) -> list[str]:
        """What a person should be told: of columns that must be encoded before."""
        if not self.encoded:
            return []
        named = ", ".join(repr(name) for name in self.encoded)
        columns, they = ("The column", "it") if len(self.encoded) == 1 else ("The columns", "they")
        return [
            f"{columns} {named} cannot be encoded by ONNX operators (dates and free text): {they} must be given "
            "encoded, by fallline.export.onnx_inputs(model, rows)."
        ]


def export_onnx(net_or_model: Any, path: Any, sample: Any = None) -> OnnxExport:
    """Write a network, or a model of a table with its encoders, as an ONNX file.

    It has any number of rows. Before it is written it is run by onnxruntime, on generated rows or on `sample`, and
    compared with the network; a model that differs by more than 10⁻⁵ of the values' size is refused.

    A network takes `x` (rows, …) and gives `outputs`. A model of a table takes its columns by name, numbers as float64
    (rows,), NaN where one is missing, and categories and truth values as text (rows,), "" where one is missing; it
    gives `label` (rows,) and `probabilities` (rows, classes), or `prediction` (rows,) in the target's units. A model of
    images takes `points` (rows, points) of uint8. Dates and free text are taken encoded; see `onnx_inputs`.

    Args:
        net_or_model: a network (`nn.Module`), or what `fl.load` gives for a model made by `fallline train`.
        path: usually ends in .onnx.
        sample: rows to compare on, for a network an array (rows, …), for a model anything that it can predict.

    Returns:
        What the file takes and gives, and the largest difference found. `print` tells it.

    Raises:
        MissingExtraError: onnx or onnxruntime is not installed: pip install 'fallline[onnx]'.
        KindError: it is neither a network nor a model.
        ArgumentError: an op has no ONNX operator, or the outputs differ.
        ModelFileError: the file cannot be written. Nothing is left behind.
    """
    for package in ("onnx", "onnxruntime"):
        require(package)
    if isinstance(net_or_model, TableModel):
        made = _table(net_or_model, sample)
    elif isinstance(net_or_model, Module):
        made = _network(net_or_model, sample)
    else:
        hint = f"; make an object of it, {net_or_model.__name__}(…)" if isinstance(net_or_model, type) else ""
        raise KindError(
            "export_onnx: needs a network (an nn.Module) or a model of a table (fl.load opens one), found "
            f"{type(net_or_model).__name__}{hint}"
        )
    rows, difference = made.compared()
    write_whole(Path(path), made.data)
    return OnnxExport(Path(path), made.inputs, made.outputs, made.encoded, rows, difference)


@dataclass(frozen=True)
class _Made:
    """A file that is not yet written, and all that comparing it needs: `ours` gives the outputs for `feeds`."""

    data: bytes
    inputs: list[Port]
    outputs: list[Port]
    encoded: list[str]
    feeds: Feeds
    own: Array
    ours: Callable[[Array], dict[str, Array]]

    def compared(self) -> tuple[int, float]:
        """(rows, the largest difference), of all rows together and of the first alone.

        Raises:
            ArgumentError: the difference is too large, or there are no rows.
        """
        run, rows = Runner(self.data), len(self.own)
        if rows == 0:
            raise ArgumentError("export_onnx: sample has no rows to compare on; give some, or leave it out")
        ours, theirs = self.ours(self.own), run(self.feeds)
        alone = run({name: array[:1] for name, array in self.feeds.items()})
        first = self.ours(self.own[:1])
        found = largest_difference(*_without_ties(_joined(ours, first), _joined(theirs, alone)))
        require_equal(found, rows)
        return rows, found.size


def _joined(all_rows: dict[str, Array], first: dict[str, Array]) -> dict[str, Array]:
    """Outputs of all rows, and after them those of the first alone."""
    return {name: np.concatenate([array, first[name]]) for name, array in all_rows.items()}


def _without_ties(ours: dict[str, Array], theirs: dict[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
    """The same labels where the two largest probabilities are equal but for rounding: either may be the first."""
    if "label" not in ours or not len(ours["label"]):
        return ours, theirs
    ranked = np.sort(ours["probabilities"], axis=-1)
    tied = ranked[:, -1] - ranked[:, -2] <= 2 * MOST
    return ours, theirs | {"label": np.where(tied, ours["label"], theirs["label"])}


def _write_network(writer: GraphWriter, net: Module, graph: Graph, x: str) -> str:
    values = {**values_of(net), SEED: np.asarray(0), STEP: np.asarray(0)}
    return write_graph(writer, graph, {X: x}, values)


def _network(net: Module, sample: Any) -> _Made:
    rows = None if sample is None else as_input(sample, net.dtype, "export_onnx")
    if rows is None:
        shape, kind = _signature(net)
        dtype = DType(net.dtype if DType(kind).is_float else kind)
        graph = prediction_graph(net, np.zeros((1, *shape), dtype=dtype.value))
        rows = sample_rows(shape, dtype, whole_numbers(graph))
    else:
        graph = prediction_graph(net, rows)
    found = graph.outputs["outputs"].type
    inputs = [Port("x", str(rows.dtype), rows.shape[1:], "the network's input")]
    outputs = [Port("outputs", found.dtype.value, tuple(int(dim) for dim in found.shape[1:]), "as predict gives them")]  # type: ignore[arg-type]
    writer = GraphWriter([port.name for port in (*inputs, *outputs)])
    writer.add("Identity", _write_network(writer, net, graph, "x"), result="outputs")
    data = writer.finish(inputs, outputs, {})
    return _Made(data, inputs, outputs, [], {"x": rows}, rows, lambda x: {"outputs": _predicted(net, x, sample)})


def _signature(net: Module) -> tuple[tuple[int, ...], str]:
    try:
        return input_signature(net)
    except ArgumentError:
        raise ArgumentError(
            "export_onnx: the shape of the network's input is not known yet; train it, predict with it once, or give "
            "rows with sample=…"
        ) from None


def _predicted(net: Module, x: Array, sample: Any) -> Array:
    """The network's outputs; where it refuses generated rows, the way to give others."""
    try:
        return net.predict(x)
    except FalllineError as error:
        if sample is not None:
            raise
        raise ArgumentError(
            f"export_onnx: the network refuses the rows that were generated to compare it on ({error}); give rows that "
            "it can predict with sample=…"
        ) from None


def _table(model: TableModel, sample: Any) -> _Made:
    encoder, target, net = model.encoder, model.target, model.network
    table = sample_table(encoder) if sample is None else model.read(sample)
    matrix = sample_matrix(encoder, table) if sample is None else encoder.transform(table)
    inputs, outputs = column_ports(encoder), target_ports(target)
    writer = GraphWriter([*(port.name for port in inputs), *OUTPUTS])
    encoded = write_matrix(writer, encoder)
    graph = prediction_graph(net, matrix)
    if graph.inputs[X].type.dtype.value != str(matrix.dtype):
        encoded = writer.cast(encoded, graph.inputs[X].type.dtype.value)
    write_target(writer, target, _write_network(writer, net, graph, encoded))
    data = writer.finish(inputs, outputs, _about(model))
    feeds = feeds_of(encoder, table, matrix)
    return _Made(data, inputs, outputs, encoded_columns(encoder), feeds, matrix, lambda x: _said(model, x))


def _said(model: TableModel, matrix: Array) -> dict[str, Array]:
    """What the model says of encoded rows, by the names of the outputs."""
    found = model.network.predict(matrix)
    if not isinstance(model.target, ClassTarget):
        return {"prediction": model.decode(found)}
    return {"label": model.decode(found), "probabilities": probabilities(found)}


def _about(model: TableModel) -> dict[str, Any]:
    """What the file carries beside the graph."""
    about: dict[str, Any] = {"task": model.task, "target": model.target.name}
    if isinstance(model.target, ClassTarget):
        about["classes"] = model.target.classes
    return about | {"columns": model.encoder.source_columns, "encoded": encoded_columns(model.encoder)}
