"""The part of `make demo` that is no command line."""

import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"


def test_the_demo_looks_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "path", [str(SCRIPTS), *sys.path])
    import demo

    monkeypatch.setattr(demo, "DEMO", tmp_path)
    demo.look_inside()
    for name in ("backpropagation.svg", "gradient-descent.svg"):
        assert (tmp_path / name).read_text(encoding="utf-8").startswith("<svg")
    told = capsys.readouterr().out
    assert f"{demo.WEIGHT_LAYER}[" in told
    assert "dL/dw = Σ activation × delta" in told
    assert "w′ ← w − η · g" in told
