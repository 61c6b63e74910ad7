"""Callbacks: a user's code called while a network trains."""

from collections.abc import Callable, Iterable
from typing import Any

from fallline.errors import ArgumentError, KindError
from fallline.training.run import Run


class Callback:
    """Override what you need. A method that returns True (nothing else) ends the training.

    Callbacks see the run; the network's weights are brought up to date before `on_epoch_end` and
    `on_train_end`. What a callback changes in them is not taken over.
    """

    def on_train_begin(self, run: Run) -> bool | None:
        """Before the first step."""

    def on_step_end(self, run: Run, step: int) -> bool | None:
        """After the update of step `step` (from 0)."""

    def on_epoch_end(self, run: Run, epoch: int) -> bool | None:
        """After epoch `epoch` (from 0), its validation and its history."""

    def on_train_end(self, run: Run) -> bool | None:
        """After the last step, when `run.stopped` is known."""

    def state(self) -> Any:
        """What the callback must remember when the training is resumed, as JSON can hold it; None if nothing."""

    def load_state(self, state: Any) -> None:
        """Take back what `state` gave, when the training is resumed; called only where that was not None."""


class _EpochFunction(Callback):
    """A plain function (run, epoch), called after every epoch."""

    def __init__(self, function: Callable[[Run, int], Any]) -> None:
        self.function = function

    def on_epoch_end(self, run: Run, epoch: int) -> bool | None:
        return self.function(run, epoch)  # type: ignore[no-any-return]


def as_callbacks(callbacks: Any) -> list[Callback]:
    """Callback objects as they are; functions of (run, epoch) to be called after each epoch; one or several."""
    made: list[Callback] = []
    for item in (callbacks,) if callable(callbacks) or isinstance(callbacks, Callback) else callbacks:
        if isinstance(item, Callback):
            made.append(item)
        elif callable(item):
            made.append(_EpochFunction(item))
        else:
            raise KindError(f"fit: a callback must be a function (run, epoch) or a fallline.Callback, found {item!r}")
    return made


def wants_steps(callbacks: Iterable[Callback]) -> bool:
    """Whether some callback overrides `on_step_end`, and so wants to be told of every step."""
    return any(getattr(item.on_step_end, "__func__", None) is not Callback.on_step_end for item in callbacks)


def states(callbacks: Iterable[Callback]) -> list[Any]:
    """[class's name, state] of each callback that has something to remember."""
    return [[type(item).__name__, state] for item in callbacks if (state := item.state()) is not None]


def load_states(callbacks: Iterable[Callback], stored: list[Any]) -> None:
    """Give callbacks back what they had to remember: by their class, in order.

    Raises:
        ArgumentError: one of them is not there.
    """
    left = list(callbacks)
    for name, state in stored:
        found = next((item for item in left if type(item).__name__ == name), None)
        if found is None:
            raise ArgumentError(
                f"resume: the run had a callback {name} with a state to go on from: give callbacks=[{name}(…)]"
            )
        left.remove(found)
        found.load_state(state)
