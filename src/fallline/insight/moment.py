"""The moment that an explanation is of: a step of a run, or a network with its rows; laid open on a tape."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.engine.programs import COMPILED, REFERENCE, warn_of_fallback
from fallline.errors import CompileError
from fallline.insight.number_columns import plain
from fallline.insight.tape import Tape
from fallline.ir.graph import Graph, Node
from fallline.ir.types import BATCH
from fallline.nn.losses import Loss
from fallline.nn.module import Module
from fallline.nn.trace import SAMPLE_WEIGHT, Y, values_of
from fallline.ops import exact
from fallline.optim import Optimizer
from fallline.training.every_tensor import every_tensor, step_inputs
from fallline.training.replay import Replayer
from fallline.training.step import GRADIENT, LOSS, OUTPUTS, ROWS, Rows, StepProgram, typed_graph
from fallline.training.update_graph import UpdateGraph, with_update

Array = NDArray[Any]


@dataclass(frozen=True)
class Moment:
    """Everything that a step's numbers follow from.

    Attributes:
        step_graph: its loss and gradients.
        update: the same with the update; None without an optimizer.
        inputs: what the step is given, by input name.
        weights: before the step.
        numbers: of its rows in the data.
        modules: dotted name of each module → its class's name.
        loss: the loss's name.
        clip_value, clip_norm: as `fit` has them.
        engine, shards: what computes it.
        step, epoch: of the run, from 0; None for a network.
        verified_at: see `Replay`.
        run: the run's name; "" for a network.
    """

    step_graph: Graph
    update: UpdateGraph | None
    inputs: Mapping[str, Any]
    weights: Mapping[str, Array]
    numbers: Array
    modules: Mapping[str, str]
    loss: str
    clip_value: float | None = None
    clip_norm: float | None = None
    engine: str = COMPILED
    shards: int = 1
    step: int | None = None
    epoch: int | None = None
    verified_at: int | None = None
    run: str = ""

    @property
    def sizes(self) -> dict[str, int]:
        """The value of each symbolic dimension."""
        return {BATCH.name: len(self.numbers)}

    @cached_property
    def tape(self) -> Tape:
        """Every node of the step with its value, with the bits of the engine."""
        wanted = {name: node for name, node in self.step_graph.outputs.items() if _told(name)}
        update = {} if self.update is None else self.update.graph.outputs
        inputs = self.step_graph.inputs if self.update is None else self.update.graph.inputs
        graph = Graph(inputs, {**wanted, **update})
        try:
            found = list(every_tensor(graph, self.sizes, self.inputs, self.engine, self.shards))
        except (CompileError, ImportError) as error:
            if self.step is not None:  # a run's bits are those of its engine
                raise
            warn_of_fallback(error)
            found = list(every_tensor(graph, self.sizes, self.inputs, REFERENCE, self.shards))
        return Tape(graph, self.step_graph, found, self.sizes, self.modules)

    def gradient(self, name: str) -> Node:
        """The node of dL/dw of a parameter, before clipping."""
        return self.step_graph.outputs[GRADIENT + name]

    @cached_property
    def notes(self) -> dict[int, str]:
        """What the loss had to go by, by the row's number."""
        outputs, rows = (self.step_graph.outputs.get(name) for name in (OUTPUTS, ROWS))
        found = {}
        for place, number in enumerate(self.numbers.tolist()):
            words = [] if outputs is None else [f"outputs {_few(self.tape.array(outputs)[place])}"]
            words.append(f"target {_few(np.asarray(self.inputs[Y])[place])}")
            if rows is not None:
                words.append(f"its loss {plain(self.tape.values[id(rows)][place])}")
            if SAMPLE_WEIGHT in self.inputs:
                words.append(f"its weight {plain(self.inputs[SAMPLE_WEIGHT][place])}")
            found[number] = f"row {number}: {', '.join(words)}"
        return found


def _told(name: str) -> bool:
    return name in (LOSS, OUTPUTS, ROWS) or name.startswith(GRADIENT)


def _few(values: Any) -> str:
    flat = np.asarray(values).reshape(-1)
    shown = ", ".join(plain(value) for value in flat[:6].tolist())
    more = f", … ({flat.size:,} numbers)" if flat.size > 6 else ""
    return shown if flat.size == 1 else f"({shown}{more})"


def moment_of_run(replayer: Replayer, step: int, run: str, verified_at: int | None) -> Moment:
    """The moment of a run's step."""
    recording, settings = replayer.recording, replayer.recording.settings
    before = replayer.state(step)
    factor = float(replayer.rates.factors(step, 1)[0])
    inputs = step_inputs(replayer.program, replayer.update, replayer.batches, before, factor)
    return Moment(
        step_graph=recording.graphs.step,
        update=replayer.update,
        inputs=inputs,
        weights=before.weights,
        numbers=replayer.batches.numbers_of(step).copy(),
        modules=recording.graphs.modules,
        loss=repr(recording.loss) if recording.loss.name == "own loss" else recording.loss.name,
        clip_value=settings.clip_value,
        clip_norm=settings.clip_norm,
        engine=replayer.engine,
        shards=settings.shards,
        step=step,
        epoch=step // replayer.batches.steps_per_epoch,
        verified_at=verified_at,
        run=run,
    )


def moment_of_network(
    net: Module,
    rows: Rows,
    loss: Loss,
    optimizer: Optimizer | None,
    state: Mapping[str, Any] | None,
    *,
    training: bool,
    seed: int,
    step: int,
) -> Moment:
    """The moment of a network at its current weights, with rows of data."""
    graph = typed_graph(net, rows, loss, net.dtype, training=training, backward=True)
    program = StepProgram.of(graph, net.dtype, engine=REFERENCE)
    total = float(len(rows) if rows.weight is None else exact.tree_sum(rows.weight))
    inputs = program.inputs(rows, values_of(net), total, seed, step)
    update = None
    if optimizer is not None:
        update = with_update(graph, optimizer)
        weights = net.parameters()
        known = optimizer.init(weights) if state is None else dict(state)
        scalars, _ = update.scalar_values(int(known["step"]) + 1, known["memory"], np.ones(1))
        inputs |= {name: np.asarray(n, net.dtype) for name, n in zip(update.scalars, scalars[0], strict=True)}
        inputs |= update.state_inputs(values_of(net), {}, known)
    return Moment(
        step_graph=graph,
        update=update,
        inputs=inputs,
        weights=net.parameters(),
        numbers=np.arange(len(rows)),
        modules={name: type(module).__name__ for name, module in net.named_modules().items()},
        loss=repr(loss) if loss.name == "own loss" else loss.name,
    )
