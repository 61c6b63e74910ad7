"""What processes take is told per process, of a process's children and theirs, too."""

import os
import subprocess
import sys

import pytest
from benchmarks.lab_pages import descendants, processor_seconds, since

WORKS = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
print(child.pid, flush=True)
input()
while time.process_time() < 0.3: pass
print("done", flush=True)
input()
child.communicate()
"""

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def test_processor_time_of_a_process_and_its_child() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WORKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert descendants(process.pid) == [child]
        assert {process.pid, child} <= set(descendants(os.getpid()))
        before = processor_seconds([process.pid, child])
        assert set(before) == {process.pid, child}
        process.stdin.write("\n")
        assert process.stdout.readline() == "done\n"
        taken = since(before, processor_seconds([process.pid, child]))
        assert 0.1 < taken < 0.5
        process.stdin.write("\n")
    assert processor_seconds([process.pid, child]) == {}
    assert since(before, {}) == 0.0
