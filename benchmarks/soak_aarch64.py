"""The same bits on x86-64 and AArch64.

Small networks, matrix products and every op of the register are computed by the compiled engine on this x86-64
processor, with and without AVX-512, and on AArch64 under qemu; the hashes of the results must be equal.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from benchmarks.aarch64_root import Emulated, completed, prepared
from benchmarks.bits_worker import GROUPS, Case
from benchmarks.jobs import ROOT, JobError
from fallline.engine.target import VARIABLE, host_target
from fallline.engine.threads import usable_cores

NAME = "aarch64"
SHOWN = 8
"""Digits of a hash on the page."""
ABOUT = """\
The compiled engine makes machine code for each of these targets, and the code computes the cases below. A hash is
BLAKE2b of all resulting bytes, of which the first {shown} digits are shown: of a network, its weights, buffers, the
loss of every step, and predictions; of an op, its results on the register's samples (special points among them) and,
where it is elementwise, on random bits (subnormal numbers, infinities and NaN among them), in float32 and float64. A
network or product is computed on one thread and on two, a product also by a thread that was left rounding toward zero
and flushing subnormal numbers to zero; where these bits differed, more than one hash would be shown.

Every NaN counts as the same NaN: its sign and its payload are the processor's own, and the engine promises neither.

AArch64 is emulated, by user-mode qemu: this shows the bits of the code. It says nothing of its speed, nor of how
threads see each other's memory, which an x86-64 processor orders more strictly than a real AArch64 one. NEON is the
target as it is found there; SVE is the code for {sve}, which qemu runs, too.
"""
SVE = "neoverse-v2"


@dataclass(frozen=True)
class Place:
    """Where the cases are computed: what starts Python there, its environment, and the processor asked for."""

    name: str
    python: Sequence[str]
    environment: Mapping[str, str]
    cpu: str = "host"

    def cases(self, group: str) -> tuple[str, list[Case]]:
        """(LLVM's name of the target, the cases of a group) there."""
        command = [*self.python, "-m", "benchmarks.bits_worker", self.cpu, group]
        target, *cases = map(json.loads, completed(command, dict(self.environment), ROOT).splitlines())
        return f"{target['triple']}, {target['cpu']}", [Case(**case) for case in cases]


def run() -> str:
    """Compute all cases everywhere and compare."""
    target = host_target()
    if not target.is_x86 or target.vector_bytes < 32:
        raise JobError(f"AArch64 is compared with an x86-64 processor that has AVX2; this one is {target.cpu}.")
    emulated = prepared()
    everywhere = places(emulated, target.vector_bytes)
    tasks = [(place, group) for group in GROUPS for place in reversed(everywhere)]  # the slow ones first
    with ThreadPoolExecutor(usable_cores()) as pool:
        done = list(pool.map(lambda task: task[0].cases(task[1]), tasks))
    targets = {place.name: name for (place, _), (name, _) in zip(tasks, done, strict=True)}
    found: dict[str, list[Case]] = {place.name: [] for place in everywhere}
    for (place, _), (_, cases) in zip(tasks, done, strict=True):
        found[place.name] += cases
    rows, different = table(found)
    names = [f"- {place.name}: {targets[place.name]}" for place in everywhere]
    verdict = f"{len(rows)} cases; different: {', '.join(different) or 'none'}."
    text = "\n".join([ABOUT.format(shown=SHOWN, sve=SVE), *names, "", emulated.describe() + ".", "", verdict, "",
                      *heading(list(found)), *rows])  # fmt: skip
    if different:
        raise AssertionError(text)
    return text


def places(emulated: Emulated, vector_bytes: int) -> list[Place]:
    """This processor with AVX-512, where it has that, and without; AArch64 with NEON and with SVE."""
    here = [sys.executable]
    paths = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    plain = {name: value for name, value in os.environ.items() if not name.startswith("FALLLINE_")}
    native = plain | {"PYTHONPATH": paths, "FALLLINE_CACHE": "off"}
    found = [Place("AVX-512", here, native)] if vector_bytes == 64 else []
    return [
        *found,
        Place("AVX2", here, native | {VARIABLE: "avx2"}),
        Place("AArch64, NEON", emulated.python, emulated.environment),
        Place("AArch64, SVE", emulated.python, emulated.environment, SVE),
    ]


def heading(names: Sequence[str]) -> list[str]:
    """The two lines over the table."""
    return [f"| case | {' | '.join(names)} | equal |", f"| --- |{' --- |' * (len(names) + 1)}"]


def table(found: Mapping[str, Sequence[Case]]) -> tuple[list[str], list[str]]:
    """(a line for each case of any place, the names of the cases that are not equal everywhere)."""
    cases = {place: {(case.group, case.name): case for case in computed} for place, computed in found.items()}
    lines, different = [], []
    for group, name in dict.fromkeys(key for computed in cases.values() for key in computed):
        row = [computed.get((group, name)) for computed in cases.values()]
        there = [case for case in row if case is not None]
        if len({case.inputs for case in there}) > 1:
            verdict = "the inputs differ"
        else:
            bits = {digits for case in there for digits in case.results}
            verdict = "yes" if len(there) == len(row) and len(bits) == 1 else "**no**"
        if verdict != "yes":
            different.append(f"{group}: {name}")
        hashes = ["absent" if case is None else _shown(case.results) for case in row]
        lines.append(f"| {group}: {name} | {' | '.join(hashes)} | {verdict} |")
    return lines, different


def _shown(results: Sequence[str]) -> str:
    return " / ".join(digits[:SHOWN] for digits in dict.fromkeys(results))
