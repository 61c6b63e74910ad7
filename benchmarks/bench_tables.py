"""Fallline's default recipe on real tables, against scikit-learn's MLP and HistGradientBoosting.

Everybody has the same rows and only defaults: Fallline what `fallline train` does with --target alone (it sets
validation rows aside within the training rows), scikit-learn's models as `table_peers.py` sets them up.
"""

import json
import os
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import table_peers
from benchmarks.table_sets import CASES, DATA, Case, parts
from fallline.data.table import Table
from fallline.data.targets import drop_missing_targets
from fallline.tables.prepare import TableOptions, prepare
from fallline.tables.selection import train_well

NAME = "tables"
PEERS = ("sklearn",)
OURS = "Fallline"
SEEDS = (0, 1, 2)
Array = NDArray[Any]


@dataclass
class Found:
    """One contender on one table.

    Attributes:
        score: mean over folds and seeds.
        wrong: of each test row, the mean over seeds of its squared error, or of 0 (right) and 1 (wrong).
        seconds: of one training with its prediction, the longest.
    """

    score: float
    wrong: Array
    seconds: float


def run() -> str:
    """Every table, every contender, every seed."""
    if not DATA.is_dir():
        raise FileNotFoundError(f"the tables are not in {DATA}")
    contenders = [OURS, *(table_peers.PEERS if find_spec("sklearn") else ())]
    wanted = os.environ.get("FALLLINE_BENCH_TABLES", "").split() or [case.name for case in CASES]
    contenders = os.environ.get("FALLLINE_BENCH_CONTENDERS", " ".join(contenders)).split()
    found: dict[str, dict[str, Found]] = {}
    for case in CASES:
        if case.name in wanted:
            found[case.name] = {name: kept(case, name) for name in contenders}
            print(row(case, found[case.name]), flush=True)
    return page(found)


def kept(case: Case, contender: str) -> Found:
    """What was measured; taken from the folder FALLLINE_TABLES_STATE where an earlier call has put it there."""
    folder = os.environ.get("FALLLINE_TABLES_STATE")
    place = Path(folder) / f"{case.name} {contender}.json" if folder else None
    if place is not None and place.is_file():
        stored = json.loads(place.read_text(encoding="utf-8"))
        return Found(stored["score"], np.array(stored["wrong"]), stored["seconds"])
    found = measure(case, contender)
    if place is not None:
        place.parent.mkdir(parents=True, exist_ok=True)
        stored = {"score": found.score, "wrong": found.wrong.tolist(), "seconds": found.seconds}
        place.write_text(json.dumps(stored), encoding="utf-8")
    return found


def measure(case: Case, contender: str) -> Found:
    """All folds and seeds of one contender on one table."""
    scores, wrong, seconds = [], [], []
    for training, test in parts(case):
        target = training.resolve_column(case.target)
        training, test = (drop_missing_targets(part, target) for part in (training, test))
        of_seeds = []
        for seed in SEEDS:
            started = time.perf_counter()
            if contender == OURS:
                predicted, true = ours(case, training, test, target, seed)
            else:
                predicted, true = table_peers.predictions(contender, training, test, target, case.metric, seed)
            seconds.append(time.perf_counter() - started)
            of_seeds.append(mistakes(predicted, true, case.metric))
            scores.append(score(of_seeds[-1], case.metric))
        wrong.append(np.mean(of_seeds, axis=0))
    return Found(float(np.mean(scores)), np.concatenate(wrong), max(seconds))


def ours(case: Case, training: Table, test: Table, target: str, seed: int) -> tuple[Array, Array]:
    """(predicted, true) as `table_peers.predictions` gives them."""
    options = TableOptions(test=test, seed=seed)
    result = train_well(prepare(training, target, options), options, progress=False)
    predicted = result.model.decode(result.outputs)
    return table_peers.values_of(predicted, case.metric), table_peers.values_of(test.column(target), case.metric)


def mistakes(predicted: Array, true: Array, metric: str) -> Array:
    """Of each row: 0 or 1 for a label, the squared error of a value."""
    if metric == "accuracy":
        return np.asarray(predicted != true, dtype=np.float64)
    return np.asarray((predicted - true) ** 2)


def score(wrong: Array, metric: str) -> float:
    """The accuracy, or the root mean squared error."""
    return 1.0 - float(np.mean(wrong)) if metric == "accuracy" else float(np.sqrt(np.mean(wrong)))


def lead(case: Case, one: Found, other: Found) -> tuple[float, float]:
    """(by how much `one` is better, standard error of that over the test rows, which are the same for both)."""
    difference = other.wrong - one.wrong
    error = float(np.std(difference) / np.sqrt(len(difference)))
    if case.metric == "accuracy":
        return one.score - other.score, error
    return other.score - one.score, error / (one.score + other.score)  # of a² − b² = (a − b)·(a + b)


def verdict(case: Case, one: Found, other: Found) -> str:
    """Ahead or behind, and whether within one standard error."""
    by, error = lead(case, one, other)
    word = "ahead" if by > 0 else "level" if by == 0 else "behind"
    return word if by == 0 or abs(by) > error else f"{word}, within one standard error"


def row(case: Case, found: dict[str, Found]) -> str:
    """One line of the table."""
    cells = [f"{case.name}{f' ({case.note})' if case.note else ''}", case.metric]
    cells += [f"{one.score:.4g}" if one.score < 1e4 else f"{one.score:,.0f}" for one in found.values()]
    for name, other in found.items():
        if name != OURS and OURS in found:
            by, error = lead(case, found[OURS], other)
            cells.append(f"{by:+.2g} ± {error:.2g}: {verdict(case, found[OURS], other)}")
    return f"| {' | '.join([*cells, *(f'{one.seconds:.1f}' for one in found.values())])} |"


def page(found: dict[str, dict[str, Found]]) -> str:
    """The table and what it comes to."""
    names = list(next(iter(found.values())))
    peers = [name for name in names if name != OURS and OURS in names]
    head = ["table", "metric", *names, *(f"against {peer}" for peer in peers), *(f"{name}, s" for name in names)]
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    cases = [case for case in CASES if case.name in found]
    lines += [row(case, found[case.name]) for case in cases]
    lines += ["", f"Mean of seeds {', '.join(map(str, SEEDS))}, and of five folds where there are 5,000 rows or fewer."]
    lines[-1] += " ± is the standard error of the difference over the test rows, which are the same for all;"
    lines[-1] += " s are the seconds of the longest training with its prediction."
    if os.environ.get("FALLLINE_TABLES_STATE"):
        lines[-1] += " Measured in pieces, which a folder kept: the commit and the duration are those of the last one."
    for peer in peers:
        said = [verdict(case, found[case.name][OURS], found[case.name][peer]) for case in cases]
        ahead = sum(not text.startswith("behind") for text in said)
        ties = sum(text.startswith("behind,") for text in said)
        lines.append(f"At or ahead of {peer} on {ahead} of {len(said)} tables; behind within one error on {ties} more.")
        lines.append("")
    return "\n".join(lines)
