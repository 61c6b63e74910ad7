"""Contenders in processes of their own: thread counts are a process's, and one library's threads disturb no other."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.peers import CONTENDERS

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT = 400.0
"""Seconds for one answer; compiling with torch.compile takes up to a minute."""


class WorkerError(Exception):
    """A contender's process ended, or did not answer in time; the message says what it said last."""


class Worker:
    """A contender's process, with empty caches of its own unless it is given one.

    Args:
        folder: of the task.
        name: of the contender.
        threads: for every library it may use.
        cache: folder for Fallline's compiled programs; a new, empty one if None.
    """

    def __init__(self, folder: Path, name: str, threads: int, cache: Path | None = None) -> None:
        self.name, self.own = name, Path(tempfile.mkdtemp(prefix="bench-"))
        self.log = (self.own / "log.txt").open("w+", encoding="utf-8")
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.worker", str(folder), name, str(threads)]
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, cwd=ROOT,
            env=worker_environment(self.own, threads, cache), start_new_session=True,
        )  # fmt: skip

    def answer(self) -> dict[str, Any]:
        """Its next answer.

        Raises:
            WorkerError: it ended, or did not answer in time.
        """
        out, end = self.process.stdout, time.monotonic() + TIMEOUT
        while out is not None and select.select([out], [], [], max(0.0, end - time.monotonic()))[0]:
            line = out.readline()
            if not line:
                raise WorkerError(f"its process ended: {self._last_words()}")
            if line.startswith("@"):
                return dict(json.loads(line[1:]))
        raise WorkerError(f"no answer in {TIMEOUT:.0f} s")

    def ask(self, *command: Any) -> dict[str, Any]:
        """Its answer to a command."""
        if self.process.stdin is None or self.process.poll() is not None:
            raise WorkerError(f"its process ended: {self._last_words()}")
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process, and those it started, which are in its group; remove its caches."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.log):
            if pipe is not None:
                pipe.close()
        shutil.rmtree(self.own, ignore_errors=True)

    def _last_words(self) -> str:
        self.log.flush()
        self.log.seek(0)
        lines = [line.strip() for line in self.log.read().splitlines() if line.strip()]
        return lines[-1][:300] if lines else "it said nothing"


def worker_environment(own: Path, threads: int, cache: Path | None) -> dict[str, str]:
    """The environment of a worker: so many threads, no accelerator, caches in its own folder."""
    counted = ("OPENBLAS", "OMP", "MKL", "NUMEXPR", "VECLIB")
    return {
        **os.environ,
        **{f"{library}_NUM_THREADS": str(threads) for library in counted},
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")])),
        "XDG_CACHE_HOME": str(own / "cache"),
        "FALLLINE_CACHE": str(cache or own / "fallline"),
        "TORCHINDUCTOR_CACHE_DIR": str(own / "inductor"),
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
        "JAX_PLATFORMS": "cpu",
        "CUDA_VISIBLE_DEVICES": "",
    }


def thread_counts(name: str) -> list[int]:
    """The numbers of threads to time a contender on: at most as many as there are processors."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return sorted({min(count, usable) for count in CONTENDERS[name].thread_counts})
