"""What an update rule is, and the register of all update rules.

One update rule, one declaration: paper, hyper-parameters, state, what changes from step to step, and the
step itself stand together in one call of `register`, in one of the files of `optim/`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fallline.errors import ArgumentError, nearest
from fallline.optim.hyper import Hyper, Hypers
from fallline.optim.hyper import validated as validated_hypers

Value = Any  # a NumPy array, or a symbolic tensor while the step is traced into a program
Slots = dict[str, Value]
Scalars = dict[str, Any]  # float64 numbers, or arrays with one for each step
Memory = dict[str, float]


@dataclass(frozen=True)
class Slot:
    """One state array per weight, of the weight's shape and dtype; it starts at zero.

    Attributes:
        name: its key in the optimizer's state.
        doc: what it holds, with the paper's letter.
        needed: hyper → whether these hyper-parameters make use of it.
    """

    name: str
    doc: str
    needed: Callable[[Hypers], bool] = lambda hyper: True


def _no_objection(hyper: Hypers) -> str:
    return ""


@dataclass(frozen=True)
class UpdateRule:
    """One update rule: (weight, gradient, state, η) → (weight, state).

    Attributes:
        name: unique, lower case, as `optim.by_name` and the command line know it.
        paper: the citation, with equation or algorithm.
        hypers: the hyper-parameters; the first is the learning rate `lr`.
        slots: the state arrays per weight.
        scalars: (hyper, t, memory) → (scalars, memory): what changes from step to step (η, bias corrections),
            in float64. t counts from 1; hyper["lr"] is η, the schedule's factor included. With + − × ÷ √ and
            `ops.exact` only, because it reaches the weights. Without `memory`, t and hyper["lr"] may be arrays of
            several steps, and each number must then have the bits that its step alone gives.
        step: (w, g, state, k) → (w, state), for one weight. `k` holds the hyper-parameters, fixed for a run, and
            over them the scalars of this step. Pure, written with operators and `ops.functions`, so that the same
            function is called on arrays and traced into a program. Scalars meet tensors only, never one another:
            a program rounds each of them to the weight's dtype first. `state` has only the slots in use, so the
            step may branch on their presence and on hyper-parameters, but on no tensor or scalar.
        memory: numbers that `scalars` carries from step to step, at their start.
        objection: hyper → what is wrong with values that are each in range but do not go together, or "".
    """

    name: str
    paper: str
    hypers: tuple[Hyper, ...]
    slots: tuple[Slot, ...]
    scalars: Callable[[Hypers, Any, Memory], tuple[Scalars, Memory]]
    step: Callable[[Value, Value, Slots, Mapping[str, Any]], tuple[Value, Slots]]
    memory: tuple[tuple[str, float], ...] = ()
    objection: Callable[[Hypers], str] = _no_objection

    def __repr__(self) -> str:
        return f"<update rule {self.name}>"

    @property
    def initial_memory(self) -> Memory:
        """What `scalars` remembers before the first step."""
        return dict(self.memory)

    def slots_for(self, hyper: Hypers) -> tuple[str, ...]:
        """The names of the state arrays that these hyper-parameters make use of."""
        return tuple(slot.name for slot in self.slots if slot.needed(hyper))

    def apply(self, w: Value, g: Value, state: Slots, hyper: Hypers, scalars: Mapping[str, Any]) -> tuple[Value, Slots]:
        """One step of one weight, on arrays or on symbolic tensors.

        Args:
            w: the weight, any shape.
            g: dL/dw, of w's shape and dtype.
            state: slot name → array of w's shape and dtype, for each of `slots_for(hyper)`.
            hyper: the hyper-parameters, as Python values: constants of a traced program.
            scalars: from `scalars`; Python floats, or symbolic scalars that are fed at run time.

        Returns:
            The new weight and the new state.
        """
        constants = {name: value for name, value in hyper.items() if name != "lr"}  # η is never a constant
        return self.step(w, g, state, {**constants, **scalars})

    def validated(self, call: str, given: Hypers) -> dict[str, Any]:
        """All hyper-parameters' values, checked one by one and together.

        Raises:
            ArgumentError, KindError: with the call, the requirement and what was found.
        """
        values = validated_hypers(call, self.hypers, given)
        if objection := self.objection(values):
            raise ArgumentError(f"{call}: {objection}")
        return values


RULES: dict[str, UpdateRule] = {}


def register(rule: UpdateRule) -> UpdateRule:
    """Add an update rule. Refused: a name twice, no paper, a first hyper-parameter other than `lr`."""
    if rule.name in RULES:
        raise ArgumentError(f"register: an update rule named {rule.name!r} exists already; choose another name.")
    if not rule.paper:
        raise ArgumentError(f"register: update rule {rule.name!r} cites no paper; say where it comes from.")
    if not rule.hypers or rule.hypers[0].name != "lr":
        raise ArgumentError(f"register: the first hyper-parameter of {rule.name!r} must be 'lr', the learning rate.")
    RULES[rule.name] = rule
    return rule


def lookup(name: str) -> UpdateRule:
    """The update rule of that name.

    Raises:
        ArgumentError: there is none; with the nearest name.
    """
    try:
        return RULES[name]
    except KeyError:
        raise ArgumentError(f"no update rule is named {name!r}: {nearest(name, RULES)}") from None


def learning_rate(default: float | None) -> Hyper:
    """The hyper-parameter `lr`, η."""
    advice = "Try 0.1, or 0.001 for Adam."
    return Hyper("lr", default, 0.0, None, "learning rate η", low_open=True, advice=advice)


def weight_decay(default: float = 0.0, *, decoupled: bool = False) -> Hyper:
    """The hyper-parameter `weight_decay`, λ."""
    doc = "λ: the weight shrinks by the factor 1 − ηλ" if decoupled else "λ: adds λ·w to the gradient"
    return Hyper("weight_decay", default, 0.0, None, doc)


def epsilon(default: float) -> Hyper:
    """The hyper-parameter `eps`, ε."""
    return Hyper("eps", default, 0.0, None, "ε, added to a denominator to keep it from 0")


def betas(default: tuple[float, float]) -> Hyper:
    """The hyper-parameter `betas`, (β₁, β₂)."""
    doc = "(β₁, β₂): how much of the first and second moment is kept each step"
    return Hyper("betas", default, 0.0, 1.0, doc, high_open=True)


def momentum(default: float = 0.0) -> Hyper:
    """The hyper-parameter `momentum`, μ."""
    return Hyper("momentum", default, 0.0, 1.0, "μ: how much of the last step's direction is kept", high_open=True)


def rate_only(hyper: Hypers, t: Any, memory: Memory) -> tuple[Scalars, Memory]:
    """The scalars of a rule in which nothing but η changes."""
    return {"lr": hyper["lr"]}, memory


def decayed_gradient(w: Value, g: Value, k: Mapping[str, Any]) -> Value:
    """g + λ·w: weight decay as the gradient of the penalty ½·λ·|w|²."""
    return g + k["weight_decay"] * w if k["weight_decay"] else g
