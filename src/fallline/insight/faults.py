"""A run that its own replay does not reproduce: from where on, and why."""

import platform
from dataclasses import dataclass

import numpy as np

from fallline.insight.kernel_check import wrong_kernel, wrong_on_threads
from fallline.insight.sides import Side, state_name
from fallline.insight.values import Change
from fallline.training.hashes import weights_hash
from fallline.training.run_folder import package_version


@dataclass(frozen=True)
class Broken:
    """Something stored that replaying does not give.

    Attributes:
        side: the run.
        before: the last step up to which its replay gives what it recorded.
        after: the step after which it recorded something else.
        change: the first weight that differs, where that is known.
        what: what it has stored there: "hash" or "checkpoint".
    """

    side: Side
    before: int
    after: int
    change: Change | None = None
    what: str = "hash"


def unreproduced(side: Side, first: int, until: int) -> Broken | None:
    """The first recorded hash that the run's own replay does not give; None where the last one up to `until` is given.

    Args:
        side: the run.
        first: a step that is known to be right.
        until: how far to look.
    """
    steps = sorted(step for step in side.hashes if first < step <= until)
    if not steps or weights_hash(side.state(steps[-1]).values) == side.hashes[steps[-1]]:
        return None
    before = first
    for step in steps:
        if weights_hash(side.state(step).values) != side.hashes[step]:
            return Broken(side, before, step)
        before = step
    return None


def broken_checkpoint(side: Side, first: int, step: int) -> Broken | None:
    """Whether a checkpoint after a step is not what the step makes of what was before it."""
    after = step + 1
    if after not in side.moments() or after == side.first:
        return None
    if state_name(side.replayer.onward(side.state(step), after)[0]) == state_name(side.state(after)):
        return None
    earlier = unreproduced(side, first, step)
    known = [s for s in (*side.hashes, *side.moments()) if first <= s <= step]
    return earlier or Broken(side, max(known, default=first), after, what="checkpoint")


def shown_at(found: Broken) -> tuple[int, int | None]:
    """(the first step that shows it, the first that it may have been or None where that is the same).

    One changed bit has not been through an update, which would have changed every weight: it came after the last one.
    Else the losses that the run recorded may show it before its weights do.
    """
    last = found.after - 1
    if found.change is not None and found.change.bit is not None:
        return last, None
    _, losses = found.side.replayer.onward(found.side.state(found.before), found.after)
    then = found.side.losses[found.before : found.after]
    wrong = np.flatnonzero(~np.isnan(then) & (then != losses))
    return found.before + int(wrong[0]) if len(wrong) else last, found.before


def explain(found: Broken, other: Side) -> tuple[str, str, Change | None]:
    """(kind, cause, change) of what a run's own replay does not give."""
    side, moment = found.side, found.side.state(found.before)
    one = found.change is not None and found.change.bit is not None
    if not one:
        if (wrong := wrong_kernel(side, moment)) is not None:
            return "kernel", str(wrong), wrong.change
        if threads := wrong_on_threads(side, moment, found.after):
            return "kernel", f"no setting: {threads}, which is a defect of Fallline", None
    if versions := _versions(side):
        return (
            "version",
            (
                f"{side.name} was made by {versions}: other versions under the same contract should have the same "
                "bits, so this is a defect of one of them, or a hardware fault"
            ),
            None,
        )
    bit = f" ({found.change.which_bit})" if found.change is not None and one else ""
    return (
        "fault",
        (
            f"no setting, row or version explains it{bit}: the steps {found.before:,} to {found.after - 1:,} of "
            f"{side.name}, taken again, do not give the {found.what} that it stored after step {found.after:,}. "
            "Memory, disk or another part of the hardware was at fault, or somebody edited it"
        ),
        None,
    )


def _versions(side: Side) -> str:
    """The versions that a run was made by, where they are not those that replay it."""
    now = {"fallline": package_version(), "machine": platform.machine()}
    then = {key: side.made_by[key] for key in now}
    return (
        "" if then == now else ", ".join(f"{key} {then[key]} (now {now[key]})" for key in now if then[key] != now[key])
    )
