"""MLPClassifier against scikit-learn's.

The same parameters on digits and on 100,000 rows of 50 numbers: accuracy within noise, and at least five times faster.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.estimator_worker import SETS
from fallline.engine.object_cache import FOLDER

NAME = "estimators"
PEERS = ("sklearn",)
REQUIRED = 5.0
SEEDS = {"digits": range(7), "synthetic": range(3)}
OURS, COLD, THEIRS = "fallline, warm", "fallline, cold", "scikit-learn"
ROOT = Path(__file__).resolve().parent.parent
Found = dict[str, list[dict[str, Any]]]


def run() -> str:
    """Both sets of data, the libraries in turn."""
    lines = [
        "| data | estimator | seconds of `fit`: median (range) | test accuracy: mean ± deviation | epochs | faster |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    short = []
    for name in SETS:
        found = measured(name)
        lines += rows(name, found)
        short += shortfalls(name, found)
    lines += ["", TOLD, "", f"Fallen short: {'; '.join(short) or 'nothing'}."]
    if short:
        raise AssertionError("\n".join(lines))
    return "\n".join(lines)


TOLD = f"""Each fit has a process of its own and splits the data by its seed, 80 to 20; the fits of a seed follow each
other. digits: 1,797 rows of 64 points divided by 16, all parameters as they are by default. synthetic: 125,000 rows of
50 numbers in 5 classes (`make_classification`, 20 informative), of which 100,000 are fitted, with `max_iter=20`.
`fit` is timed from outside: checks, compiling and the libraries' late imports are in it. Cold: nothing was compiled
before; warm: the programs were compiled by an earlier process and lie in the cache on disk. Both libraries use as many
threads as they choose. Required: scikit-learn's median at least {REQUIRED:.0f} times the warm one, and mean accuracies
within two standard errors of each other, or better."""


def measured(name: str) -> Found:
    """Fits of every seed, the estimators in turn; before them one that is not counted fills the cache."""
    found: Found = {OURS: [], COLD: [], THEIRS: []}
    with tempfile.TemporaryDirectory() as warm:
        fit("fallline", name, 0, warm)
        for seed in SEEDS[name]:
            with tempfile.TemporaryDirectory() as cold:
                found[OURS].append(fit("fallline", name, seed, warm))
                found[THEIRS].append(fit("scikit-learn", name, seed, warm))
                found[COLD].append(fit("fallline", name, seed, cold))
            print(f"  {name}, seed {seed}: " + ", ".join(f"{k} {v[-1]['seconds']:.2f} s" for k, v in found.items()))
    return found


def fit(library: str, name: str, seed: int, cache: str) -> dict[str, Any]:
    """What `estimator_worker` prints."""
    words = [sys.executable, "-m", "benchmarks.estimator_worker", library, name, str(seed)]
    done = subprocess.run(words, cwd=ROOT, env={**os.environ, FOLDER: cache}, capture_output=True, text=True)
    if done.returncode:
        raise AssertionError(f"{' '.join(words)} ended with {done.returncode}: {done.stderr}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def rows(name: str, found: Found) -> list[str]:
    """The lines of one set of data."""
    theirs = median(found[THEIRS], "seconds")
    lines = []
    for estimator, fits in found.items():
        times = [each["seconds"] for each in fits]
        scores = [100 * each["accuracy"] for each in fits]
        lines.append(
            f"| {name} | {estimator} | {statistics.median(times):.2f} ({min(times):.2f}–{max(times):.2f}) | "
            f"{statistics.mean(scores):.2f} ± {statistics.stdev(scores):.2f} % | {median(fits, 'epochs'):.0f} | "
            f"{theirs / statistics.median(times):.1f}× |"
        )
    return lines


def median(fits: list[dict[str, Any]], what: str) -> float:
    """Of one number over all fits."""
    return float(statistics.median(each[what] for each in fits))


def shortfalls(name: str, found: Found) -> list[str]:
    """What is required of a set of data and was not reached."""
    short = []
    ratio = median(found[THEIRS], "seconds") / median(found[OURS], "seconds")
    if ratio < REQUIRED:
        short.append(f"{name} is fitted {ratio:.1f} times faster")
    gaps = [
        their["accuracy"] - our["accuracy"] for our, their in zip(found[OURS], found[THEIRS], strict=True)
    ]  # of the same split
    behind, error = statistics.mean(gaps), statistics.stdev(gaps) / len(gaps) ** 0.5
    if behind > 2 * error:
        short.append(f"{name} is less accurate by {100 * behind:.2f} points")
    return short
