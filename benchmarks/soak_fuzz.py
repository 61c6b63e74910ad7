"""Ten thousand damaged, foreign and hostile files of every kind that Fallline reads.

`benchmarks/fuzz/` says what is done to them and what is demanded: the file is accepted and what comes of it is whole;
or there is one printable sentence, raised as one of Fallline's own exceptions or told by the command line with exit
code 2.
"""

import os
import tempfile
import time
from pathlib import Path

from benchmarks.fuzz.campaign import Tally, campaign, shares
from benchmarks.fuzz.samples import make_samples
from benchmarks.fuzz.worker import CPU_SECONDS, MEMORY, WALL_SECONDS

NAME = "fuzz"
PEERS = ("pyarrow",)
MUTANTS = int(os.environ.get("FALLLINE_FUZZ_MUTANTS", "10000"))
SEED = int(os.environ.get("FALLLINE_FUZZ_SEED", "2024"))


def run() -> str:
    """Try them all; fail where one is a defect."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        good, place = Path(name, "good"), Path(name, "place")
        good.mkdir()
        place.mkdir()
        make_samples(good)
        tallies = campaign(shares(MUTANTS, good), SEED, good, place)
    defects = [f"{tally.kind} {each.number}: {each.how}\n{each.detail}" for tally in tallies for each in tally.defects]
    if defects:
        raise AssertionError("\n\n".join([f"{len(defects)} defects (seed {SEED})", *defects[:50]]))
    return body(tallies, time.perf_counter() - started)


def body(tallies: list[Tally], seconds: float) -> str:
    """The page: what was demanded, and what became of the mutants of each kind."""
    mutants = sum(tally.mutants for tally in tallies)
    rows = "\n".join(map(_row, tallies))
    return f"""\
{mutants:,} mutants from the seed {SEED}, in {seconds:.0f} s, by two processes: no defect.

Bits are flipped; bytes, lines, blocks and numbers removed, added, repeated, exchanged or made enormous; files cut at
any place, spliced with files of other kinds, given to the wrong reader. JSON gets wrong types, names twice, 100,000
levels; archives and headers are changed behind their checksums; graphs ask for what no machine has. Of each mutant it
was demanded that

- it is accepted, and what comes of it is whole; or refused in one printable sentence of at most 2,000 letters; no
  traceback, no warning of Python, nothing written past Python, nothing said to be Fallline's own fault;
- this takes at most {CPU_SECONDS} s of work, {WALL_SECONDS} s in all, and {MEMORY >> 20:,} MiB of memory;
- the file is as it was, and no other file is left, neither beside it nor among the temporary files;
- no code of it is run: pickles that would leave a file behind are among the mutants.

| kind | mutants | accepted | refused | by | slowest | most memory |
| --- | --- | --- | --- | --- | --- | --- |
{rows}

Under "by", "command line" is exit code 2 with its one sentence; for a run, that it is listed as damaged; for a
checkpoint, that the one before it is used; for object code, that it is compiled anew. The memory is what the process
needed beyond what it had.

Of a run that was stopped, one file is damaged, removed, exchanged with another of its folder or with that of another
run; it is resumed, replayed and read. It goes on with the bits of the run that was never damaged, or is refused before
any of its files is changed. Where the mutant was given the right hash again, it may be another training, but a whole
one.

A mutant is a function of its kind, its number and the seed: `python -m benchmarks.fuzz KIND NUMBER 1 SEED` tries one
again."""


def _row(tally: Tally) -> str:
    refused = {name: count for name, count in sorted(tally.outcomes.items()) if name != "accepted"}
    by = ", ".join(f"{name} {count:,}" for name, count in refused.items())
    cells = (
        tally.kind,
        f"{tally.mutants:,}",
        f"{tally.outcomes['accepted']:,}",
        f"{sum(refused.values()):,}",
        by,
        f"{tally.slowest:.2f} s",
        f"{tally.memory / 1e6:,.0f} MB",
    )
    return f"| {' | '.join(cells)} |"
