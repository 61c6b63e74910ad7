"""The pages: who is fastest, what is met, what failed or was absent; the picture; sizes on disk."""

import math
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from benchmarks import bench_memory, bench_start
from benchmarks.bench_memory import Peak, memory_table
from benchmarks.bench_speed import Result, chosen, panel, summary, table
from benchmarks.bench_start import line
from benchmarks.disk import installed
from benchmarks.harness import Measured
from benchmarks.jobs import JobError
from benchmarks.speed_plot import Bar, Panel, speed_picture
from benchmarks.works import WORKS


def timed(name: str, threads: int, micros: float, foreign: float = 0.0) -> Measured:
    blocks = [(micros * factor, foreign) for factor in (0.9, 1.0, 1.1)]
    return Measured(name, threads, cold=1.5, compiling=0.25, blocks=blocks, peak=123_400_000)


RESULT = Result(
    WORKS["small"],
    [
        timed("fallline", 1, 15.0),
        timed("fallline", 2, 14.0),
        timed("jax-scan", 1, 42.0),
        timed("torch-eager", 2, 270.0, foreign=9.0),
        Measured("numpy", 1, problem="its losses differ from float64 by 0.5 of their mean", blocks=[(1.0, 0.0)]),
    ],
    {"torch-compile": "no C++ compiler, which it needs"},
)


def test_the_better_threads_and_the_fastest_sound_peer_count() -> None:
    rows = summary([RESULT]).splitlines()[2:]
    title = "30-64-64-2, batch 32, momentum"
    assert rows == [
        f"| {title} | 14.0 | the fastest peer: JAX, lax.scan | 42.0 | 3.00 | 2 | met, of those timed |",
        f"| {title} | 14.0 | PyTorch eager | 270 | 19.29 | 20 | **not met** |",
    ]


def test_a_target_is_met_when_every_peer_was_timed() -> None:
    peers = ("jax-scan", "jax-step", "torch-eager", "torch-compile", "numpy", "sklearn-mlp")
    whole = Result(WORKS["digits"], [timed("fallline", 1, 10.0), *(timed(name, 1, 30.0) for name in peers)], {})
    assert summary([whole]).endswith("| 30.0 | 3.00 | 2.2 | met |")


def test_a_target_without_its_peer_is_not_measured() -> None:
    jax = [timed("jax-step", 1, 80.0), timed("jax-scan", 1, 90.0)]
    softmax = Result(WORKS["softmax"], [timed("fallline", 1, 20.0), *jax], {})
    rows = summary([softmax]).splitlines()[2:]
    assert rows[0].endswith("| 20.0 | JAX, jit per step | 80.0 | 4.00 | 3 | met |")
    assert rows[1].endswith("| 20.0 | Vowpal Wabbit | – | – | 1 | not measured |")
    ours = Result(WORKS["softmax"], [Measured("fallline", 1, problem="broke"), timed("jax-step", 1, 80.0)], {})
    assert summary([ours]).splitlines()[2].endswith("| – | JAX | – | – | 3 | not measured |")


def test_the_table_has_everyone() -> None:
    rows = table(RESULT).splitlines()[2:]
    assert rows[0] == "| **Fallline** | 2 | 14.0 | 1.00 | 12.6–15.4 | 0.2 | 1.5 | 123 |"
    assert rows[3] == "| PyTorch eager | 2 | 270 ~ | 19.29 | 243–297 | 0.2 | 1.5 | 123 |"
    failed = "failed: its losses differ from float64 by 0.5 of their mean"
    assert rows[4] == f"| NumPy by hand | 1 | {failed} | – | – | – | – | – |"
    absent = "left out: no C++ compiler, which it needs"
    assert rows[5] == f"| torch.compile | – | {absent} | – | – | – | – | – |"


def test_unknown_names_are_refused() -> None:
    with pytest.raises(JobError, match=r"There is no work called smal; there is: small, digits\."):
        chosen(["smal"], ["small", "digits"], "work")


def test_the_picture_has_a_bar_for_each_time_and_words_for_a_failure() -> None:
    drawn = panel(RESULT)
    assert [bar.label for bar in drawn.bars] == ["Fallline", "JAX, lax.scan", "PyTorch eager", "NumPy by hand"]
    assert math.isnan(drawn.bars[-1].value)
    picture = speed_picture([drawn, Panel("Another", [Bar("Fallline", 3.0, ours=True)]), drawn])
    root = ET.fromstring(picture)
    space = "{http://www.w3.org/2000/svg}"
    texts = [element.text for element in root.iter(f"{space}text")]
    assert texts.count("failed the check of its losses") == 2
    assert {"14.0", "42.0", "270", "3.00", "Another"} <= set(texts)
    bars = [e for e in root.iter(f"{space}rect") if e.attrib["class"] in ("f-blue", "f-band8")]
    widths = [float(bar.attrib["width"]) for bar in bars]
    assert widths[1] / widths[0] == pytest.approx(3.0, rel=1e-3)
    assert widths[2] / widths[0] == pytest.approx(270 / 14, rel=1e-3)
    edges = [float(bar.attrib["x"]) + float(bar.attrib["width"]) for bar in bars]
    assert max(edges) < float(root.attrib["width"])
    assert "nan" not in picture
    assert "prefers-color-scheme:dark" in picture


def test_lines_of_the_start_page() -> None:
    assert line("Fallline", [0.5, 0.9, 0.7], 0.6) == "| Fallline | 0.70 | 0.50–0.90 | at most 0.6 | **not met** |"
    assert line("JAX", [1.25], 0.0) == "| JAX | 1.25 | 1.25–1.25 | – |  |"
    assert line("JAX", [], 0.0, "jax not installed") == "| JAX | left out: jax not installed | – | – | – |"
    assert line("Fallline", [0.1], 1.0, "it broke") == "| Fallline | failed: it broke | – | 1 | – |"
    labels = [start.label for start in bench_start.rows(Path("cache"))]
    assert labels[:2] == ["Fallline, nothing cached", "Fallline, programs cached by an earlier process"]


def test_memory_is_compared_with_pytorch() -> None:
    peaks = [Peak("fallline", 150_000_000), Peak("torch-eager", 400_000_000), Peak("jax-scan", problem="it broke")]
    rows = memory_table(peaks).splitlines()[2:5]
    assert rows == [
        "| **Fallline** | 150 | 0.38 | at most 0.5 | met |",
        "| PyTorch eager | 400 | 1.00 | – | |",
        "| JAX, lax.scan | it broke | – | – | |",
    ]
    alone = memory_table(peaks[:1]).splitlines()[2]
    assert alone == "| **Fallline** | 150 | – | at most 0.5 | not measured |"


def test_without_mnist_the_page_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bench_memory, "DATA", tmp_path / "none")
    assert bench_memory.memory_part() == f"Skipped: the MNIST files are not in `{tmp_path / 'none'}`."


def test_a_package_takes_what_its_files_and_its_requirements_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def install(name: str, size: int, *requires: str) -> None:
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        (tmp_path / f"{name}.py").write_bytes(b"#" * size)
        lines = "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{lines}")
        (folder / "RECORD").write_text(f"{name}.py,,\n{name}.py,,\ngone_{name}.py,,\n")

    install("benchtop", 1000, "bench_middle>=1", 'benchextra; extra == "more"', "bench-absent")
    install("bench_middle", 200, "benchleaf", "benchtop")
    install("benchleaf", 30, 'benchextra; python_version < "3"')
    install("benchextra", 4)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert installed("benchtop") == {"benchtop": 1000, "bench-middle": 200, "benchleaf": 30}
    assert installed("benchtop", without="benchtop") == {"bench-middle": 200, "benchleaf": 30}
