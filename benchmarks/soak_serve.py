"""Ten thousand mutated requests to `fallline serve`, and the memory of a hundred thousand.

FALLLINE_SERVE_MUTANTS, FALLLINE_SERVE_REQUESTS and FALLLINE_SERVE_SEED ask for others.
"""

import os
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.serving import Service, mutant, objection, train

NAME = "serving"
MUTANTS = int(os.environ.get("FALLLINE_SERVE_MUTANTS", "10000"))
REQUESTS = int(os.environ.get("FALLLINE_SERVE_REQUESTS", "100000"))
SEED = int(os.environ.get("FALLLINE_SERVE_SEED", "2024"))
CLIENTS = 16
MOST_GROWTH = 4 << 20
"""Bytes by which memory may grow between the first tenth of the requests and the last: less than 50 a request."""


def run() -> str:
    """Both campaigns, and the page."""
    with tempfile.TemporaryDirectory() as name:
        model = train(Path(name))
        answers = mutants(model)
        begun, ended = memory(model)
    if ended - begun > MOST_GROWTH:
        raise AssertionError(f"memory grew from {begun:,} to {ended:,} bytes over {REQUESTS:,} requests")
    told = "\n".join(f"| {status} | {count:,} |" for status, count in sorted(answers.items()))
    return f"""\
{MUTANTS:,} requests that are functions of the seed {SEED} and their number, by {CLIENTS} clients: values, pieces and
bytes of good requests (a row, many, CSV) removed, repeated, exchanged or made long; foreign, double and contradicting
headers; other methods and paths. None was answered with a status of 500 or above, with a traceback, or with an error
that is no printable sentence; the service wrote nothing to its standard error, and answered good requests after them.

| answered with | requests |
| --- | --- |
{told}

Of a request that is never whole, or no HTTP, nothing comes back: the connection is closed.

Then {REQUESTS:,} good requests of one row, a third of them with a category that training did not see, to a fresh
service. It took {begun / 1e6:.1f} MB after the first {REQUESTS // 10:,}, {ended / 1e6:.1f} MB after the last."""


def mutants(model: Path) -> Counter[str]:
    """How many mutants were answered with each status."""
    with Service(model, "--timeout", "0.3") as service:

        def ask(number: int) -> bytes:
            return service.exchange(mutant(SEED, number))

        with ThreadPoolExecutor(CLIENTS) as pool:
            answers = list(pool.map(ask, range(MUTANTS)))
        service.many(10)
    wrong = [f"mutant {number}: {why}" for number, each in enumerate(answers) if (why := objection(each))]
    if wrong:
        raise AssertionError("\n".join([f"{len(wrong)} of {MUTANTS} (seed {SEED})", *wrong[:50]]))
    return Counter(each[9:12].decode("latin-1") or "nothing" for each in answers)


def memory(model: Path) -> tuple[int, int]:
    """Bytes of the service after a tenth of the requests, and after all."""
    with Service(model) as service:
        service.many(REQUESTS // 10)
        begun = service.memory()
        service.many(REQUESTS - REQUESTS // 10)
        return begun, service.memory()
