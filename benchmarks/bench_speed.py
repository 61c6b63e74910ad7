"""Time of a training step against every peer.

Six works, each contender as its expert would write it, checked against float64, timed in turn.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.harness import DISTURBED, Measured, Plan, compare
from benchmarks.jobs import JobError, Page
from benchmarks.peers import CONTENDERS, OURS
from benchmarks.speed_plot import Bar, Panel, speed_picture
from benchmarks.tasks import make_task
from benchmarks.truth import BOUNDS, JUDGED, REACH
from benchmarks.works import WORKS, Target, Work

NAME = "speed"
PEERS = ("torch", "jax", "sklearn", "vowpalwabbit")


@dataclass(frozen=True)
class Result:
    """What one work came to.

    Attributes:
        work: which.
        measured: every contender on every number of threads.
        absent: contenders that could not run here, and why.
    """

    work: Work
    measured: list[Measured]
    absent: dict[str, str]

    def best(self, name: str) -> Measured | None:
        """A contender's better number of threads, or None where it has no time."""
        timed = [found for found in self.measured if found.name == name and not found.problem]
        return min(timed, key=lambda found: found.time, default=None)

    def peers(self, target: Target) -> list[str]:
        """The contenders that a target compares with."""
        names = target.over or tuple(name for name in CONTENDERS if name != OURS)
        return [name for name in names if CONTENDERS[name].fits(self.work)]

    def ratio(self, target: Target) -> tuple[float, str]:
        """(the fastest of the target's peers over Fallline, that peer); (NaN, "") where none has a time."""
        ours = self.best(OURS)
        found = [peer for name in self.peers(target) if (peer := self.best(name))]
        if ours is None or not found:
            return math.nan, ""
        fastest = min(found, key=lambda peer: peer.time)
        return fastest.time / ours.time, CONTENDERS[fastest.name].label

    def verdict(self, target: Target) -> str:
        """Whether the target is met, as a table's cell; a peer without a time might be faster than those with one."""
        ratio, _ = self.ratio(target)
        if math.isnan(ratio):
            return "not measured"
        if ratio < target.ratio:
            return "**not met**"
        return "met" if all(self.best(name) for name in self.peers(target)) else "met, of those timed"


def run() -> Page:
    """Every work, every contender that is there."""
    plan = Plan.from_environment()
    chosen(plan.works, WORKS, "work")
    chosen(plan.contenders, CONTENDERS, "contender")
    works = [work for name, work in WORKS.items() if name in (plan.works or WORKS)]
    wanted = [name for name in CONTENDERS if name in (plan.contenders or CONTENDERS)]
    absent = {name: reason for name in wanted if (reason := CONTENDERS[name].absent())}
    results = []
    for work in works:
        names = [name for name in wanted if name not in absent and CONTENDERS[name].fits(work)]
        kept = {name: reason for name, reason in absent.items() if CONTENDERS[name].fits(work)}
        results.append(Result(work, compare(make_task(work), names, plan, lambda line: print(line, flush=True)), kept))
    return Page(page(results, plan), {"speed.svg": speed_picture([panel(result) for result in results])})


def chosen(names: Sequence[str], known: Iterable[str], kind: str) -> None:
    """Refuse names that there are not."""
    known = list(known)
    if unknown := [name for name in names if name not in known]:
        raise JobError(f"There is no {kind} called {', '.join(unknown)}; there is: {', '.join(known)}.")


def page(results: Sequence[Result], plan: Plan) -> str:
    """The whole page."""
    parts = ["![µs per step of every contender, work by work](speed.svg)", summary(results)]
    parts += [f"## {result.work.title}\n\n{table(result)}" for result in results]
    return "\n\n".join([*parts, method(plan)])


def summary(results: Sequence[Result]) -> str:
    """One row for each requirement."""
    lines = [
        "| work | Fallline, µs per step | against | its µs per step | ratio | required | |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for result in results:
        ours = result.best(OURS)
        for target in result.work.targets:
            ratio, peer = result.ratio(target)
            own = micro(ours.time) if ours else "–"
            theirs, times = (micro(ratio * ours.time), f"{ratio:.2f}") if ours and peer else ("–", "–")
            against = f"{target.words}: {peer}" if peer and not target.over else peer or target.words
            lines.append(
                f"| {result.work.title} | {own} | {against} | {theirs} | {times} "
                f"| {target.ratio:g} | {result.verdict(target)} |"
            )
    return "\n".join(lines)


def table(result: Result) -> str:
    """Every contender of a work, the fastest first, those without a time last."""
    work, ours = result.work, result.best(OURS)
    lines = [
        "| contender | threads | µs per step | over Fallline | blocks | compiling, s | cold, s | peak MB |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    timed = sorted((found for found in result.measured if not found.problem), key=lambda found: found.time)
    for found in timed:
        label = CONTENDERS[found.name].label + (f" ({found.about})" if found.about else "")
        label = f"**{label}**" if found.name == OURS else label
        doubt = " ~" if found.disturbed else ""
        ratio = f"{found.time / ours.time:.2f}" if ours else "–"
        spread = f"{micro(min(found.clean))}–{micro(max(found.clean))}"
        lines.append(
            f"| {label} | {found.threads} | {micro(found.time)}{doubt} | {ratio} | {spread} | {found.compiling:.1f} "
            f"| {found.cold:.1f} | {found.peak / 1e6:.0f} |"
        )
    for found in result.measured:
        if found.problem:
            label = CONTENDERS[found.name].label
            lines.append(f"| {label} | {found.threads} | failed: {found.problem} | – | – | – | – | – |")
    for name, reason in result.absent.items():
        lines.append(f"| {CONTENDERS[name].label} | – | left out: {reason} | – | – | – | – | – |")
    names = dict.fromkeys(found.name for found in result.measured)
    notes = {name: note for name in names if (note := CONTENDERS[name].note(work))}
    told = "".join(f" {CONTENDERS[name].label}: {note}." for name, note in notes.items())
    return "\n".join(
        [*lines, "", f"{work.rows:,} rows, learning rate {work.rate:g}, {work.steps:,} steps an epoch.{told}"]
    )


def method(plan: Plan) -> str:
    """What was equal, what is counted, how it was checked."""
    trial = "" if plan.whole else "**A trial: shorter, or of fewer works or contenders, than a full measurement.**\n\n"
    return f"""## What is compared

{trial}Equal for all: the data (made from a fixed seed), the initial weights, the rows of each batch
(`fl.batch_order`), the loss, the update rule, float32. Gathering the rows, the forward pass, the loss,
backpropagation and the update are in the time; making the order of the rows is in Fallline's alone, the peers are
given it. A call of `fl.fit` is timed from its start to its end, with all it does beside the steps (it checks the
data, and measures loss and gradient of the whole training set at the end), and trains at least {plan.fit_epochs}
epochs. No library is made to wait for the loss of a step.

Every contender has a process of its own, for each number of threads. They take turns: a block of about
{plan.seconds:g} s each, {plan.rounds} rounds, from the initial weights in every block; the median counts. A block
during which other processes took more than {DISTURBED:.0%} of the processors is left out; where fewer than three
remain, the three least disturbed ones count, marked ~. The better number of threads counts for either side. "cold"
is from the start of the process, with empty caches, to the end of the first epoch; "compiling" is what that epoch
took longer than a later one; "blocks" are the quickest and the slowest; the peak of memory holds the data.

The losses of the first epoch, step by step, must agree with a float64 training written plainly in NumPy, before the
timing and in each block: to {BOUNDS["sgd"]:g} of their mean for SGD, to {BOUNDS["adam"]:g} for Adam and AdamW, whose
steps depend on the sign of gradients that are all rounding. scikit-learn's perceptron tells the mean of an epoch
only. Learners that take a step for each row must reach at most {REACH:g} times the float64 training's loss on the
first {JUDGED:,} rows after an epoch. Who does not is shown as failed, without a time."""


def panel(result: Result) -> Panel:
    """A work's part of the picture: each contender's better time."""
    bars = []
    for name in CONTENDERS:
        best = result.best(name)
        if best is not None:
            bars.append(Bar(CONTENDERS[name].label, best.time, name == OURS))
        elif any(found.name == name for found in result.measured):
            bars.append(Bar(CONTENDERS[name].label, math.nan, name == OURS))
    return Panel(result.work.title, sorted(bars, key=lambda bar: (not bar.ours, math.isnan(bar.value), bar.value)))


def micro(value: float) -> str:
    """Microseconds, three digits at least."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
