"""Threads decide how fast a program is, never what it computes; more of them than cores are slow, never stuck."""

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fallline import nn
from fallline.engine.compiled import CompiledProgram
from fallline.engine.target import host_target, restricted, using_target
from fallline.ir.graph import Graph
from fallline.nn.losses import get
from fallline.nn.trace import DENOMINATOR, SEED, STEP, X, Y, values_of
from fallline.training.step import build_graph, check_rows

NETWORKS = {
    "wide": lambda: nn.Sequential(
        nn.Linear(30, 100), nn.ReLU(), nn.Linear(100, 70), nn.Tanh(), nn.Linear(70, 10), seed=1
    ),
    "normalised": lambda: nn.Sequential(
        *(nn.Linear(30, 40), nn.BatchNorm(40), nn.GELU(), nn.Dropout(0.2), nn.Linear(40, 40), nn.LayerNorm(40)),
        *(nn.SiLU(), nn.Linear(40, 3)),
        seed=1,
    ),
    "narrow": lambda: nn.Sequential(nn.Linear(30, 5), nn.Sigmoid(), nn.Linear(5, 1), seed=1),
}


def step(name: str, rows: int) -> tuple[Graph, dict[str, Any]]:
    net, rng = NETWORKS[name](), np.random.default_rng(rows)
    outputs = int(net.parameters()[list(net.parameters())[-1]].shape[0])
    loss, y = ("mse", rng.normal(size=(rows, 1))) if outputs == 1 else ("cross_entropy", rng.integers(0, outputs, rows))
    data = check_rows(net, rng.normal(size=(rows, 30)), y, get(loss), None, "float32", "test")
    given = {
        **values_of(net),
        X: data.x,
        Y: data.y,
        DENOMINATOR: np.float32(rows),
        SEED: np.int64(3),
        STEP: np.int64(5),
    }
    return build_graph(net, data, get(loss), training=True, backward=True), given


@pytest.mark.parametrize("rows", [5, 100, 130])
@pytest.mark.parametrize("name", NETWORKS)
def test_any_number_of_threads_gives_the_same_bits(oracle: SimpleNamespace, name: str, rows: int) -> None:
    graph, given = step(name, rows)
    alone = CompiledProgram(graph, {"n": rows}, threads=1)
    assert alone.compiled.text.stages > 2, "threads must have to meet"
    wanted = alone(given)
    for threads in (2, 3, 4, 8):
        program = CompiledProgram(graph, {"n": rows}, threads=threads)
        for _ in range(5):
            oracle.all_same_bits(program(given), wanted)


@pytest.mark.parametrize("name", NETWORKS)
def test_avx2_gives_the_bits_of_avx_512(oracle: SimpleNamespace, name: str) -> None:
    host = host_target()
    if not host.is_x86 or host.vector_bytes < 64:
        pytest.skip(f"needs AVX-512 to compare AVX2 with, and {host.cpu} has none")
    graph, given = step(name, 50)
    wanted = CompiledProgram(graph, {"n": 50})(given)
    with using_target(restricted(host, "avx2")):
        program = CompiledProgram(graph, {"n": 50}, threads=2)
    oracle.all_same_bits(program(given), wanted)


CROWDED = """
import os
import numpy as np
import fallline as fl
from fallline import nn, optim
from fallline.engine.threads import set_threads

if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
set_threads(4)
rng = np.random.default_rng(0)
net = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 3), seed=0)
x, y = rng.normal(size=(96, 8)), rng.integers(0, 3, 96)
run = fl.fit(net, x, y, loss="cross_entropy", optimizer=optim.SGD(0.05), batch_size=16, epochs=60, threads=4)
print(len(run.steps["loss"]), run.history["loss"][-1].hex())
"""


def test_more_threads_than_cores_are_never_stuck() -> None:
    """360 steps on four threads and one core, in a process of its own: if it hangs, this test fails in the end."""
    crowd, alone = (
        subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=250)
        for script in (CROWDED, CROWDED.replace("4)", "1)"))
    )
    assert crowd.returncode == 0, crowd.stderr
    assert crowd.stdout.split()[0] == "360"
    assert crowd.stdout == alone.stdout
