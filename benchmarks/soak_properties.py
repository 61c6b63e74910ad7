"""Property-based tests with ten times the examples of `make test`, and other ones at each run.

Random graphs and networks against finite differences, tables in every dialect, shapes, splits, schedules,
kernel forms, random tables through the command line.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

NAME = "properties"
ROOT = Path(__file__).resolve().parent.parent
FACTOR = 10


def run() -> str:
    """Run every Hypothesis test of the suite; fail where one fails."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "pytest", "-q", "-m", "hypothesis", "-p", "no:cacheprovider"]
    environment = {**os.environ, "FALLLINE_SOAK_FACTOR": str(FACTOR)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    summary = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else done.stderr[-2000:]
    if done.returncode:
        raise AssertionError(done.stdout[-6000:])
    seconds = time.perf_counter() - started
    return f"{FACTOR} times the examples of `make test`, not derandomised: {summary} ({seconds:.0f} s)."
