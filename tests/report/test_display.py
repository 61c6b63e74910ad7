"""Runs and networks in a notebook: small tables, no script, nothing from outside that could be markup."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline import nn, optim
from fallline.nn.module import Module


class Table(HTMLParser):
    """The cells of a table by rows; reading it asserts that it holds nothing but a table."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.caption = ""
        self.inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ("table", "caption", "thead", "tbody", "tr", "th", "td")
        assert {name for name, _ in attrs} <= {"style"}
        self.inside = tag
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.inside == "caption":
            self.caption += data
        else:
            self.rows[-1][-1] += data


def test_a_network_shows_its_layers_and_weights() -> None:
    net = nn.Sequential(nn.Linear(64, 128), nn.BatchNorm(128), nn.ReLU(), nn.Linear(128, 10))
    shown = Table(net._repr_html_())
    numbers = sum(buffer.size for buffer in net.buffers().values())
    assert shown.caption == f"Sequential: 9,866 weights in 4 layers, and {numbers} numbers kept beside them"
    assert shown.rows[0] == ["name", "layer", "weights", "numbers"]
    assert shown.rows[1] == ["0", "Linear(64, 128)", "weight 64×128, bias 128", "8,320"]
    assert shown.rows[3][0] == "2"
    assert shown.rows[3][2:] == ["", "–"]
    assert shown.rows[4] == ["3", "Linear(128, 10)", "weight 128×10, bias 10", "1,290"]
    assert all(parameter.value is None for parameter in net.named_parameters().values())  # showing draws nothing


def test_a_network_of_ones_own_shows_what_is_inside() -> None:
    class Residual(Module):
        def __init__(self) -> None:
            self.scale = nn.module.Parameter((3,), "ones")
            self.inner = nn.Linear(3, 3)

        def __call__(self, x: Any) -> Any:
            return x + self.scale * self.inner(x)

    names = [row[0] for row in Table(Residual()._repr_html_()).rows]
    assert names == ["name", "(itself)", "inner"]


def test_a_network_from_a_file_shows_the_layers_it_had(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    net.predict(np.zeros((1, 2)))
    net.save(tmp_path / "net.safetensors")
    rows = Table(fl.load(tmp_path / "net.safetensors")._repr_html_()).rows[1:]
    assert [row[0] for row in rows] == ["0", "2"]
    assert [row[2] for row in rows] == ["weight 2×3, bias 3", "weight 3×1, bias 1"]


def test_a_deep_network_is_cut_and_says_so() -> None:
    shown = Table(nn.Sequential(*(nn.Linear(1, 1) for _ in range(70)))._repr_html_())
    assert len(shown.rows) == 61
    assert shown.caption.endswith("140 weights in 70 layers; the first 60 layers are shown")


def test_a_run_shows_how_it_ended() -> None:
    x, y = np.arange(24.0).reshape(12, 2) / 12.0, np.arange(12) % 2
    net = nn.Sequential(nn.Linear(2, 2), seed=0)
    run = fl.fit(net, x, y, optimizer=optim.Adam(lr=0.02), epochs=3, batch_size=4, validation=0.25, progress=False)
    cells = dict(Table(run._repr_html_()).rows)  # type: ignore[arg-type]
    assert cells["network"] == "Sequential, 6 weights"
    assert cells["update rule"] == "Adam, learning rate 0.02"
    assert cells["epochs"] == "3 (9 steps)"
    assert float(cells["loss"]) == pytest.approx(run.history["loss"][-1], rel=1e-3)
    assert cells["stopped by"] == "epochs"
    assert "run folder" not in cells


def test_hostile_words_stay_words() -> None:
    evil = "<script>alert(1)</script>"
    x, y = np.arange(24.0).reshape(12, 2) / 12.0, np.arange(12) % 2
    run = fl.fit(nn.Sequential(nn.Linear(2, 2)), x, y, epochs=1, progress=False)
    run.history[evil], run.problem, run.stopped = [1.0], evil, evil
    for html in (run._repr_html_(), str(run.plot())):
        assert "<script" not in html
        assert "&lt;script&gt;" in html
    Evil = type(evil, (nn.Linear,), {})
    assert "<script" not in nn.Sequential(Evil(2, 2))._repr_html_()
