"""The processor's own clock, which native programs read in a few nanoseconds, and how fast it ticks."""

import ctypes
import time
from functools import cache
from typing import Any

from fallline.engine.compiler.code import Code
from fallline.engine.native import compile_module
from fallline.engine.target import Target, host_target
from fallline.ir.types import DType

SECONDS = 0.02
"""How long ticks are counted to find their rate: the two clocks are read within less than a thousandth of it."""
LOOKS = 5


def counter(target: Target) -> str:
    """LLVM's name of the counter: AArch64 keeps its cycles to the system, but its steady counter is open."""
    return "llvm.readcyclecounter" if target.is_x86 else "llvm.readsteadycounter"


@cache
def seconds_per_tick() -> float:
    """Counted once in a process: the counters of all processors with FMA tick evenly, whatever their cores do."""
    code = Code("ticks", "", result="i64", linkage="")
    now = code.call(counter(host_target()), [], DType.INT64)
    read = compile_module("\n".join(code.declarations) + "\n" + code.text(str(now))).function("ticks", ctypes.c_int64)
    start = _together(read)
    time.sleep(SECONDS)
    end = _together(read)
    return (end[0] - start[0]) / max(end[1] - start[1], 1)


def _together(read: Any) -> tuple[float, int]:
    """(seconds, ticks) of one moment: of several looks that for which the two clocks were nearest to each other."""
    nearest, found = float("inf"), (0.0, 0)
    for _ in range(LOOKS):
        before, ticks, after = time.perf_counter(), read(), time.perf_counter()
        if after - before < nearest:
            nearest, found = after - before, ((before + after) / 2, ticks)
    return found
