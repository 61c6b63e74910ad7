"""A race downhill: trainings from the same weights on the same rows, which differ in rows per step or update rule.

Each is run by the loop of `fl.fit`, whose bits it has, and looked at afterwards by replay: so looking costs it no time.
What is compared is the loss of all rows, in prediction mode.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.errors import ArgumentError
from fallline.insight.landscape import MOST_NUMBERS, Ground, sampled, without_slots
from fallline.nn.module import Module
from fallline.optim import Optimizer
from fallline.training.arguments import rows_per_step
from fallline.training.graphs import Graphs
from fallline.training.loop import Training
from fallline.training.progress import choose
from fallline.training.recording import Recording
from fallline.training.replay import Replayer
from fallline.training.run import Run
from fallline.training.steppers import Snapshot

Array = NDArray[Any]
MOST_RACERS, MOST_STEPS, POINTS, MOST_ROWS = 8, 200_000, 48, 2048
QUICK, TRIES = 0.25, 2
"""A training that takes fewer seconds is run so many times more, with the same bits; the quickest counts."""


@dataclass(frozen=True)
class Racer:
    """One way of going downhill.

    Attributes:
        name: as a legend shows it.
        optimizer: the update rule.
        batch_size: rows of a step: 1 is stochastic, "all" is batch gradient descent.
    """

    name: str
    optimizer: Optimizer
    batch_size: int | str


@dataclass(frozen=True)
class Lap:
    """What became of one of them.

    Attributes:
        racer: which.
        batch_size: rows of a step, as a number.
        steps: after how many steps it was looked at, from 0.
        rows_seen: how many rows it had been shown by then.
        seconds: how long it had been training by then; within an epoch in proportion to the steps.
        losses: of all rows (or as many as `Race.rows` tells).
        moments: its weights then.
        run: the training itself.
    """

    racer: Racer
    batch_size: int
    steps: list[int]
    rows_seen: list[int]
    seconds: list[float]
    losses: list[float]
    moments: list[Snapshot]
    run: Run


@dataclass(frozen=True)
class Race:
    """All of them.

    Attributes:
        laps: one for each racer.
        rows: of how many rows the losses are.
        all_rows: how many there are.
        graphs, ground: what is computed, and what gives the loss of these rows at any weights.
    """

    laps: list[Lap]
    rows: int
    all_rows: int
    graphs: Graphs
    ground: Ground


def race(recording: Recording, start: Snapshot, racers: Sequence[Racer], epochs: int) -> Race:
    """Let them run.

    Args:
        recording: network, data, loss and seed that they share; its own optimizer and batch size do not count.
        start: the weights and buffers that all begin with.
        racers: 1 to 8 of them.
        epochs: how often each is shown all rows.

    Raises:
        ArgumentError: they are too many, or would take too many steps.
    """
    if not 1 <= len(racers) <= MOST_RACERS:
        raise ArgumentError(f"race: takes 1 to {MOST_RACERS} racers, found {len(racers)}")
    for racer in racers:
        size = rows_per_step(racer.batch_size, len(recording.rows), "race")
        if (steps := -(-len(recording.rows) // size) * epochs) > MOST_STEPS:
            raise ArgumentError(
                f"race: {racer.name!r} would take {steps:,} steps, at most {MOST_STEPS:,} are run here; choose fewer "
                "epochs or more rows a step"
            )
    part = sampled(recording.rows, MOST_ROWS)
    ground = Ground(recording.graphs, part, start.buffers)
    laps = [_lap(recording, start, racer, epochs, ground) for racer in racers]
    return Race(laps, len(part), len(recording.rows), recording.graphs, ground)


def _lap(recording: Recording, start: Snapshot, racer: Racer, epochs: int, ground: Ground) -> Lap:
    size = rows_per_step(racer.batch_size, len(recording.rows), "race")
    changed = replace(recording.settings, batch_size=size, epochs=epochs, checkpoint_every=3600.0)
    own = replace(recording, optimizer=racer.optimizer, settings=changed, validation=None)
    run = _trained(own, start)
    for _ in range(TRIES if run.seconds < QUICK else 0):  # what happens by chance or once counts for too much
        run = min(run, _trained(own, start), key=lambda one: one.seconds)
    replayer, taken = Replayer.of_run(run), len(run.steps["loss"])
    numbers = sum(value.size for value in start.weights.values())
    looks = _looks(taken, min(POINTS, max(9, MOST_NUMBERS // numbers)))
    moments = [without_slots(replayer.state(step)) for step in looks]
    per_epoch = replayer.batches.steps_per_epoch
    at = [moment.step for moment in moments]
    return Lap(
        racer=racer,
        batch_size=size,
        steps=at,
        rows_seen=[_rows_seen(step, per_epoch, size, len(own.rows)) for step in at],
        seconds=np.interp(at, *_clock(run, per_epoch)).tolist(),
        losses=[ground.loss(moment.weights, moment.buffers) for moment in moments],
        moments=moments,
        run=run,
    )


def _trained(recording: Recording, start: Snapshot) -> Run:
    """The training, as `fl.fit` runs it; the network is left as it was."""
    net = recording.net
    own = net.parameters(), net.buffers()
    try:
        _put(net, start.weights, start.buffers)
        run = Run(net, recording.loss, recording.optimizer, engine=recording.settings.engine)
        run.recording = recording
        training = Training(
            net, recording.graphs, recording.rows, None, recording.optimizer, recording.settings, run, choose(False)
        )
        return training.train()
    finally:
        _put(net, *own)


def _put(net: Module, weights: Any, buffers: Any) -> None:
    net.load_parameters(weights)
    net.load_buffers(buffers)


def _looks(steps: int, points: int) -> list[int]:
    """After which steps to look: all of the first, then ever fewer, and the last."""
    if steps < points:
        return list(range(steps + 1))
    spaced = np.geomspace(1.0, steps, points - 1)
    return sorted({0, *(round(float(at)) for at in spaced), steps})


def _rows_seen(step: int, per_epoch: int, size: int, rows: int) -> int:
    epoch, within = divmod(step, per_epoch)
    return epoch * rows + min(within * size, rows)


def _clock(run: Run, per_epoch: int) -> tuple[list[float], list[float]]:
    """(steps, seconds at each): the ends of the epochs."""
    times = [0.0, *np.cumsum(run.history.get("seconds", [])).tolist()]
    return [float(epoch * per_epoch) for epoch in range(len(times))], times
