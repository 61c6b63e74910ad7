"""How much memory there is, from made-up systems, and what is said to a training that needs more."""

from pathlib import Path

import numpy as np
import pytest

import fallline as fl
from fallline import nn, optim
from fallline.engine import memory
from fallline.engine.memory import available_memory, in_units, refuse_if_too_large

V2, V1 = "sys/fs/cgroup", "sys/fs/cgroup/memory"
MEMINFO = "MemTotal:       32000 kB\nMemFree:         1000 kB\nMemAvailable:   16000 kB\n"
GB = 10**9


def system(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


@pytest.mark.parametrize(
    ("files", "available"),
    [
        ({}, None),
        ({"proc/meminfo": "nonsense\nMemAvailable:\nMemAvailable: many kB\n"}, None),
        ({"proc/meminfo": MEMINFO}, 16_384_000),
        ({"proc/meminfo": MEMINFO, "proc/self/cgroup": "0::/\n", f"{V2}/memory.max": "max\n"}, 16_384_000),
        (
            {
                "proc/meminfo": MEMINFO,
                "proc/self/cgroup": "0::/box\n",
                f"{V2}/box/memory.max": "5000000\n",
                f"{V2}/box/memory.current": "4000000\n",
                f"{V2}/box/memory.stat": "anon 1\ninactive_file 300000\nodd line here\n",
            },
            1_300_000,
        ),
        (  # a parent's limit counts, too
            {
                "proc/self/cgroup": "0::/a/b\n",
                f"{V2}/a/memory.max": "2000\n",
                f"{V2}/a/memory.current": "500\n",
                f"{V2}/a/b/memory.max": "9000\n",
                f"{V2}/a/b/memory.current": "100\n",
            },
            1500,
        ),
        (  # the old kind of groups
            {
                "proc/meminfo": MEMINFO,
                "proc/self/cgroup": "5:cpu:/x\n4:memory:/box\n0::/\n",
                f"{V1}/box/memory.limit_in_bytes": "900000\n",
                f"{V1}/box/memory.usage_in_bytes": "500000\n",
                f"{V1}/box/memory.stat": "cache 7\ntotal_inactive_file 100000\n",
            },
            500_000,
        ),
        (  # used beyond the limit
            {
                "proc/self/cgroup": "0::/\n",
                f"{V2}/memory.max": "100\n",
                f"{V2}/memory.current": "200\n",
            },
            0,
        ),
    ],
)
def test_the_least_that_any_limit_leaves_is_available(
    tmp_path: Path, files: dict[str, str], available: int | None
) -> None:
    assert available_memory(system(tmp_path, files)) == available


def test_this_machine_has_some_memory() -> None:
    found = available_memory()
    assert found is None or found > 1_000_000


@pytest.mark.parametrize(
    ("size", "told"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1 kB"), (1536, "1.54 kB"), (999_600, "1 MB"), (22.5 * GB, "22.5 GB"),
     (3e18, "3e+03 PB")],
)  # fmt: skip
def test_sizes_are_told_in_units(size: float, told: str) -> None:
    assert in_units(size) == told


def test_what_does_not_fit_is_refused_with_the_numbers(tmp_path: Path) -> None:
    root = system(tmp_path, {"proc/meminfo": "MemAvailable: 4000000 kB\n"})
    refuse_if_too_large(4 * GB, GB // 100, 1000, root)
    with pytest.raises(fl.ArgumentError) as refused:
        refuse_if_too_large(12 * GB, GB // 2, 100_000, root)
    assert str(refused.value) == (
        "a training step of 100,000 rows needs 12 GB of memory for its intermediate results and 500 MB for weights and "
        "optimizer state, but 4.1 GB are available; use a smaller batch_size, or a smaller network"
    )
    with pytest.raises(fl.ArgumentError, match=r"but 4\.1 GB are available; use a smaller network$"):
        refuse_if_too_large(GB, 5 * GB, 1, root)


def test_small_programs_and_silent_systems_are_not_held_up(tmp_path: Path) -> None:
    refuse_if_too_large(10**15, 0, 1, tmp_path)  # nobody tells what is available
    root = system(tmp_path, {"proc/meminfo": "MemAvailable: 0 kB\n"})
    refuse_if_too_large(memory.ALWAYS_FITS, 0, 1, root)


def test_fit_refuses_before_it_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "ALWAYS_FITS", 0)
    monkeypatch.setattr(memory, "available_memory", lambda root: 1000)
    net = nn.Sequential(nn.Linear(4, 3), seed=0)
    before = net.parameters()
    with pytest.raises(
        fl.ArgumentError, match=r"^a training step of 8 rows needs .* kB of memory .* 1 kB are available"
    ):
        fl.fit(net, np.zeros((20, 4)), np.zeros(20, dtype=int), optimizer=optim.SGD(lr=0.1), batch_size=8, epochs=1)
    assert all(np.array_equal(before[name], value) for name, value in net.parameters().items())
