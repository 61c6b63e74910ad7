"""Three kinds of network, killed and resumed a hundred times each: the same bits as without a kill.

A process trains into a run folder with a checkpoint every 30 ms. It is killed (SIGKILL, sometimes SIGTERM) after a
random time, or right before a random one of its operations on files; what it left is damaged now and then; the next
process goes on. Killed ten times it may come to its end, and a new run begins. Each run's end is compared with that of
a run that nothing happened to.

FALLLINE_CRASH_KILLS asks for fewer kills. FALLLINE_CRASH_STATE names a folder that keeps what has been done, and
FALLLINE_CRASH_SECONDS how long to work before leaving the rest to the next call, which then writes the page.
"""

import json
import os
import random
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.crash_worker import KINDS
from benchmarks.crashes import Crashes, Story, random_cycles

NAME = "crashes"
EPOCHS = {"perceptron": 30_000, "normalised": 6_000, "shared": 1_000}
A_RUN = 10
"""Kills of a run, unless it comes to its end before."""


def run() -> str:
    """Every kind, killed often enough, and the page."""
    kills = int(os.environ.get("FALLLINE_CRASH_KILLS", "100"))
    with tempfile.TemporaryDirectory(prefix="crashes-") as temporary:
        place = Path(os.environ.get("FALLLINE_CRASH_STATE", temporary))
        place.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + float(os.environ.get("FALLLINE_CRASH_SECONDS", "inf"))
        found = {kind: stories(kind, kills, place, deadline) for kind in KINDS}
    text = page(found)
    if any(story.differences for told in found.values() for story in told):
        raise AssertionError(text)
    return text


def stories(kind: str, kills: int, place: Path, deadline: float = float("inf")) -> list[Story]:
    """Runs of one kind until it has been killed so often; those that the folder has are not done again.

    Raises:
        TimeoutError: there was not time for all of them.
    """
    file, told = place / f"{kind}.json", list[Story]()
    if file.exists():
        told = [story_from(stored) for stored in json.loads(file.read_text(encoding="utf-8"))]
    crashes = Crashes(kind, EPOCHS[kind], place)
    startup = crashes.startup()
    while (done := sum(story.kills for story in told)) < kills:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{kind}: {done} of {kills} kills are done; call again for the rest")
        chance = random.Random(f"{kind} {len(told)}")
        cycles = random_cycles(chance, max(3, min(A_RUN, kills - done)), startup, crashes.seconds)
        told.append(crashes.story(cycles, chance))
        file.write_text(json.dumps([vars(story) for story in told]), encoding="utf-8")
    return told


def story_from(stored: dict[str, Any]) -> Story:
    """A story from its JSON."""
    counted: dict[str, Any] = {
        name: Counter(value) if isinstance(value, dict) else value for name, value in stored.items()
    }
    return Story(**counted)


def page(found: dict[str, list[Story]]) -> str:
    """What happened, and what came of it."""
    titles = {kind: KINDS[kind](EPOCHS[kind]).title for kind in found}
    lines = ["| network | runs | kills | checkpoints refused | runs that ended with other bits |", "| --- " * 5 + "|"]
    for kind, told in found.items():
        bad = [story for story in told if story.differences]
        refused, kills = sum(story.refused for story in told), sum(story.kills for story in told)
        lines.append(f"| {titles[kind]} | {len(told)} | {kills} | {refused} | {len(bad) or 'none'} |")
    for title, name in (("In what state the folder was", "moments"), ("How", "ends"), ("Damage", "damages")):
        lines += ["", f"| {title} | {' | '.join(found)} |", "| --- " * (1 + len(found)) + "|"]
        counts = {kind: sum((getattr(story, name) for story in told), Counter[str]()) for kind, told in found.items()}
        for what in sorted(set().union(*counts.values())):
            lines.append(f"| {what} | {' | '.join(str(counts[kind][what]) for kind in found)} |")
    lines += ["", __doc__.split("\n\n")[1].replace("\n", " "), ""]
    lines += [
        "Compared: all tensors of the model, of the best weights, of the start and of the last checkpoint (weights, "
        "buffers, the optimizer's memory), every epoch's history, every step's loss (but those that the damage took), "
        'the final gradient norm, why the run stopped, and the recorded hashes. "kill" is SIGKILL after a random '
        'time, "term" SIGTERM. Half of a flipped checkpoint\'s header is the graph for predictions, which resuming '
        "does not use: a bit flipped there is not refused, and changes nothing.",
    ]
    for kind, told in found.items():
        lines += [f"- {kind}: {difference}" for story in told for difference in story.differences]
    return "\n".join(lines)
