"""Networks made in Python, exported: every layer, odd ones, random ones, any number of rows."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline import nn, optim
from fallline.nn.activations import ACTIVATIONS, by_name
from fallline.ops.tensor import Tensor, apply

Run = Callable[..., dict[str, Any]]


class Function(nn.Module):
    """A function of the rows as a network."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def __call__(self, x: Tensor) -> Any:
        return self.function(x)


def _sized(x: Any) -> Any:
    return x * apply("dim_size", dim=x.shape[0], dtype=x.dtype)


def _numbered(x: Any) -> Any:
    return x + apply("iota", size=x.shape[0], dtype=x.dtype).reshape(x.shape[0], 1)


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "reshape, with rows in front": lambda x: (x.reshape(-1) * 2.0).reshape(x.shape[0], 3, 2),
    "transpose": lambda x: x.T.T + fl.transpose(x.reshape(x.shape[0], 2, 3), (0, 2, 1)).reshape(x.shape),
    "slice with a step": lambda x: x[:, 1::2],
    "concatenate": lambda x: fl.concatenate([x[:, :2], x, x[:, 5:]], axis=1),
    "stack": lambda x: fl.stack([x, -x], axis=1),
    "mean over rows": lambda x: x - fl.mean(x, axis=0),
    "max over rows": lambda x: x - fl.max(x, axis=0),
    "how many rows": _sized,
    "the rows' numbers": _numbered,
    "softmax": fl.softmax,
    "logsumexp": lambda x: fl.logsumexp(x, axis=-1),
    "where": lambda x: fl.where(x > 0.5, x, fl.where(x == 0.0, 1.0, -x * x)),
    "broadcast of both sides": lambda x: x[:, :1] * 1.0 + fl.broadcast(x[:, 1:2], (x.shape[0], 4)),
    "power": lambda x: fl.absolute(x) ** 1.5 + x**2,
    "one constant for all": lambda x: x * 0.0 + 1.0,
    "the rows themselves": lambda x: x,
    "clipped to whole numbers": lambda x: fl.one_hot(fl.clip(x[:, 0], 0, 3).astype("int64"), 4),
    "products of batches": lambda x: x.reshape(x.shape[0], 2, 3) @ x.reshape(x.shape[0], 3, 2),
    "a gradient within": lambda x: fl.grad(lambda z: fl.sum(fl.tanh(z[:, ::2]) * z[:, :3]))(x),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_of_rows(name: str, tmp_path: Path, run_file: Run) -> None:
    net = Function(FUNCTIONS[name])
    sample = np.random.default_rng(0).normal(size=(5, 6))
    done = fl.export_onnx(net, tmp_path / "net.onnx", sample)
    assert (done.rows, done.difference <= 1e-6) == (5, True)
    for rows in (1, 2, 40):
        x = np.random.default_rng(rows).normal(size=(rows, 6)).astype(np.float32)
        found = run_file(tmp_path / "net.onnx", {"x": x})["outputs"]
        np.testing.assert_allclose(found, net.predict(x), rtol=2e-6, atol=2e-6, strict=True)


LAYERS: dict[str, Callable[[], nn.Module]] = {
    **{name: lambda name=name: by_name(name) for name in ACTIVATIONS},  # type: ignore[misc]
    "batch norm": lambda: nn.BatchNorm(6),
    "layer norm": lambda: nn.LayerNorm(6),
    "dropout": lambda: nn.Dropout(0.5),
    "flatten": nn.Flatten,
    "linear without bias": lambda: nn.Linear(6, 6, bias=False),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_that_was_trained(name: str, dtype: Any, tmp_path: Path, run_file: Run) -> None:
    net = nn.Sequential(nn.Linear(4, 6), LAYERS[name](), nn.Linear(6, 2), seed=3)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 4)), rng.normal(size=(50, 2))
    fl.fit(net, x, y, loss="mse", optimizer=optim.SGD(lr=0.05), epochs=3, dtype=dtype, engine="reference")
    done = fl.export_onnx(net, tmp_path / "net.onnx")
    assert [str(port) for port in (*done.inputs, *done.outputs)] == [
        f"x: {dtype} (rows, 4)",
        f"outputs: {dtype} (rows, 2)",
    ]
    near = 2e-6 if dtype == "float32" or name == "gelu" else 1e-13  # erf is computed in float32
    found = run_file(tmp_path / "net.onnx", {"x": x.astype(dtype)})["outputs"]
    np.testing.assert_allclose(found, net.predict(x), rtol=near, atol=near, strict=True)


def test_embeddings_take_whole_numbers(tmp_path: Path, run_file: Run) -> None:
    net = nn.Sequential(nn.Embedding(5, 3), nn.Flatten(), nn.Linear(6, 2), seed=1)
    with pytest.raises(fl.ArgumentError, match=r"^export_onnx: the shape of the network's input is not known yet; "):
        fl.export_onnx(net, tmp_path / "net.onnx")
    x = np.array([[0, 4], [2, 1], [3, 3]])
    wanted = net.predict(x)
    done = fl.export_onnx(net, tmp_path / "net.onnx")  # the shape is known now, and rows are generated from 0 to 4
    assert str(done.inputs[0]) == "x: int64 (rows, 2)"
    np.testing.assert_allclose(run_file(tmp_path / "net.onnx", {"x": x})["outputs"], wanted, rtol=1e-6)


def test_a_bag_with_weights(tmp_path: Path, run_file: Run) -> None:
    class Bags(nn.Module):
        def __init__(self) -> None:
            super().__init__(2)
            self.bag = nn.EmbeddingBag(7, 3)

        def __call__(self, x: Tensor) -> Tensor:
            return self.bag(fl.clip(x[:, :2], 0, 6).astype("int64"), x[:, 2:])

    net, x = Bags(), np.array([[0.0, 6.0, 0.5, 0.5], [3.0, 3.0, 1.0, 0.0]], dtype=np.float32)
    fl.export_onnx(net, tmp_path / "net.onnx", x)
    np.testing.assert_allclose(run_file(tmp_path / "net.onnx", {"x": x})["outputs"], net.predict(x), rtol=1e-6)


def test_bytes_stay_bytes(tmp_path: Path, run_file: Run) -> None:
    net = nn.Sequential(Function(lambda x: x.astype("float32") * (1 / 255)), nn.Linear(9, 2))
    x = np.random.default_rng(0).integers(0, 256, size=(4, 9)).astype(np.uint8)
    done = fl.export_onnx(net, tmp_path / "net.onnx", x)
    assert str(done.inputs[0]) == "x: uint8 (rows, 9)"
    np.testing.assert_allclose(run_file(tmp_path / "net.onnx", {"x": x})["outputs"], net.predict(x), rtol=1e-5)


@pytest.mark.parametrize("seed", range(12))
def test_a_random_network(seed: int, tmp_path: Path, run_file: Run) -> None:
    chance = random.Random(seed)
    widths = [chance.randint(4, 12) for _ in range(chance.randint(2, 5))]  # of two, LayerNorm leaves signs alone
    layers: list[nn.Module] = []
    for before, after in zip(widths, widths[1:], strict=False):
        layers += [nn.Linear(before, after), by_name(chance.choice(list(ACTIVATIONS)))]
        layers += [chance.choice([nn.BatchNorm(after), nn.LayerNorm(after), nn.Dropout(0.2), nn.Identity()])]
    net = nn.Sequential(*layers, seed=seed)
    net.save(tmp_path / "net.safetensors")
    stored = fl.load(tmp_path / "net.safetensors")
    fl.export_onnx(stored, tmp_path / "net.onnx")
    x = np.random.default_rng(seed).normal(size=(33, widths[0])).astype(np.float32)
    found = run_file(tmp_path / "net.onnx", {"x": x})["outputs"]
    np.testing.assert_allclose(found, net.predict(x), rtol=1e-5, atol=2e-6, strict=True)


def test_the_same_network_gives_the_same_file(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    for name in ("a.onnx", "b.onnx"):
        fl.export_onnx(net, tmp_path / name)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_a_layer_is_two_nodes(tmp_path: Path) -> None:
    """No node repeats what ONNX's operators do by themselves, and weights keep their names."""
    import onnx

    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    fl.export_onnx(net, tmp_path / "net.onnx")
    graph = onnx.load(tmp_path / "net.onnx").graph
    assert [node.op_type for node in graph.node] == ["MatMul", "Add", "Relu", "MatMul", "Add", "Identity"]
    assert {tensor.name for tensor in graph.initializer} == set(net.parameters())
