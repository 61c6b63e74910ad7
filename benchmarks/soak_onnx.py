"""Models of real tables as ONNX files, run by onnxruntime on every row.

Each table is trained on as `fallline train` does where nothing but the target is named, and its model exported. Then
onnxruntime, which knows nothing of Fallline, predicts all of its rows from the raw cells.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fallline as fl
from benchmarks.table_sets import CASES, DATA, Case, read
from fallline.data.by_blocks import blocks
from fallline.data.table import Table
from fallline.data.targets import drop_missing_targets
from fallline.export import onnx_inputs
from fallline.tables.model import TableModel
from fallline.tables.prepare import TableOptions, prepare
from fallline.tables.selection import train_well

NAME = "onnx"
PEERS = ("onnx", "onnxruntime")
MOST = 1e-5
BLOCK = 4096
Array = NDArray[Any]


def run() -> str:
    """Train, export and compare, table by table."""
    if not DATA.is_dir():
        raise FileNotFoundError(f"the tables are not in {DATA}")
    lines = [
        "| table | rows | inputs | of probabilities | of predictions | other labels | with two equal |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    largest = 0.0
    for case in CASES:
        table = read(case)
        target = table.resolve_column(case.target)
        table, options = drop_missing_targets(table, target), TableOptions()
        model = train_well(prepare(table, target, options), options, progress=False).model
        found = compared(model, table)
        largest = max(largest, found["probabilities"], found["predictions"], float(found["labels"] > 0))
        lines.append(line(case, table, model, found))
        print(lines[-1], flush=True)
    lines += [
        "",
        f"The largest difference is {largest:.1e}; required: {MOST:.0e}. Of a probability it is absolute; of a",
        "predicted number relative to its size, or to the mean size where that is larger. A label may be another one",
        f"only where the two largest probabilities are within {2 * MOST:.0e} of each other (last column).",
        "`fl.export_onnx` made the same comparison before it wrote each file, on all of the rows.",
    ]
    text = "\n".join(lines)
    if largest > MOST:
        raise AssertionError(text)
    return text


def compared(model: TableModel, table: Table) -> dict[str, float]:
    """The largest differences over all rows, and how many labels differ, or may."""
    import onnxruntime

    found = {"probabilities": 0.0, "predictions": 0.0, "labels": 0.0, "ties": 0.0}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        fl.export_onnx(model, path, table)
        session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
        names = [port.name for port in session.get_outputs()]
        for part in blocks(len(table), BLOCK):
            rows = table.select(np.arange(part.start, part.stop))
            theirs = dict(zip(names, session.run(names, onnx_inputs(model, rows)), strict=True))
            ours = model.predict(rows)
            if "prediction" in theirs:
                scale = np.maximum(np.abs(ours), np.abs(ours).mean())
                far = float(np.max(np.abs(theirs["prediction"] - ours) / scale))
                found["predictions"] = max(found["predictions"], far)
                continue
            own = model.predict_proba(rows)
            far = float(np.max(np.abs(theirs["probabilities"] - own)))
            found["probabilities"] = max(found["probabilities"], far)
            ranked = np.sort(own, axis=1)
            tied = ranked[:, -1] - ranked[:, -2] <= 2 * MOST
            found["labels"] += int(np.count_nonzero((theirs["label"] != ours) & ~tied))
            found["ties"] += int(np.count_nonzero(tied))
    return found


def line(case: Case, table: Table, model: TableModel, found: dict[str, float]) -> str:
    """A row of the page."""
    if case.metric == "accuracy":
        cells = [f"{found['probabilities']:.1e}", "", f"{found['labels']:.0f}", f"{found['ties']:.0f}"]
    else:
        cells = ["", f"{found['predictions']:.1e}", "", ""]
    return f"| {' | '.join([case.name, f'{len(table):,}', str(len(model.encoder.encoders)), *cells])} |"
