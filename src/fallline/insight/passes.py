"""A step's two passes: what flowed forwards between the layers, and dL/da and dL/dw that flowed backwards."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from fallline.backprop.gradients import gradients
from fallline.engine.programs import make_program
from fallline.errors import ArgumentError
from fallline.insight.anatomy import Anatomy, anatomy_of
from fallline.ir.graph import Graph
from fallline.ir.types import BATCH
from fallline.ops.tensor import Tensor
from fallline.training.replay import Replayer
from fallline.training.step import GRADIENT, LOSS, ROWS
from fallline.training.steppers import Snapshot

Array = NDArray[Any]
CARRIED, GIVEN, DELTA = "carried", "given by", "delta of"


@dataclass(frozen=True, eq=False)
class Passes:
    """One step's passes, forwards and backwards.

    Attributes:
        step: its number, from 0.
        epoch: its epoch, from 0.
        numbers: of its rows, in the training set.
        loss: of the batch, before the update.
        row_losses: (rows,), or None where the loss is no mean over rows.
        learning_rate: η.
        carried: what the path's layers were given, and the outputs: (rows, …, units) each.
        given: layer → what it gave, before its activation.
        deltas: layer → dL/d of that.
        gradients: dL/dw by dotted name.
        before: weights and the optimizer's state before the update.
    """

    step: int
    epoch: int
    numbers: Array
    loss: float
    row_losses: Array | None
    learning_rate: float
    carried: list[Array]
    given: dict[str, Array]
    deltas: dict[str, Array]
    gradients: dict[str, Array]
    before: Snapshot


class PassReader:
    """Computes the passes of any step of a run, with the bits of then.

    Args:
        replayer: of the run.
        modules: dotted name → class's name.
    """

    def __init__(self, replayer: Replayer, modules: Mapping[str, str]) -> None:
        self.replayer = replayer
        self.anatomy: Anatomy = anatomy_of(replayer.recording.graphs.step, modules)
        self._graph = self._passes_graph()
        self._programs: dict[int, Any] = {}

    def at(self, step: int) -> Passes:
        """The passes of a step.

        Raises:
            ArgumentError, RunFolderError: the run has no such step, or cannot be taken to it.
        """
        replayer = self.replayer
        if not 0 <= step < (replayer.taken or 0):
            raise ArgumentError(f"the run took {replayer.taken or 0:,} steps, numbered from 0; found step {step:,}")
        before = replayer.state(step)
        batches = replayer.batches
        rows = batches.rows_of(step)
        denominator = float(batches.denominators(step, 1)[0])
        given = replayer.program.inputs(rows, before.values, denominator, batches.seed, step)
        found = self._program(len(rows))(given)
        stages = self.anatomy.main
        prefix = len(GRADIENT)
        return Passes(
            step=step,
            epoch=step // batches.steps_per_epoch,
            numbers=batches.numbers_of(step).copy(),
            loss=float(found[LOSS]),
            row_losses=found.get(ROWS),
            learning_rate=replayer.recording.optimizer.lr * float(replayer.rates.factors(step, 1)[0]),
            carried=[found[f"{CARRIED} {number}"] for number in range(len(stages) + 1)],
            given={stage.name: found[f"{GIVEN} {stage.name}"] for stage in stages},
            deltas={stage.name: found[f"{DELTA} {stage.name}"] for stage in stages},
            gradients={name[prefix:]: array for name, array in found.items() if name.startswith(GRADIENT)},
            before=before,
        )

    def after(self, step: int) -> Snapshot:
        """Weights and the optimizer's state after a step's update."""
        return self.replayer.state(step + 1)

    def _program(self, rows: int) -> Any:
        if rows not in self._programs:
            replayer = self.replayer
            shards = replayer.recording.settings.shards
            self._programs[rows] = make_program(self._graph, {BATCH.name: rows}, shards, replayer.engine)
        return self._programs[rows]

    def _passes_graph(self) -> Graph:
        step, stages = self.replayer.recording.graphs.step, self.anatomy.main
        deltas = gradients(Tensor(self.anatomy.loss), [Tensor(stage.gives) for stage in stages])
        outputs = {name: node for name, node in step.outputs.items() if name in (LOSS, ROWS)}
        outputs |= {name: node for name, node in step.outputs.items() if name.startswith(GRADIENT)}
        outputs |= {f"{CARRIED} {number}": node for number, node in enumerate(self.anatomy.carried)}
        outputs |= {f"{GIVEN} {stage.name}": stage.gives for stage in stages}
        outputs |= {f"{DELTA} {stage.name}": d.node for stage, d in zip(stages, deltas, strict=True)}
        return Graph(step.inputs, outputs)
