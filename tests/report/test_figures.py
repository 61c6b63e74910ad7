"""Figures from Python: what they show, how they are saved, and what they say when they cannot be."""

import base64
import re
import struct
import sys
import xml.etree.ElementTree as ElementTree
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fallline as fl
from fallline import nn, optim
from fallline.report import png
from fallline.report.figure import Figure

Array = NDArray[Any]
SVG = "{http://www.w3.org/2000/svg}"


def data() -> tuple[Array, Array]:
    x = np.linspace(-1.0, 1.0, 120).reshape(40, 3)
    x[:, 1] = np.sin(7.0 * x[:, 0])
    return x, (x[:, 0] + x[:, 1] > 0).astype(int)


def trained(**options: Any) -> fl.Run:
    x, y = data()
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2), seed=1)
    return fl.fit(net, x, y, **{"epochs": 6, "batch_size": 8, "progress": False, **options})


def texts(figure: Figure) -> list[str]:
    """All words of a picture, in order; reading it asserts that it is well-formed."""
    return ["".join(part.itertext()) for part in ElementTree.fromstring(str(figure)).iter(f"{SVG}text")]


def pixels(data: bytes) -> tuple[Array, int, int]:
    """(the pixels, width, height) of a PNG without filters' secrets: only for reading how many colours there are."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    packed, at = b"", 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        packed += data[at + 8 : at + 8 + length] if data[at + 4 : at + 8] == b"IDAT" else b""
        at += 12 + length
    return np.frombuffer(zlib.decompress(packed), np.uint8), width, height


def test_a_runs_plot_shows_every_curve() -> None:
    run = trained(validation=0.25, metrics=("accuracy",))
    figure = run.plot()
    words = texts(figure)
    for expected in ("How the training went", "Loss", "Learning rate", "Loss of each step", "training", "validation"):
        assert expected in words
    assert any("Accuracy" in word for word in words)
    assert f"kept: epoch {run.best_epoch + 1}" in words
    told = str(figure)
    for name in ("loss", "validation_loss"):
        assert f"{run.history[name][-1]:.4g}"[:5] in told  # the words for those who do not see the curve
    assert repr(figure) == "<Figure: How the training went>"


def test_a_plot_has_the_values_of_the_curve() -> None:
    """The loss falls by exact halves: on the picture, equal factors are equally far apart."""
    run = trained(epochs=1)
    run.history = {"loss": [64.0, 32.0, 16.0, 8.0, 4.0, 2.0, 1.0]}
    run.epochs, run.steps = 7, {"loss": []}
    root = ElementTree.fromstring(str(run.plot()))
    curve = next(path for path in root.iter(f"{SVG}path") if path.get("d", "").count("L") == 6)
    heights = [float(point.split()[1]) for point in curve.get("d", "")[1:].split("L")]
    assert np.allclose(np.diff(heights), np.diff(heights)[0], atol=0.02)
    assert heights == sorted(heights)


def test_a_plot_of_many_steps_keeps_the_extremes() -> None:
    run = trained(epochs=1)
    run.steps["loss"] = [0.5] * 4000
    run.steps["loss"][1234] = 9.0
    run.steps["loss"][2345] = 0.1
    svg = str(run.plot())
    assert "lowest to highest of 50" in svg
    assert len(svg) < 60_000
    run.steps["loss"][1234] = float("nan")
    assert "NaN" not in "".join(texts(run.plot()))


def test_a_run_without_epochs_says_so() -> None:
    run = trained(epochs=1)
    run.history, run.steps = {"loss": []}, {"loss": []}
    with pytest.raises(fl.ArgumentError, match="plot: the training has no finished epoch and no step to draw"):
        run.plot()


def test_backpropagation_of_one_row_is_that_of_a_batch_of_one() -> None:
    x, y = data()
    net = trained(epochs=1).network
    one = fl.plot_backprop(net, x[3], y[3])
    assert str(one) == str(fl.plot_backprop(net, x[3:4], y[3:4]))
    assert "One pass over 1 row: forwards to the loss, then backwards to dL/dw." in " ".join(texts(one))
    loss, gradients = fl.loss_and_gradients(net, x[3:4], y[3:4])
    largest = max(gradients.values(), key=lambda gradient: np.abs(gradient).max())
    value = largest.ravel()[np.abs(largest).argmax()]
    assert f"{loss:.4g}"[:6] in texts(one)
    assert any(f"{value:.3g}".replace("-", "−") in word for word in texts(one))


def test_backpropagation_of_one_row_of_numbers() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2), seed=0)
    row, target = [0.5, -1.0], [1.0, 2.0]
    one = fl.plot_backprop(net, row, target, loss="mse", optimizer=optim.Adam(lr=0.01))
    assert str(one) == str(fl.plot_backprop(net, [row], [target], loss="mse", optimizer=optim.Adam(lr=0.01)))


def by_hand() -> nn.Sequential:
    """The network of docs/backpropagation-and-sgd.md."""
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    net.load_parameters({
        "0.weight": np.array([[0.50, -1.0], [0.25, 0.5]]), "0.bias": np.array([0.0, 0.5]),
        "2.weight": np.array([[1.0], [2.0]]), "2.bias": np.array([-0.5]),
    })  # fmt: skip
    return net


def test_one_row_through_a_small_network_is_drawn_unit_by_unit() -> None:
    """x = (1, 2): a = (1, 0.5), o = 1.5, wanted 1; so dL/do = 1, dL/da = (1, 2), dL/dx = (−1.5, 1.25)."""
    words = texts(fl.plot_backprop(by_hand(), [1.0, 2.0], [1.0], loss="mse"))
    begin = words.index("The same row, unit by unit")
    assert words[begin + 3 :] == [
        "x", "1.00", "−1.50", "2.00", "1.25", "layer 0, then ReLU", "1.00", "1.00", "0.500", "2.00",
        "layer 2: output", "1.50", "1.00",
    ]  # fmt: skip
    closed = texts(fl.plot_backprop(by_hand(), [3.0, 1.0], [2.0], loss="mse"))
    assert closed[begin + 3 :] == [  # its second hidden unit is off, so nothing flows back through it
        "x", "3.00", "−0.750", "1.00", "−0.375", "layer 0, then ReLU", "1.75", "−1.50", "0", "−3.00",
        "layer 2: output", "1.25", "−1.50",
    ]  # fmt: skip


def test_what_is_no_longer_x_is_not_called_x() -> None:
    class Doubled(nn.Module):
        def __init__(self) -> None:
            self.inner = nn.Linear(2, 1)

        def __call__(self, x: fl.Tensor) -> fl.Tensor:
            return self.inner(x * 2.0)

    words = texts(fl.plot_backprop(Doubled(), [1.0, 4.0], [1.0], loss="mse"))
    begin = words.index("The same row, unit by unit")
    assert words[begin + 3 :][:2] == ["into layer inner", "2.00"]


def test_the_lines_between_units_tell_the_slopes() -> None:
    """dL/dW₁ = (1·1, 1·2; 2·1, 2·2) and dL/dW₂ = (1·1, 0.5·1): the largest, 4, has the thickest line."""
    root = ElementTree.fromstring(str(fl.plot_backprop(by_hand(), [1.0, 2.0], [1.0], loss="mse")))
    tops = [float(text.get("y", "")) for text in root.iter(f"{SVG}text") if "unit by unit" in (text.text or "")]
    lines = [
        float(path.get("stroke-width", ""))
        for path in root.iter(f"{SVG}path")
        if "s-orange" in path.get("class", "") and float(path.get("d", "M0 0")[1:].split("L")[0].split()[1]) > tops[0]
    ]
    assert sorted(lines) == pytest.approx(sorted(0.8 + 4.2 * slope / 4.0 for slope in (1, 2, 2, 4, 1, 0.5)), abs=0.006)


@pytest.mark.parametrize(
    "net",
    [
        nn.Sequential(nn.Linear(3, 11), nn.Linear(11, 2)),
        nn.Sequential(*(nn.Linear(3, 3) for _ in range(4)), nn.Linear(3, 2)),
        nn.Sequential(nn.Linear(3, 4), nn.BatchNorm(4), nn.Linear(4, 2)),
    ],
    ids=["wide", "deep", "scaled"],
)
def test_other_networks_are_drawn_layer_by_layer_only(net: nn.Sequential) -> None:
    x, y = data()
    assert "unit by unit" not in str(fl.plot_backprop(net, x[0], y[0]))
    assert "unit by unit" not in str(fl.plot_backprop(by_hand(), x[:, :2], x[:, 2:], loss="mse"))


def test_whole_numbers_in_a_line_are_rows() -> None:
    net = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 2), seed=0)
    figure = fl.plot_backprop(net, np.array([0, 1, 4]), np.array([0, 1, 1]))
    assert "One pass over 3 rows" in " ".join(texts(figure))


def test_mistakes_name_the_function_that_was_called() -> None:
    x, y = data()
    net = trained(epochs=1).network
    with pytest.raises(
        fl.KindError, match=r"plot_backprop: optimizer must be an object of fallline.optim, found 'sgd'"
    ):
        fl.plot_backprop(net, x, y, optimizer="sgd")  # type: ignore[arg-type]
    with pytest.raises(fl.FalllineError, match="plot_landscape: steps must be a whole number of at least 3, found 2"):
        fl.plot_landscape(net, x, y, steps=2)
    with pytest.raises(fl.ArgumentError, match=r"plot_landscape: no weight '9.weight\[0,0\]'"):
        fl.plot_landscape(net, x, y, weights=("9.weight[0,0]", "2.bias[0]"))


def test_the_landscape_is_drawn_over_the_weights_asked_for() -> None:
    x, y = data()
    figure = fl.plot_landscape(trained().network, x, y, weights=("2.weight[0,1]", "2.bias[1]"), steps=5, grid=9)
    words = " ".join(texts(figure))
    assert "2.weight[0,1]" in words
    assert "2.bias[1]" in words
    assert "Too large" in words


def test_a_runs_landscape_shows_its_path() -> None:
    run = trained(epochs=3)  # 15 steps
    figure = fl.plot_landscape(run, grid=9)
    words = texts(figure)
    assert "Where the training went" in words
    assert "first principal component" in words
    losses = [fl.replay(run, 0).before.weights, run.network.parameters()]
    x, y = data()
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2), seed=1)
    for weights in losses:
        net.load_parameters(weights)
        assert f"{fl.evaluate(net, x, y)['loss']:.3g}" in " ".join(words)
    circles = ElementTree.fromstring(str(figure)).iter(f"{SVG}circle")
    assert len(list(circles)) == 15  # 16 moments: a ring at the start, dots between, a cross at the end
    shares = [float(share) for share in re.findall(r"([\d.]+) % and ([\d.]+) %", str(figure))[0]]
    moments = [np.concatenate([w.ravel() for w in fl.replay(run, k).before.weights.values()]) for k in range(15)]
    moments.append(np.concatenate([w.ravel() for w in run.network.parameters().values()]))
    matrix = np.array(moments, dtype=np.float64)
    variances = np.linalg.svd(matrix - matrix.mean(axis=0), compute_uv=False) ** 2
    assert shares == pytest.approx(100 * variances[:2] / variances.sum(), abs=0.06)


def test_a_runs_landscape_over_two_weights_and_of_a_folder(tmp_path: Path) -> None:
    x, y = data()
    run = trained(epochs=2, run_dir=tmp_path / "run")
    pair = ("2.weight[0,1]", "2.bias[1]")
    figure = fl.plot_landscape(run, weights=pair, grid=5)
    assert set(pair) < set(texts(figure))
    assert "Other weights are held where the training ended." in texts(figure)
    assert str(fl.plot_landscape(tmp_path / "run", x, y, weights=pair, grid=5)) == str(figure)


def test_a_landscape_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(fl.KindError, match="plot_landscape: give a network, a run or a run's folder, found 3"):
        fl.plot_landscape(3)
    with pytest.raises(
        fl.ArgumentError, match="plot_landscape: a network holds no data: give x and y, or give the run"
    ):
        fl.plot_landscape(nn.Sequential(nn.Linear(3, 2)))
    with pytest.raises(fl.RunFolderError, match="plot_landscape: there is no run in"):
        fl.plot_landscape(tmp_path)
    with pytest.raises(fl.ArgumentError, match="plot_landscape: grid must be a whole number from 3 to 201, found 2"):
        fl.plot_landscape(trained(epochs=1), grid=2)


def test_a_figure_is_saved_as_svg(tmp_path: Path) -> None:
    figure = trained(epochs=2).plot()
    path = figure.save(tmp_path / "run.svg")
    assert path.read_text(encoding="utf-8") == str(figure)
    assert figure._repr_svg_() == str(figure)


def test_a_figure_is_saved_as_png_with_its_words(tmp_path: Path) -> None:
    figure = trained(epochs=2).plot()
    once, width, height = pixels(figure.save(tmp_path / "one.PNG", scale=1).read_bytes())
    _, wide, high = pixels(figure.save(str(tmp_path / "two.png")).read_bytes())
    assert (wide, high) == (2 * width, 2 * height)
    root = ElementTree.fromstring(str(figure))
    assert width == float(root.get("width", ""))
    for parent in list(root.iter()):
        for child in [part for part in parent if part.tag == f"{SVG}text"]:
            parent.remove(child)
    speechless = Figure(ElementTree.tostring(root, encoding="unicode"), "no words")
    without, *_ = pixels(speechless.save(tmp_path / "none.png", scale=1).read_bytes())
    assert not np.array_equal(once, without)


def test_jupyter_shows_a_figure_as_an_image_of_its_own() -> None:
    figure = Figure("<svg>é</svg>", 'a "title" <b>')
    html = figure._repr_html_()
    assert html.startswith('<img alt="a &quot;title&quot; &lt;b&gt;" src="data:image/svg+xml;base64,')
    assert base64.b64decode(html.partition("base64,")[2].rstrip('">')).decode() == "<svg>é</svg>"


@pytest.mark.parametrize("name", ["run.pdf", "run", "svg"])
def test_an_unknown_ending_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(fl.ArgumentError, match=r"save: a figure is saved as .svg or .png, found '.*" + name):
        Figure("<svg/>", "x").save(tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("scale", [0, -1.0, 11, float("nan"), True, "2"])
def test_a_scale_must_make_sense(tmp_path: Path, scale: Any) -> None:
    with pytest.raises(fl.ArgumentError, match="save: scale must be a number above 0 and at most 10, found"):
        Figure("<svg/>", "x").save(tmp_path / "x.png", scale=scale)


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(fl.ModelFileError, match="missing"):
        Figure("<svg/>", "x").save(tmp_path / "missing" / "x.svg")


def test_png_without_its_package_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(fl.MissingExtraError, match=r"pip install 'fallline\[png\]', or save the figure as .svg"):
        Figure("<svg/>", "x").save(tmp_path / "x.png")
    assert not list(tmp_path.iterdir())


def test_a_machine_without_fonts_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png, "FONTS", ("No Such Family",))
    png._font.cache_clear()
    try:
        with pytest.raises(fl.MissingExtraError, match="no font was found to write a PNG's words with; install one"):
            png.to_png("<svg/>")
    finally:
        png._font.cache_clear()
