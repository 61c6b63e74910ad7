"""Who is told of every epoch: functions of (estimator, epoch), and callbacks of scikit-learn's own protocol."""

from collections.abc import Callable, Sequence
from typing import Any

from fallline.errors import KindError

__all__ = ["CallbackSupportMixin", "Watchers", "functions"]

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # before scikit-learn 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stands where the installed scikit-learn has no callbacks."""


class Watchers:
    """Tells of the epochs of one call of `fit`.

    Args:
        estimator: whose `callbacks` are told, and those of its `set_callbacks`.
        data: X, y and sample_weight, as scikit-learn's callbacks may ask for them.
        most: epochs at most.
    """

    def __init__(self, estimator: Any, data: dict[str, Any], most: int) -> None:
        self._estimator, self._functions = estimator, functions(estimator.callbacks)
        self._context: Any = None
        self._epoch: Any = None
        metadata = None if data["sample_weight"] is None else {"sample_weight": data["sample_weight"]}
        self._data = {"X": data["X"], "y": data["y"], "metadata": metadata}
        if hasattr(estimator, "_init_callback_context"):
            self._context = estimator._init_callback_context(max_subtasks=most)
            self._context.call_on_fit_task_begin(estimator=estimator, **self._data)

    @property
    def active(self) -> bool:
        """Whether there is anybody to tell."""
        return bool(self._functions) or bool(getattr(self._estimator, "_skl_callbacks", None))

    def begin_epoch(self) -> None:
        """An epoch begins."""
        if self._context is not None and self.active:
            self._epoch = self._context.subcontext(task_name="epoch")
            self._epoch.call_on_fit_task_begin(estimator=self._estimator, **self._data)

    def end_epoch(self, number: int) -> bool:
        """Epoch `number`, from 0, has ended, and the estimator has its weights; whether somebody wants to stop."""
        answers = [function(self._estimator, number) for function in self._functions]  # all of them are asked
        stop = any(answer is True for answer in answers)
        if self._epoch is not None:
            stop = self._end(self._epoch) or stop
            self._epoch = None
        return stop

    def end(self) -> None:
        """The fit is over, and with it an iteration that had been announced but was not needed."""
        if self._epoch is not None:
            self._end(self._epoch)
        if self._context is not None:
            self._end(self._context)

    def _end(self, context: Any) -> bool:
        weights = {"coefs_": list(self._estimator.coefs_), "intercepts_": list(self._estimator.intercepts_)}
        asked = context.call_on_fit_task_end(estimator=self._estimator, reconstruction_attributes=weights, **self._data)
        return asked is True


def functions(callbacks: Any) -> Sequence[Callable[[Any, int], Any]]:
    """The parameter `callbacks` as a list of functions.

    Raises:
        KindError: one of them cannot be called.
    """
    found = [] if callbacks is None else [callbacks] if callable(callbacks) else list(callbacks)
    for item in found:
        if not callable(item):
            raise KindError(
                f"callbacks must be functions of (estimator, epoch), found {item!r}; objects of scikit-learn's own "
                "protocol are given to set_callbacks(…)"
            )
    return found
