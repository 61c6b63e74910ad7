"""Finds measuring jobs, runs them and writes one results page each.

A job is a module `benchmarks/<kind>_*.py` with

    NAME: str             the page's file name and the name to ask for on the command line
    PEERS: tuple[str, …]  optional: importable names of the libraries it compares with
    run() -> str | Page   the page's Markdown body, and pictures beside it; raises when the measurement failed

and a docstring, whose first line becomes the page's title.
"""

import importlib
import importlib.util
import os
import pkgutil
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import commit, describe, now, version_of

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results"


@dataclass(frozen=True)
class Page:
    """What a job found: Markdown, and files to be written beside the page, by name."""

    body: str
    files: dict[str, str]


@dataclass(frozen=True)
class Job:
    """One measurement: what it is called, what it compares with, and the function that takes it."""

    name: str
    title: str
    peers: tuple[str, ...]
    run: Callable[[], str | Page]

    def absent_peers(self) -> list[str]:
        """The peers that are not installed here."""
        return [peer for peer in self.peers if importlib.util.find_spec(peer) is None]


class JobError(Exception):
    """A job cannot be found or is badly declared; the message says which and why."""


def load(module_name: str) -> Job:
    """The job that a module declares."""
    module = importlib.import_module(module_name)
    for required in ("NAME", "run"):
        if not hasattr(module, required):
            raise JobError(f"{module_name} declares no {required}; see benchmarks/README.md for what a job needs.")
    title = (module.__doc__ or module.NAME).strip().splitlines()[0].rstrip(".")
    return Job(module.NAME, title, tuple(getattr(module, "PEERS", ())), module.run)


def discover(kind: str, package: str = "benchmarks") -> dict[str, Job]:
    """All jobs of a kind ("soak", "bench") in a package, by name."""
    folders = importlib.import_module(package).__path__
    found = sorted(info.name for info in pkgutil.iter_modules(folders) if info.name.startswith(f"{kind}_"))
    jobs: dict[str, Job] = {}
    for name in found:
        job = load(f"{package}.{name}")
        if job.name in jobs:
            raise JobError(f"Two {kind} jobs are called {job.name!r}; their pages would overwrite each other.")
        jobs[job.name] = job
    return jobs


def chosen(jobs: dict[str, Job], names: Sequence[str]) -> list[Job]:
    """The jobs asked for, in that order; all of them when no name is given."""
    unknown = [name for name in names if name not in jobs]
    if unknown:
        there = ", ".join(jobs) or "none"
        raise JobError(f"There is no job called {', '.join(map(repr, unknown))}; there is: {there}.")
    return [jobs[name] for name in names] if names else list(jobs.values())


def page(job: Job, body: str, facts: dict[str, str]) -> str:
    """The Markdown page of a result: title, circumstances, body."""
    rows = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    return f"# {job.title}\n\n{body.strip()}\n\n## How this was measured\n\n| | |\n| --- | --- |\n{rows}\n"


def measure(job: Job, facts: dict[str, str], folder: Path) -> Path:
    """Runs one job and writes its page. A job that fails leaves the page of its last success as it is."""
    begun, started = now(), time.perf_counter()
    found = job.run()
    body, files = (found.body, found.files) if isinstance(found, Page) else (found, {})
    if not isinstance(body, str) or not body.strip():
        raise JobError(f"The job {job.name!r} returned {body!r} in place of the text of its page.")
    absent = job.absent_peers()
    peers = [f"{peer} {version_of(peer)}" for peer in job.peers if peer not in absent]
    peers += [f"{peer} (not installed, left out)" for peer in absent]
    own = {"date": begun} | facts | {"duration": f"{time.perf_counter() - started:.0f} s"}
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{job.name}.md"
    text = page(job, body, own | ({"peers": ", ".join(peers)} if peers else {}))
    target.write_text(text, encoding="utf-8")
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    return target


def run_all(jobs: Sequence[Job], command: str, folder: Path = RESULTS) -> int:
    """Runs jobs one after the other, carrying on after a failure; the number of failures.

    Args:
        jobs: to be run.
        command: what the pages say they were made with, with {job} in the place of a job's name.
        folder: for the pages.
    """
    state = commit(ROOT)  # once, before any page is written: the pages are no change of the code
    failures = 0
    for job in jobs:
        absent = ", ".join(job.absent_peers())
        print(f"{job.name}: running{f' (not installed, left out: {absent})' if absent else ''} …", flush=True)
        facts = {"commit": state, **describe(), "command": f"`{command.format(job=job.name)}`"}
        try:
            print(f"{job.name}: wrote {measure(job, facts, folder)}", flush=True)
        except Exception:  # whatever went wrong in one job, the others still run
            failures += 1
            traceback.print_exc()
            print(f"{job.name}: failed, for the reason above; no page was written.", file=sys.stderr, flush=True)
    return failures


def main(kind: str, names: Sequence[str]) -> int:
    """The commands `make soak` and `make bench`: 0 done, 1 a job failed, 2 no such job."""
    try:
        jobs = discover(kind)
        wanted = chosen(jobs, names)
    except JobError as error:
        print(error, file=sys.stderr)
        return 2
    if not wanted:
        print(f"There are no {kind} jobs yet: benchmarks/{kind}_*.py is where they are looked for.")
    folder = Path(os.environ.get("FALLLINE_RESULTS", RESULTS))
    return 1 if run_all(wanted, command_of(kind), folder) else 0


def command_of(kind: str) -> str:
    """The command that runs jobs of a kind with this Python, with {job} in the place of the name."""
    if Path(sys.prefix) == ROOT / ".venv":
        return f"make {kind} JOB={{job}}"
    program = "-m benchmarks" if kind == "bench" else "scripts/soak.py"
    return f"python {program} {{job}}"
