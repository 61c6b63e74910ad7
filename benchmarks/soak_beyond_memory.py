"""Training on a table that memory does not hold.

A CSV file of 20 columns is generated, and `fallline train` is run on it with its columns mapped. The memory of the
process is looked at every 50 ms. A smaller file is trained on twice, mapped and in memory.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAME = "beyond_memory"
BYTES = int(os.environ.get("FALLLINE_BEYOND_BYTES", str(5_000_000_000)))
SMALLER = 300_000
MOST_MEMORY, LEAST_RATE = 1 << 30, 100e6
FOLDER = os.environ.get("FALLLINE_BEYOND_FOLDER")
OPTIONS = ("--target", "y", "--epochs", "1", "--hidden", "8", "--batch", "1024")
GENERATE_ROWS = 250_000


@dataclass
class Watched:
    """A child process that has ended: its line of JSON, and what was seen of it.

    Attributes:
        summary: what it printed.
        wall: seconds.
        anonymous: most bytes of its own memory at one time.
        resident: most bytes altogether, with the pages of mapped files.
        encoding: seconds from the first byte read to the table in its folder.
        worked: seconds of processors in them.
    """

    summary: dict[str, Any]
    wall: float
    anonymous: int
    resident: int
    encoding: float
    worked: float


def run() -> str:
    """Generate, train, compare, report."""
    with tempfile.TemporaryDirectory(prefix="fallline-beyond-", dir=FOLDER) as name:
        folder = Path(name)
        require_room(folder)
        large, small = folder / "large.csv", folder / "small.csv"
        rows = generate(large, BYTES)
        watched = train(large, folder / "large", "--mapped")
        disk = sum(path.stat().st_size for path in (folder / "large").rglob("*") if path.is_file())
        size = large.stat().st_size
        large.unlink()
        shutil.rmtree(folder / "large" / "columns")
        few = generate(small, SMALLER * size // rows)
        one, other = (train(small, folder / how, f"--{how}") for how in ("mapped", "in-memory"))
        same = identity(folder / "mapped") == identity(folder / "in-memory")
    return page(rows, size, disk, watched, few, one, other, same)


def require_room(folder: Path) -> None:
    """Stop before the disk is filled: the file, its columns, their parts and the encoded rows."""
    need, free = 5 * BYTES, shutil.disk_usage(folder).free
    if free < need:
        raise OSError(
            f"{need / 1e9:.0f} GB are needed and {free / 1e9:.0f} GB are free where {folder} is; name a folder with "
            "room in FALLLINE_BEYOND_FOLDER, or ask for less in FALLLINE_BEYOND_BYTES"
        )


def generate(path: Path, size: int) -> int:
    """Write a table of about so many bytes, the same at each call; how many rows it has."""
    import duckdb

    rows = 0
    with open(path, "wb") as out, duckdb.connect() as database:
        part = path.with_suffix(".part")
        while out.tell() < size:
            database.execute(
                f"COPY (SELECT {columns()} FROM range({rows}, {rows + GENERATE_ROWS}) t(i)) TO '{part}' "
                f"(HEADER {'true' if not rows else 'false'}, DELIMITER ',')"
            )
            out.write(part.read_bytes())
            rows += GENERATE_ROWS
        part.unlink()
    return rows


def columns() -> str:
    """19 inputs and a target in SQL: numbers, some missing; whole numbers; categories, some missing."""
    made = [f"{gaps(k, 50)} round({chance(k)} * {10 ** (1 + k % 4)} - {k}, 4) END AS x{k}" for k in range(12)]
    made += [f"(hash(i * 64 + {k}) % {count})::INTEGER AS n{k}" for k, count in ((12, 7), (13, 100), (14, 100_000))]
    made += [
        f"{gaps(k, 97)} 'group_' || (hash(i * 64 + {k}) % {count}) END AS c{k}"
        for k, count in ((15, 3), (16, 8), (17, 40), (18, 300))
    ]
    signal = f"{chance(0)} + {chance(1)} * {chance(2)} + (hash(i * 64 + 16) % 8) / 16.0 + 0.3 * {chance(29)}"
    return ", ".join([*made, f"CASE WHEN {signal} > 1.1 THEN 'yes' ELSE 'no' END AS y"])


def gaps(k: int, every: int) -> str:
    """The beginning of a cell that is missing in one of so many rows."""
    return f"CASE WHEN hash(i * 64 + {k + 32}) % {every} = 0 THEN NULL ELSE"


def chance(k: int) -> str:
    """A number from 0 to 1 that depends on the row's number i and k alone."""
    return f"((hash(i * 64 + {k}) % 1000003) / 1000003.0)"


def train(data: Path, out: Path, how: str) -> Watched:
    """`fallline train` in a process of its own."""
    words = [sys.executable, "-m", "fallline", "train", str(data), *OPTIONS, how, "--json", "--out", str(out)]
    started = time.perf_counter()
    anonymous = resident = 0
    encoding = begun = worked = 0.0
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            now = time.perf_counter() - started
            if not begun and (out / "columns").is_dir():
                begun, worked = now, processor_seconds(process.pid)
            if not encoding and (out / "columns" / "table.json").is_file():
                encoding, worked = now - begun, processor_seconds(process.pid) - worked
            found = memory_of(process.pid)
            anonymous, resident = max(anonymous, found.get("RssAnon", 0)), max(resident, found.get("VmRSS", 0))
            time.sleep(0.05)
        assert process.stdout is not None
        told = process.stdout.read()
    if process.returncode:
        raise AssertionError(f"{' '.join(words)} ended with {process.returncode}")
    return Watched(json.loads(told), time.perf_counter() - started, anonymous, resident, encoding, worked)


def memory_of(process: int) -> dict[str, int]:
    """What the system tells of a process's memory, in bytes; nothing once it has ended.

    From its counters: smaps_rollup says the same, but walks through all mapped pages for it, while the process waits.
    """
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return {}
    return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.endswith(" kB")}


def processor_seconds(process: int) -> float:
    """How long processors have worked for a process, of its threads together."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def identity(run: Path) -> tuple[Any, ...]:
    """What two runs of the same bits have in common: hashes of the data and of the weights, every loss."""
    from fallline.training.run_reader import StoredRun

    stored = StoredRun(run, "beyond_memory")
    lines = [{key: value for key, value in line.items() if key != "seconds"} for line in stored.history()]
    return stored.config["data_hash"], stored.config["validation_hash"], lines, (run / "losses.f64").read_bytes()


def page(rows: int, size: int, disk: int, watched: Watched, few: int, one: Watched, other: Watched, same: bool) -> str:
    """The results; raises where they are not what is promised."""
    rate = size / watched.encoding
    lines = [
        f"A CSV file of {size / 1e9:.2f} GB, {rows:,} rows of 20 columns (12 numbers, 3 whole numbers, 4 categories, a "
        "target of two classes; some cells are missing), generated from the numbers of its rows.",
        "",
        f"`fallline train large.csv {' '.join(OPTIONS)} --mapped` in a process of its own, whose memory was looked at "
        "every 50 ms. Anonymous memory is its own; pages of mapped files are the system's, which may take them back.",
        "",
        "| what | found | required |",
        "| --- | --- | --- |",
        f"| most anonymous memory | {watched.anonymous / 2**20:,.0f} MiB | under 1,024 MiB |",
        f"| most resident memory, with mapped pages | {watched.resident / 2**20:,.0f} MiB | |",
        f"| reading the file into columns | {watched.encoding:.1f} s ({watched.worked:.1f} s of processors), "
        f"{rate / 1e6:.0f} MB/s | 100 MB/s |",
        f"| training for one epoch, and scoring | {watched.summary['seconds']:.0f} s | |",
        f"| everything, with reading, encoding, scores and report | {watched.wall:.0f} s | |",
        f"| {watched.summary['metric']} on the test rows | {watched.summary['score']:.4f} | |",
        f"| disk that the run folder takes | {disk / 1e9:.2f} GB | |",
        "",
        f"The first {few:,} rows, trained on in the same way with --mapped and with --in-memory: hashes of data and "
        f"weights, every loss of every step and all metrics are {'the same' if same else 'DIFFERENT'}. The most "
        f"anonymous memory was {one.anonymous / 2**20:,.0f} MiB mapped, {other.anonymous / 2**20:,.0f} MiB in memory.",
    ]
    text = "\n".join(lines)
    if not same or watched.anonymous >= MOST_MEMORY or rate < LEAST_RATE:
        raise AssertionError(text)
    return text
