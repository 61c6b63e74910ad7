"""The schedules: constant, stairs, exponential, cosine waves, one cycle, warm-up, and reduction on a plateau."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fallline.errors import ArgumentError, KindError
from fallline.ops import exact
from fallline.optim.hyper import Hyper, validated
from fallline.optim.schedule import (
    SCHEDULES,
    Array,
    Schedule,
    State,
    by_name,
    from_config,
    half_cosine,
    half_cosines,
    in_steps,
)

__all__ = [
    "SCHEDULES",
    "Constant",
    "Cosine",
    "CosineRestarts",
    "ExponentialDecay",
    "OneCycle",
    "ReduceOnPlateau",
    "Schedule",
    "StepDecay",
    "Warmup",
    "by_name",
    "from_config",
]


def _factor(default: float | None) -> Hyper:
    return Hyper("factor", default, 0.0, 1.0, "what the rate is multiplied with each time", low_open=True)


_FINAL = Hyper("final", 0.0, 0.0, 1.0, "the factor at the end")


class Constant(Schedule):
    """The learning rate as it is: factor 1."""

    name = "constant"

    def factor(self, step: int, steps_per_epoch: int, total_steps: int, state: State | None = None) -> float:
        return 1.0

    def factors(
        self, first: int, count: int, steps_per_epoch: int, total_steps: int, state: State | None = None
    ) -> Array:
        return np.ones(count)


class StepDecay(Schedule):
    """Multiplied by `factor` each time `every` epochs are over: factor^⌊epochs/every⌋.

    Args:
        every: length of a stair in epochs, > 0.
        factor: greater than 0, at most 1.
    """

    name = "step_decay"
    settings = (Hyper("every", None, 0.0, None, "epochs between reductions", low_open=True), _factor(0.1))

    def __init__(self, every: float, factor: float = 0.1) -> None:
        super().__init__(every=every, factor=factor)

    def factor(self, step: int, steps_per_epoch: int, total_steps: int, state: State | None = None) -> float:
        return exact.power(self._values["factor"], step // in_steps(self._values["every"], steps_per_epoch))


class ExponentialDecay(Schedule):
    """Multiplied by `factor` per epoch, smoothly from step to step: factor^epochs.

    Args:
        factor: greater than 0, at most 1.

    Deviation from PyTorch's `ExponentialLR`: the rate falls within an epoch, too; at its start both agree.
    """

    name = "exponential_decay"
    settings = (_factor(None),)

    def __init__(self, factor: float) -> None:
        super().__init__(factor=factor)

    def factor(self, step: int, steps_per_epoch: int, total_steps: int, state: State | None = None) -> float:
        return exact.power(self._values["factor"], step / steps_per_epoch)


class Cosine(Schedule):
    """Half a cosine wave over the whole run: from 1 at step 0 to `final` at `total_steps`.

    Args:
        final: the factor at the end, from 0 to 1.

    Source: Loshchilov & Hutter, SGDR, ICLR 2017, arXiv:1608.03983, eq. 5, with a single period.
    """

    name = "cosine"
    paper = "Loshchilov & Hutter, ICLR 2017, arXiv:1608.03983, eq. 5"
    settings = (_FINAL,)

    def __init__(self, final: float = 0.0) -> None:
        super().__init__(final=final)

    def factor(self, step: int, steps_per_epoch: int, total_steps: int, state: State | None = None) -> float:
        return half_cosine(step / max(total_steps, 1), 1.0, self._values["final"])

    def factors(
        self, first: int, count: int, steps_per_epoch: int, total_steps: int, state: State | None = None
    ) -> Array:
        return half_cosines(np.arange(first, first + count) / max(total_steps, 1), 1.0, self._values["final"])


class CosineRestarts(Schedule):
    """Half a cosine wave again and again, each `multiply` times as long as the last (SGDR).

    Args:
        first: length of the first wave in epochs, > 0.
        multiply: how much longer each is than the one before, ≥ 1.
        final: the factor at the end of a wave, from 0 to 1.

    Source: Loshchilov & Hutter, SGDR, ICLR 2017, arXiv:1608.03983, eq. 5, T₀ = first, T_mult = multiply.
    """

    name = "cosine_restarts"
    paper = "Loshchilov & Hutter, ICLR 2017, arXiv:1608.03983, eq. 5"
    settings = (
        Hyper("first", None, 0.0, None, "epochs of the first wave", low_open=True),
        Hyper("multiply", 2.0, 1.0, None, "how much longer each wave is than the one before"),
        _FINAL,
    )

    def __init__(self, first: float, multiply: float = 2.0, final: float = 0.0) -> None:
        super().__init__(first=first, multiply=multiply, final=final)
        if 1.0 < self._values["multiply"] < 1.01:
            raise ArgumentError(
                f"optim.CosineRestarts(multiply={multiply!r}): multiply must be 1, or at least 1.01, "
                f"found {multiply!r}. Take 1 for waves of equal length."
            )

    def factor(self, step: int, steps_per_epoch: int, total_steps: int, state: State | None = None) -> float:
        first, multiply = in_steps(self._values["first"], steps_per_epoch), self._values["multiply"]
        if multiply == 1.0:
            return half_cosine(step % first / first, 1.0, self._values["final"])
        # Wave i starts after first·(1 + multiply + … + multiplyⁱ⁻¹) steps; the last that has started is running.
        start, length = 0.0, float(first)
        while step >= start + length:
            start, length = start + length, length * multiply
        return half_cosine((step - start) / length, 1.0, self._values["final"])


class OneCycle(Schedule):
    """Up from `start` to 1 in the first part of the run, then down to `final`, both along half a cosine wave.

    Args:
        warmup: the share of the run that rises, from 0 to 1.
        start: the factor at step 0, from 0 to 1.
        final: the factor at the end, from 0 to 1.

    Source: Smith & Topin, Super-Convergence, arXiv:1708.07120, with cosine ramps for their straight ones, as PyTorch's
    `OneCycleLR`. Deviations from that: `final` is a share of the peak, not of the start; the momentum stays.
    """

    name = "one_cycle"
    paper = "Smith & Topin 2018, arXiv:1708.07120"
    settings = (
        Hyper("warmup", 0.3, 0.0, 1.0, "the share of the run in which the rate rises"),
        Hyper("start", 1 / 25, 0.0, 1.0, "the factor at the start"),
        Hyper("final", 1e-4, 0.0, 1.0, "the factor at the end"),
    )

    def __init__(self, warmup: float = 0.3, start: float = 1 / 25, final: float = 1e-4) -> None:
        super().__init__(warmup=warmup, start=start, final=final)

    def factor(self, step: int, steps_per_epoch: int, total_steps: int, state: State | None = None) -> float:
        rising = round(self._values["warmup"] * total_steps)
        if step < rising:
            return half_cosine(step / rising, self._values["start"], 1.0)
        return half_cosine((step - rising) / max(total_steps - rising, 1), 1.0, self._values["final"])

    def factors(
        self, first: int, count: int, steps_per_epoch: int, total_steps: int, state: State | None = None
    ) -> Array:
        steps = np.arange(first, first + count)
        rising = round(self._values["warmup"] * total_steps)
        up = half_cosines(steps / max(rising, 1), self._values["start"], 1.0)
        down = half_cosines((steps - rising) / max(total_steps - rising, 1), 1.0, self._values["final"])
        return np.where(steps < rising, up, down)


class Warmup(Schedule):
    """Up in equal steps over the first epochs, then another schedule, as if the run began there.

    With n steps of warm-up, step i < n has the factor (i+1)/n · (the other's factor at its step 0).

    Args:
        epochs: length of the warm-up, ≥ 0.
        then: the schedule after it; `Constant()` by default.

    Source: Goyal et al., arXiv:1706.02677, section 2.2.
    """

    name = "warmup"
    paper = "Goyal et al. 2017, arXiv:1706.02677, section 2.2"
    settings = (Hyper("epochs", None, 0.0, None, "epochs of warm-up"),)

    def __init__(self, epochs: float, then: Schedule | Mapping[str, Any] | None = None) -> None:
        super().__init__(epochs=epochs)
        inner = Constant() if then is None else from_config(then) if isinstance(then, Mapping) else then
        if not isinstance(inner, Schedule):
            found = f"the {type(inner).__name__} {inner!r}"
            raise KindError(f"optim.Warmup: then must be a schedule, such as optim.Cosine(), found {found}.")
        self._values["then"] = inner

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Schedule:
        own = {name: value for name, value in settings.items() if name != "then"}
        return cls(**validated(f"optim.{cls.__name__}", cls.settings, own), then=settings.get("then"))

    def factor(self, step: int, steps_per_epoch: int, total_steps: int, state: State | None = None) -> float:
        rising = in_steps(self._values["epochs"], steps_per_epoch)
        rest = self._values["then"].factor(max(step - rising, 0), steps_per_epoch, max(total_steps - rising, 1), state)
        return float((step + 1) / rising * rest if step < rising else rest)

    def initial_state(self) -> State:
        return dict(self._values["then"].initial_state())

    def observe(self, state: State, score: float) -> State:
        return dict(self._values["then"].observe(state, score))

    def config(self) -> dict[str, Any]:
        return {**super().config(), "then": self._values["then"].config()}


class ReduceOnPlateau(Schedule):
    """Multiplied by `factor` when the score has not improved for more than `patience` epochs.

    An epoch counts as improved when score < best − threshold·|best|; after a reduction counting starts again.

    Args:
        factor: greater than 0, at most 1.
        patience: epochs without improvement that are tolerated, ≥ 0.
        threshold: the smallest improvement that counts, as a share of the best score, ≥ 0.
        minimum: the smallest factor, from 0 to 1.

    Deviations from PyTorch's `ReduceLROnPlateau`: `minimum` is a share of the learning rate, not a rate; negative
    scores are compared by the size of the improvement, too; there is no cooldown. A NaN score is no improvement.
    """

    name = "reduce_on_plateau"
    settings = (
        _factor(0.1),
        Hyper("patience", 10.0, 0.0, None, "epochs without improvement that are tolerated"),
        Hyper("threshold", 1e-4, 0.0, None, "the smallest improvement that counts, as a share of the best score"),
        Hyper("minimum", 0.0, 0.0, 1.0, "the smallest factor"),
    )

    def __init__(
        self, factor: float = 0.1, patience: float = 10, threshold: float = 1e-4, minimum: float = 0.0
    ) -> None:
        super().__init__(factor=factor, patience=patience, threshold=threshold, minimum=minimum)

    def factor(self, step: int, steps_per_epoch: int, total_steps: int, state: State | None = None) -> float:
        return float(state["factor"]) if state else 1.0

    def factors(
        self, first: int, count: int, steps_per_epoch: int, total_steps: int, state: State | None = None
    ) -> Array:
        return np.full(count, self.factor(first, steps_per_epoch, total_steps, state))

    def initial_state(self) -> State:
        return {"factor": 1.0, "best": None, "epochs_without_improvement": 0}

    def observe(self, state: State, score: float) -> State:
        value, best = float(score), state["best"]
        if value == value and (best is None or value < best - self._values["threshold"] * abs(best)):
            return {**state, "best": value, "epochs_without_improvement": 0}
        waited = state["epochs_without_improvement"] + 1
        if waited <= self._values["patience"]:
            return {**state, "epochs_without_improvement": waited}
        reduced = max(state["factor"] * self._values["factor"], self._values["minimum"])
        return {**state, "factor": reduced, "epochs_without_improvement": 0}
