"""Frames of any columns: an estimator learns from them or says in a sentence why not, and keeps to its bits."""

import pickle
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import event, given, settings
from hypothesis import strategies as st

import fallline as fl
from fallline.sklearn import TableClassifier, TableRegressor

ROWS = 24
TINY: dict[str, Any] = {"hidden": (), "epochs": 2, "batch_size": 8}  # soon compiled; there is a program for each shape

NUMBERS = st.one_of(st.none(), st.floats(width=64), st.integers(-3, 3), st.sampled_from([1e300, -0.0, float("inf")]))
WORDS = st.one_of(
    st.none(), st.sampled_from(["a", "b", "NA", "", "1.0", "1", "true", "ü 🎿", "x" * 500]), st.text(max_size=3)
)
DATES = st.one_of(st.none(), st.datetimes().map(np.datetime64))
ANY = st.one_of(NUMBERS, WORDS, st.booleans())
COLUMN = st.sampled_from([NUMBERS, WORDS, DATES, st.booleans(), ANY]).flatmap(
    lambda cell: st.lists(cell, min_size=ROWS, max_size=ROWS)
)
NAME = st.text(min_size=1, max_size=4)
FRAMES = st.dictionaries(NAME, COLUMN, min_size=1, max_size=3).map(lambda c: pd.DataFrame(c, dtype=object))
LABELS = st.lists(st.sampled_from(["no", "yes", "NA"]), min_size=ROWS, max_size=ROWS)
VALUES = st.lists(st.floats(-1e6, 1e6), min_size=ROWS, max_size=ROWS)
WEIGHTS = st.lists(st.integers(0, 3), min_size=ROWS, max_size=ROWS)

few = settings(max_examples=20)


def fitted(model: Any, X: pd.DataFrame, y: Any, weight: Any = None) -> Any:
    """The estimator, or None where the table cannot be learnt from."""
    try:
        return model.fit(X, np.asarray(y), sample_weight=weight)
    except fl.DataError as problem:
        event(f"refused: {str(problem)[-40:]}")
        return None


@few
@given(FRAMES, LABELS)
def test_classes_of_any_frame(X: pd.DataFrame, y: list[str]) -> None:
    model = fitted(TableClassifier(**TINY), X, y)
    if model is None:
        return
    chances = model.predict_proba(X)
    assert chances.shape == (ROWS, len(set(y)))
    assert np.allclose(chances.sum(axis=1), 1.0)
    assert set(model.predict(X)) <= set(y)
    single = np.concatenate([model.predict_proba(X.iloc[row : row + 1]) for row in (0, ROWS - 1)])
    assert (single == chances[[0, -1]]).all()
    assert (pickle.loads(pickle.dumps(model)).predict_proba(X) == chances).all()


@few
@given(FRAMES, VALUES)
def test_values_of_any_frame(X: pd.DataFrame, y: list[float]) -> None:
    model = fitted(TableRegressor(**TINY), X, y)
    if model is None:
        return
    values = model.predict(X)
    assert values.shape == (ROWS,)
    assert np.isfinite(values).all()
    assert (model.predict(X.iloc[::-1])[::-1] == values).all()
    assert (pickle.loads(pickle.dumps(model)).predict(X) == values).all()


@few
@given(FRAMES, LABELS, WEIGHTS, st.permutations(range(ROWS)))
def test_weight_k_is_k_copies_of_any_row(X: pd.DataFrame, y: list[str], weight: list[int], order: list[int]) -> None:
    labels, copies = np.array(y), np.repeat(np.arange(ROWS), weight)
    if len(copies) < 2:
        return
    one = fitted(TableClassifier(**TINY), X.iloc[order], labels[order], np.array(weight)[order])
    other = fitted(TableClassifier(**TINY), X.iloc[copies], labels[copies])
    assert (one is None) == (other is None)
    if one is not None and max(weight) > 1:  # without copies, rows are taken in the order in which they come
        assert (one.predict_proba(X) == other.predict_proba(X)).all()
