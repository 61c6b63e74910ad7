"""How long a report takes, and how large it is.

The default network is trained for two epochs, since the time of a report depends on the rows, the columns and the
network, but not on how long that was trained. Then its report is written three times.
"""

import statistics
import tempfile
import time
from pathlib import Path

from fallline.data.sources import read_table
from fallline.report.table_report import write_table_report
from fallline.tables.prepare import TableOptions, prepare
from fallline.tables.train import plan_table, train_table

NAME = "report"
DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "tabular"
CASES = (
    ("adult_train.csv.gz", "last", "adult_test.csv.gz"),
    ("california_housing.csv", "median_house_value", None),
    ("diamonds.csv.gz", "price", None),
    ("titanic.csv", "Survived", None),
    ("digits", "digit", None),
)
TIMES, MOST_SECONDS = 3, 3.0


def run() -> str:
    """Every table: rows and columns, seconds, and bytes."""
    if not DATA.is_dir():
        raise FileNotFoundError(f"the tables are not in {DATA}")
    lines = ["| table | rows judged by | columns | seconds | size |", "| --- | --- | --- | --- | --- |"]
    slow = []
    for name, target, test in CASES:
        rows, columns, seconds, size = measure(name, target, test)
        middle = statistics.median(seconds)
        spread = f"{middle:.2f} ({min(seconds):.2f} to {max(seconds):.2f})"
        lines.append(f"| {name} | {rows:,} | {columns} | {spread} | {size / 1000:,.0f} kB |")
        if middle > MOST_SECONDS:
            slow.append(name)
    lines += ["", f"More than {MOST_SECONDS:g} s: {', '.join(slow) or 'none'}."]
    if slow:
        raise AssertionError("\n".join(lines))
    return "\n".join(lines)


def measure(name: str, target: str, test: str | None) -> tuple[int, int, list[float], int]:
    """(test rows, columns, seconds of each time, bytes)."""
    options = TableOptions(epochs=2, test=None if test is None else read_table(DATA / test))
    table = read_table(DATA / name if (DATA / name).exists() else name)
    prepared = prepare(table, table.resolve_column(target), options)
    result, planned = train_table(prepared, options, progress=False), plan_table(prepared, options)
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        for _ in range(TIMES):
            begun = time.perf_counter()
            write_table_report(path, result, {}, planned)
            seconds.append(time.perf_counter() - begun)
        size = path.stat().st_size
    return len(prepared.parts["test"]), len(prepared.encoder.source_columns), seconds, size
