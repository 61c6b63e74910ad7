"""`fl.explain`: any weight at any step of any run, or of a network: its gradient in parts, and its update."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fallline.errors import ArgumentError, KindError, nearest
from fallline.insight.explanation import Explanation
from fallline.insight.jacobian import Terms
from fallline.insight.levels import entries, parameter_terms
from fallline.insight.moment import Moment, moment_of_network, moment_of_run
from fallline.insight.opening import Opener, Opening, Term
from fallline.insight.parts import PartedSum
from fallline.insight.slope_check import check_slope
from fallline.insight.tape import Tape
from fallline.insight.update_terms import explain_update
from fallline.ir.types import format_shape
from fallline.nn.losses import get as get_loss
from fallline.nn.module import Module
from fallline.optim import Optimizer
from fallline.training.arguments import whole_number
from fallline.training.replay import Replayer
from fallline.training.step import check_rows

Source = Callable[[int], tuple[str, dict[str, str]]]
_SPELLED = re.compile(r"(?P<name>[^\[\]]+?)\s*(?:\[(?P<place>\s*\d+\s*(?:,\s*\d+\s*)*)\])?")
ROWS_NAMED = 12


def explain(
    run_or_net: Any,
    weight: str,
    x: Any = None,
    y: Any = None,
    *,
    step: int | None = None,
    row: int | None = None,
    loss: Any = "cross_entropy",
    optimizer: Optimizer | None = None,
    state: Mapping[str, Any] | None = None,
    sample_weight: Any = None,
    training: bool = True,
    seed: int = 0,
    shown: int = 5,
) -> Explanation:
    """Explain one weight or bias: dL/dw as the exact sum of its parts, each delta by the chain rule, and the update.

        dL/dw = Σ over rows of activation × delta

    Of a run, any past step is computed again with the bits that it had (`fl.replay`). Of a network, `x` and `y` are
    the rows, and nothing is changed.

    Args:
        run_or_net: a `Run`, a run's folder, or a network.
        weight: dotted name and place: "2.weight[5,3]" is from input 5 to output 3 of layer 2, "0.bias[7]" a bias.
        x, y, sample_weight: of a network the rows to look at; of a folder the data as `fit` was given them, which may
            be left out where `fallline train` made the run.
        step: of a run, which step, from 0; of a network, the step that Dropout's random numbers depend on.
        row: the number of a row of the step: its share is shown first, and its delta opened.
        loss: of a network: a name, a loss object or a function.
        optimizer, state: of a network: whose step to tell, and what it remembers; without, no update is told.
        training: of a network: as in training (Dropout acts, BatchNorm uses these rows) or in prediction.
        seed: of a network's Dropout.
        shown: how many parts of a sum are shown.

    Returns:
        The `Explanation`; `print` it, or take `.parts`, `.chain`, `.check`, `.update`, `.rows_up()`, `.to_json()`.

    Raises:
        ArgumentError: there is no such weight, step or row, or the loss does not depend on the weight.
        KindError: `optimizer` is no object of `optim`.
        RunFolderError: there is no such run, or it is not reproduced.
    """
    whole_number("shown", shown, 1, "explain")
    if isinstance(run_or_net, Module):
        if x is None or y is None:
            raise ArgumentError("explain: of a network, give the rows to look at: x and y")
        if optimizer is not None and not isinstance(optimizer, Optimizer):
            raise KindError(f"explain: optimizer must be an object of fallline.optim, found {optimizer!r}")
        net, chosen = run_or_net, get_loss(loss)
        rows = check_rows(net, x, y, chosen, sample_weight, net.dtype, "explain")
        at = 0 if step is None else whole_number("step", step, 0, "explain")
        moment = moment_of_network(net, rows, chosen, optimizer, state, training=training, seed=seed, step=at)
        return explain_moment(moment, weight, row, shown)
    if step is None:
        raise ArgumentError("explain: of a run, say which step, counted from 0: step=…")
    return Explainer.of(run_or_net, x, y, sample_weight).explain(weight, step, row, shown)


class Explainer:
    """Explains weights of one run, and keeps the last step that it was asked for.

    Args:
        replayer: the run's.
        name: the run's, for texts.
        source: a row's number → its place in the source and its cells; None where it is not known.
        features: what each column of the network's input is.
    """

    def __init__(
        self, replayer: Replayer, name: str, source: Source | None = None, features: Sequence[str] = ()
    ) -> None:
        self.replayer, self.name, self.source, self.features = replayer, name, source, tuple(features)
        self._moment: Moment | None = None

    @classmethod
    def of(
        cls, run: Any, x: Any = None, y: Any = None, sample_weight: Any = None, call: str = "explain"
    ) -> "Explainer":
        """Of a `Run` or a run's folder; without data, of those that the folder names."""
        from fallline.insight.run_rows import rows_of

        found = rows_of(run, x, y, sample_weight, call)
        return cls(found.replayer, found.name, found.source, found.features)

    def moment(self, step: int) -> Moment:
        """A step, laid open.

        Raises:
            ArgumentError: the run took no such step.
        """
        number, taken = whole_number("step", step, 0, "explain"), self.replayer.taken
        if taken is not None and number >= taken:
            raise ArgumentError(f"explain: the run took {taken:,} steps, 0 to {taken - 1:,}; found step={number}")
        if self._moment is None or self._moment.step != number:
            verified = self.replayer.verify(number + 1)
            self._moment = moment_of_run(self.replayer, number, self.name, verified)
        return self._moment

    def explain(self, weight: str, step: int, row: int | None = None, shown: int = 5) -> Explanation:
        """See `fl.explain`."""
        return explain_moment(self.moment(step), weight, row, shown, self.source, self.features)


def explain_moment(
    moment: Moment,
    weight: str,
    row: int | None = None,
    shown: int = 5,
    source: Source | None = None,
    features: Sequence[str] = (),
) -> Explanation:
    """Explain a weight at a moment."""
    name, place = locate(moment.weights, weight)
    array = np.asarray(moment.weights[name])
    index = int(np.ravel_multi_index(place, array.shape)) if place else 0
    own = None if row is None else _row(moment, row)
    tape, gradient = moment.tape, moment.gradient(name)
    terms = parameter_terms(tape, name, gradient, index)
    opener = Opener(tape, moment.numbers, moment.note, shown, features)
    deltas, rows = opener.deltas(terms), opener.rows(terms)
    stored, shares = float(tape.values[id(gradient)][index]), terms.coefficient * deltas
    first = [] if own is None else _largest(np.flatnonzero(rows == own).tolist(), shares)
    parted = PartedSum.of(stored, shares, max(shown, len(first)), first)
    parts, chain = _opened(opener, terms, parted, _label(tape, name))
    return Explanation(
        weight=f"{name}[{','.join(map(str, place))}]" if place else name,
        before=float(array[place]),
        loss=float(tape.values[id(tape.loss)][0]),
        loss_name=moment.loss,
        batch=len(moment.numbers),
        where=tuple(f"{tape.label(entry.key)}: {entry.node.op.name}" for entry in entries(tape, name)),
        gradient=stored,
        dtype=str(array.dtype),
        sum=parted,
        parts=parts,
        chain=chain,
        check=check_slope(moment, name, place, stored),
        update=explain_update(moment, name, index),
        activations=terms.coefficient,
        deltas=deltas,
        rows=rows,
        run=moment.run,
        step=moment.step,
        epoch=moment.epoch,
        verified_at=moment.verified_at,
        row=own,
        source=source,
    )


def _label(tape: Tape, name: str) -> str:
    """What the deltas beside a parameter are derivatives of: the layer's output, or several of a shared parameter."""
    labels = {tape.label(entry.key) for entry in entries(tape, name)}
    return labels.pop() if len(labels) == 1 else name.rpartition(".")[0] or "the network"


def _opened(
    opener: Opener, terms: Terms, parted: PartedSum, label: str
) -> tuple[tuple[Term, ...], tuple[Opening, ...]]:
    """The parts that are shown, and the first one's delta opened."""
    parts = tuple(opener.term(terms, int(k), label) for k in parted.listed)
    if not parts:
        return parts, ()
    k = int(parted.listed[0])
    return parts, opener.chain(opener.tape.nodes[int(terms.node[k])], int(terms.index[k]), label)


def _largest(places: Sequence[int], shares: Any) -> list[int]:
    """The places of the row that was asked for, its largest share first."""
    return sorted(places, key=lambda k: -abs(float(shares[k])))


def _row(moment: Moment, row: Any) -> int:
    number = whole_number("row", row, 0, "explain")
    if number not in moment.numbers:
        known = sorted(int(k) for k in moment.numbers)
        shown = ", ".join(map(str, known[:ROWS_NAMED])) + (f", … ({len(known):,} rows)" * (len(known) > ROWS_NAMED))
        what = "these rows" if moment.step is None else f"step {moment.step:,}"
        raise ArgumentError(f"explain: row {number} is not among the rows of {what}: {shown}")
    return number


def locate(weights: Mapping[str, Any], weight: Any) -> tuple[str, tuple[int, ...]]:
    """("2.weight", (5, 3)) from "2.weight[5,3]".

    Raises:
        ArgumentError: there is no such weight; with the nearest name, or the shape.
    """
    found = _SPELLED.fullmatch(weight.strip()) if isinstance(weight, str) else None
    if found is None:
        raise ArgumentError(f"explain: weight must be spelled like '2.weight[5,3]' or '0.bias[7]', found {weight!r}")
    name = found["name"].strip()
    if name not in weights:
        raise ArgumentError(f"explain: there is no weight named {name!r}; {nearest(name, weights)}")
    shape = np.shape(weights[name])
    place = tuple(int(number) for number in found["place"].split(",")) if found["place"] else ()
    if len(place) != len(shape) or any(i >= size for i, size in zip(place, shape, strict=True)):
        last = f"{name}[{','.join(str(size - 1) for size in shape)}]" if shape else name
        raise ArgumentError(
            f"explain: {weight!r} is no place in {name!r}, which has shape {format_shape(shape)}: it needs "
            f"{len(shape)} number{'s' if len(shape) != 1 else ''}, counted from 0; the last one is {last}"
        )
    return name, place
