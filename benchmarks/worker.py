"""`python -m benchmarks.worker FOLDER CONTENDER THREADS`: one contender in a process of its own, told what to time.

Commands come on standard input, a JSON list a line; answers go to standard output, a JSON object a line after "@".
"""

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any, TextIO

from benchmarks.peers import CONTENDERS, Contender
from benchmarks.tasks import read

SETTLE = 0.15
"""Seconds to wait before a block, in which idle threads of the previous worker stop spinning."""


def main(folder: str, name: str, threads: str) -> None:
    """Prepare, train an epoch, then answer commands until "quit"."""
    began = time.perf_counter()
    contender = CONTENDERS[name](read(Path(folder)), int(threads))
    contender.restart()
    prepared = time.perf_counter()
    contender.epochs(contender.task.order(1))
    done = time.perf_counter()
    say(prepare=prepared - began, first=done - prepared, about=contender.about())
    for line in sys.stdin:
        command, *arguments = json.loads(line)
        if command == "quit":
            say(peak=peak_bytes())
            return
        say(**(check(contender) if command == "check" else block(contender, *arguments)))


def check(contender: Contender) -> dict[str, Any]:
    """The losses of the first epoch from the initial weights, and its seconds."""
    contender.restart()
    order, started = contender.task.order(1), time.perf_counter()
    losses = contender.epochs(order)
    return {"losses": losses.tolist(), "seconds": time.perf_counter() - started}


def block(contender: Contender, epochs: int) -> dict[str, Any]:
    """Time some epochs from the initial weights.

    Returns:
        seconds, steps; the first epoch's losses; foreign: processors that others kept busy meanwhile.
    """
    contender.restart()
    orders = contender.task.order(epochs)
    time.sleep(SETTLE)
    others, own, started = busy_seconds(), own_seconds(), time.perf_counter()
    losses = contender.epochs(orders)
    seconds = time.perf_counter() - started
    foreign = (busy_seconds() - others - (own_seconds() - own)) / seconds
    return {
        "seconds": seconds,
        "steps": epochs * contender.steps,
        "losses": losses[:1].tolist(),
        "foreign": max(0.0, foreign),
    }


def own_seconds() -> float:
    """Processor time of this process."""
    return sum(os.times()[:4])


def busy_seconds() -> float:
    """Processor time that everybody on this machine used, stolen time included; 0 where the system does not tell."""
    try:
        with open("/proc/stat", encoding="ascii") as file:
            ticks = [int(word) for word in file.readline().split()[1:9]]
    except OSError:
        return 0.0
    idle = ticks[3] + ticks[4]
    return (sum(ticks) - idle) / os.sysconf("SC_CLK_TCK")


def peak_bytes() -> int:
    """The most memory that this process has had resident.

    Linux's `ru_maxrss` may be that of the process which started this one; VmHWM is its own.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def say(**answer: Any) -> None:
    """Answer on what was standard output when the process began."""
    ANSWERS.write("@" + json.dumps(answer) + "\n")
    ANSWERS.flush()


ANSWERS: TextIO = sys.stdout

if __name__ == "__main__":
    ANSWERS = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints goes to the log, not between the answers
    main(*sys.argv[1:])
