"""`python -m benchmarks.fuzz KIND [FIRST] [COUNT] [SEED]`: what becomes of some mutants, each told."""

import sys
import tempfile
from pathlib import Path

from benchmarks.fuzz.campaign import Tally, verdicts
from benchmarks.fuzz.samples import make_samples


def main(kind: str, first: str = "0", count: str = "1", seed: str = "0") -> None:
    """Try them; show those that are defects in full, or each where there are few."""
    with tempfile.TemporaryDirectory() as name:
        good, place = Path(name, "good"), Path(name, "place")
        good.mkdir()
        place.mkdir()
        make_samples(good)
        tally = Tally(kind)
        for verdict in verdicts(kind, int(count), int(seed), good, place, int(first)):
            tally.count(verdict)
            if verdict.outcome == "DEFECT" or int(count) <= 20:
                print(f"{verdict.number}: {verdict.outcome}: {verdict.how} {verdict.seconds:.2f} s\n{verdict.detail}\n")
        print(kind, tally.mutants, dict(tally.outcomes), f"{tally.slowest:.2f} s, {tally.memory / 1e6:.0f} MB")


if __name__ == "__main__":
    main(*sys.argv[1:])
