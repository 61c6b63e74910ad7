"""`fl.verify`: the receipt of a run. It is trained again, and whatever it has recorded is compared, bit by bit.

Nothing that was stored is trusted on the way: from its start, or from the checkpoint before a chosen interval, the
steps are taken on and on, and each loss, each recorded hash, each later checkpoint and the model file are compared.
"""

import time
from typing import Any

import numpy as np

from fallline.errors import ModelFileError
from fallline.insight.receipt import Mismatch, Receipt
from fallline.insight.sides import Side, side_of, state_name
from fallline.insight.values import compare, first_change
from fallline.nn.model_file import read_tensors
from fallline.ops import philox
from fallline.training.arguments import seed_number, whole_number
from fallline.training.hashes import weights_hash
from fallline.training.recording import Given
from fallline.training.run_folder import MODEL
from fallline.training.steppers import Snapshot

CALL = "verify"


def verify(
    run: Any,
    x: Any = None,
    y: Any = None,
    *,
    sample_weight: Any = None,
    intervals: int | None = None,
    seed: int = 0,
    threads: int | None = None,
) -> Receipt:
    """Train a run again, and say whether everything that it has recorded is reproduced, bit for bit.

    Args:
        run: a run as `fit` returns it, or a run folder.
        x, y, sample_weight: for a folder: the data, as `fit` was given them.
        intervals: train only so many intervals again, chosen at random among those between neighbouring checkpoints and
            recorded hashes; all by default.
        seed: of the choice.
        threads: how many compute the replay of a folder; never changes a bit.

    Returns:
        A `Receipt`: `ok`, what was compared, and the first thing that was not reproduced; `print` it.

    Raises:
        ArgumentError: the run cannot be replayed, or the data are missing or those of another run.
        RunFolderError: there is no such run, or it was made under another exactness contract.
    """
    given = Given(x, y, sample_weight, None, None, None, (), threads)
    return verify_run(run, given, intervals, seed)


def verify_run(run: Any, given: Given, intervals: int | None = None, seed: int = 0) -> Receipt:
    """`verify`, with what the folder does not hold."""
    if intervals is not None:
        whole_number("intervals", intervals, 1, CALL)
    return _Verification(side_of(run, given, CALL, "in memory"), intervals, seed_number(seed)).receipt()


class _Verification:
    def __init__(self, side: Side, intervals: int | None, seed: int) -> None:
        self.side, self.started = side, time.perf_counter()
        self.moments, self.model_step = side.moments(), _step_of_the_model(side)
        points = {*self.moments, *(step for step in side.hashes if side.first <= step <= side.taken)}
        points |= set() if self.model_step is None else {self.model_step}
        self.points = sorted(points)
        pairs = list(zip(self.points, self.points[1:], strict=False))
        self.chosen = pairs if intervals is None else _choice(pairs, intervals, seed)
        self.steps: list[int] = []
        self.counts = {"hash": 0, "checkpoint": 0, "loss": 0}
        self.model: bool | None = None
        self.retrained = 0

    def receipt(self) -> Receipt:
        """Train again, up to the first thing that is not reproduced."""
        side, everything = self.side, len(self.chosen) == len(self.points) - 1
        mismatch = self._compare(side.state(side.first)) if everything else None
        moment: Snapshot | None = side.state(side.first) if everything else None
        for first, last in self.chosen:
            if mismatch is not None:
                break
            source = max(step for step in self.moments if step <= first)
            if moment is None or (moment.step < source and not everything):
                moment = side.state(source)
            for step in [p for p in self.points if moment.step < p <= last]:
                moment, mismatch = self._on(moment, step)
                if mismatch is not None:
                    break
        return Receipt(
            run=side.name,
            steps=tuple(self.steps),
            hashes=self.counts["hash"],
            checkpoints=self.counts["checkpoint"],
            losses=self.counts["loss"],
            model=self.model,
            mismatch=mismatch,
            retrained=self.retrained,
            taken=side.taken,
            intervals=() if everything else tuple((first, last - 1) for first, last in self.chosen),
            seconds=time.perf_counter() - self.started,
            threads=side.replayer.threads,
            engine=side.replayer.engine,
        )

    def _on(self, moment: Snapshot, step: int) -> tuple[Snapshot, Mismatch | None]:
        """From a moment to the next that something is known of."""
        after, losses = self.side.replayer.onward(moment, step)
        self.retrained += step - moment.step
        then = self.side.losses[moment.step : step]
        known = ~np.isnan(then)
        wrong = np.flatnonzero(known & (then != losses))
        if len(wrong):
            at = moment.step + int(wrong[0])
            sentence = f"the loss of step {at:,} (from 0) was {then[wrong[0]]!r}, now it is {losses[wrong[0]]!r}"
            return after, Mismatch(at, "loss", sentence)
        self.counts["loss"] += int(known.sum())
        return after, self._compare(after)

    def _compare(self, moment: Snapshot) -> Mismatch | None:
        """What is stored of a moment with what was computed."""
        side, step = self.side, moment.step
        if step in side.hashes:
            if (found := weights_hash(moment.values)) != side.hashes[step]:
                sentence = f"after step {step:,} it recorded weights of hash {side.hashes[step]}, now it is {found}"
                return Mismatch(step, "hash", sentence)
            self._count("hash", step)
        if step in self.moments and step != side.first:
            try:
                stored = side.stored.checkpoint(step).now if side.stored is not None else moment
            except ModelFileError as error:
                return Mismatch(step, "checkpoint", f"its checkpoint after step {step:,} cannot be read: {error}")
            if state_name(stored) != state_name(moment):
                change = first_change(stored.values, moment.values)
                what = "the optimizer's memory" if change is None else _difference(change)
                sentence = f"its checkpoint after step {step:,} is not what the training gives: {what}"
                return Mismatch(step, "checkpoint", sentence)
            self._count("checkpoint", step)
        return self._compare_model(moment) if step == self.model_step else None

    def _compare_model(self, moment: Snapshot) -> Mismatch | None:
        stored = self.side.stored
        if stored is None:
            return None
        try:
            arrays, _ = read_tensors(stored.path / MODEL)
        except ModelFileError as error:
            return Mismatch(moment.step, "model file", f"its model file cannot be read: {error}")
        for name, array in moment.values.items():
            if (change := compare(name, arrays.get(name), array)) is not None:
                sentence = f"its model file does not hold the weights after step {moment.step:,}: {_difference(change)}"
                return Mismatch(moment.step, "model file", sentence)
        self.model = True
        self._count("", moment.step)
        return None

    def _count(self, what: str, step: int) -> None:
        if what:
            self.counts[what] += 1
        if step not in self.steps:
            self.steps.append(step)


def _difference(change: Any) -> str:
    bit = f", which is {change.which_bit}" if change.which_bit else ""
    return f"{change.where} is {change.a} there and {change.b} now{bit}"


def _choice(pairs: list[tuple[int, int]], count: int, seed: int) -> list[tuple[int, int]]:
    """Some of the intervals, each as likely as the others, in order."""
    order = np.argsort(philox.words(philox.key(seed, "verify"), range(len(pairs)), 1)[:, 0], kind="stable")
    return [pairs[k] for k in sorted(order[:count].tolist())]


def _step_of_the_model(side: Side) -> int | None:
    """After how many steps the weights of the model file were, where there is one and that is known."""
    stored = side.stored
    if stored is None or not (stored.path / MODEL).is_file():
        return None
    settings, about = side.recording.settings, stored.about
    if about.get("stopped") in ("nan", "running"):
        return None
    best = about.get("best_epoch")
    if settings.restore_best and best is not None and settings.until != "converged":
        step = (int(best) + 1) * side.replayer.batches.steps_per_epoch
    else:
        step = side.taken
    return step if side.first <= step <= side.taken else None
