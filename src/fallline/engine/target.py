"""The processor that programs are compiled for: its instructions, and how wide its vectors are.

The target decides how fast a program is, never what it computes: its bits are the same for every target.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache

from fallline.errors import ArgumentError

VARIABLE = "FALLLINE_TARGET"
"""The environment variable that restricts the target of a whole process."""
RESTRICTIONS = ("avx2",)


@dataclass(frozen=True)
class Target:
    """A processor as LLVM names it.

    Attributes:
        triple: architecture and system, for example "x86_64-unknown-linux-gnu".
        cpu: LLVM's name of the processor, for example "znver4".
        features: what it can do beyond its name, as LLVM's list "+avx2,-sse4a".
        vector_bytes: the widest vectors in use: 64, 32 or 16 bytes.
        vector_registers: how many of them there are: 32 or 16.
    """

    triple: str
    cpu: str
    features: str
    vector_bytes: int
    vector_registers: int

    @property
    def is_x86(self) -> bool:
        """Whether it is a 64-bit x86 processor."""
        return self.triple.startswith(("x86_64", "amd64"))

    @property
    def is_arm(self) -> bool:
        """Whether it is a 64-bit ARM processor."""
        return self.triple.startswith(("aarch64", "arm64"))

    @property
    def is_windows(self) -> bool:
        """Whether the system is Windows."""
        return "windows" in self.triple


_in_use: ContextVar[Target | None] = ContextVar("fallline_target", default=None)


def host_target() -> Target:
    """The target that programs are compiled for: that of `using_target`, else this machine.

    `FALLLINE_TARGET=avx2` in the environment leaves AVX-512 unused; it is read once in a process.

    Raises:
        ArgumentError: FALLLINE_TARGET names no restriction, or one that this machine cannot meet.
    """
    return _in_use.get() or _of_process()


def restricted(target: Target, restriction: str) -> Target:
    """The same machine with fewer instructions.

    Args:
        target: the machine.
        restriction: "avx2": none of AVX-512's instructions, registers and encodings, at most AVX2 with FMA.

    Raises:
        ArgumentError: there is no such restriction, or the machine lacks AVX2.
    """
    if restriction not in RESTRICTIONS:
        raise ArgumentError(f"a target can be restricted to {' or '.join(RESTRICTIONS)}, found {restriction!r}")
    if not target.is_x86 or target.vector_bytes < 32:
        raise ArgumentError(f"only an x86-64 processor with AVX2 can be restricted to it, found {target.cpu}")
    # By its name this level of x86-64 has AVX2 and FMA, and nothing of AVX-512, AVX10 or APX: a list of what to
    # switch off would have to know every feature to come.
    return Target(target.triple, "x86-64-v3", "", 32, 16)


@contextmanager
def using_target(target: Target) -> Iterator[Target]:
    """Within the block, in this thread, `host_target()` is `target`."""
    token = _in_use.set(target)
    try:
        yield target
    finally:
        _in_use.reset(token)


def vectors(triple: str, features: str) -> tuple[int, int]:
    """(bytes of the widest vector, number of vector registers) of a processor with these features."""
    if not re.match("x86_64|amd64", triple):
        return 16, 32  # AArch64's NEON
    present = {word[1:] for word in features.split(",") if word.startswith("+")}
    if {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= present:
        return 64, 32
    return (32 if {"avx2", "fma"} <= present else 16), 16


@cache
def _of_process() -> Target:
    """This machine, as FALLLINE_TARGET restricts it."""
    wish = os.environ.get(VARIABLE, "").strip().lower()
    if not wish:
        return _machine()
    if wish not in RESTRICTIONS:
        known = " or ".join(RESTRICTIONS)
        raise ArgumentError(f"the environment variable {VARIABLE} can be {known}, found {wish!r}; correct or unset it")
    try:
        return restricted(_machine(), wish)
    except ArgumentError as reason:
        raise ArgumentError(f"the environment variable {VARIABLE} is {wish!r}, but {reason}; unset it") from None


@cache
def _machine() -> Target:
    """This machine, all of it."""
    import llvmlite.binding as llvm

    triple = llvm.get_process_triple()
    try:
        features = llvm.get_host_cpu_features().flatten()
    except RuntimeError:  # LLVM cannot ask this system; what the processor's name stands for must do
        features = ""
    return Target(triple, llvm.get_host_cpu_name(), features, *vectors(triple, features))
