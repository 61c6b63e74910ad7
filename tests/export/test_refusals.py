"""What is not exported, and in which words; and that nothing is left behind."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline import nn
from fallline.export import check, network, onnx_file, writer
from fallline.export.check import Difference, largest_difference, require_equal
from fallline.export.site import Site


@pytest.fixture
def net() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2), seed=1)


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., str]:
    """The sentence of a refusal; a file that was there stays as it was, and no other is made."""

    def call(net: Any, *arguments: Any) -> str:
        path = tmp_path / "net.onnx"
        path.write_text("before")
        with pytest.raises(fl.FalllineError) as caught:
            fl.export_onnx(net, path, *arguments)
        assert path.read_text() == "before"
        assert list(tmp_path.iterdir()) == [path]
        return str(caught.value)

    return call


def test_a_wrong_translation_is_refused(
    net: nn.Module, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def nearly(site: Site) -> str:
        return site.add("Mul", site.add("Tanh", site.inputs[0]), site.number(1.00003))

    monkeypatch.setitem(network.TRANSLATIONS, "tanh", nearly)
    sentence = refused(net)
    assert sentence.startswith("export_onnx: in onnxruntime the output 'outputs' differs from the network's by ")
    assert sentence.endswith(
        " of 256), and at most 1e-05 is allowed, so no file was written. The network enlarges rounding, by very large "
        "weights, for example: train it on normalised inputs, or give rows as they will come with sample=…"
    )


def test_a_network_that_enlarges_rounding_is_refused(refused: Callable[..., str]) -> None:
    class Steep(nn.Module):
        def __call__(self, x: Any) -> Any:
            return fl.sigmoid((fl.exp(x) - fl.exp(x * 1.0000001)) * 1e7)

    assert "differs from the network's by" in refused(Steep(), np.random.default_rng(0).normal(size=(50, 3)))


def test_a_file_that_depends_on_the_number_of_rows_is_refused(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first row is compared alone, too."""

    class Share(nn.Module):
        def __call__(self, x: Any) -> Any:
            return x / fl.sum(fl.absolute(x), axis=0)

    monkeypatch.setitem(network.TRANSLATIONS, "sum", lambda site: site.writer.constant(np.float32([40.0] * 3)))
    assert "(row 1 of 50)" in refused(Share(), np.full((50, 3), 0.8))


def test_differences_are_of_the_values_size() -> None:
    ours = {"y": np.array([[1000.0], [1e-9]]), "label": np.array(["a", "b"], dtype=object)}
    theirs = {"y": np.array([[1000.5], [0.0]]), "label": ours["label"]}
    assert largest_difference(ours, theirs) == ("y", 0.0005, 0)
    theirs["label"] = np.array(["a", "c"], dtype=object)
    assert largest_difference(ours, theirs) == ("label", np.inf, 1)


@pytest.mark.parametrize("other", [np.nan, np.inf, 1.0])
def test_what_is_not_finite_must_be_the_same(other: float) -> None:
    a = np.array([1.0, np.nan, np.inf, -np.inf])
    assert largest_difference({"y": a}, {"y": a}).size == 0.0
    for place in range(1, 4):
        b = a.copy()
        b[place] = other
        same = np.array_equal(a, b, equal_nan=True)
        assert largest_difference({"y": a}, {"y": b}).size == (0.0 if same else np.inf)


def test_other_shapes_differ_infinitely_and_no_rows_not_at_all() -> None:
    assert largest_difference({"y": np.ones(3)}, {"y": np.ones((3, 1))}).size == np.inf
    assert largest_difference({"y": np.ones((0, 2))}, {"y": np.ones((0, 2))}).size == 0.0


def test_the_limit_is_let_pass() -> None:
    require_equal(Difference("y", 1e-5, 0), 1)
    with pytest.raises(fl.ArgumentError, match=r"differs from the network's by nan of its size"):
        require_equal(Difference("y", np.nan, 0), 1)


def test_labels_may_differ_where_probabilities_are_equal() -> None:
    ours = {"label": np.array([0, 0]), "probabilities": np.array([[0.500001, 0.499999], [0.6, 0.4]])}
    theirs = {"label": np.array([1, 0]), "probabilities": ours["probabilities"]}
    assert largest_difference(*onnx_file._without_ties(ours, theirs)).size == 0.0
    theirs["label"] = np.array([0, 1])
    assert largest_difference(*onnx_file._without_ties(ours, theirs)) == ("label", np.inf, 1)


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_without_a_package(
    package: str, net: nn.Module, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    assert refused(net) == (
        f"export_onnx: the package {package} is not installed; install it with pip install 'fallline[onnx]'"
    )


@pytest.mark.parametrize(
    ("given", "found"),
    [(3, "int"), (None, "NoneType"), (nn.ReLU, "type; make an object of it, ReLU(…)")],
)
def test_what_is_no_network(given: Any, found: str, refused: Callable[..., str]) -> None:
    assert refused(given) == (
        "export_onnx: needs a network (an nn.Module) or a model of a table (fl.load opens one), found " + found
    )


def test_generated_rows_that_the_network_refuses(refused: Callable[..., str], tmp_path: Path) -> None:
    class Picked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter((4, 2))

        def __call__(self, x: Any) -> Any:
            return fl.take(self.table, x[:, 0].astype("int64"))

    net, rows = Picked(), np.array([[0.0], [3.0]])
    net.predict(rows)
    assert refused(net).startswith("export_onnx: the network refuses the rows that were generated to compare it on (")
    assert fl.export_onnx(net, tmp_path / "net.onnx", rows).rows == 2


def test_no_rows_to_compare_on(net: nn.Module, refused: Callable[..., str]) -> None:
    assert refused(net, np.zeros((0, 3))) == (
        "export_onnx: sample has no rows to compare on; give some, or leave it out"
    )


def test_too_large_for_the_format(net: nn.Module, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "LARGEST", 300)
    assert refused(net) == (
        "export_onnx: the model has 0.0 GB, and an ONNX file holds at most 0.0 GB; train a smaller network"
    )


def test_a_folder_that_is_not_there(net: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(
        fl.ModelFileError, match=r"^cannot write '.*nowhere/net.onnx': No such file or directory; choose"
    ):
        fl.export_onnx(net, tmp_path / "nowhere" / "net.onnx")


def test_defects_of_ours_are_told_as_such(net: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(network.TRANSLATIONS, "tanh", lambda site: site.add("Tanh", "nothing"))
    with pytest.raises(fl.GraphError, match=r"^export_onnx: the ONNX graph is not well formed: "):
        fl.export_onnx(net, tmp_path / "net.onnx")
    with pytest.raises(fl.GraphError, match=r"^export_onnx: onnxruntime cannot open the model: "):
        check.Runner(b"no model")
