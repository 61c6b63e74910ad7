"""What TableClassifier and TableRegressor take as X, y and weights, and what they refuse."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy import sparse

import fallline as fl
from fallline.sklearn import TableClassifier, TableRegressor

TINY: dict[str, Any] = {"hidden": 4, "epochs": 2}
TURN = np.arange(40)
COLUMNS: dict[str, list[Any]] = {
    "height": [None if i % 11 == 5 else float(i * i % 17) for i in range(40)],
    "soil": [("clay", "sand", None)[i % 3] for i in range(40)],
    "shade": [i % 2 == 0 for i in range(40)],
}
LABELS = np.array(["NA", "None", "1.0"])[TURN % 3]


def classifier(X: Any = None, y: Any = LABELS) -> TableClassifier:
    return TableClassifier(**TINY).fit(COLUMNS if X is None else X, y)


def chances(model: TableClassifier, X: Any) -> list[list[float]]:
    found: list[list[float]] = model.predict_proba(X).tolist()
    return found


KINDS = {
    "pandas": pd.DataFrame(COLUMNS),
    "pandas, its own missing values": pd.DataFrame(COLUMNS).convert_dtypes(),
    "polars": pl.DataFrame(COLUMNS),
    "a lazy polars frame": pl.LazyFrame(COLUMNS),
    "pyarrow": pa.table(COLUMNS),
    "mappings": [dict(zip(COLUMNS, row, strict=True)) for row in zip(*COLUMNS.values(), strict=True)],
    "a structured array's columns": {name: np.array(values, dtype=object) for name, values in COLUMNS.items()},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_table_gives_the_same_bits(kind: str) -> None:
    expected = classifier()
    model = classifier(KINDS[kind])
    assert chances(model, COLUMNS) == chances(expected, COLUMNS)
    assert chances(expected, KINDS[kind]) == chances(expected, COLUMNS)
    assert model.feature_names_in_.tolist() == ["height", "soil", "shade"]
    assert model.n_features_in_ == 3


def test_an_array_of_objects_is_told_apart_column_by_column() -> None:
    model = classifier(pd.DataFrame(COLUMNS).to_numpy(dtype=object))
    assert [info.kind for info in model.columns_] == ["number", "category", "boolean"]
    assert chances(model, pd.DataFrame(COLUMNS).to_numpy(dtype=object)) == chances(classifier(), COLUMNS)


def test_what_is_no_cell_is_known_by_its_text() -> None:
    X = np.array([[["comedy"], 1.0], [["drama"], 2.0]] * 10, dtype=object)
    model = TableClassifier(epochs=60).fit(X, ["light", "dark"] * 10)
    assert model.columns_[0].kind == "category"
    assert model.predict(X[:2]).tolist() == ["light", "dark"]


def test_columns_are_found_by_name() -> None:
    model = classifier(pd.DataFrame(COLUMNS))
    other = pd.DataFrame({"more": 1, **{name: COLUMNS[name] for name in ("shade", "soil", "height")}})
    assert chances(model, other) == chances(model, COLUMNS)
    with pytest.raises(fl.DataError, match="the DataFrame lacks the column 'height' of training"):
        model.predict(other.drop(columns="height"))


def test_columns_without_names_are_found_by_their_place() -> None:
    frame = pd.DataFrame(COLUMNS)
    model = classifier(frame)
    with pytest.warns(UserWarning, match="X does not have valid feature names, but TableClassifier was fitted with"):
        found = model.predict_proba(frame.to_numpy(dtype=object))
    assert found.tolist() == chances(model, frame)
    nameless = classifier(frame.to_numpy(dtype=object))
    with pytest.raises(ValueError, match="X has 2 features, but TableClassifier is expecting 3 features as input"):
        nameless.predict(frame.to_numpy(dtype=object)[:, :2])
    numbered = frame.set_axis(range(3), axis=1)
    assert not hasattr(classifier(numbered), "feature_names_in_")
    assert chances(nameless, numbered) == chances(classifier(numbered), numbered)


def test_names_are_forgotten_by_a_fit_without_names() -> None:
    model = classifier(pd.DataFrame(COLUMNS))
    model.fit(pd.DataFrame(COLUMNS).to_numpy(dtype=object), LABELS)
    assert not hasattr(model, "feature_names_in_")


def test_one_row_and_unknown_categories_are_predicted() -> None:
    model = classifier()
    whole = chances(model, COLUMNS)
    for row in (0, 7, 39):
        assert chances(model, {name: values[row : row + 1] for name, values in COLUMNS.items()}) == [whole[row]]
    unknown = model.predict_proba([{"height": float("inf"), "soil": "moon", "shade": None}])
    assert np.isfinite(unknown).all()
    assert unknown.sum() == pytest.approx(1.0)


Y = {
    "text": LABELS,
    "pandas text": pd.Series(LABELS, dtype="string"),
    "a category": pd.Series(LABELS, dtype="category"),
    "polars": pl.Series("y", LABELS),
    "a list": LABELS.tolist(),
}


@pytest.mark.parametrize("kind", Y)
def test_labels_are_kept_as_they_are_written(kind: str) -> None:
    model = classifier(y=Y[kind])
    assert model.classes_.tolist() == ["1.0", "NA", "None"]
    assert set(model.predict(COLUMNS)) <= set(LABELS)
    assert chances(model, COLUMNS) == chances(classifier(), COLUMNS)


@pytest.mark.parametrize(
    "classes",
    [[False, True], [-2, 3], [1.0, 2.0], ["10", "9"], ["a", "a ", " a"], ["1", "1.0"], ["True", "true"], ["?", "NaN"]],
    ids=repr,
)
def test_classes_are_those_of_numpy(classes: list[Any]) -> None:
    y = np.array(classes)[TURN % len(classes)]
    model = TableClassifier(epochs=300, hidden=8, dropout=0.0).fit({"a": TURN % len(classes), "b": TURN % 7}, y)
    assert model.classes_.tolist() == np.unique(y).tolist()
    assert model.classes_.dtype == y.dtype
    assert model.predict({"a": TURN % len(classes), "b": TURN % 7}).tolist() == y.tolist()
    assert model.predict_proba({"a": [0], "b": [3]}).argmax() == np.unique(y).tolist().index(classes[0])


def test_numbers_of_any_kind_are_values() -> None:
    values = TURN * 0.5
    expected = TableRegressor(**TINY).fit(COLUMNS, values).predict(COLUMNS).tolist()
    for y in (values.tolist(), pd.Series(values, dtype="Float64"), values.astype(object), pl.Series(values)):
        assert TableRegressor(**TINY).fit(COLUMNS, y).predict(COLUMNS).tolist() == expected
    with pytest.warns(UserWarning, match="A column-vector y was passed when a 1d array was expected"):
        TableRegressor(**TINY).fit(COLUMNS, values[:, None])


@pytest.mark.parametrize(
    ("X", "y", "says"),
    [
        (
            pd.Series([1.0, 2.0]),
            [1, 2],
            r"TableClassifier.fit: X must have two dimensions, found a Series; .* df\[\['x",
        ),
        ([1.0, 2.0], [1, 2], "Expected 2D array, got 1D array instead"),
        (pd.DataFrame({"a": []}), [], "TableClassifier.fit: X has 0 rows and 1 columns; give some"),
        (pd.DataFrame({"a": [1.0]}), [1], "TableClassifier.fit: X has 1 sample; 2 are needed to train on"),
        ({"a": [1, 2, 3]}, [0, 1], r"Found input variables with inconsistent numbers of samples: \[3, 2\]"),
        ({"a": [1, 2, 3]}, None, "TableClassifier.fit requires y to be passed, but the target y is None"),
        ({"a": [1, 2, 3]}, ["u", None, "v"], "TableClassifier.fit: y has no value in row 1; fill it in"),
        ({"a": [1, 2, 3]}, pd.array([1, None, 2]), "Input y contains NaN"),
        ({"a": [1, 2, 3]}, [0.0, np.nan, 1.0], "Input y contains NaN"),
        ({"a": [1, 2, 3]}, [0.1, 0.2, 0.3], "Unknown label type: continuous"),
        ({"a": [1, 2, 3]}, ["u", "u", "u"], "has one class only, 'u', in 3 rows; a classifier needs at least two"),
        ({"a": [1, 2, 3]}, [[0, 1], [1, 0], [1, 1]], "y should be a 1d array"),
        ({"a": [1, 1, 1]}, [0, 0, 0], "all rows of weight above 0 are equal; 2 different ones are needed to train on"),
        ({"a": [1, 1, 1]}, [0, 1, 0], "no column is left to learn from"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(X: Any, y: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        TableClassifier(**TINY).fit(X, y)


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.dok_matrix, sparse.coo_array])
def test_sparse_matrices_are_refused(kind: Any) -> None:
    with pytest.raises(TypeError, match="Sparse data was passed for X, but dense data is required"):
        TableRegressor(**TINY).fit(kind(np.eye(4)), np.arange(4.0))


def test_a_path_is_no_x() -> None:
    with pytest.raises(ValueError, match="Expected 2D array, got scalar array instead"):
        TableClassifier(**TINY).fit("penguins", [0, 1])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([1.0] * 39, r"TableRegressor.fit: sample_weight needs the shape \(40,\), one for each row; it has \(39,\)"),
        ([[1.0]] * 40, r"it has \(40, 1\)"),
        ([1.0] * 39 + [-1.0], "sample_weight must be finite and 0 or more; row 39 has -1"),
        ([np.nan] + [1.0] * 39, "sample_weight must be finite and 0 or more; row 0 has nan"),
        ([0.0] * 40, "sample_weight is zero in every row, so that none counts; give one a weight"),
        (["heavy"] * 40, "sample_weight must hold a number for each row, found"),
    ],
)
def test_a_weight_that_cannot_be_is_refused(given: Any, says: str) -> None:
    with pytest.raises((ValueError, TypeError), match=says):
        TableRegressor(**TINY).fit(COLUMNS, TURN * 1.0, sample_weight=given)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"hidden": "many"}, "hidden must be one or several whole numbers, found 'many'"),
        ({"hidden": (4, 2.5)}, r"hidden must be one or several whole numbers, found \(4, 2.5\)"),
        ({"drop": 3}, "drop must be one or several names of columns, found 3"),
        ({"drop": "hight"}, "no column 'hight': did you mean 'height'"),
        ({"validation": "some"}, r"validation must be a share of the rows, or a pair \(X, y\), found 'some'"),
        ({"validation": 1.5}, "validation must be a share between 0 and 1"),
        ({"activation": "rely"}, "did you mean 'relu'"),
        ({"optimizer": "adma"}, "did you mean 'adam'"),
        ({"random_state": "x"}, "'x' cannot be used to seed a numpy.random.RandomState instance"),
        ({"class_weight": "alike"}, r"class_weight must be 'balanced' or \{label: weight\}, found 'alike'"),
        ({"class_weight": {"rotten": 1.0}}, "class_weight names the class 'rotten', which no row has; y has"),
        ({"class_weight": {"NA": 0}}, "class_weight of 'NA' must be a finite number above 0, found 0"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_fit(settings: dict[str, Any], says: str) -> None:
    model = TableClassifier(**settings)
    with pytest.raises((ValueError, TypeError), match=says):
        model.fit(COLUMNS, LABELS)


def test_columns_may_be_left_out_and_may_be_called_anything() -> None:
    model = TableClassifier(drop="soil", **TINY).fit(COLUMNS, LABELS)
    assert model.model_.encoder.source_columns == ["height", "shade"]
    named = pd.DataFrame({"target": TURN % 7, "sample_weight": TURN % 5, "target_": TURN % 3})
    model = TableClassifier(**TINY).fit(named, pd.Series(LABELS, name="target"), sample_weight=1 + TURN % 2)
    assert model.model_.encoder.source_columns == list(named.columns)
    assert model.model_.target.name == "target__"
