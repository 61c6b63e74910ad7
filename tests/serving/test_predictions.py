"""What comes back is what the model predicts, to the last bit."""

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fallline.cli.predict import as_csv
from fallline.errors import DataError
from fallline.serving.held import HeldModel

ODD: dict[str, list[Any]] = {
    "height": [None, 0, -0.0, 7, "3.5", " 4 ", "1e3", "", "NA", True, 1e308, 2**60, -(2**70), "inf", 1e-320, 5.25],
    "soil": [None, "clay", " sand ", "?", "marl", 1, 1.5, True, "True"],
    "shade": [True, False, None, "yes", "N", "1", 0, 1, 1.0, "perhaps", " true "],
    "open": ["yes", "NO", None, "t", False, 1, 2.5, "?"],
    "planted": ["2015-03-15", None, "2020-1-2T10:30", "", "1969-12-31"],
    "plant": ["plant 3", "plant 99", None, 3, "", "plant 3 "],
    "note": ["dark loam near the wall", "", None, "unknown words", 17, "soft soft soft dark", "é" * 300],
}


@pytest.fixture(scope="session")
def held(fruit: Any) -> HeldModel:
    return HeldModel(fruit)


def test_the_garden_has_every_kind_of_column(fruit: Any) -> None:
    assert {encoder.kind for encoder in fruit.encoder.encoders} == {"number", "category", "boolean", "date", "text"}
    assert fruit.encoder.embedded
    assert fruit.encoder.bags


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.fixed_dictionaries({name: st.sampled_from(values) for name, values in ODD.items()}))
def test_one_row_has_the_bits_and_the_notes_of_the_model(held: HeldModel, fruit: Any, row: dict[str, Any]) -> None:
    notes, told = [], []
    found = held.one(row, notes)
    assert found is not None
    assert found.tobytes() == fruit.outputs([row], told).tobytes()
    assert [each.replace("the request", "the list of rows") for each in notes] == told


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.one_of(st.floats(), st.floats(width=32), st.integers(), st.booleans(), st.text(max_size=9), st.none()),
    st.sampled_from(["height", "soil", "shade", "open", "plant", "planted"]),
)
def test_any_cell_is_taken_or_refused_as_the_model_does(
    held: HeldModel, fruit: Any, rows: list[dict[str, Any]], cell: Any, name: str
) -> None:
    row = {**rows[0], name: cell}
    try:
        expected = fruit.outputs([row])
    except DataError:
        with pytest.raises(DataError):
            held.one(row, [])
        return
    assert held.one(row, []).tobytes() == expected.tobytes()  # type: ignore[union-attr]


def test_a_row_and_many_rows(service: Callable[..., Any], fruit: Any, rows: list[dict[str, Any]]) -> None:
    client = service()
    assert client.post(rows[3]) == (200, {"prediction": fruit.predict(rows[3:4])[0]})
    status, found = client.post(rows, "?proba=1")
    assert status == 200
    assert [row["prediction"] for row in found["predictions"]] == fruit.predict(rows).tolist()
    chances = [[row["probabilities"][label] for label in fruit.classes] for row in found["predictions"]]
    assert np.array_equal(chances, fruit.predict_proba(rows))
    alone = [client.post(row, "?proba=1")[1] for row in rows[:20]]
    assert alone == found["predictions"][:20]


def test_numbers(service: Callable[..., Any], harvest: Any, rows: list[dict[str, Any]]) -> None:
    _, found = service(harvest).post(rows[:7])
    assert [row["prediction"] for row in found["predictions"]] == harvest.predict(rows[:7]).tolist()


def test_csv_in_and_out(service: Callable[..., Any], fruit: Any, rows: list[dict[str, Any]], tmp_path: Any) -> None:
    names = fruit.encoder.source_columns
    lines = [",".join(names), *(",".join("" if row[n] is None else str(row[n]) for n in names) for row in rows)]
    file = tmp_path / "rows.csv"
    file.write_text("\n".join(lines) + "\n")
    found = service().csv(file.read_bytes(), "?proba=1", accept="text/csv")
    assert (found.status_code, found.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    chances = fruit.predict_proba(file)
    columns = {f"probability_{label}": chances[:, i] for i, label in enumerate(fruit.classes)}
    assert found.text == as_csv({"prediction": fruit.predict(file), **columns})
    told = service().csv(file.read_bytes()).json()
    assert [row["prediction"] for row in told["predictions"]] == fruit.predict(file).tolist()


def test_unknown_categories_are_told_of(service: Callable[..., Any], rows: list[dict[str, Any]]) -> None:
    note = "Column 'soil' holds categories that training did not see: 'marl'."
    status, found = service().post({**rows[0], "soil": "marl"})
    assert (status, found["notes"]) == (200, [note])
    assert service().post([{**rows[0], "soil": "marl"}, rows[1]])[1]["notes"] == [note]


def test_the_target_may_be_among_the_columns(service: Callable[..., Any], rows: list[dict[str, Any]]) -> None:
    assert service().post({**rows[0], "fruit": "ripe"}) == service().post(rows[0])


def test_unknown_columns_can_be_ignored(service: Callable[..., Any], rows: list[dict[str, Any]]) -> None:
    assert service(others=True).post({**rows[0], "number": 7}) == service().post(rows[0])


def test_the_answers_are_strict_json(service: Callable[..., Any], rows: list[dict[str, Any]]) -> None:
    found = service().ask("POST", "/predict?proba=1", json=rows[:5])
    json.loads(found.text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert all(math.isclose(sum(row["probabilities"].values()), 1.0) for row in found.json()["predictions"])


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "application/json"),
        ("text/csv", "text/csv; charset=utf-8"),
        ("text/*;q=0.4, application/json;q=0.3", "text/csv; charset=utf-8"),
        ("text/csv;q=0, */*", "application/json"),
        ("text/html, */*;q=0.1", "application/json"),
    ],
)
def test_the_answer_is_of_the_kind_that_is_wanted(
    service: Callable[..., Any], rows: list[dict[str, Any]], accept: str, kind: str
) -> None:
    found = service().ask("POST", "/predict", json=rows[0], headers={"accept": accept})
    assert (found.status_code, found.headers["content-type"]) == (200, kind)
