import json
import math
import statistics

import numpy as np
import pytest

from fallline.data.sources import read_table
from fallline.data.table import Table
from fallline.data.targets import ClassTarget, NumberTarget, drop_missing_targets, target_from_json
from fallline.errors import DataError


def texts(*cells: str | None) -> np.ndarray:
    column = np.empty(len(cells), dtype=object)
    column[:] = cells
    return column


@pytest.mark.parametrize(
    ("values", "classes", "codes"),
    [
        (np.array([10, 2, 2]), [2, 10], [1, 0, 0]),  # by value, not by text
        (np.array([1.5, 0.5, 1.0]), [0.5, 1.0, 1.5], [2, 0, 1]),
        (np.array([True, False, True]), [False, True], [1, 0, 1]),
        (texts("b", "a", "b"), ["a", "b"], [1, 0, 1]),
        (texts("10", "9", "x"), ["10", "9", "x"], [0, 1, 2]),
        (np.array([7, 9, 7], dtype=np.uint8), [7, 9], [0, 1, 0]),
    ],
)
def test_classes_are_the_labels_in_order(values, classes, codes) -> None:
    target = ClassTarget.fit(values)
    assert target.classes == classes
    assert target.encode(values).tolist() == codes
    again = target_from_json(json.loads(json.dumps(target.to_json())))
    assert isinstance(again, ClassTarget)
    decoded = again.decode(codes)
    assert decoded.tolist() == values.tolist()
    assert [type(label) for label in decoded.tolist()] == [type(label) for label in values.tolist()]


def test_labels_match_however_they_are_written() -> None:
    target = ClassTarget.fit(np.array([1, 2, 1]))
    assert target.encode(np.array([2.0, 1.0])).tolist() == [1, 0]
    assert target.encode(texts("1", "2.0")).tolist() == [0, 1]


def test_a_dot_after_a_label_is_forgiven_and_told() -> None:
    target = ClassTarget.fit(texts("<=50K", ">50K"), "income")
    notices: list[str] = []
    assert target.encode(texts(">50K.", "<=50K.", ">50K."), notices=notices).tolist() == [1, 0, 1]
    assert notices == [
        "The target 'income': '>50K.' was taken as the class '>50K' (2 rows).",
        "The target 'income': '<=50K.' was taken as the class '<=50K' (1 row).",
    ]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (texts("a", "a"), "The target 'y' has one class only, 'a', in 2 rows; a classifier needs at least two."),
        (texts("a", None), "row 2, target 'y': the target is missing."),
        (np.array([1.0, np.inf]), "row 2, target 'y': the target is infinite."),
        (np.array(["2020-01-01"], dtype="datetime64[us]"), "The target 'y' holds dates, which cannot be predicted"),
    ],
)
def test_unusable_classes_are_told(values, sentence: str) -> None:
    with pytest.raises(DataError) as problem:
        ClassTarget.fit(values, "y")
    assert sentence in str(problem.value)


def test_an_unknown_label_is_told_with_the_classes() -> None:
    table = Table({"y": texts("a", "q")}, "test.csv", lines=np.array([2, 3]))
    with pytest.raises(DataError) as problem:
        ClassTarget.fit(texts("a", "b"), "y").encode(table.column("y"), table.place)
    expected = "test.csv, row 2 (line 3), target 'y': 'q' is none of the classes of training: 'a', 'b'."
    assert str(problem.value) == expected


def test_numbers_are_standardised_and_come_back() -> None:
    values = [3.0, 8.5, -2.0, 7.25, 1e3]
    target = NumberTarget.fit(np.array(values), "price")
    assert target.mean == pytest.approx(statistics.fmean(values), rel=1e-15)
    assert target.deviation == pytest.approx(statistics.pstdev(values), rel=1e-15)
    encoded = target.encode(np.array(values))
    assert (encoded.shape, encoded.dtype) == ((5, 1), np.float32)
    decoded = target.decode(encoded)
    assert decoded.dtype == np.float64
    np.testing.assert_allclose(decoded, values, rtol=1e-5, atol=1e-4)
    again = target_from_json(json.loads(json.dumps(target.to_json())))
    assert isinstance(again, NumberTarget)
    assert (again.mean, again.deviation) == (target.mean, target.deviation)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (np.full(4, 0.1), "The target 'y' is 0.1 in all 4 rows: there is nothing to learn."),
        (np.array([1.0, np.nan]), "row 2, target 'y': the target is missing."),
        (np.array([1.0, -np.inf]), "row 2, target 'y': the target is infinite."),
        (texts("1", "b"), "row 2, target 'y': expected a number for regression, found 'b'."),
    ],
)
def test_unusable_numbers_are_told(values, sentence: str) -> None:
    with pytest.raises(DataError) as problem:
        NumberTarget.fit(values, "y")
    assert sentence in str(problem.value)


def test_a_logarithmic_scale_is_undone() -> None:
    values = [0.5, 3.0, 20.0, 1e-3, 7e6]
    target = NumberTarget.fit(np.array(values), "price", log=True)
    logs = [math.log(value) for value in values]
    assert target.mean == pytest.approx(statistics.fmean(logs), rel=1e-14)
    assert target.deviation == pytest.approx(statistics.pstdev(logs), rel=1e-14)
    encoded = target.encode(np.array(values))
    np.testing.assert_allclose(encoded[:, 0], (np.array(logs) - target.mean) / target.deviation, rtol=1e-6)
    np.testing.assert_allclose(target.decode(encoded), values, rtol=1e-5)
    assert target.encode(np.array([0.0, -5.0])).tolist() == [[-10.0], [-10.0]], "no logarithm, far below all others"
    assert np.isfinite(target.decode([1e30, -1e30])).all()
    again = target_from_json(json.loads(json.dumps(target.to_json())))
    assert vars(again) == vars(target)


def test_no_prediction_goes_beyond_a_limit() -> None:
    target = NumberTarget.fit(np.array([0.0, 5.0, 10.0]), "y", low=0.0, high=10.0)
    assert target.decode([[-9.0], [0.0], [9.0]]).tolist() == [0.0, 5.0, 10.0]
    one_sided = NumberTarget.fit(np.array([0.0, 5.0, 10.0]), "y", high=10.0)
    assert one_sided.decode([-9.0, 9.0]).tolist() == [-9.0 * one_sided.deviation + 5.0, 10.0]


def test_a_logarithmic_scale_needs_positive_values() -> None:
    with pytest.raises(DataError) as problem:
        NumberTarget.fit(np.array([1.0, 0.0]), "y", log=True)
    assert str(problem.value).startswith("row 2, target 'y': a logarithmic scale needs values above 0, found 0.")


def test_rows_without_a_target_are_left_out_and_told() -> None:
    table = read_table({"x": [1, 2, 3], "y": ["a", None, "b"]})
    rest = drop_missing_targets(table, "y")
    assert rest.column("x").tolist() == [1, 3]
    assert rest.notices == ["the dictionary: 1 row left out, because the target 'y' is missing (first: row 2)."]
    assert table.notices == []
    assert drop_missing_targets(rest, "y") is rest
    with pytest.raises(DataError, match=r"the target 'y' is missing in all 2 rows\. Choose another target."):
        drop_missing_targets(read_table({"y": [math.nan, math.nan]}), "y")
