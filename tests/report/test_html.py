"""report.html: whole, safe against what data may hold, and complete."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline.report.curves import curve_picture, scatter_picture
from fallline.report.html import write_report

VOID = {"meta", "br", "rect", "path", "circle", "use"}


class Balance(HTMLParser):
    """Checks that every element that opens closes, and keeps the texts."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


HISTORY = {
    "loss": [1.0, 0.6, 0.4],
    "validation_loss": [1.1, 0.7, 0.8],
    "validation_accuracy": [0.5, 0.8, 0.7],
    "learning_rate": [0.1, 0.1, 0.1],
    "seconds": [0.1, 0.1, 0.1],
    "train_loss": [0.39],
}


def written(folder: Path, **change: Any) -> tuple[str, Balance]:
    path = folder / "report.html"
    given: dict[str, Any] = {"title": "T", "summary": [("task", "classification")], "history": {}, "pictures": {}}
    write_report(path, **(given | change))
    text = path.read_text(encoding="utf-8")
    page = Balance()
    page.feed(text)
    assert page.open == []
    return text, page


def test_everything_that_is_given_is_shown(tmp_path: Path) -> None:
    text, page = written(
        tmp_path,
        history=HISTORY,
        best_epoch=1,
        pictures={"The pass": '<svg xmlns="http://www.w3.org/2000/svg"><circle r="1"/></svg>'},
        notes=["Column a was dropped."],
        tables={"Columns": (["name", "kept"], [["a", 12], ["b", 0.25]])},
        confusion=(["no", "yes"], np.array([[8, 2], [0, 5]])),
        scatter=(np.arange(4.0), np.arange(4.0) + 0.5),
        commands=["fallline train a.csv --target b"],
    )
    headings = re.findall("<h2>(.*?)</h2>", text)
    assert headings == [
        "How the training went", "How well it predicts", "The pass", "Columns", "About the data", "How to reproduce",
    ]  # fmt: skip
    for told in ("classification", "Loss", "Accuracy", "best: epoch 2", "Column a was dropped.", "0.25"):
        assert told in page.texts
    assert "fallline train a.csv --target b" in page.texts
    assert '<td style="--share:0.800">8</td>' in text
    assert page.tags.count("svg") == 4  # two charts of curves, the scatter, the picture


def test_what_is_not_given_leaves_no_gap(tmp_path: Path) -> None:
    text, _ = written(tmp_path)
    assert "<h2>" not in text
    assert "<svg" not in text


def test_names_from_the_data_run_nothing(tmp_path: Path) -> None:
    evil = '<script>alert("x")</script>'
    text, page = written(
        tmp_path,
        title=evil,
        summary=[(evil, evil)],
        history={evil: [1.0, 2.0]},
        notes=[evil],
        tables={evil: ([evil], [[evil]])},
        confusion=([evil, "b"], np.eye(2, dtype=int)),
        commands=[evil],
    )
    assert "script" not in page.tags
    assert text.count("&lt;script&gt;") >= 9


def test_nothing_is_fetched(tmp_path: Path) -> None:
    text, page = written(tmp_path, history=HISTORY)
    outside = set(re.findall(r"https?://[^\"' <]+", text))
    assert outside == {"http://www.w3.org/2000/svg"}  # a name, not an address
    assert not {"link", "script", "img", "iframe"} & set(page.tags)
    assert "default-src 'none'" in text
    assert "prefers-color-scheme" in text


def test_a_run_makes_a_report(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 3)), rng.integers(0, 2, 40)
    net = fl.nn.Sequential(fl.nn.Linear(3, 2), seed=0)
    run = fl.fit(net, x, y, epochs=3, validation=0.25, metrics=("accuracy",))
    _, page = written(tmp_path, history=run.history, best_epoch=run.best_epoch)
    assert {"training", "validation"} <= set(page.texts)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"confusion": (["a", "b"], np.eye(3))}, r"matrix of 2 classes must have shape \(2, 2\), found \(3, 3\)"),
        ({"scatter": ([1.0], [1.0, 2.0])}, r"scatter has 1 true values but 2 predicted ones"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, given: dict[str, Any], says: str) -> None:
    with pytest.raises(fl.ShapeError, match=says):
        written(tmp_path, **given)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(fl.ModelFileError, match=r"cannot write .*report\.html"):
        written(tmp_path / "gone")


def test_curves_with_gaps_and_lone_points_are_drawn() -> None:
    svg = curve_picture("c", "Loss", {"training": [1.0, float("nan"), float("inf"), 0.5, 0.4], "other": [2.0]})
    assert svg.count("<circle") == 2  # the lone first point of each
    assert "NaN" not in svg.partition("</desc>")[2]
    assert "nan" not in svg.partition("</desc>")[2]


def test_many_rows_are_thinned_and_it_says_so() -> None:
    svg = scatter_picture("s", "Scatter", np.arange(5000.0), np.arange(5000.0))
    assert svg.count("<circle") == 1667
    assert "5,000 rows, one in 3 shown" in svg
