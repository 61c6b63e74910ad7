"""How much memory this process may still take, and the refusal of a program that needs more."""

import os
from pathlib import Path

from fallline.engine.control_groups import control_groups, read
from fallline.errors import ArgumentError

UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")
ALWAYS_FITS = 1 << 26
"""Bytes for which nobody is asked."""


def available_memory(root: Path = Path("/")) -> int | None:
    """Bytes that can be taken without swapping: the least that the system and the control groups leave.

    Files that the system merely keeps at hand count as free. None where the system does not tell.

    Args:
        root: where the system's files /proc and /sys/fs/cgroup are.
    """
    found = [_of_system(root), *(_of_group(group) for group in control_groups("memory", root))]
    known = [size for size in found if size is not None]
    return max(0, min(known)) if known else None


def total_memory(root: Path = Path("/")) -> int | None:
    """Bytes of the machine's memory, or of the control groups' limits where these are less; None where unknown."""
    limits = [
        int(text)
        for group in control_groups("memory", root)
        for name in ("memory.max", "memory.limit_in_bytes")
        if (text := read(group / name).strip()).isdigit()
    ]
    lines = (line.split() for line in read(root / "proc/meminfo").splitlines())
    known = [int(words[1]) * 1024 for words in lines if len(words) > 1 and words[0] == "MemTotal:"]
    found = [*known, *limits]
    return min(found) if found else None


def refuse_if_too_large(arena_bytes: int, state_bytes: int, batch: int, root: Path = Path("/")) -> None:
    """Stop before a training takes memory that is not there.

    Args:
        arena_bytes: of a step's intermediate results.
        state_bytes: of weights, buffers and the optimizer's arrays.
        batch: rows of a step.
        root: as in `available_memory`.

    Raises:
        ArgumentError: more is needed than is available; with the numbers, and what to do.
    """
    needed = arena_bytes + state_bytes
    if needed <= ALWAYS_FITS:
        return
    available = available_memory(root)
    if available is not None and needed > available:
        remedy = "a smaller network" if state_bytes > available else "a smaller batch_size, or a smaller network"
        raise ArgumentError(
            f"a training step of {batch:,} rows needs {in_units(arena_bytes)} of memory for its intermediate results "
            f"and {in_units(state_bytes)} for weights and optimizer state, but {in_units(available)} are available; "
            f"use {remedy}"
        )


def in_units(size: float) -> str:
    """Bytes as people say them: "512 bytes", "1.5 MB"."""
    for unit in UNITS[:-1]:
        if size < 999.5:
            return f"{size:.0f} {unit}" if unit == UNITS[0] else f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} {UNITS[-1]}"


def _of_system(root: Path) -> int | None:
    for line in read(root / "proc/meminfo").splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if name == "MemAvailable" and words and words[0].isdigit():
            return int(words[0]) * 1024
    if root == Path("/") and hasattr(os, "sysconf") and {"SC_PHYS_PAGES", "SC_PAGE_SIZE"} <= set(os.sysconf_names):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")  # all there is, where nobody tells what is free
    return None


def _of_group(group: Path) -> int | None:
    """What one group's folder leaves: its limit, less what is in use, but for files that can be dropped."""
    for limit_file, usage_file, droppable in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        limit, usage = read(group / limit_file).strip(), read(group / usage_file).strip()
        if limit.isdigit() and usage.isdigit():
            files = dict(
                line.split()[:2] for line in read(group / "memory.stat").splitlines() if len(line.split()) == 2
            )
            return int(limit) - int(usage) + int(files.get(droppable, "0"))
    return None
