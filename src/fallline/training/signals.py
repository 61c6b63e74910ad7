"""Ctrl-C and SIGTERM: the first one asks the training to stop after the step at hand, the second stops it at once."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class StopRequest:
    """Whether, and by which signal, a stop was asked for."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __bool__(self) -> bool:
        return self.signal is not None


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Within the block, SIGINT and SIGTERM set the request; a second one raises KeyboardInterrupt.

    Handlers can only be set in the main thread; elsewhere, and where somebody else has set a handler of
    their own, signals are left alone.
    """
    request = StopRequest()

    def handle(number: int, frame: FrameType | None) -> None:
        if request:
            raise KeyboardInterrupt
        request.signal = number

    ours: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
        defaults = (signal.SIG_DFL, signal.default_int_handler)
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) in defaults:
                ours[number] = signal.signal(number, handle)
    try:
        yield request
    finally:
        for number, previous in ours.items():
            signal.signal(number, previous)
