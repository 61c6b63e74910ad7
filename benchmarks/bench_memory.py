"""Peak memory of a training, and disk that an installation takes.

MNIST whose images stay bytes, each contender in a process of its own.
"""

import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np

from benchmarks.disk import installed
from benchmarks.peers import CONTENDERS, OURS
from benchmarks.soak_mnist import DATA, idx
from benchmarks.tasks import make_task, save
from benchmarks.truth import Truth, objection
from benchmarks.truth import train as true_training
from benchmarks.workers import Worker, WorkerError, thread_counts
from benchmarks.works import Work

NAME = "memory"
PEERS = ("torch", "jax", "sklearn")
REQUIRED = 0.5
"""At most this share of PyTorch's, in memory and on disk."""
WORK = Work("mnist", (784, 128, 10), "relu", "cross_entropy", "sgd", 0.1, rows=60_000, batch=32, scale=1 / 255)
TORCH = "torch-eager"
TRAINED = (OURS, TORCH, "torch-compile", "jax-scan", "jax-step", "sklearn-mlp", "numpy")
INSTALLED = (
    ("fallline", "Fallline's dependencies"),
    ("torch", "PyTorch"),
    ("jax", "JAX"),
    ("scikit-learn", "scikit-learn"),
)


@dataclass
class Peak:
    """A contender's peak of memory in bytes, or the problem in its place."""

    name: str
    value: int = 0
    problem: str = ""


def run() -> str:
    """Memory where MNIST is there, disk in any case."""
    parts = ["## Memory", memory_part(), "## Disk", disk_part()]
    return "\n\n".join(parts)


def memory_part() -> str:
    """A training of every contender, one after the other."""
    if not DATA.is_dir():
        return f"Skipped: the MNIST files are not in `{DATA}`."
    x = idx("train-images-idx3-ubyte.gz").reshape(WORK.rows, -1)
    task = make_task(WORK, (x, idx("train-labels-idx1-ubyte.gz").astype(np.int64)))
    truth = true_training(task)
    peaks = []
    with tempfile.TemporaryDirectory(prefix="bench-memory-") as place:
        save(task, Path(place))
        for name in TRAINED:
            peaks.append(Peak(name, problem=CONTENDERS[name].absent()))
            if not peaks[-1].problem:
                train_once(peaks[-1], Path(place), truth)
            print(f"  {name}: {peaks[-1].problem or f'{peaks[-1].value / 1e6:.0f} MB'}", flush=True)
    return memory_table(peaks)


def train_once(peak: Peak, folder: Path, truth: Truth) -> None:
    """Two epochs, the second of them checked; the peak over both."""
    with Worker(folder, peak.name, max(thread_counts(peak.name))) as worker:
        try:
            worker.answer()
            losses = np.asarray(worker.ask("check")["losses"])
            peak.problem = objection(WORK, losses, truth, CONTENDERS[peak.name].same_steps)
            peak.value = worker.ask("quit")["peak"]
        except WorkerError as problem:
            peak.problem = str(problem)


def memory_table(peaks: list[Peak]) -> str:
    """Every contender beside PyTorch."""
    values = {peak.name: peak.value for peak in peaks if not peak.problem}
    lines = ["| contender | peak, MB | of PyTorch's | required | |", "| --- | --- | --- | --- | --- |"]
    for peak in peaks:
        label = CONTENDERS[peak.name].label
        if peak.problem:
            lines.append(f"| {label} | {peak.problem} | – | – | |")
            continue
        lines.append(row(label, peak.value, values.get(TORCH, 0), peak.name == OURS))
    told = f"""784-128-10, SGD, batch {WORK.batch}, two epochs of {WORK.rows:,} images in bytes
({WORK.rows * 784 / 1e6:.0f} MB), which every contender turns into float32 numbers batch by batch;
{max(thread_counts(OURS))} threads, nothing cached. The peak is the most memory that the process had resident (VmHWM):
imports, compiling and data included. Losses were checked against float64."""
    return "\n".join([*lines, "", told])


def disk_part() -> str:
    """What an installation takes, beside PyTorch's."""
    sizes = {}
    for name, _ in INSTALLED:
        try:
            sizes[name] = installed(name, without="fallline")
        except PackageNotFoundError:
            continue
    torch = sum(sizes.get("torch", {}).values())
    lines = ["| installed | MB | of PyTorch's | required | | largest parts |", "| --- | --- | --- | --- | --- | --- |"]
    for name, label in INSTALLED:
        if name not in sizes:
            lines.append(f"| {label} | not installed | – | – | | |")
            continue
        parts = ", ".join(f"{part} {size / 1e6:.0f}" for part, size in list(sizes[name].items())[:4])
        lines.append(f"{row(label, sum(sizes[name].values()), torch, name == 'fallline')} {parts} |")
    told = "The files of the package and of everything it requires, as their records list them, without optional extras"
    return "\n".join([*lines, "", f"{told} (PyTorch does not require NumPy; the others do)."])


def row(label: str, value: int, torch: int, ours: bool) -> str:
    """A row of a table: megabytes, the share of PyTorch's, what is required of Fallline, whether it is met."""
    share = f"{value / torch:.2f}" if torch else "–"
    if not ours:
        return f"| {label} | {value / 1e6:.0f} | {share} | – | |"
    verdict = "not measured" if not torch else "met" if value <= REQUIRED * torch else "**not met**"
    return f"| **{label}** | {value / 1e6:.0f} | {share} | at most {REQUIRED:g} | {verdict} |"
