"""`fallline predict` on raw rows gives the numbers that `fallline train` reported.

Each real table is cut in two files, line by line; the command line trains on one (three epochs) with the
other as `--test`, then predicts it; the score recomputed here from the written predictions and the raw
answers must be the reported one.
"""

import csv
import gzip
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.table_sets import CASES, DATA, Case
from fallline.data.sources import read_table

NAME = "predict"
TOLERANCE = 1e-9


def run() -> str:
    """Every table: reported and recomputed."""
    if not DATA.is_dir():
        raise FileNotFoundError(f"the tables are not in {DATA}")
    lines = [
        "| table | test rows | metric | reported by train | recomputed from predict |",
        "| --- | --- | --- | --- | --- |",
    ]
    wrong = []
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            rows, metric, reported, recomputed = compare(case, Path(folder))
        lines.append(f"| {case.file} | {rows:,} | {metric} | {reported!r} | {recomputed!r} |")
        if not abs(reported - recomputed) <= TOLERANCE * abs(reported):
            wrong.append(case.file)
    lines += ["", f"Different by more than {TOLERANCE:g} of the value: {', '.join(wrong) or 'none'}."]
    if wrong:
        raise AssertionError("\n".join(lines))
    return "\n".join(lines)


def compare(case: Case, folder: Path) -> tuple[int, str, float, float]:
    """(test rows, metric, the score that train reported, the score of predict's output)."""
    training, test = cut(DATA / case.file, folder)
    summary = json.loads(
        fallline("train", str(training), "--target", case.target, "--test", str(test), "--epochs", "3", "--json",
                 "--out", str(folder / "run"))
    )  # fmt: skip
    fallline("predict", str(folder / "run"), str(test), "--out", str(folder / "predictions.csv"))
    with (folder / "predictions.csv").open(newline="", encoding="utf-8") as file:
        predicted = [row["prediction"] for row in csv.DictReader(file)]
    table = read_table(test)
    answers = table.column(table.resolve_column(case.target))
    if summary["metric"] == "accuracy":
        score = float(
            np.mean([str(answer) == guess for answer, guess in zip(answers.tolist(), predicted, strict=True)])
        )
    else:
        error = np.array(predicted, dtype=np.float64) - answers.astype(np.float64)
        score = float(np.sqrt(np.mean(error * error)))
    return len(table), summary["metric"], summary["score"], score


def cut(source: Path, folder: Path) -> tuple[Path, Path]:
    """The file's lines in two files: every fifth data line is for the test; both keep the header, if there is one."""
    opened = gzip.open if source.suffix == ".gz" else open
    with opened(source, "rt", encoding="utf-8", newline="") as file:
        lines = [line for line in file.read().splitlines() if line.strip()]
    headed = len(read_table(source)) < len(lines)
    head, body = (lines[:1], lines[1:]) if headed else ([], lines)
    name = source.name.removesuffix(".gz")
    ending = Path(name).suffix
    parts = (folder / f"training{ending}", folder / f"test{ending}")
    for path, tested in zip(parts, (False, True), strict=True):
        kept = [line for i, line in enumerate(body) if (i % 5 == 0) is tested]
        path.write_text("\n".join([*head, *kept]) + "\n", encoding="utf-8")
    return parts


def fallline(*words: str) -> str:
    """The command's standard output."""
    done = subprocess.run([sys.executable, "-m", "fallline", *words], capture_output=True, text=True)
    if done.returncode:
        raise AssertionError(f"fallline {' '.join(words)} ended with {done.returncode}: {done.stderr}")
    return done.stdout
