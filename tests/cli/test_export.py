"""`fallline export`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import fallline as fl
from fallline import nn
from fallline.export import onnx_inputs

Cli = Callable[..., Any]


@pytest.mark.parametrize("target", ["kind", "price"])
def test_a_run_is_exported(target: str, cli: Cli, models: dict[str, Path], shop: Path) -> None:
    code, out, err = cli("export", models[target], "--onnx", "model.onnx")
    assert (code, err) == (0, "")
    assert "compared    256 rows in onnxruntime" in out
    assert "size: float64 (rows,)" in out
    assert "The column 'day' cannot be encoded by ONNX operators (dates and free text)" in out.replace("\n", " ")
    model = fl.load(models[target] / "model.safetensors")
    found = onnxruntime.InferenceSession("model.onnx").run(None, onnx_inputs(model, shop))
    if target == "price":
        np.testing.assert_allclose(found[0], model.predict(shop), rtol=1e-5)
    else:
        np.testing.assert_array_equal(found[0], model.predict(shop))
        np.testing.assert_allclose(found[1], model.predict_proba(shop), rtol=1e-5)


def test_json_is_one_line(cli: Cli, models: dict[str, Path], shop: Path) -> None:
    code, out, err = cli("export", models["kind"], "--onnx", "model.onnx", "--sample", shop, "--json")
    assert (code, err, out.count("\n")) == (0, "", 1)
    told = json.loads(out)
    assert told["difference"] <= 1e-5
    assert {**told, "difference": 0} == {
        "onnx": "model.onnx",
        "inputs": ["size", "weight", "colour", "fresh", "day"],
        "outputs": ["label", "probabilities"],
        "encoded": ["day"],
        "rows": 60,
        "difference": 0,
    }


def test_a_network_made_in_python(cli: Cli, refused: Callable[..., str], tmp_path: Path) -> None:
    nn.Sequential(nn.Linear(3, 2), nn.Tanh()).save(tmp_path / "net.safetensors")
    assert cli("export", "net.safetensors", "--onnx", "net.onnx").code == 0
    assert refused("export", "net.safetensors", "--onnx", "other.onnx", "--sample", "iris") == (
        "'net.safetensors' is a network without encoders: give it rows in Python, by fl.export_onnx"
    )


def test_mistakes(refused: Callable[..., str], models: dict[str, Path]) -> None:
    assert refused("export", models["kind"]).startswith("Missing option '--onnx'")
    assert refused("export", "nowhere", "--onnx", "a.onnx").startswith("there is no model file 'nowhere'")
    assert refused("export", models["kind"], "--onnx", "no/a.onnx").startswith("cannot write 'no/a.onnx': No such file")
    assert "lacks 5 columns" in refused("export", models["kind"], "--onnx", "a.onnx", "--sample", "iris")
