"""One process that tries mutants and judges what became of each; it may die, and its campaign goes on.

Called with a JSON line on standard input: {"good": FOLDER, "place": FOLDER, "kind", "first", "count", "seed"}. For
each mutant it writes {"begin": number} and then the verdict, as lines of JSON. What is written otherwise, by whomever,
is a defect.
"""

import json
import logging
import os
import random
import resource
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.fuzz.kinds import KINDS, Kind
from benchmarks.fuzz.mutate import splice
from benchmarks.fuzz.readers import Reader, Refused
from benchmarks.fuzz.samples import read_samples

CPU_SECONDS, WALL_SECONDS = 10, 60
"""The most that a mutant may take; the second is for what waits for ever."""
MEMORY = 1 << 30
"""The most memory that a mutant may need beyond what the process has when it begins, in bytes."""
LONGEST = 2000
"""Letters of a sentence."""


class TooLong(BaseException):
    """A mutant takes more than its time; not an Exception, so that nobody takes it for a refusal."""


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant.

    Attributes:
        number: which mutant of its kind.
        outcome: "accepted", the class of the exception that refused it, or "DEFECT".
        detail: the sentence, or what went wrong.
        how: the mutators and the reader.
        seconds, memory: what it took; bytes beyond what the process had before.
    """

    number: int
    outcome: str
    detail: str
    how: str
    seconds: float
    memory: int


@dataclass(frozen=True)
class Mutant:
    """A damaged file, and what it is given to: a function of kind, number and seed."""

    name: str
    content: bytes
    reader: Reader
    how: str


def mutant(name: str, number: int, seed: int, good: Path) -> Mutant:
    """The mutant of that number."""
    kind: Kind = KINDS[name]
    rng = random.Random(f"{seed}/{name}/{number}")
    file = rng.choice([each for each in kind.files if (good / each).is_file()])
    content = (good / file).read_bytes()
    foreign = [data for other in KINDS.values() for data in read_samples(good, other.files)]
    used = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        chosen = rng.choice((*kind.mutators, splice(foreign)))
        try:
            content = chosen(rng, content)
        except Exception:  # a mutator that knows the format, on a file that an earlier one has made unreadable
            continue
        used.append(getattr(chosen, "__qualname__", str(chosen)).split(".")[0])
    reader = kind.readers[number % len(kind.readers)]
    if kind.rarely is not None and number % kind.rarely[1] == kind.rarely[1] - 1:
        reader = kind.rarely[0]
    own = file if "idx" in file or "/" in file else f"mutant{file[file.index('.') :]}"
    return Mutant(Path(own).name, content, reader, f"{'+'.join(used) or 'nothing'} → {reader.__name__}")


def judge(number: int, tried: Mutant, good: Path, noise: Any) -> Verdict:
    """Write the mutant into the current folder, give it to its reader, and look at all that is left."""
    path = Path(tried.name)
    path.write_bytes(tried.content)
    noise.seek(0)
    noise.truncate()
    before = memory_now(reset=True)
    started = time.perf_counter()
    outcome, detail = _read(tried.reader, path, good)
    seconds, memory = time.perf_counter() - started, max(0, memory_now() - before)
    problems = [detail] if outcome == "DEFECT" else []
    if memory > MEMORY:
        problems.append(f"it took {memory / 1e6:,.0f} MB of memory")
    if not path.is_file() or path.read_bytes() != tried.content:
        problems.append("the file was changed or removed")
    problems += [f"logged: {problem}: {text!r:.300}" for text in _logged if (problem := _complaint(text))]
    _logged.clear()
    left = [
        str(each) for place in (".", os.environ["TMPDIR"]) for each in Path(place).iterdir() if each.name != path.name
    ]
    if left:
        problems.append(f"it left {left}")
    if noise.seek(0, os.SEEK_END):
        noise.seek(0)
        problems.append(f"something was written past Python: {noise.read()[:500]!r}")
    path.unlink(missing_ok=True)
    if problems:
        outcome, detail = "DEFECT", "; ".join(problems)
    return Verdict(number, outcome, detail, tried.how, seconds, memory)


def _read(reader: Reader, path: Path, good: Path) -> tuple[str, str]:
    """(outcome, detail) of one reader."""
    from fallline.errors import CompileError, FalllineError, GraphError

    try:
        with _time_limit():
            reader(path, good)
    except (GraphError, CompileError) as error:
        return "DEFECT", f"said to be our fault: {type(error).__name__}: {error}"
    except FalllineError as error:
        problem = _complaint(str(error))
        return ("DEFECT", f"{problem}: {error!r:.500}") if problem else (type(error).__name__, str(error))
    except Refused as error:
        problem = _complaint(str(error)) or ("out of memory" if "not enough memory" in str(error) else "")
        return ("DEFECT", f"{problem}: {error!r:.500}") if problem else ("command line", str(error))
    except TooLong:
        return "DEFECT", f"it took more than {CPU_SECONDS} s: {_last_lines(9)}"
    except BaseException:
        return "DEFECT", _last_lines(30)
    return "accepted", ""


def _complaint(sentence: str) -> str:
    """What is wrong with a sentence for the user; empty where nothing is."""
    if len(sentence.strip()) < 10:
        return "no sentence"
    if len(sentence) > LONGEST:
        return f"a sentence of {len(sentence)} letters"
    if "\n" in sentence:
        return "more than a line"
    if "Traceback" in sentence or "<fallline." in sentence or " object at 0x" in sentence:
        return "no sentence for people"
    if not sentence.isprintable():
        return "letters that no terminal should be sent"
    return ""


def _last_lines(count: int) -> str:
    return "\n".join(traceback.format_exc().splitlines()[-count:])[-4000:]


@contextmanager
def _time_limit() -> Iterator[None]:
    """`TooLong` after so many seconds of work, or of waiting."""
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    signal.setitimer(signal.ITIMER_REAL, WALL_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


def memory_now(reset: bool = False) -> int:
    """The most memory that this process has had since the last reset, in bytes; 0 where the system does not say."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    except (OSError, IndexError):
        return 0


def limit_memory() -> None:
    """From now on, this process cannot have more than `MEMORY` and some room beyond what it has."""
    try:
        now = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (now + 2 * MEMORY, resource.RLIM_INFINITY))


class _Kept(logging.Handler):
    """What the library logs are sentences for the user, too."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it for the judge."""
        _logged.append(record.getMessage())


_logged: list[str] = []


def _too_long(*_: Any) -> None:
    raise TooLong


def main() -> None:
    """Try the mutants that standard input asks for."""
    task = json.loads(sys.stdin.readline())
    good, place = Path(task["good"]), Path(task["place"])
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    noise = open(place / "noise", "w+b", buffering=0)  # noqa: SIM115 - for as long as the process lives
    for number in (1, 2):
        os.dup2(noise.fileno(), number)
    work, temporary = place / "work", place / "temporary"
    for folder in (work, temporary):
        folder.mkdir(exist_ok=True)
    os.environ |= {"TMPDIR": str(temporary), "FALLLINE_CACHE": str(place / "programs")}
    os.chdir(work)
    for kind in signal.SIGPROF, signal.SIGALRM:
        signal.signal(kind, _too_long)
    from fallline.report import table_report

    table_report.pictures = lambda result: {}  # drawing takes longer than the rest together
    for reader in KINDS[task["kind"]].readers:  # what is loaded once is not the first mutant's doing
        _read(reader, good / KINDS[task["kind"]].files[0], good)
    for left in work.iterdir():
        left.unlink()
    logging.getLogger("fallline").addHandler(_Kept())
    limit_memory()
    for number in range(task["first"], task["first"] + task["count"]):
        answers.write(json.dumps({"begin": number}) + "\n")
        verdict = judge(number, mutant(task["kind"], number, task["seed"], good), good, noise)
        answers.write(json.dumps(asdict(verdict)) + "\n")


if __name__ == "__main__":
    main()
