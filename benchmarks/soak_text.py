"""SMS spam as a table with one text column, by `fallline train` with its defaults.

The issue's line: at least 98.9 % of the test messages, on splits of 75 % to 25 % (mean of seeds 0 to 2).
"""

import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn.model_selection import train_test_split

NAME = "text"
DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "text" / "sms_spam.tsv"
REQUIRED, SEEDS = 0.989, 3
CLI = "import sys; from fallline.cli.main import run; sys.exit(run())"


def run() -> str:
    """Split, train and test with each seed."""
    if not DATA.is_file():
        raise FileNotFoundError(f"the messages are not in {DATA}")
    rows = [line.split("\t", 1) for line in DATA.read_text(encoding="utf-8").splitlines()]
    lines = ["| seed | test accuracy | validation accuracy | epochs | seconds |", "| --- | --- | --- | --- | --- |"]
    scores = []
    for seed in range(SEEDS):
        found = trained(rows, seed)
        scores.append(found["score"])
        numbers = f"{found['score']:.4f} | {found['validation_score']:.4f} | {found['epochs']} | {found['seconds']:.1f}"
        lines.append(f"| {seed} | {numbers} |")
    mean = float(np.mean(scores))
    lines += [
        "",
        f"Mean test accuracy {mean:.4f}; required {REQUIRED}. A test part has {len(rows) // 4 + 1:,} messages; of the",
        "others a fifth chooses the best epoch. Parts by scikit-learn's `train_test_split(test_size=0.25,",
        "random_state=seed)`; `fallline train` with `--target`, `--test` and `--seed` alone.",
    ]
    if mean < REQUIRED:
        raise AssertionError("\n".join(lines))
    return "\n".join(lines)


def trained(rows: list[list[str]], seed: int) -> dict[str, float]:
    """What `fallline train --json` says of one split."""
    parts = dict(zip(("train", "test"), train_test_split(rows, test_size=0.25, random_state=seed), strict=True))
    with tempfile.TemporaryDirectory() as folder:
        for name, part in parts.items():
            with (Path(folder) / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows([("kind", "message"), *part])
        words = ["train", "train.csv", "--target", "kind", "--test", "test.csv", "--seed", str(seed), "--json"]
        call = [sys.executable, "-c", CLI, *words]
        done = subprocess.run(call, cwd=folder, capture_output=True, text=True, check=True)
        found: dict[str, float] = json.loads(done.stdout)
        return found
