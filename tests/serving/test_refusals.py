"""What does not fit is refused, with a sentence for each fault that says where."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from fallline.serving.limits import Limits
from fallline.serving.rows import MOST_FAULTS


def test_a_missing_and_an_unknown_column(service: Callable[..., Any], rows: list[dict[str, Any]]) -> None:
    row = {("sol" if name == "soil" else name): value for name, value in rows[1].items()}
    assert service().refused([rows[0], row]) == [
        "the request, row 2: the column 'soil' is missing; give null where it is not known",
        "the request, row 2: the model has no column 'sol'; did you mean 'soil'?",
    ]


@pytest.mark.parametrize("count", [1, 3])
def test_each_wrong_cell_has_its_sentence(service: Callable[..., Any], rows: list[dict[str, Any]], count: int) -> None:
    wrong = [*rows[: count - 1], {**rows[5], "height": "tall", "planted": "soon"}]
    assert service().refused(wrong) == [
        f"the request, row {count}, column 'height': expected a number as in training, found 'tall'. "
        "Correct that cell, or leave it empty.",
        f"the request, row {count}, column 'planted': expected a date as in training (YYYY-MM-DD), found 'soon'. "
        "Correct that cell, or leave it empty.",
    ]


def test_a_nested_cell(service: Callable[..., Any], rows: list[dict[str, Any]]) -> None:
    (sentence,) = service().refused([rows[0], {**rows[1], "soil": ["clay"]}])
    assert sentence.startswith("the request, row 2, column 'soil': expected a number, text, true, false or null, found")


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (3, "the request must be an object for a row, or a list of objects; found a number"),
        (True, "the request must be an object for a row, or a list of objects; found a truth value"),
        ("rows", "the request must be an object for a row, or a list of objects; found text"),
        ([], "the request has no row; send at least one"),
        ([7], "the request, row 1: expected an object with a value for each column, found a number"),
    ],
)
def test_what_is_no_row(service: Callable[..., Any], value: Any, sentence: str) -> None:
    assert service().refused(value) == [sentence]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"{", "the request is not JSON (Expecting property name enclosed in double quotes"),
        (b"", "the request is not JSON (Expecting value"),
        (b"\xff", "the request is not UTF-8 text; send JSON in UTF-8"),
        (b'{"a": NaN}', "the request is not JSON (NaN is no number of JSON: give null for a value that is missing)"),
        (b'{"a": 1, "a": 2}', "the request names 'a' twice in one object; keep one of them"),
        (b'{"a": "\\ud800"}', "the request has an escape such as \\ud800 alone, which is no letter; leave it out"),
        (b"[" * 100_000, "the request is nested too deeply; send an object for a row, or a list of them"),
        (b"1" * 10_000, "the request is not JSON (Exceeds the limit"),
    ],
)
def test_what_is_no_json(service: Callable[..., Any], body: bytes, sentence: str) -> None:
    found = service().ask("POST", "/predict", content=body, headers={"content-type": "application/json"})
    assert found.status_code == 400
    assert found.json()["errors"][0].startswith(sentence)


def test_too_many_rows_and_faults(service: Callable[..., Any], rows: list[dict[str, Any]]) -> None:
    client = service(limits=Limits(most_rows=30))
    assert client.post(rows[:31]) == (
        413, {"errors": ["the request has 31 rows; at most 30 are taken in one: send several"]}
    )  # fmt: skip
    sentences = client.refused([{**row, "height": "tall"} for row in rows[:30]])
    assert len(sentences) == MOST_FAULTS + 1
    assert sentences[-1] == f"there are more faults like these {MOST_FAULTS}"
    assert client.csv("height\n" + "1\n" * 31).json()["errors"] == [
        "the request has 31 rows; at most 30 are taken in one: send several"
    ]


def test_many_unknown_columns_take_no_time(service: Callable[..., Any], rows: list[dict[str, Any]]) -> None:
    assert len(service().refused({f"column {i}": 1 for i in range(40_000)})) == MOST_FAULTS + 1


def test_csv_that_does_not_fit(service: Callable[..., Any], rows: list[dict[str, Any]]) -> None:
    names = list(rows[0])
    missing = service().csv(",".join(names[1:]) + "\n" + ",".join("1" for _ in names[1:]) + "\n")
    assert missing.status_code == 422
    assert missing.json()["errors"] == ["the request: the column 'height' is missing; name it in the first line"]
    line = ["tall", "clay", "true", "yes", "2015-01-02", "plant 1", "words"]
    found = service().csv(",".join(names) + "\n" + ",".join(line) + "\n")
    assert (found.status_code, found.json()["errors"]) == (422, [
        "the request, row 1 (line 2), column 'height': expected a number as in training, found 'tall'. "
        "Correct that cell, or leave it empty."
    ])  # fmt: skip
    empty = service().csv("")
    assert (empty.status_code, empty.json()["errors"]) == (400, ["the request is empty: there is no row to read."])
    ragged = service().csv("a,b\n1,2,3\n1,2\n1,2\n")
    assert ragged.status_code in (400, 422)
    assert "tmp" not in ragged.text


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("?proba=2", "proba must be 1 or 0, found '2'"),
        ("?prob=1", "the query has 'prob'; only proba=1 or proba=0 is known"),
    ],
)
def test_what_cannot_be_asked(
    service: Callable[..., Any], rows: list[dict[str, Any]], query: str, sentence: str
) -> None:
    assert service().post(rows[0], query) == (400, {"errors": [sentence]})


def test_numbers_have_no_probabilities(service: Callable[..., Any], harvest: Any, rows: list[dict[str, Any]]) -> None:
    assert service(harvest).post(rows[0], "?proba=1") == (
        400, {"errors": ["the model predicts numbers ('yield'); it has no probabilities"]}
    )  # fmt: skip


def test_kinds_that_are_not_taken_or_given(service: Callable[..., Any], rows: list[dict[str, Any]]) -> None:
    body = json.dumps(rows[0])
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        found = service().ask("POST", "/predict", content=body, headers={"content-type": kind})
        assert found.status_code == 415
        assert found.json()["errors"] == [
            f"rows are taken as application/json or text/csv; the content-type says {kind!r}"
        ]
    found = service().ask("POST", "/predict", json=rows[0], headers={"accept": "image/png"})
    assert (found.status_code, found.json()["errors"]) == (
        406, ["answers are application/json or text/csv; the header Accept allows neither"]
    )  # fmt: skip
