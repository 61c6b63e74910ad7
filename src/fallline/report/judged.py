"""The rows a model is judged by, and what it says of them: what most of a report is drawn from."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.data.batches import permuted
from fallline.data.table import Table
from fallline.data.targets import ClassTarget, target_numbers
from fallline.ops.finite import is_finite
from fallline.report.statistics import interval, resampled, wilson
from fallline.tables.train import TableRun
from fallline.training.metrics import probabilities

Array = NDArray[Any]
MOST_ROWS, SAMPLE = 1_000_000, 100_000
"""Of more rows, so many are looked at."""
SMALLEST = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class Judged:
    """What a model says of rows that it was not trained on.

    Attributes:
        part: "test", or "validation" where no test rows were set aside.
        table: the rows.
        matrix: the same, encoded.
        true, predicted: codes of classes, or values in the target's units: (rows,).
        chances: of each class: (rows, classes); None for numbers.
        errors: how wrong each row is: −ln of the true class's chance, or |predicted − true|: (rows,).
        scores: the metrics; the first is the one that counts.
        classes: the labels; empty for numbers.
        of_rows: how many rows the scores are of; the rows above are a sample where they are fewer.
    """

    part: str
    table: Table
    matrix: Array
    true: Array
    predicted: Array
    chances: Array | None
    errors: Array
    scores: dict[str, float]
    classes: list[str]
    of_rows: int

    @property
    def sample(self) -> str:
        """What to say where the rows are a sample; else nothing."""
        if self.of_rows == len(self):
            return ""
        return (
            f"Pictures, examples and the importance of columns are of {len(self):,} rows, drawn at random from the "
            f"{self.of_rows:,} {self.part} rows; the scores are of all."
        )

    def __len__(self) -> int:
        return len(self.table)

    @property
    def metric(self) -> str:
        """The metric that counts."""
        return next(iter(self.scores))

    @property
    def score(self) -> float:
        """Its value."""
        return self.scores[self.metric]

    def interval(self) -> tuple[float, float] | None:
        """Where the score lies on other rows of the same kind, with a certainty of 95 %; None for a single row."""
        if len(self) < 2:
            return None
        if self.chances is not None:
            if self.sample:
                return wilson(round(self.score * self.of_rows), self.of_rows)
            return wilson(float(np.sum(self.true == self.predicted)), len(self))
        size = float(np.abs(self.errors).max()) or 1.0
        low, high = interval(resampled(((self.errors / size) ** 2)[:, None]))
        return float(np.sqrt(low[0]) * size), float(np.sqrt(high[0]) * size)


def judge(result: TableRun) -> Judged | None:
    """The test rows, or else the validation rows, with all that is said of them.

    None where there are no such rows, an output is no number, or training has left no weights worth judging.
    """
    prepared, codec = result.prepared, result.prepared.codec
    part = next((name for name in ("test", "validation") if len(prepared.parts.get(name, ()))), None)
    if part is None or (result.run.stopped == "nan" and result.run.best_epoch is None):
        return None
    table, (matrix, targets) = prepared.parts[part], prepared.matrices[part]
    scores, rows, outputs = result.scores if part == "test" else result.validation_scores, len(table), None
    if part == "test":
        outputs = result.outputs
        if not is_finite(outputs):
            return None
    if rows > MOST_ROWS:
        chosen = np.sort(permuted(0, SAMPLE, rows, 0, "report"))
        table, matrix, targets = table.select(chosen), matrix[chosen], targets[chosen]
        outputs = None if outputs is None else outputs[chosen]
    outputs = result.model.network.predict(matrix) if outputs is None else outputs
    if not is_finite(outputs):
        return None
    if isinstance(codec, ClassTarget):
        true = np.asarray(targets).reshape(-1).astype(np.int64)
        chances = probabilities(outputs)
        errors = -np.log(np.maximum(chances[np.arange(len(true)), true], SMALLEST))
        labels = [str(label) for label in codec.classes]
        return Judged(part, table, matrix, true, chances.argmax(axis=1), chances, errors, scores, labels, rows)
    values, predicted = target_numbers(table.column(codec.name), codec.name), codec.decode(outputs)
    with np.errstate(over="ignore"):
        errors = np.abs(predicted - values)
    return Judged(part, table, matrix, values, predicted, None, errors, scores, [], rows)
