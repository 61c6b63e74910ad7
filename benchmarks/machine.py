"""The circumstances of a measurement: when, which code, which machine, which software."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path


def now() -> str:
    """The time as a page states it: UTC, to the minute."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def commit(root: Path) -> str:
    """The commit checked out at `root`, and whether the files differ from it (results pages aside)."""
    head = _git(root, "rev-parse", "--short=12", "HEAD")
    if head is None:
        return "none (not a git checkout, or nothing committed yet)"
    changes = _git(root, "status", "--porcelain", "--", ".", ":(exclude)docs/results")
    return f"`{head}`" + (", with uncommitted changes" if changes else "")


def describe() -> dict[str, str]:
    """Processor, cores, memory, system and the versions that matter."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    packages = [f"{name} {version_of(name)}" for name in ("numpy", "fallline")]
    return {
        "processor": processor(),
        "cores": f"{usable} usable of {os.cpu_count()}",
        "memory": f"{memory_gib():.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "software": ", ".join([f"Python {platform.python_version()}", *packages]),
    }


def processor() -> str:
    """The processor's own name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def memory_gib() -> float:
    """The machine's memory in GiB."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def version_of(package: str) -> str:
    """An installed package's version; "(unknown version)" when it is importable but was not installed.

    Args:
        package: its name, or the name it is imported by ("sklearn" of scikit-learn).
    """
    try:
        return version(packages_distributions().get(package, [package])[0])
    except PackageNotFoundError:
        return "(unknown version)"


def _git(root: Path, *arguments: str) -> str | None:
    """What a git command prints, or nothing when there is no git, no checkout or no commit."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
