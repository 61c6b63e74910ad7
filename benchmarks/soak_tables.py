"""`fallline train` with --target alone on real tables, against a linear model.

The linear scores are those of scikit-learn's ridge and logistic regression on imputed, standardised,
one-hot data: 5 folds, or one 80/20 split above 5,000 rows, or the official test part. Ours are measured
the same way, with the defaults of the command line: of the rows that are not tested on, a fifth chooses
the best epoch, so the network learns from 64 % of the rows where the linear model had 80 %.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fallline.data.sources import read_table
from fallline.data.split import random_words
from fallline.data.table import Table
from fallline.tables.prepare import TableOptions, prepare
from fallline.tables.train import TableRun, train_table

NAME = "tables"
DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "tabular"
FOLDS, SINGLE_SPLIT_ABOVE = 5, 5000


@dataclass(frozen=True)
class Case:
    """One table.

    Attributes:
        file: its name.
        target: what is predicted.
        metric: which score is compared.
        linear: the linear model's score.
        test: an official test file.
        note: what else to know.
    """

    file: str
    target: str
    metric: str
    linear: float
    test: str | None = None
    note: str = ""
    binary: bool = False


CASES = (
    Case("california_housing.csv", "median_house_value", "rmse", 68_700),
    Case("titanic.csv", "Survived", "accuracy", 0.789),
    Case("adult_train.csv.gz", "last", "accuracy", 0.8530, test="adult_test.csv.gz", note="official test part"),
    Case("penguins.csv", "species", "accuracy", 0.991),
    Case("mushrooms.csv", "type", "accuracy", 0.998),
    Case("german.csv", "last", "accuracy", 0.751),
    Case("winequality_red.csv", "last", "rmse", 0.653),
    Case("winequality_white.csv", "last", "rmse", 0.753),
    Case("insurance.csv", "charges", "rmse", 6083),
    Case("diamonds.csv.gz", "price", "rmse_log", 0.172, note="root mean squared error of ln(price)"),
    Case(
        "heart_cleveland.csv", "num", "accuracy", 0.822, note="num > 0, as the linear score was measured", binary=True
    ),
    Case("pima_indians_diabetes.csv", "last", "accuracy", 0.775),
    Case("sonar.csv", "last", "accuracy", 0.731),
    Case("abalone.csv", "last", "rmse", 2.222),
    Case("mpg.csv", "mpg", "rmse", 3.36),
    Case("bank_additional.csv", "y", "accuracy", 0.899),
)


def run() -> str:
    """Every table, and a verdict for each."""
    if not DATA.is_dir():
        raise FileNotFoundError(f"the tables are not in {DATA}")
    lines = [
        "| table | metric | linear | fallline | per fold | rows | seconds | |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    behind = []
    for case in CASES:
        started = time.perf_counter()
        scores, rows = measure(case)
        mean, error = float(np.mean(scores)), float(np.std(scores) / np.sqrt(len(scores)))
        better = mean >= case.linear if case.metric == "accuracy" else mean <= case.linear
        gap = abs(mean - case.linear)
        verdict = "ahead" if better else "within one standard error" if len(scores) > 1 and gap <= error else "behind"
        if verdict == "behind":
            behind.append(case.file)
        spread = f"± {error:.3g}" if len(scores) > 1 else "one split"
        note = f" ({case.note})" if case.note else ""
        seconds = time.perf_counter() - started
        row = f"| {case.file}{note} | {case.metric} | {case.linear:g} | {mean:.4g} | {spread} | {rows:,} "
        lines.append(row + f"| {seconds:.0f} | {verdict} |")
        print(lines[-1], flush=True)
    lines += ["", "± is the standard error over the folds.", ""]
    lines.append(f"Behind the linear model: {', '.join(behind) or 'none'}.")
    if behind:
        raise AssertionError("\n".join(lines))
    return "\n".join(lines)


def measure(case: Case) -> tuple[list[float], int]:
    """(the score of each fold, the number of rows)."""
    table = read_table(DATA / case.file)
    if case.binary:
        name = table.resolve_column(case.target)
        table.columns[name] = (table.columns[name] > 0).astype(np.int64)
    if case.test is not None:
        return [score(case, table, read_table(DATA / case.test))], len(table)
    words = random_words(len(table), 0, "folds")
    fold = np.argsort(np.argsort(words, kind="stable"), kind="stable") % FOLDS
    chosen = range(1 if len(table) > SINGLE_SPLIT_ABOVE else FOLDS)
    scores = [score(case, table.select(fold != k), table.select(fold == k)) for k in chosen]
    return scores, len(table)


def score(case: Case, training: Table, test: Table) -> float:
    """Train on one part with the defaults, score the other."""
    options = TableOptions(test=test)
    prepared = prepare(training, case.target, options)
    result = train_table(prepared, options, progress=False)
    if case.metric == "rmse_log":
        return log_error(result, test)
    return result.scores[case.metric]


def log_error(result: TableRun, test: Table) -> float:
    """The root mean squared error of ln(prediction); predictions below 1 count as 1."""
    true = test.column(result.prepared.target).astype(np.float64)
    predicted = np.maximum(result.model.decode(result.outputs), 1.0)
    return float(np.sqrt(np.mean((np.log(predicted) - np.log(true)) ** 2)))
