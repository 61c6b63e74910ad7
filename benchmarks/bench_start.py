"""Time from the start of a process to the first finished step.

The digits network from arrays, in fresh processes.
"""

import dataclasses
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.harness import Plan
from benchmarks.peers import CONTENDERS, OURS
from benchmarks.tasks import make_task, save
from benchmarks.truth import Truth, objection
from benchmarks.truth import train as true_training
from benchmarks.workers import Worker, WorkerError, thread_counts, worker_environment
from benchmarks.works import WORKS, Work

NAME = "start"
PEERS = ("torch", "jax", "sklearn")
WITHOUT_CACHE, WITH_CACHE, IMPORT = 1.0, 0.6, 0.25
"""Required: seconds at most."""
IMPORTS = {
    "`import fallline` alone": "import fallline",
    "the same, and all that `fl.fit` needs": "import fallline; from fallline import nn, optim; fallline.fit",
}
STARTED = (OURS, "torch-eager", "torch-compile", "jax-step", "sklearn-mlp", "numpy")


@dataclass
class Start:
    """One row of the table.

    Attributes:
        name: of the contender.
        label: in the table.
        cache: folder of compiled programs that its processes share; None for empty ones.
        required: seconds at most, or 0.
        seconds: of each process.
        problem: why there are none.
    """

    name: str
    label: str
    cache: Path | None = None
    required: float = 0.0
    seconds: list[float] = field(default_factory=list)
    problem: str = ""


def run() -> str:
    """Fresh processes of every contender in turn, a first one of each uncounted."""
    plan = Plan.from_environment()
    work = dataclasses.replace(WORKS["digits"], rows=WORKS["digits"].batch)  # its one batch is the first step
    task = make_task(work)
    truth = true_training(task)
    with tempfile.TemporaryDirectory(prefix="bench-start-") as place:
        folder, cache = Path(place) / "task", Path(place) / "cache"
        folder.mkdir()
        save(task, folder)
        starts = [start for start in rows(cache) if start.name in (plan.contenders or STARTED)]
        for number in range(plan.rounds + 1):
            for start in starts:
                if not start.problem:
                    one_process(start, folder, work, truth, counted=number > 0)
        imports = {label: import_seconds(program, Path(place), plan.rounds) for label, program in IMPORTS.items()}
    return page(starts, imports, plan)


def rows(cache: Path) -> list[Start]:
    """What is measured: Fallline twice, then the peers; those absent carry the reason."""
    ours = [
        Start(OURS, "Fallline, nothing cached", None, WITHOUT_CACHE),
        Start(OURS, "Fallline, programs cached by an earlier process", cache, WITH_CACHE),
    ]
    peers = [Start(name, CONTENDERS[name].label, problem=CONTENDERS[name].absent()) for name in STARTED[1:]]
    return ours + peers


def one_process(start: Start, folder: Path, work: Work, truth: Truth, counted: bool) -> None:
    """Start a process, wait for its first step; in the uncounted one check the loss."""
    with Worker(folder, start.name, max(thread_counts(start.name)), start.cache) as worker:
        try:
            worker.answer()
            seconds = time.perf_counter() - worker.started
            if counted:
                start.seconds.append(seconds)
            else:
                losses = np.asarray(worker.ask("check")["losses"])
                start.problem = objection(work, losses, truth, CONTENDERS[start.name].same_steps)
        except WorkerError as problem:
            start.problem = str(problem)
    print(f"  {start.label}: {start.problem or f'{seconds:.2f} s'}", flush=True)


def import_seconds(program: str, own: Path, rounds: int) -> list[float]:
    """Seconds that an import takes inside fresh processes, a first one uncounted."""
    timed = f"import time; b = time.perf_counter(); {program}; print(time.perf_counter() - b)"
    environment, found = worker_environment(own, 1, None), []
    for _ in range(rounds + 1):
        done = subprocess.run(
            [sys.executable, "-c", timed], capture_output=True, text=True, check=True, env=environment
        )
        found.append(float(done.stdout))
    return found[1:]


def page(starts: list[Start], imports: dict[str, list[float]], plan: Plan) -> str:
    """The table and how it was made."""
    lines = ["| | seconds, median | quickest–slowest | required | |", "| --- | --- | --- | --- | --- |"]
    lines += [line(start.label, start.seconds, start.required, start.problem) for start in starts]
    required = dict.fromkeys(IMPORTS, 0.0) | {"`import fallline` alone": IMPORT}
    lines += [line(label, seconds, required[label]) for label, seconds in imports.items()]
    trial = "" if plan.rounds >= Plan.rounds else "**A trial: fewer processes than a full measurement.**\n\n"
    threads = max(thread_counts(OURS))
    told = f"""{trial}64-128-10, relu, cross-entropy, SGD, batch 32. From the start of a Python process to the end
of its first step: the interpreter, imports, reading arrays from `.npy` files, making the network, compiling, one step
of 32 rows. For Fallline that is a call of `fl.fit` with one batch, which also measures loss and gradient at its end.
Median of {plan.rounds} fresh processes on {threads} threads, all contenders in turn, after one of each that is not
counted: files are in the system's memory, Python's own bytecode is compiled. Other caches of compiled programs are
empty for each process. The loss of the step was checked against float64. Imports are timed inside the process."""
    return "\n".join([*lines, "", told])


def line(label: str, seconds: list[float], required: float, problem: str = "") -> str:
    """A row of the table."""
    if problem or not seconds:
        kind = "left out" if "not installed" in problem or "no C++" in problem else "failed"
        return f"| {label} | {kind}: {problem} | – | {f'{required:g}' if required else '–'} | – |"
    median = statistics.median(seconds)
    verdict = "" if not required else "met" if median <= required else "**not met**"
    return (
        f"| {label} | {median:.2f} | {min(seconds):.2f}–{max(seconds):.2f} "
        f"| {f'at most {required:g}' if required else '–'} | {verdict} |"
    )
