"""Ctrl-C and SIGTERM: the first one asks the training to stop after the step at hand, the second stops it at once.

Outside of training, a command that `interruptible` surrounds ends by an exception, so that what is half-written goes.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class StopRequest:
    """Whether a stop was asked for: by which signal, or by somebody who asked through the run folder (`control.py`)."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self.asked = False

    def __bool__(self) -> bool:
        return self.asked or self.signal is not None


class Interrupted(KeyboardInterrupt):
    """A signal ends what runs.

    Args:
        number: the signal's.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted(number)


DEFAULTS = (signal.SIG_DFL, signal.default_int_handler, _interrupt)
"""Handlers that may be replaced while a training runs."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Within the block, SIGINT and SIGTERM raise `Interrupted`; handlers of somebody else are left alone."""
    with _handled(_interrupt):
        yield


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Within the block, SIGINT and SIGTERM set the request; a second one raises `Interrupted`.

    Handlers can only be set in the main thread; elsewhere, and where somebody else has set a handler of
    their own, signals are left alone.
    """
    request = StopRequest()

    def handle(number: int, frame: FrameType | None) -> None:
        if request.signal is not None:
            raise Interrupted(number)
        request.signal = number

    with _handled(handle):
        yield request


@contextmanager
def _handled(handle: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    ours: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) in DEFAULTS:
                ours[number] = signal.signal(number, handle)
    try:
        yield
    finally:
        for number, previous in ours.items():
            signal.signal(number, previous)
