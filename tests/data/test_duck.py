"""Ctrl-C while DuckDB works, which makes a RuntimeError of what the handler of a signal raises."""

import os
import signal
import threading
from typing import Any

import pytest

from fallline.data import duck
from fallline.training.signals import Interrupted, interruptible


def question(number: int) -> None:
    """What DuckDB does where a signal comes in the middle of a question."""
    try:
        os.kill(os.getpid(), number)
        for _ in range(1000):  # the handler runs between two of these at the latest
            pass
    except KeyboardInterrupt:
        raise RuntimeError("Query interrupted") from None


@pytest.mark.skipif(os.name != "posix", reason="signals are of Unix")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_of_a_question_is_no_defect(number: int) -> None:
    with interruptible():
        before = signal.getsignal(number)
        with pytest.raises(Interrupted) as stop, duck.connection():
            question(number)
        assert signal.getsignal(number) is before
    assert stop.value.number == number


def test_other_errors_stay_what_they_are() -> None:
    import duckdb

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(duckdb.Error, match="nowhere"), duck.connection() as database:
        database.execute("SELECT * FROM nowhere")
    assert signal.getsignal(signal.SIGINT) is before


def test_in_another_thread_signals_are_left_alone() -> None:
    found: list[Any] = []

    def work() -> None:
        with duck.connection() as database:
            found.append((database.execute("SELECT 42").fetchall(), signal.getsignal(signal.SIGINT)))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [([(42,)], before)]
