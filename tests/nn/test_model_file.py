"""Model files: a network that is saved and loaded predicts the same bits, without its class."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors import safe_open

import fallline as fl
from fallline import nn
from fallline.nn.model_file import FORMAT_VERSION, load_network, read_tensors, save_network

Array = NDArray[Any]
RNG = np.random.default_rng(0)
PLAIN, CUBE, TOKENS = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 4, 3)), RNG.integers(0, 6, (5, 4))
IMAGES = RNG.integers(0, 256, (5, 2, 3), dtype=np.uint8)


class Own(nn.Module):
    """Constants, shapes, indices, two branches and a shared weight."""

    def __init__(self) -> None:
        self.inner = nn.Linear(3, 3)
        self.pattern = np.array([[1.0, -0.1, 1e-9]])
        self.count = nn.Buffer([2.0, 3.0, 5.0])

    def __call__(self, x: Any) -> Any:
        once = fl.softplus(self.inner(x) * self.pattern)
        twice = fl.where(once > 0.5, self.inner(once), -np.inf)
        joined = fl.concatenate([fl.maximum(twice, -7.5), x[:, :2], x[:, 2:] / self.count[0]], axis=1)
        return fl.stack([joined, joined**2], axis=2).transpose(0, 2, 1)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Array]] = {
    "linear": (lambda: nn.Linear(3, 2), PLAIN),
    "no bias": (lambda: nn.Linear(3, 2, bias=False), PLAIN),
    "3-D": (lambda: nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Flatten(), nn.Linear(8, 1)), CUBE),
    "images": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(6, 2)), IMAGES),
    "embedding": (lambda: nn.Sequential(nn.Embedding(6, 2), nn.Flatten(), nn.Linear(8, 2)), TOKENS),
    "normalised": (
        lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm(4), nn.Dropout(0.5), nn.LayerNorm(4), nn.Linear(4, 2)),
        PLAIN,
    ),
    "nested": (lambda: nn.Sequential(nn.Sequential(nn.Linear(3, 2), nn.Sequential(nn.SELU()))), PLAIN),
    "own": (Own, PLAIN),
    **{
        name: ((lambda make=make: nn.Sequential(nn.Linear(3, 3), make())), PLAIN)
        for name, make in nn.activations.ACTIVATIONS.items()
    },
}


def stirred(make: Callable[[], nn.Module], dtype: str) -> nn.Module:
    """With weights and buffers that are not those of a new network."""
    rng = np.random.default_rng(4)
    net = make()
    net.load_parameters({name: rng.normal(size=w.shape).astype(dtype) for name, w in net.parameters().items()})
    net.load_buffers({name: rng.uniform(0.5, 2.0, b.shape).astype(dtype) for name, b in net.buffers().items()})
    return net


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NETWORKS)
def test_round_trip(name: str, dtype: str, tmp_path: Path) -> None:
    make, x = NETWORKS[name]
    net = stirred(make, dtype)
    expected = net.predict(x)
    net.save(tmp_path / "model.safetensors")
    loaded = load_network(tmp_path / "model.safetensors")
    assert loaded.predict(x).tobytes() == expected.tobytes()
    assert loaded.predict(x).dtype == loaded.dtype == dtype
    for own, stored in ((net.parameters(), loaded.parameters()), (net.buffers(), loaded.buffers())):
        assert list(own) == list(stored)
        for key, value in own.items():
            assert value.tobytes() == stored[key].tobytes(), key
    loaded.save(tmp_path / "again.safetensors")
    again = load_network(tmp_path / "again.safetensors")
    assert again.predict(x).tobytes() == expected.tobytes(), "a loaded network can be saved again"
    into = make()
    assert load_network(tmp_path / "model.safetensors", into=into) is into
    assert into.predict(x).tobytes() == expected.tobytes()


def test_a_loaded_network_predicts_any_number_of_rows(tmp_path: Path) -> None:
    net = stirred(NETWORKS["normalised"][0], "float32")
    net.predict(PLAIN)
    net.save(tmp_path / "m")
    loaded = load_network(tmp_path / "m")
    for rows in (0, 1, 5):
        assert loaded.predict(PLAIN[:rows]).tobytes() == net.predict(PLAIN[:rows]).tobytes()
    assert loaded.predict(PLAIN, batch_size=2).tobytes() == net.predict(PLAIN, batch_size=2).tobytes()
    assert fl.evaluate(loaded, PLAIN, [0, 1, 0, 1, 0]) == fl.evaluate(net, PLAIN, [0, 1, 0, 1, 0])


def test_a_loaded_network_refuses_rows_of_another_shape_or_kind(tmp_path: Path) -> None:
    net, x = NETWORKS["images"][0](), IMAGES
    net.predict(x)
    net.save(tmp_path / "m")
    loaded = load_network(tmp_path / "m")
    assert loaded.input_shape == (2, 3)
    assert repr(loaded) == "StoredNetwork(14 numbers)"
    with pytest.raises(fl.ArgumentError, match=r"this network takes rows of shape \(2, 3\), found \(6,\)"):
        loaded.predict(x.reshape(5, 6))
    with pytest.raises(fl.KindError, match="this network takes whole numbers, uint8, found float32"):
        loaded.predict(x / 255.0)
    assert loaded.predict(x.astype(np.int64)).tobytes() == net.predict(x).tobytes()


def test_training_on_needs_the_network_in_python(tmp_path: Path) -> None:
    nn.Linear(3, 2).save(tmp_path / "m")
    with pytest.raises(fl.ArgumentError, match="loaded from a file, which stores how it predicts, not how it trains"):
        fl.fit(load_network(tmp_path / "m"), PLAIN, [0, 1, 0, 1, 0])


def test_into_is_strict(tmp_path: Path) -> None:
    nn.Sequential(nn.Linear(3, 2), nn.BatchNorm(2)).save(tmp_path / "m")
    for wrong, text in (
        (nn.Sequential(nn.Linear(3, 2)), "the network has no parameter named '1.bias'; did you mean '0.bias'?"),
        (nn.Sequential(nn.Linear(3, 4), nn.BatchNorm(2)), "parameter '0.weight' needs shape (3, 4), found (3, 2)"),
        (nn.Sequential(nn.Linear(3, 2), nn.BatchNorm(2), nn.Linear(2, 2)), "2 of 6 parameters were not given"),
        (nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2)), "the network has no buffer named '1.running_mean'"),
    ):
        before = {**wrong.parameters(), **wrong.buffers()}
        with pytest.raises(fl.ModelFileError) as error:
            load_network(tmp_path / "m", into=wrong)
        after = {**wrong.parameters(), **wrong.buffers()}
        assert all(np.array_equal(before[name], after[name]) for name in before), "refused, so nothing is changed"
        assert text in str(error.value)
        assert "does not fit" in str(error.value)


def test_what_else_the_file_holds(tmp_path: Path) -> None:
    net = nn.Linear(3, 2)
    save_network(net, tmp_path / "m", {"about": {"columns": ["a", "b"]}})
    with safe_open(str(tmp_path / "m"), framework="numpy") as file:
        stored = json.loads(file.metadata()["fallline"])
        assert set(file.keys()) == {"weight", "bias"}
        assert np.array_equal(file.get_tensor("weight"), net.parameters()["weight"])
    assert stored["format"] == FORMAT_VERSION
    assert stored["about"] == {"columns": ["a", "b"]}
    arrays, metadata = read_tensors(tmp_path / "m")
    assert metadata == stored
    assert list(arrays) == ["bias", "weight"] or list(arrays) == ["weight", "bias"]


def test_an_untrained_network_is_saved_if_its_first_layer_tells_the_input(tmp_path: Path) -> None:
    nn.Sequential(nn.Linear(3, 2), nn.ReLU()).save(tmp_path / "m")
    assert load_network(tmp_path / "m").predict(PLAIN).shape == (5, 2)
    unknown = nn.Sequential(nn.BatchNorm(3), nn.Linear(3, 2))
    with pytest.raises(fl.ArgumentError, match="save: the shape of the network's input is not known yet; train it, or"):
        unknown.save(tmp_path / "n")
    assert not (tmp_path / "n").exists()
    unknown.predict(PLAIN)
    unknown.save(tmp_path / "n")


# What a failed write leaves behind: the old file, and nothing else.


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(fl.ModelFileError, match=r"cannot write '.*nowhere/m': No such file or directory; choose"):
        nn.Linear(3, 2).save(tmp_path / "nowhere" / "m")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(fl.ModelFileError, match="Not a directory"):
        nn.Linear(3, 2).save(tmp_path / "file" / "m")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file(call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = nn.Linear(3, 2)
    net.save(tmp_path / "m")
    before = (tmp_path / "m").read_bytes()

    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, full)
    net.initialize(5)
    with pytest.raises(fl.ModelFileError, match="No space left on device; choose a folder that exists, is writable"):
        net.save(tmp_path / "m")
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    assert (tmp_path / "m").read_bytes() == before


def test_a_saved_file_can_be_read_by_those_whom_the_umask_lets(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        nn.Linear(3, 2).save(tmp_path / "m")
    finally:
        os.umask(before)
    assert (tmp_path / "m").stat().st_mode & 0o777 == 0o644
