"""`fl.replay`: any past step of a run, computed again with the same bits. Nothing needs to have been logged.

From the nearest earlier checkpoint the steps are taken again; of the step asked for, every tensor is kept. The weights'
hash is compared with the next one that the run recorded.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.errors import ArgumentError, RunFolderError, nearest
from fallline.ir.types import BATCH
from fallline.nn.module import Module
from fallline.training.arguments import whole_number
from fallline.training.batches import Batches
from fallline.training.every_tensor import every_tensor, step_inputs
from fallline.training.hashes import weights_hash
from fallline.training.rates import Rates
from fallline.training.recording import Given, Recording, recording_of, require_fitting
from fallline.training.run import Run
from fallline.training.run_reader import StoredRun
from fallline.training.step import GRADIENT, LOSS, StepProgram
from fallline.training.steppers import Snapshot, make_stepper
from fallline.training.tensor_names import tensor_names
from fallline.training.update_graph import with_update

Array = NDArray[Any]
KEPT = 8
"""Moments that are kept while steps are looked for."""


@dataclass(frozen=True)
class Replay:
    """One step of a run.

    Attributes:
        step: its number, from 0.
        epoch: its epoch, from 0.
        rows: the numbers of its rows in the training set.
        loss: before the update.
        learning_rate: η, the schedule's factor included.
        before, after: weights, buffers and the optimizer's state before and after the update.
        gradients: dL/dw by dotted name (before clipping).
        tensors: every tensor that the step computed, by name, in the order of computation: "0/matmul" is the product in
            layer 0, "gradient of 0.weight", "updated 0.weight" what they say.
        verified_at: the step after which the weights' hash was compared with the recorded one, and was the same; None
            where the run recorded none from here on.
    """

    step: int
    epoch: int
    rows: Array
    loss: float
    learning_rate: float
    before: Snapshot
    after: Snapshot
    gradients: dict[str, Array]
    tensors: dict[str, Array] = field(repr=False)
    verified_at: int | None

    @property
    def updates(self) -> dict[str, Array]:
        """What the update added to each weight."""
        before, after = self.before.weights, self.after.weights
        return {name: after[name] - before[name] for name in before}

    def __getitem__(self, name: str) -> Array:
        """A tensor by its name.

        Raises:
            ArgumentError: there is none of that name.
        """
        if name not in self.tensors:
            raise ArgumentError(f"the step has no tensor {name!r}: {nearest(name, self.tensors)}")
        return self.tensors[name]


class Replayer:
    """Goes to any step of a run, back and forth.

    Args:
        recording: what its steps follow from.
        engine: which computed it.
        scores: of its epochs.
        sources: step → moments at or before it, the nearest first.
        hashes: step → the recorded hash of weights and buffers.
        taken: how many steps it took; None where that is not known.
    """

    def __init__(
        self,
        recording: Recording,
        engine: str,
        scores: list[float],
        sources: Callable[[int], Iterator[Snapshot]],
        hashes: Mapping[int, str],
        taken: int | None = None,
    ) -> None:
        s = recording.settings
        self.recording, self.engine, self.scores = recording, engine, list(scores)
        self.hashes, self.taken = dict(hashes), taken
        self.batches = Batches(recording.rows, s.batch_size, s.seed, s.shuffle)
        self.rates = Rates(s.schedule, self.batches.steps_per_epoch, s.epochs, scores)
        self.program = StepProgram.of(recording.graphs.step, s.dtype, shards=s.shards, engine="reference")
        self.update = with_update(recording.graphs.step, recording.optimizer, s.clip_value, s.clip_norm)
        self._sources, self._kept = sources, dict[int, Snapshot]()
        first = next(sources(0 if taken is None else taken))
        self._stepper = make_stepper(
            engine, self.program, recording.optimizer, self.batches, first, self.rates.factors,
            clip_value=s.clip_value, clip_norm=s.clip_norm, threads=s.threads, shards=s.shards,
        )  # fmt: skip
        if self._stepper.engine != engine:
            raise RunFolderError(
                f"replay: the run was computed by the {engine} engine, which does not work here; the "
                f"{self._stepper.engine} engine would give other bits"
            )

    @classmethod
    def of_folder(cls, stored: StoredRun, recording: Recording) -> "Replayer":
        """Of a run on disk."""
        last, lines = next(stored.whole()), stored.history()
        require_fitting(stored, recording, last)
        # beyond the last checkpoint, whose scores have a hash, history.jsonl is all there is
        scores = last.scores + [_score(line) for line in lines[len(last.scores) :]]
        per_epoch = -(-len(recording.rows) // recording.settings.batch_size)
        total = per_epoch * recording.settings.epochs
        hashes = {step: name for step, name in stored.hashes().items() if step <= total}
        taken = max([last.step, min(len(lines) * per_epoch, total), *hashes])

        def sources(step: int) -> Iterator[Snapshot]:
            for checkpoint in stored.whole(step):
                require_fitting(stored, recording, checkpoint)
                yield checkpoint.now

        return cls(recording, stored.engine, scores, sources, hashes, taken)

    @classmethod
    def of_run(cls, run: Run) -> "Replayer":
        """Of a run in memory."""
        if run.recording is None or run.start is None:
            raise ArgumentError("replay: this run was not made by fl.fit or fl.resume; give the run's folder")
        start = run.start

        def sources(step: int) -> Iterator[Snapshot]:
            if start.step > step:
                raise ArgumentError(f"replay: this run began at step {start.step}; for step {step} give its folder")
            yield start

        return cls(run.recording, run.engine, run.scores, sources, run.hashes, len(run.steps["loss"]))

    def state(self, step: int) -> Snapshot:
        """Weights, buffers and the optimizer's state before step `step`, which is after so many steps."""
        kept = [at for at in self._kept if at <= step]
        best = self._kept[max(kept)] if kept else None
        if best is None or best.step < step:
            source = next(self._sources(step), None)
            if source is not None and (best is None or source.step > best.step):
                best = source
        if best is None:
            raise RunFolderError(f"replay: the run has no whole checkpoint at or before step {step}")
        return self._taken(best, step)

    def _taken(self, start: Snapshot, step: int) -> Snapshot:
        """The state before step `step`, by taking the steps from an earlier one, whatever a checkpoint says of it."""
        return self._keep(start if start.step == step else self.onward(start, step)[0])

    def _keep(self, moment: Snapshot) -> Snapshot:
        self._kept[moment.step] = moment
        if len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]
        return moment

    @property
    def threads(self) -> int | None:
        """How many compute a step; None where the engine does not decide it."""
        return self._stepper.threads

    def onward(self, moment: Snapshot, step: int) -> tuple[Snapshot, Array]:
        """Take the steps from a moment up to a later step, trusting nothing that was stored in between.

        Returns:
            What there is before step `step`, and the losses of the steps taken.

        Raises:
            ArgumentError: a loss on the way is not finite.
        """
        self._stepper.restore(moment)
        losses = self._stepper.run(moment.step, step - moment.step)
        if len(losses) < step - moment.step or not np.isfinite(losses).all():
            raise ArgumentError(
                f"replay: the run cannot be taken to step {step}: the loss of step {moment.step + len(losses) - 1} "
                f"is {losses[-1]}, so that the run ended there"
            )
        return self._stepper.snapshot(), losses

    def verify(self, step: int) -> int | None:
        """Compare the weights, taken on from `step`, with the next recorded hash.

        Returns:
            After which step that was, or None where there is none.

        Raises:
            RunFolderError: the hash is another one.
        """
        later = [at for at in self.hashes if at >= step]
        if not later:
            return None
        at = min(later)
        if weights_hash(self._taken(self.state(step), at).values) != self.hashes[at]:
            raise RunFolderError(
                f"replay: taking the steps again gives other weights after step {at} than the run recorded; "
                "`fallline verify` and `fallline diff` tell more"
            )
        return at

    def step(self, step: int) -> Replay:
        """A step with all its tensors.

        Raises:
            ArgumentError: the run has no such step.
            RunFolderError: the run is not reproduced.
        """
        if self.taken is not None and step >= self.taken:
            raise ArgumentError(
                f"replay: the run took {self.taken:,} steps, 0 to {self.taken - 1:,}; found step={step}"
            )
        before = self.state(step)
        after = self._taken(before, step + 1)
        tensors = self.tensors(before)
        prefix = len(GRADIENT)
        return Replay(
            step=step,
            epoch=step // self.batches.steps_per_epoch,
            rows=self.batches.numbers_of(step).copy(),
            loss=float(tensors[LOSS]),
            learning_rate=self.recording.optimizer.lr * float(self.rates.factors(step, 1)[0]),
            before=before,
            after=after,
            gradients={name[prefix:]: array for name, array in tensors.items() if name.startswith(GRADIENT)},
            tensors=tensors,
            verified_at=self.verify(step + 1),
        )

    def tensors(self, before: Snapshot) -> dict[str, Array]:
        """Every tensor of the step that a state stands before, by name."""
        step, s = before.step, self.recording.settings
        inputs = step_inputs(self.program, self.update, self.batches, before, float(self.rates.factors(step, 1)[0]))
        sizes = {BATCH.name: int(self.batches.sizes(step, 1)[0])}
        names = tensor_names(self.update.graph, self.recording.graphs.step)
        found: dict[str, Array] = {}
        for node, value in every_tensor(self.update.graph, sizes, inputs, self.engine, s.shards):
            for name in names.get(id(node), ()):
                found[name] = value
        return found


def replay(
    run: Any,
    step: int,
    x: Any = None,
    y: Any = None,
    *,
    sample_weight: Any = None,
    net: Module | None = None,
    loss: Any = None,
    threads: int | None = None,
) -> Replay:
    """Compute a past step of a run again: its activations, its gradients, its update, with the bits of then.

    Args:
        run: a `Run`, or a run's folder.
        step: its number, from 0.
        x, y, sample_weight: for a folder: the data, as `fit` was given them.
        net, loss: for a folder, to be compared with what is stored; not needed.
        threads: how many compute it; never changes a bit.

    Returns:
        The `Replay`; `replay["0/matmul"]` is a tensor by name, `replay.tensors` has them all.

    Raises:
        ArgumentError: the run has no such step, or the data are other ones.
        RunFolderError: there is no such run, or its recorded hashes are not reproduced.
    """
    number = whole_number("step", step, 0, "replay")
    return replayer_of(run, Given(x, y, sample_weight, None, net, loss, (), threads)).step(number)


def _score(line: Mapping[str, Any]) -> float:
    """What the schedule was told of an epoch; null in JSON is NaN here."""
    found = line.get("validation_loss", line.get("loss"))
    return float(found) if isinstance(found, float | int) else math.nan


def replayer_of(run: Any, given: Given, call: str = "replay") -> Replayer:
    """The replayer of a run, or of a run's folder with its data."""
    if isinstance(run, Run):
        return Replayer.of_run(run)
    stored = StoredRun(run, call)
    if given.x is None or given.y is None:
        raise ArgumentError(f"{call}: a run's folder holds no data: give x and y, as fit was given them")
    return Replayer.of_folder(stored, recording_of(stored, given, validated=False))
