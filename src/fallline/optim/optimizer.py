"""The optimizer: an update rule with its hyper-parameters, applied to all weights of a network."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fallline.errors import ArgumentError, KindError, ShapeError, nearest
from fallline.optim.groups import Group, Groups, assign, check_all_used, make_groups
from fallline.optim.hyper import Hyper
from fallline.optim.rule import Memory, Scalars, UpdateRule

Array = NDArray[Any]
Weights = Mapping[str, Array]
State = dict[str, Any]

CLASSES: dict[str, type["Optimizer"]] = {}

_LR_FACTOR = Hyper("lr_factor", 1.0, 0.0, None, "what a schedule multiplies η with")


class Optimizer:
    """Gradient descent by one update rule: (weights, gradients, state) → (weights, state).

    Subclasses name their `rule`; nothing else distinguishes them. An optimizer holds settings only: weights and
    state go in and come out, nothing is changed in place.

    `groups` gives parameters whose dotted name matches a pattern (`fnmatch`; the first match wins) other
    hyper-parameters: `groups={"0.*": 0.001, "*.bias": {"weight_decay": 0.0}}`. A number alone means lr. `lr=0`
    freezes: weight and state keep their bits, and no gradient is needed.
    """

    rule: ClassVar[UpdateRule]

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if "rule" in vars(cls):
            CLASSES[cls.rule.name] = cls

    def __init__(self, groups: Groups | None = None, **hyper: Any) -> None:
        self._call = f"optim.{type(self).__name__}"
        self._hyper = self.rule.validated(self._call, hyper)
        self._groups = make_groups(self._call, self.rule, self._hyper, groups)

    @property
    def lr(self) -> float:
        """The learning rate η, before any schedule, of the parameters in no group."""
        return float(self._hyper["lr"])

    @property
    def hyper(self) -> dict[str, Any]:
        """All hyper-parameters, of the parameters in no group."""
        return dict(self._hyper)

    @property
    def groups(self) -> tuple[Group, ...]:
        """The groups in order of precedence; the last one takes the rest."""
        return self._groups

    def assign(self, names: Iterable[str]) -> dict[str, Group]:
        """Parameter name → its group."""
        return assign(self._groups, names)

    def init(self, weights: Weights) -> State:
        """The state before the first step: `{"step": 0, "memory": {…}, slot: {name: zeros}, …}`.

        `memory` holds the rule's running numbers per group pattern, and is empty for most rules. A slot has an
        array for each weight whose hyper-parameters make use of it.

        Args:
            weights: dotted name → float32 or float64 array.

        Raises:
            ArgumentError: a group's pattern matches no parameter.
            KindError: a weight is no float array.
        """
        check_weights(f"{self._call}.init", weights)
        check_all_used(f"{self._call}.init", self._groups, weights)
        state: State = {"step": 0, "memory": {}}
        for slot in self.rule.slots:
            state[slot.name] = {}
        for name, group in self.assign(weights).items():
            if self.rule.memory:
                state["memory"][group.pattern] = self.rule.initial_memory
            for slot_name in self.rule.slots_for(group.hyper):
                state[slot_name][name] = np.zeros_like(weights[name])
        return {key: value for key, value in state.items() if key in ("step", "memory") or value}

    def step_scalars(
        self, step: int, memory: Mapping[str, Memory], lr_factor: float = 1.0
    ) -> tuple[dict[str, Scalars], dict[str, Memory]]:
        """What enters one step at run time, for each group: pattern → scalars, and the memory after the step.

        Args:
            step: t, counted from 1.
            memory: from the state.
            lr_factor: what the schedule multiplies η with.
        """
        scalars, remembered = {}, {}
        for group in reversed(self._groups):  # so that a user's own "*" group outranks the rest's
            hyper = {**group.hyper, "lr": group.hyper["lr"] * lr_factor}
            before = dict(memory.get(group.pattern, self.rule.initial_memory))
            found, after = self.rule.scalars(hyper, step, before)
            scalars[group.pattern] = {name: float(value) for name, value in found.items()}
            if group.pattern in memory:
                remembered[group.pattern] = after
        return scalars, remembered

    def scalars_of_steps(
        self, first: int, memory: Mapping[str, Memory], lr_factors: Array
    ) -> tuple[dict[str, dict[str, Array]], Mapping[str, Memory]]:
        """`step_scalars` of several steps, with the same bits: found together where the rule remembers nothing.

        Args:
            first: t of the first step, counted from 1.
            memory: from the state.
            lr_factors: what the schedule multiplies η with in each step, (steps,), ≥ 0.

        Returns:
            Pattern → scalar → (steps,) float64, and the memory after the last step.
        """
        lr_factors = np.asarray(lr_factors, dtype=np.float64)
        for bad in lr_factors[~(np.isfinite(lr_factors) & (lr_factors >= 0.0))][:1]:
            _LR_FACTOR.validated(f"{self._call}.update", float(bad))
        if self.rule.memory:
            return self._one_after_the_other(first, memory, lr_factors)
        steps, scalars = np.arange(first, first + len(lr_factors)), {}
        for group in reversed(self._groups):
            found, _ = self.rule.scalars({**group.hyper, "lr": group.hyper["lr"] * lr_factors}, steps, {})
            scalars[group.pattern] = {name: np.broadcast_to(value, steps.shape) for name, value in found.items()}
        return scalars, memory

    def _one_after_the_other(
        self, first: int, memory: Mapping[str, Memory], lr_factors: Array
    ) -> tuple[dict[str, dict[str, Array]], Mapping[str, Memory]]:
        found: dict[str, dict[str, list[float]]] = {}
        for step, factor in enumerate(lr_factors.tolist(), first):
            scalars, memory = self.step_scalars(step, memory, factor)
            for pattern, numbers in scalars.items():
                for name, value in numbers.items():
                    found.setdefault(pattern, {}).setdefault(name, []).append(value)
        return {
            pattern: {name: np.array(values) for name, values in numbers.items()} for pattern, numbers in found.items()
        }, memory

    def update(
        self, weights: Weights, grads: Weights, state: State, lr_factor: float = 1.0
    ) -> tuple[dict[str, Array], State]:
        """One step of gradient descent, with t = state["step"] + 1 and η = lr·lr_factor.

        Args:
            weights: dotted name → array.
            grads: dotted name → dL/dw, of the weight's shape; taken in the weight's dtype. Frozen weights
                need none.
            state: from `init` or the last `update`.
            lr_factor: from a schedule, ≥ 0.

        Returns:
            New weights, in the order and dtypes of `weights`, and the new state. What was given is not changed.

        Raises:
            ArgumentError: names do not fit, or the state is of another optimizer or network.
            ShapeError: a gradient or a state array has another shape than its weight.
            KindError: an array is not of floats.
        """
        call = f"{self._call}.update"
        factor = _LR_FACTOR.validated(call, lr_factor)
        check_weights(call, weights)
        groups = self.assign(weights)
        _check_names(call, groups, grads)
        step, memory = _progress(call, state, groups, self.rule)
        scalars, memory = self.step_scalars(step, memory, factor)
        new_weights: dict[str, Array] = {}
        new_state: State = {key: {} for key in state if key not in ("step", "memory")}
        for name, w in weights.items():
            group = groups[name]
            slots = {slot: _state_array(call, state, slot, name, w) for slot in self.rule.slots_for(group.hyper)}
            if group.frozen:
                new_weights[name], slots = w.copy(), {slot: array.copy() for slot, array in slots.items()}
            else:
                g = _gradient(call, name, grads[name], w)
                new_weights[name], slots = self._stepped(w, g, slots, group, scalars[group.pattern])
            for slot, array in slots.items():
                new_state[slot][name] = array
        return new_weights, {"step": step, "memory": memory, **new_state}

    def _stepped(
        self, w: Array, g: Array, slots: dict[str, Array], group: Group, scalars: Scalars
    ) -> tuple[Array, dict[str, Array]]:
        with np.errstate(all="ignore"):  # the training loop tells of infinities and NaN, with their origin
            w, slots = self.rule.apply(w, g, slots, group.hyper, scalars)
        # NumPy turns arrays without dimensions into scalars; they go out as they came in.
        return np.asarray(w), {slot: np.asarray(array) for slot, array in slots.items()}

    def config(self) -> dict[str, Any]:
        """All settings as JSON can hold them; `optim.from_config` makes the same optimizer of them."""
        found: dict[str, Any] = {"name": self.rule.name, **_jsonable(self._hyper)}
        if groups := [[group.pattern, _jsonable(group.overrides)] for group in self._groups[:-1]]:
            found["groups"] = groups  # a list, because the order decides and JSON objects have none
        return found

    def __repr__(self) -> str:
        defaults = {hyper.name: hyper.default for hyper in self.rule.hypers}
        shown = [f"{name}={value!r}" for name, value in self._hyper.items() if name == "lr" or value != defaults[name]]
        if groups := {group.pattern: dict(group.overrides) for group in self._groups[:-1]}:
            shown.append(f"groups={groups!r}")
        return f"{type(self).__name__}({', '.join(shown)})"


def _jsonable(hyper: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in hyper.items()}


def check_weights(call: str, weights: Weights) -> None:
    """Refuses weights that are not float32 or float64 arrays under their names."""
    if not isinstance(weights, Mapping):
        raise KindError(f"{call}: weights must map names to arrays, found a {type(weights).__name__}.")
    for name, w in weights.items():
        if not isinstance(w, np.ndarray) or w.dtype not in (np.float32, np.float64):
            found = f"dtype {w.dtype}" if isinstance(w, np.ndarray) else f"a {type(w).__name__}"
            raise KindError(f"{call}: weight {name!r} must be a float32 or float64 array, found {found}.")


def _check_names(call: str, groups: Mapping[str, Group], grads: Weights) -> None:
    if not isinstance(grads, Mapping):
        raise KindError(f"{call}: grads must map names to arrays, found a {type(grads).__name__}.")
    for name in grads:
        if name not in groups:
            raise ArgumentError(f"{call}: there is a gradient {name!r} but no such weight: {nearest(name, groups)}")
    for name, group in groups.items():
        if name not in grads and not group.frozen:
            raise ArgumentError(
                f"{call}: weight {name!r} has no gradient. Give one, or freeze it with groups={{{name!r}: 0}}."
            )


def _progress(call: str, state: State, groups: Mapping[str, Group], rule: UpdateRule) -> tuple[int, dict[str, Memory]]:
    """The number of the step to take, from 1, and the memory before it."""
    step = state.get("step") if isinstance(state, Mapping) else None
    if not isinstance(step, int | np.integer) or isinstance(step, bool) or step < 0:
        found = f"step {step!r}" if isinstance(state, Mapping) else f"a {type(state).__name__}"
        raise ArgumentError(f"{call}: state must come from init() or update(), found {found}.")
    memory: dict[str, Memory] = dict(state.get("memory", {}))
    needed = rule.initial_memory
    for group in groups.values():
        if needed and not group.frozen and set(memory.get(group.pattern, {})) != set(needed):
            raise ArgumentError(
                f"{call}: the state's memory has no {' and '.join(needed)} of the group {group.pattern!r}. "
                "It is of another optimizer: make a new one with init(weights)."
            )
    return int(step) + 1, memory


def _gradient(call: str, name: str, gradient: Any, w: Array) -> Array:
    array = np.asarray(gradient)
    if array.dtype.kind not in "fiu":
        raise KindError(f"{call}: gradient {name!r} must be an array of real numbers, found dtype {array.dtype}.")
    if array.shape != w.shape:
        raise ShapeError(f"{call}: gradient {name!r} must have its weight's shape {w.shape}, found {array.shape}.")
    return array.astype(w.dtype, copy=False)


def _state_array(call: str, state: State, slot: str, name: str, w: Array) -> Array:
    arrays = state.get(slot)
    array = arrays.get(name) if isinstance(arrays, Mapping) else None
    if array is None:
        raise ArgumentError(
            f"{call}: the state has no {slot!r} of weight {name!r}. It is of another optimizer or network: "
            "make a new one with init(weights)."
        )
    if np.shape(array) != w.shape or np.asarray(array).dtype != w.dtype:
        raise ShapeError(
            f"{call}: {slot!r} of weight {name!r} must be {w.dtype} of the weight's shape {w.shape}, "
            f"found {np.asarray(array).dtype} of shape {np.shape(array)}. Make a new state with init(weights)."
        )
    return np.asarray(array)


def by_name(name: str, lr: float | None = None, **hyper: Any) -> Optimizer:
    """The optimizer of that name: `by_name("adamw", lr=0.001, weight_decay=0.1)`.

    Args:
        name: as in `optim.RULES`; case does not count.
        lr: learning rate; None takes the rule's default, which SGD has not.
        hyper: other hyper-parameters, and `groups`.

    Returns:
        The optimizer, which holds no state: that is what its `init` gives.

    Raises:
        ArgumentError: the name or a hyper-parameter is unknown, with the nearest; or a value is out of range.
    """
    found = CLASSES.get(str(name).lower())
    if found is None:
        raise ArgumentError(f"optim.by_name({name!r}): no optimizer is named so: {nearest(str(name), CLASSES)}")
    groups = hyper.pop("groups", None)
    call = f"optim.{found.__name__}"
    given = hyper if lr is None else {"lr": lr, **hyper}
    return found(**found.rule.validated(call, given), groups=groups)


def from_config(config: Mapping[str, Any]) -> Optimizer:
    """The optimizer that `config()` describes.

    Raises:
        ArgumentError: the description has no name, or something in it is unknown or out of range.
    """
    if not isinstance(config, Mapping) or "name" not in config:
        raise ArgumentError(f"optim.from_config: need a mapping with a 'name', found {config!r}.")
    settings = {key: value for key, value in config.items() if key != "name"}
    if isinstance(settings.get("groups"), list):
        settings["groups"] = dict(settings["groups"])
    return by_name(config["name"], **settings)
