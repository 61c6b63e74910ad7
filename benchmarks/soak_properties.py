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
    found = _passed("-m", "hypothesis")
    checks = _passed("tests/sklearn/test_table_checks.py")
    gradients = _passed("tests/training/test_gradients.py")
    seconds = time.perf_counter() - started
    return (
        f"{FACTOR} times the examples of `make test`, not derandomised: {found}. scikit-learn's checks of the "
        f"estimators for tables, the longest too: {checks}. Gradients of every layer with every loss: {gradients}. "
        f"({seconds:.0f} s)"
    )


def _passed(*chosen: str) -> str:
    """pytest's summary of some tests, all of which must pass."""
    command = [sys.executable, "-m", "pytest", "-q", *chosen, "-p", "no:cacheprovider"]
    command += ["-o", "faulthandler_exit_on_timeout=false"]  # so many examples take long without hanging
    environment = {**os.environ, "FALLLINE_SOAK_FACTOR": str(FACTOR)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise AssertionError(done.stdout[-6000:] or done.stderr[-2000:])
    return done.stdout.strip().splitlines()[-1]
