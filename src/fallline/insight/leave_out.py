"""What one row does to a training: the training taken again without it, from the same weights, in the same order."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.backprop.gradients import gradients
from fallline.errors import ArgumentError
from fallline.insight.judged_rows import Judge, Judged
from fallline.insight.number_columns import plain, table
from fallline.insight.run_rows import RunRows, rows_of
from fallline.ir.graph import Graph
from fallline.ir.types import BATCH
from fallline.nn.trace import DENOMINATOR, SAMPLE_WEIGHT
from fallline.ops.leaf import make_input
from fallline.ops.tensor import Tensor
from fallline.training.arguments import whole_number
from fallline.training.batches import Batches
from fallline.training.replay import Replayer
from fallline.training.step import GRADIENT, LOSS, ROWS, Rows, StepProgram
from fallline.training.steppers import Snapshot, make_stepper

Array = NDArray[Any]


@dataclass(frozen=True)
class LeftOut:
    """A training with and without one row.

    What is measured: from `first` on, every step is taken again with the same rows in the same order and the same
    learning rates, and the row's loss is multiplied by 0 where it comes; the batch's loss is divided by the same number
    as before. So the two trainings are the same, bit for bit, up to the first step that takes the row. (With BatchNorm
    the row still counts for the batch's mean and variance.)

    Attributes:
        row: its number among the training rows.
        first, last: the steps taken again: from `first` up to, but without, `last`.
        taken: in how many of them the row comes.
        row_loss: (with it, without it): the row's own loss after the last step.
        row_margin: the same of its margin; None where there are no classes.
        others_loss: the same of the mean loss of the other training rows.
        validation_loss: the same of the mean loss of the validation rows; None without such.
        moved: ‖w − w′‖ / ‖w‖, of all weights after the last step.
        place: where the row is in the source, where that is known.
    """

    row: int
    first: int
    last: int
    taken: int
    row_loss: tuple[float, float]
    row_margin: tuple[float, float] | None
    others_loss: tuple[float, float]
    validation_loss: tuple[float, float] | None
    moved: float
    place: str = ""

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        found = vars(self).items()
        return {name: list(value) if isinstance(value, tuple) else value for name, value in found}

    def __str__(self) -> str:
        where = f" ({self.place})" if self.place else ""
        again = f"steps {self.first:,} to {self.last - 1:,} taken again, {self.taken:,} of which take it"
        head = f"Without row {self.row}{where}: {again}"
        cells = [["after them", "with it", "without it"]]
        told = [("its own loss", self.row_loss), ("its margin", self.row_margin)]
        told += [("mean loss of the other rows", self.others_loss), ("validation loss", self.validation_loss)]
        cells += [[name, plain(pair[0]), plain(pair[1])] for name, pair in told if pair is not None]
        moved = f"  all weights together moved by {self.moved:.3g} of their norm"
        return "\n".join([head, *table(cells, [False, True, True]), moved])


def leave_out(run: Any, row: int, x: Any = None, y: Any = None, *, sample_weight: Any = None, step: int = 0) -> LeftOut:
    """Take a run again without one of its rows, and measure what that changes; see `LeftOut` for what exactly.

    Args:
        run: a `Run`, or a run's folder.
        row: its number among the training rows, from 0.
        x, y, sample_weight: of a folder the data, as `fit` was given them; not needed where `fallline train` made it.
        step: from which step on the row is left out; 0 for the whole run.

    Returns:
        The `LeftOut`; `print` it.

    Raises:
        ArgumentError: there is no such row or step, or the loss is no sum over rows.
        RunFolderError: there is no such run.
    """
    return left_out(rows_of(run, x, y, sample_weight, "leave_out"), row, step)


def left_out(found: RunRows, row: int, step: int = 0) -> LeftOut:
    """`leave_out`, of a run whose rows are known."""
    replayer = found.replayer
    recording, number = replayer.recording, whole_number("row", row, 0, "leave_out")
    count, last = len(recording.rows), steps_taken(replayer)
    if number >= count:
        raise ArgumentError(f"leave_out: the run trains on {count:,} rows, 0 to {count - 1:,}; found row={number}")
    if whole_number("step", step, 0, "leave_out") >= last:
        raise ArgumentError(f"leave_out: the run took {last:,} steps, 0 to {last - 1:,}; found step={step}")
    weight = np.ones(count, dtype=recording.settings.dtype)
    weight[number] = 0.0
    with_it, without = replayer.state(last), reweighted(replayer, weight, step, last)
    judge = Judge(recording.graphs.judge, replayer.engine, "leave_out")
    one, other = (judge(_bare(recording.rows), moment.values) for moment in (with_it, without))
    held_out = None
    if recording.validation is not None:
        pair = [judge(_bare(recording.validation), moment.values).losses.mean() for moment in (with_it, without)]
        held_out = float(pair[0]), float(pair[1])
    return LeftOut(
        row=number,
        first=step,
        last=last,
        taken=sum(int((replayer.batches.numbers_of(k) == number).any()) for k in range(step, last)),
        row_loss=_pair(one.losses[number], other.losses[number]),
        row_margin=_margins(one, other, number),
        others_loss=_pair(*(np.delete(judged.losses, number).mean() for judged in (one, other))),
        validation_loss=held_out,
        moved=_moved(with_it.weights, without.weights),
        place="" if found.source is None else found.source(number)[0],
    )


def steps_taken(replayer: Replayer) -> int:
    """How many steps a run took."""
    return 0 if replayer.taken is None else replayer.taken


def reweighted(replayer: Replayer, weight: Array, first: int, last: int) -> Snapshot:
    """The state after the steps from `first` up to `last`, each row's loss multiplied by a further weight.

    Args:
        replayer: the run's.
        weight: (training rows,), in the run's dtype; ones give the run itself, bit for bit.
        first, last: steps.
    """
    recording, s = replayer.recording, replayer.recording.settings
    rows = recording.rows
    both = weight if rows.weight is None else weight * rows.weight
    batches = Batches(Rows(rows.x, rows.y, both), s.batch_size, s.seed, s.shuffle)
    batches.mean_weight = replayer.batches.mean_weight  # the losses of the other rows count as before
    program = StepProgram.of(weighted_graph(recording.graphs.step), s.dtype, shards=s.shards, engine="reference")
    stepper = make_stepper(
        replayer.engine, program, recording.optimizer, batches, replayer.state(first), replayer.rates.factors,
        clip_value=s.clip_value, clip_norm=s.clip_norm, threads=s.threads, shards=s.shards,
    )  # fmt: skip
    losses = stepper.run(first, last - first)
    if len(losses) < last - first or not np.isfinite(losses).all():
        raise ArgumentError(f"leave_out: without it the loss of step {first + len(losses) - 1:,} is {losses[-1]}")
    return stepper.snapshot()


def weighted_graph(step: Graph) -> Graph:
    """A step's graph whose rows are weighted; itself where they are."""
    if SAMPLE_WEIGHT in step.inputs:
        return step
    if ROWS not in step.outputs:
        raise ArgumentError("leave_out: the loss gives one number for all rows, so that none can be left out")
    losses = Tensor(step.outputs[ROWS])
    weight = make_input(SAMPLE_WEIGHT, (BATCH,), losses.dtype)
    loss = (losses * weight).sum() / Tensor(step.inputs[DENOMINATOR])
    names = [name.removeprefix(GRADIENT) for name in step.outputs if name.startswith(GRADIENT)]
    found = gradients(loss, [Tensor(step.inputs[name]) for name in names])
    outputs = {**step.outputs, LOSS: loss.node}
    outputs |= {GRADIENT + name: tensor.node for name, tensor in zip(names, found, strict=True)}
    return Graph({**step.inputs, SAMPLE_WEIGHT: weight.node}, outputs)


def _bare(rows: Rows) -> Rows:
    return Rows(rows.x, rows.y)


def _pair(one: Any, other: Any) -> tuple[float, float]:
    return float(one), float(other)


def _margins(one: Judged, other: Judged, row: int) -> tuple[float, float] | None:
    if one.margins is None or other.margins is None:
        return None
    return _pair(one.margins[row], other.margins[row])


def _moved(one: Mapping[str, Array], other: Mapping[str, Array]) -> float:
    apart = sum(float(((one[name] - other[name]).astype(np.float64) ** 2).sum()) for name in one)
    whole = sum(float((one[name].astype(np.float64) ** 2).sum()) for name in one)
    return float(np.sqrt(apart / whole)) if whole else 0.0
