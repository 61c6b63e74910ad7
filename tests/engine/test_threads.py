"""Several threads in one native function: all of them, one call at a time, whatever interrupts or forks."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fallline
from fallline.engine import threads
from fallline.engine.native import NativeModule, compile_module
from fallline.engine.threads import default_threads, run_on, set_threads, usable_cores
from fallline.errors import ArgumentError

SLOTS = 64
# Each thread: slot[thread] += threads; then it waits until gate ≠ 0; then last[thread] = 1.
TEXT = f"""
declare i32 @sched_yield()
define void @f(ptr %c, i64 %thread, i64 %threads) {{
  %here = getelementptr i64, ptr %c, i64 %thread
  %old = load i64, ptr %here, align 8
  %new = add i64 %old, %threads
  store i64 %new, ptr %here, align 8
  %gate = getelementptr i64, ptr %c, i64 {SLOTS}
  %ends = getelementptr i64, ptr %c, i64 {SLOTS + 1}
  %end = getelementptr i64, ptr %ends, i64 %thread
  br label %again
again:
  %seen = load atomic i64, ptr %gate acquire, align 8
  %closed = icmp eq i64 %seen, 0
  br i1 %closed, label %wait, label %out
wait:
  %y = call i32 @sched_yield()
  br label %again
out:
  store atomic i64 1, ptr %end release, align 8
  ret void
}}
; The number of threads inside is kept in slot 0, and the largest number seen in slot 1.
define void @inside(ptr %c, i64 %thread, i64 %threads) {{
  %most = getelementptr i64, ptr %c, i64 1
  %before = atomicrmw add ptr %c, i64 1 seq_cst, align 8
  %now = add i64 %before, 1
  %m = atomicrmw max ptr %most, i64 %now seq_cst, align 8
  %y = call i32 @sched_yield()
  %after = atomicrmw sub ptr %c, i64 1 seq_cst, align 8
  ret void
}}
"""


@pytest.fixture(scope="module", autouse=True)
def module() -> NativeModule:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FALLLINE_CACHE", "off")
        return compile_module(TEXT)


class Context:
    """Slots, a gate and signs of the end."""

    def __init__(self, is_open: bool = True) -> None:
        self.memory = np.zeros(2 * SLOTS + 1, dtype=np.int64)
        self.memory[SLOTS] = is_open
        self.address = self.memory.ctypes.data

    def open(self) -> None:
        self.memory[SLOTS] = 1

    def called(self, count: int) -> bool:
        """Whether exactly the threads 0 … count − 1 ran once, and have ended."""
        wanted = [count] * count + [0] * (SLOTS - count)
        ended = [1] * count + [0] * (SLOTS - count)
        return self.memory[:SLOTS].tolist() == wanted and self.memory[SLOTS + 1 :].tolist() == ended


def run_well(module: NativeModule, count: int) -> bool:
    context = Context()
    run_on(count, module.address("f"), context.address)
    return context.called(count)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 17, 64])
def test_every_thread_calls_once_with_its_number(module: NativeModule, count: int) -> None:
    for _ in range(5):
        assert run_well(module, count)
        assert run_well(module, 2)


def test_threads_stay_and_are_used_again(module: NativeModule) -> None:
    assert run_well(module, 4)
    before = {thread.ident for thread in threading.enumerate()}
    for _ in range(200):
        assert run_well(module, 4)
    assert {thread.ident for thread in threading.enumerate()} == before
    assert all(thread.daemon for thread in threading.enumerate() if thread.name.startswith("fallline-"))


def test_one_call_at_a_time(module: NativeModule) -> None:
    memory = np.zeros(2, dtype=np.int64)

    def call(number: int) -> None:
        for _ in range(40):
            run_on(3, module.address("inside"), memory.ctypes.data)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(call, range(4)))
    assert memory[0] == 0
    assert 1 <= memory[1] <= 3


def test_one_thread_needs_no_turn(module: NativeModule) -> None:
    context, alone = Context(is_open=False), Context()
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(run_on, 2, module.address("f"), context.address)
        while not context.memory[0]:
            pass
        run_on(1, module.address("f"), alone.address)
        assert alone.called(1)
        context.open()
        other.result()
    assert context.called(2)


def interrupt_inside(context: Context, times: int, everyone: int) -> None:
    """From another thread: signals while the native call runs, then its end."""
    while (context.memory[:everyone] == 0).any():
        pass
    for _ in range(times):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.0002)  # for the signal to be handled before the next one
    context.open()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
@pytest.mark.parametrize("count", [2, 5])
def test_an_interruption_comes_when_all_threads_are_done(module: NativeModule, count: int) -> None:
    context = Context(is_open=False)
    other = threading.Thread(target=interrupt_inside, args=(context, 1, count))
    other.start()
    with pytest.raises(KeyboardInterrupt):
        run_on(count, module.address("f"), context.address)
    other.join()
    assert context.called(count)
    assert run_well(module, count)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
def test_a_wait_that_is_interrupted_again_and_again_ends_with_the_others(
    module: NativeModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    native = threads.NATIVE(module.address("f"))
    context = Context(is_open=False)

    def call(address: int, thread: int, count: int) -> None:
        if thread:
            native(address, thread, count)
        else:  # the caller's own part ends at once, so that it waits for the others
            context.memory[0] = count

    other = threading.Thread(target=interrupt_inside, args=(context, 20, 3))
    other.start()
    with monkeypatch.context() as patched:
        patched.setattr(threads, "_function", lambda address: call)
        with pytest.raises(KeyboardInterrupt):
            run_on(3, 0, context.address)
    other.join()
    context.memory[SLOTS + 1] = 1
    assert context.called(3)
    assert run_well(module, 3)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_has_threads_of_its_own(module: NativeModule) -> None:
    assert run_well(module, 3)
    held = Context(is_open=False)
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(run_on, 3, module.address("f"), held.address)
        while (held.memory[:3] == 0).any():
            pass
        with warnings.catch_warnings():  # newer Pythons warn whoever forks beside threads: that is what is tested
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            code = 1
            try:
                text = "define i64 @g() {\n ret i64 7\n}"
                seven = compile_module(text).function("g", ctypes.c_int64)()
                code = 0 if run_well(module, 4) and seven == 7 else 2
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        held.open()
        other.result()
    assert os.waitstatus_to_exitcode(status) == 0
    assert held.called(3)


def test_the_process_ends_while_others_compute() -> None:
    code = f"""
import sys, threading; sys.path.insert(0, {str(Path(fallline.__file__).parents[1])!r})
import numpy as np
from fallline.engine.native import compile_module
from fallline.engine.threads import run_on
module = compile_module('''{TEXT}''')
memory = np.zeros({2 * SLOTS + 1}, dtype=np.int64)
memory[{SLOTS}] = 1
def work():
    while True:
        run_on(2, module.address("f"), memory.ctypes.data)
threading.Thread(target=work, daemon=True).start()
while memory[0] < 100:
    pass
print("done")
"""
    environment = {**os.environ, "FALLLINE_CACHE": "off"}
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=environment
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_a_system_that_refuses_threads_is_told(module: NativeModule, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    assert run_well(module, 2)
    monkeypatch.setattr(threads, "_workers", threads._workers[:1])
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(
            ArgumentError, match=r"^this system allows 2 threads here, not 6 \(can't start new thread\); use fewer$"
        ):
            run_on(6, 0, 0)
    assert run_well(module, 2)


@pytest.fixture
def _as_before() -> Any:
    yield
    set_threads(None)


@pytest.mark.usefixtures("_as_before")
def test_the_number_of_threads_can_be_chosen() -> None:
    assert default_threads() == usable_cores()
    set_threads(3)
    assert default_threads() == 3
    set_threads(np.int64(5))  # type: ignore[arg-type]
    assert type(default_threads()) is int
    set_threads(None)
    assert default_threads() == usable_cores()


@pytest.mark.parametrize("wrong", [0, -1, 1025, 2.0, "2", True])
def test_a_wrong_number_of_threads_is_told(wrong: Any) -> None:
    with pytest.raises(
        ArgumentError,
        match=r"^set_threads: n must be a whole number from 1 to 1024, or None for as many as there are cores; found ",
    ):
        set_threads(wrong)
    assert default_threads() == usable_cores()


def system(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


V2 = "sys/fs/cgroup"
V1 = "sys/fs/cgroup/cpu"


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 8),
        ({"proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": "max 100000\n"}, 8),
        ({"proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": "300000 100000\n"}, 3),
        ({"proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": "150000 100000\n"}, 1),
        ({"proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": "50000 100000\n"}, 1),
        ({"proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": "6400000 100000\n"}, 8),
        ({"proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": "nonsense\n"}, 8),
        ({"proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": "1 0\n"}, 8),
        ({"proc/self/cgroup": "nonsense\n"}, 8),
        # the group has no limit of its own, but the one above it has
        ({"proc/self/cgroup": "0::/a/b\n", f"{V2}/a/b/cpu.max": "max 100000", f"{V2}/a/cpu.max": "400000 100000"}, 4),
        ({"proc/self/cgroup": "0::/a/b\n", f"{V2}/a/b/cpu.max": "2000 1000", f"{V2}/a/cpu.max": "400000 100000"}, 2),
        # a container that sees its own group as the root, and the host's path
        ({"proc/self/cgroup": "0::/docker/123\n", f"{V2}/cpu.max": "500000 100000"}, 5),
        ({"proc/self/cgroup": "0::/../../x\n", f"{V2}/cpu.max": "500000 100000"}, 5),
        (
            {
                "proc/self/cgroup": "5:memory:/m\n4:cpu,cpuacct:/box\n0::/\n",
                f"{V1}/box/cpu.cfs_quota_us": "200000\n",
                f"{V1}/box/cpu.cfs_period_us": "100000\n",
            },
            2,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/\n",
                f"{V2}/cpu,cpuacct/cpu.cfs_quota_us": "600000\n",
                f"{V2}/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            6,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu:/\n",
                f"{V1}/cpu.cfs_quota_us": "-1\n",
                f"{V1}/cpu.cfs_period_us": "100000\n",
            },
            8,
        ),
        ({"proc/self/cgroup": "4:cpuset:/\n", "sys/fs/cgroup/cpuset/cpu.max": "100000 100000"}, 8),
    ],
)
def test_the_usable_cores_are_the_least_of_all_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], cores: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    assert usable_cores(system(tmp_path, files)) == cores


def test_the_usable_cores_of_this_machine() -> None:
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)
