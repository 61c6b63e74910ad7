"""What a report says of a training, of usual data and of what can go wrong."""

import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fallline.data.sources import read_table
from fallline.report import table_report
from fallline.report.svg import clean
from fallline.report.table_report import write_table_report
from fallline.tables.train import TableRun, training_loss
from fallline.training.plan import plan

SECTIONS = [
    "How well it predicts", "What the predictions go by", "Where it is most wrong", "The data",
    "How the training went", "The network and its cost", "How to do it again",
]  # fmt: skip
CHANCE = np.random.default_rng(3)
X = CHANCE.normal(size=200)
Report = Callable[..., Any]


def test_penguins_from_end_to_end(
    trained: Callable[..., TableRun], tmp_path: Path, read: Callable[[Path], Any]
) -> None:
    result = trained("penguins", "species", epochs=30)
    x, y = result.prepared.matrices["training"]
    planned = plan(result.model.network, x, y, loss=training_loss(result.prepared), batch_size=32)
    path = write_table_report(tmp_path / "report.html", result, {"Do it": "fallline train penguins"}, planned)
    page = read(path)
    assert page.headings() == [
        *SECTIONS[:6], "Backpropagation at the final weights", "Gradient descent over two of the weights", SECTIONS[6],
    ]  # fmt: skip
    right = round(69 * result.scores["accuracy"])
    assert f"Right for {right} of 69 rows; always 'Adelie' is right for 30." in page.text
    for told in (
        "predicted from 6 columns of penguins · classification", "accuracy on 69 test rows",
        "ROC: area under the curve",        "Calibration: are the chances true?",
        "bill_length_mm", "Learning rate",
        "multiply-adds per step", "predicted",
        "fallline train penguins", "hash of the weights", "kept: epoch",
        "344 rows: 220 for training, 55 for validation, 69 for test",
    ):  # fmt: skip
        assert told.replace("_", "_ ") in page.text.replace("_", "_ ").replace("_  ", "_ "), told
    assert page.source.count("<svg") == 6 + 2 + 4  # charts, pictures, and a histogram for each column of numbers


def test_the_worst_row_is_where_it_says(reported: Report) -> None:
    table = {"a": X, "y": np.where(X > 0, "p", "q")}
    table["y"][123] = "p" if X[123] <= 0 else "q"  # wrong, and the model will not believe it
    table["a"] = np.where(np.arange(200) == 123, 3 * np.sign(X) + X, X)
    test = read_table(table).select([120, 121, 122, 123, 124, 140, 150])
    page = reported(table, "y", test=test, epochs=60, learning_rate=0.02)
    first = page.source.partition("Where it is most wrong</h2>")[2].partition("<tbody>")[2].partition("</tr>")[0]
    assert '<th scope="row">124</th>' in first  # row 123 from 0, though the fourth of the test rows


def test_numbers_are_reported_in_their_own_units(reported: Report) -> None:
    page = reported({"a": X, "b": X**2, "y": 1e6 + 1000 * X}, "y", epochs=20)
    assert page.headings() == SECTIONS
    for told in ("RMSE on 40 test rows, lower is better", "always the mean", "Predicted against true", "How far off",
                 "Calibration: too high or too low?", "R²", "of the truth."):  # fmt: skip
        assert told in page.text, told


@pytest.mark.parametrize(
    ("data", "target", "options", "says"),
    [
        ({"a": [1.0, 2, 3, 4], "y": ["p", "q", "p", "q"]}, "y", {}, "accuracy on 1 test row"),
        ({"a": [1.0, 2, 3, 4], "y": [1.5, 2, 7, 9]}, "y", {"task": "regression"}, "RMSE on 1 test row"),
        (
            {"a": X, "y": np.where(X > 0, "p", "q")},
            "y",
            {"test": read_table({"a": [1.0, 2, 3], "y": ["p", "p", "p"]})},
            "Every row is of one class, so that no threshold separates any.",
        ),
        (
            {"a": CHANCE.normal(size=1000), "y": (np.arange(1000) % 100).astype(str)},
            "y",
            {},
            "Of the 100 classes, the pairs that are confused most often.",
        ),
        ({**{f"c{k}": CHANCE.normal(size=60) for k in range(500)}, "y": ["p", "q"] * 30}, "y", {}, "461 more columns"),
        ({"a": 1e200 * X, "y": 1e300 * X}, "y", {}, "always the mean"),
        ({"a": X, "e": [None] * 200, "k": ["c"] * 200, "y": X}, "y", {}, "'k' is left out: it is 'c' in every row."),
        ({"d": np.arange("2021-01-01", "2021-07-20", dtype="M8[D]"), "y": X}, "y", {}, "2021-"),
        ({"t": [f"some words on row {k}" for k in range(200)], "a": X, "y": X}, "y", {}, "such as some words on row"),
    ],
    ids=["four rows", "four numbers", "one class", "100 classes", "500 columns", "huge", "empty", "dates", "text"],
)  # fmt: skip
def test_unusual_data_has_a_report(reported: Report, data: Any, target: str, options: Any, says: str) -> None:
    assert says in reported(data, target, **options).text


def test_a_diverged_training_has_no_score(reported: Report) -> None:
    page = reported({"a": X, "y": 2 * X}, "y", optimizer="sgd", learning_rate=1e10)
    assert "No score" in page.text
    assert "The loss became inf at step" in page.text
    assert page.headings() == SECTIONS[3:]


def test_an_interrupted_training_says_so(
    trained: Callable[..., TableRun], tmp_path: Path, read: Callable[[Path], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_report, "pictures", lambda result: {})
    result = trained({"a": X, "y": np.where(X > 0, "p", "q")}, "y")
    result.run.stopped, result.run.signal = "interrupted", int(signal.SIGINT)
    result.prepared.notices.append("Leave 'a' out: --drop a.")
    text = read(write_table_report(tmp_path / "report.html", result)).text
    assert "Worth knowing first The training was interrupted after 2 epochs" in text
    assert text.count("Leave 'a' out: --drop a.") == 2  # at the top, since one can act on it, and with the data


def test_without_rows_set_aside_there_is_a_report(
    trained: Callable[..., TableRun], tmp_path: Path, read: Callable[[Path], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_report, "pictures", lambda result: {})
    result = trained({"a": X, "y": np.where(X > 0, "p", "q")}, "y")
    del result.prepared.parts["test"]
    result.scores.clear()
    text = read(write_table_report(tmp_path / "report.html", result)).text
    assert "accuracy on 32 validation rows" in text
    del result.prepared.parts["validation"]
    result.validation_scores.clear()
    assert "No rows were set aside" in read(write_table_report(tmp_path / "report.html", result)).text


def test_a_network_that_cannot_be_drawn_says_why(
    trained: Callable[..., TableRun], tmp_path: Path, read: Callable[[Path], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: Any, **more: Any) -> str:
        raise table_report.FalllineError("it has no layers with names")

    monkeypatch.setattr(table_report, "backward_picture", refuse)
    monkeypatch.setattr(table_report, "descent_picture", refuse)
    result = trained({"a": X, "y": np.where(X > 0, "p", "q")}, "y")
    text = read(write_table_report(tmp_path / "report.html", result)).text
    assert text.count("There is no picture of this network: it has no layers with names") == 2


HOSTILE = st.text(st.one_of(st.sampled_from("<>&\"'/=;{}()%_\x00\u202e"), st.characters()), min_size=1, max_size=20)
EVIL = '"><img src=//x onerror=alert(1)>'


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(["</style>", EVIL, "<!--"], ["]]>", EVIL, "</title><script>"], ["&lt;", "\ud800"])
@given(
    st.lists(HOSTILE, min_size=3, max_size=3, unique=True),
    st.lists(HOSTILE, min_size=3, max_size=3, unique_by=str.strip),
    st.lists(HOSTILE, min_size=2, max_size=2, unique_by=str.strip),
)
def test_hostile_names_and_cells_are_only_text(
    reported: Report, names: list[str], cells: list[str], classes: list[str]
) -> None:
    number, word, target = names
    rows = range(40)
    data = {
        number: X[:40],
        word: [f"w{cells[k % 3]}" for k in rows],
        target: [f"c{classes[k % 2]}{k % 2}" for k in rows],
    }
    page = reported(data, target, epochs=1, hidden=())
    shown = " ".join(clean(number)[:60].split())
    assert shown in " ".join("".join(page.texts).split())


def test_images_are_shown_as_images(
    trained: Callable[..., TableRun], tmp_path: Path, read: Callable[[Path], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_report, "pictures", lambda result: {})
    table = read_table("digits")
    points = [name for name in table.names if name != "digit"]
    for name in points:  # every point varies, so that all 64 are encoded
        table.columns[name] = (table.columns[name].astype(np.int64) + np.arange(len(table)) % 2).astype(np.float64)
    result = trained(table, "digit", epochs=20, hidden=(32,))
    object.__setattr__(result.model.plan, "shape", (8, 8))
    page = read(write_table_report(tmp_path / "report.html", result))
    assert (
        page.source.count('class="pixels"') == 2 + 20 + 10
    )  # importance and the mean, worst images, a mean of each class
    assert re.search(r"Square parts of the image are shuffled among \d+ rows", page.text)  # as time allows
    assert "mean of 7" in page.text
    assert "pixel_3_4" not in page.text
