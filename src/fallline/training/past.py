"""Going back: weights as they were after earlier epochs, by taking steps again from the last moments that were kept."""

from typing import Any

from numpy.typing import NDArray

from fallline.training.steppers import Snapshot, Stepper

Array = NDArray[Any]
Values = dict[str, Array]


class Past:
    """The two last moments at which epochs were over, and what can be found from them.

    Args:
        start: where the training begins, or goes on.
        steps_per_epoch: steps of an epoch.
        good: weights and buffers to keep if the first loss from `start` on is bad; None where that is `start` itself.
    """

    def __init__(self, start: Snapshot, steps_per_epoch: int, good: Values | None = None) -> None:
        self._marks, self._per_epoch = [start], steps_per_epoch
        self._known = {} if good is None else {self.good_epochs(start.step): good}

    @property
    def last(self) -> Snapshot:
        """The latest moment that was kept."""
        return self._marks[-1]

    def keep(self, mark: Snapshot) -> None:
        """Keep a moment at which an epoch is over."""
        self._marks = [self._marks[-1], mark]

    def good_epochs(self, step: int) -> int:
        """After how many epochs weights were good, where the loss of a step is bad.

        Those at the beginning of its epoch are, if a loss at them was finite: if it is not the epoch's first step.
        """
        epoch, place = divmod(step, self._per_epoch)
        return epoch if place else max(epoch - 1, 0)

    def good(self, step: int, stepper: Stepper) -> Values:
        """Weights and buffers to keep where the loss of a step is bad; the stepper is left where it was."""
        epochs = self.good_epochs(step)
        if epochs not in self._known:
            self._known = {epochs: self._after(epochs * self._per_epoch, stepper)}
        return self._known[epochs]

    def _after(self, step: int, stepper: Stepper) -> Values:
        mark = next(mark for mark in reversed(self._marks) if mark.step <= step)
        if mark.step == step:
            return mark.values
        here = stepper.snapshot()
        stepper.restore(mark)
        stepper.run(mark.step, step - mark.step)
        values = stepper.snapshot().values
        stepper.restore(here)
        return values
