"""A table whose columns are mapped, and whose rows are worked on by blocks, gives the bits of one in memory."""

import csv
import gzip
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fallline.data import by_blocks, delimited_head, encoders, scratch
from fallline.data.sources import read_table
from fallline.data.table import Table
from fallline.errors import FalllineError
from fallline.tables.prepare import Prepared, TableOptions, prepare
from fallline.tables.train import TableRun, train_table
from fallline.training.hashes import data_hash, weights_hash


@contextmanager
def small_pieces() -> Iterator[None]:
    """Blocks of 64 rows, parts of 300 bytes, and every array above 100 bytes in a file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(by_blocks, "ROWS", 64)
        patch.setattr(encoders, "BLOCK_CELLS", 500)
        patch.setattr(delimited_head, "PART_BYTES", 300)
        patch.setattr(scratch, "SMALL", 100)
        yield
    scratch.use(None)


def trained(table: Table, target: str, **wishes: Any) -> TableRun:
    options = TableOptions(hidden=(4,), epochs=1, **wishes)
    return train_table(prepare(table, target, options), options, progress=False)


def decided(prepared: Prepared) -> dict[str, Any]:
    """Everything before a training that has bits."""
    return {
        "data": {part: data_hash(*arrays) for part, arrays in prepared.matrices.items()},
        "rows": {part: [rows.row_number(row) for row in range(len(rows))] for part, rows in prepared.parts.items()},
        "model": [prepared.encoder.to_json(), prepared.codec.to_json(), prepared.plan.to_json()],
        "infos": prepared.infos,
        "notices": prepared.notices,
    }


def identity(run: TableRun, table: Table) -> dict[str, Any]:
    """Everything of a run that has bits."""
    network = run.model.network
    return {
        **decided(run.prepared),
        "weights": weights_hash({**network.parameters(), **network.buffers()}),
        "losses": list(run.run.steps["loss"]),
        "scores": [repr(run.scores), repr(run.validation_scores), repr(run.run.history["loss"])],
        "outputs": data_hash(run.outputs, run.model.outputs(table)),
    }


def require_same_bits(path: Path, target: str, **wishes: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        table = read_table(path)
        wanted = identity(trained(table, target, **wishes), table)
        with small_pieces():
            mapped = read_table(path, mapped=True, folder=Path(folder) / "columns")
            assert identity(trained(mapped, target, **wishes), mapped) == wanted


@pytest.mark.parametrize("name", ["penguins", "diabetes"])
def test_bundled_sets_give_the_same_bits(tmp_path: Path, name: str) -> None:
    packed = files("fallline.data") / "bundled" / f"{name}.csv.gz"
    (tmp_path / "t.csv").write_bytes(gzip.decompress(packed.read_bytes()))
    require_same_bits(tmp_path / "t.csv", "last")


CELLS = {
    "number": st.floats(-1e6, 1e6).map(lambda x: f"{x:.6g}") | st.sampled_from(["", "inf", "3"]),
    "whole": st.integers(-50, 50).map(str),
    "category": st.sampled_from(["red", "green", "blue", ""]),
    "many": st.integers(0, 40).map(lambda k: f"kind {k}"),
    "truth": st.sampled_from(["yes", "no", ""]),
    "date": st.dates().map(str),
}


def decided_or_refused(path: Path, options: TableOptions, **how: Any) -> dict[str, Any] | str:
    try:
        return decided(prepare(read_table(path, **how), "y", options))
    except FalllineError as error:
        return str(error)


@given(st.data())
@settings(max_examples=12)
def test_any_table_gives_the_same_bits(data: st.DataObject) -> None:
    kinds = data.draw(st.lists(st.sampled_from(list(CELLS)), min_size=1, max_size=4))
    target = data.draw(st.sampled_from(["number", "whole", "category", "many"]))
    chance = data.draw(st.randoms(use_true_random=False))
    pools = [data.draw(st.lists(CELLS[kind], min_size=8, max_size=40)) for kind in (*kinds, target)]
    rows = [[chance.choice(pool) for pool in pools] for _ in range(data.draw(st.integers(90, 200)))]
    names = [f"{kind} {k}" for k, kind in enumerate(kinds)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([[*names, "y"], *rows])
        options = TableOptions(seed=data.draw(st.integers(0, 3)))
        wanted = decided_or_refused(path, options)
        with small_pieces():
            assert decided_or_refused(path, options, mapped=True, folder=path.parent / "columns") == wanted


GARDEN = ["height", "soil", "shade", "planted", "plant", "fruit", "yield"]


@pytest.fixture
def garden_file(tmp_path: Path, columns: dict[str, list[Any]]) -> Path:
    with (tmp_path / "garden.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([GARDEN, *zip(*(columns[name] for name in GARDEN), strict=True)])
    return tmp_path / "garden.csv"


@pytest.mark.parametrize(
    "wishes",
    [
        {"time_column": "planted"},
        {"weight_column": "yield", "drop": ("height",)},
        {"class_weight": "balanced", "validation": None},
        {"test_part": False, "shards": 2},
    ],
    ids=lambda wishes: " ".join(wishes),
)
def test_options_give_the_same_bits(garden_file: Path, columns: dict[str, list[Any]], wishes: dict[str, Any]) -> None:
    if "weight_column" in wishes:
        lines = garden_file.read_text(encoding="utf-8").replace(",-", ",").splitlines()
        garden_file.write_text("\n".join(lines), encoding="utf-8")
    require_same_bits(garden_file, "fruit", **wishes)


MEASURED = """
import sys
from pathlib import Path
from fallline.data import by_blocks, scratch
from fallline.data.sources import read_table
from fallline.tables.prepare import TableOptions, prepare

def anonymous():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Anonymous:")) * 1024

by_blocks.ROWS, scratch.SMALL = 1 << 14, 1 << 18
path, mapped = Path(sys.argv[1]), sys.argv[2] == "mapped"
options = TableOptions(hidden=(4,), epochs=1)
few = read_table(sys.argv[3], mapped=False)
prepare(few, "y", options)  # loads what is loaded at the first time
before = anonymous()
table = read_table(path, mapped=mapped, folder=path.parent / "columns")
prepared = prepare(table, "y", options)
print(anonymous() - before, len(prepared.parts["training"]))
"""


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="the system does not tell a process's memory")
def test_a_mapped_table_takes_little_memory_of_its_own(tmp_path: Path) -> None:
    import duckdb

    cells = ", ".join(f"hash(i * 16 + {k}) % 1000003 / 1000003.0 AS x{k}" for k in range(8))
    for name, rows in (("few", 1000), ("many", 1_000_000)):
        duckdb.execute(
            f"COPY (SELECT {cells}, hash(i * 16 + 9) % 999983 / 7.0 AS y FROM range({rows}) t(i)) "
            f"TO '{tmp_path}/{name}.parquet'"
        )
    (tmp_path / "measure.py").write_text(MEASURED, encoding="utf-8")
    found = {}
    for how in ("mapped", "memory"):
        words = [str(tmp_path / part) for part in ("measure.py", "many.parquet")]
        told = subprocess.run(
            [sys.executable, *words, how, str(tmp_path / "few.parquet")], capture_output=True, text=True, check=True
        )
        found[how], rows = map(int, told.stdout.split())
        assert rows == 640_000
    assert found["memory"] > 1_000_000 * 9 * 8 * 1.5  # the columns, and most of the encoded rows
    assert found["mapped"] < found["memory"] / 2


def test_mapped_columns_are_taken_as_arrays_are(tmp_path: Path, garden_file: Path) -> None:
    table = read_table(garden_file, mapped=True, folder=tmp_path / "columns")
    part = table.select(np.array([4, 2]))
    assert [part.row_number(row) for row in range(2)] == [5, 3]
    assert part.place(1) == f"{garden_file}, row 3 (line 4)"
    assert table.drop(["soil"]).mapped
    assert table.drop(["soil"]).place(0).endswith("row 1 (line 2)")
