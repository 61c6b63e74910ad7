"""What all tests share: Hypothesis without chance or clock, and the way to the large data sets."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

# Programs that the tests compile are kept beside the checkout's other caches, not in the user's own.
os.environ.setdefault("FALLLINE_CACHE", str(ROOT / ".pytest_cache" / "programs"))

# Derandomised, so that a run that passed passes again; without a deadline, because the machine may be busy.
settings.register_profile("fallline", deadline=None, derandomize=True, database=None, max_examples=50)
settings.load_profile("fallline")

SOAK_FACTOR = int(os.environ.get("FALLLINE_SOAK_FACTOR", "1"))
"""`make soak JOB=properties` tries so many times as many examples, other ones at each run."""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One worker more than there are processors: a third of the time, tests wait for browsers and other processes."""
    return len(os.sched_getaffinity(0)) + 1 if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1) + 1


LONG_FIRST = ("test_docs.py", "lab", "cli", "sklearn", "training", "docs_site", "export", "tables", "insight", "fuzz")
"""Folders and files of long tests: begun first, so that no worker has one left when the others are done."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests first; in a soak, give every property-based test more examples than its own settings ask for."""
    places = {name: place for place, name in enumerate(LONG_FIRST)}
    tests = ROOT / "tests"
    items.sort(key=lambda item: places.get(item.path.relative_to(tests).parts[0], len(places)))
    if SOAK_FACTOR == 1:
        return
    for item in items:
        test = getattr(item, "obj", None)
        own = getattr(test, "_hypothesis_internal_use_settings", None)
        if own is not None:
            more = settings(own, max_examples=own.max_examples * SOAK_FACTOR, derandomize=False)
            test._hypothesis_internal_use_settings = more


@pytest.fixture
def shared_data() -> Callable[[str], Path]:
    """A function from a file's name ("tabular/mpg.csv") to its path; the test is skipped where it is absent.

    The files are public data sets too large, or too unclear in licence, to be part of the project. They are
    looked for beside the checkout.
    """

    def find(name: str) -> Path:
        path = ROOT.parent / "shared" / "data" / name
        if not path.exists():
            pytest.skip(f"needs the data set {name} in {path.parent}")
        return path

    return find
