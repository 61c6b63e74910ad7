"""TableClassifier and TableRegressor among scikit-learn's tools: pipelines, searches, copies, pickles."""

import copy
import pickle
import pickletools
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import VotingClassifier
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fallline as fl
from fallline.sklearn import TableClassifier, TableRegressor

TINY: dict[str, Any] = {"hidden": 4, "epochs": 2}
TURN = np.arange(60)
FRAME = pd.DataFrame({"a": np.sin(TURN), "b": TURN**2 % 11, "c": np.array(["x", "y", None], dtype=object)[TURN % 3]})
LABELS = np.array(["no", "yes"])[(np.sin(TURN) > 0).astype(int)]
VALUES = np.sin(TURN) * 10 + TURN % 3


@pytest.fixture(scope="module")
def trained() -> TableClassifier:
    return TableClassifier(**TINY).fit(FRAME, LABELS)


def test_a_search_finds_settings() -> None:
    search = GridSearchCV(TableClassifier(hidden=4), {"epochs": [1, 60]}, cv=2, error_score="raise")
    search.fit(FRAME, LABELS)
    assert search.best_params_ == {"epochs": 60}
    assert search.score(FRAME, LABELS) > 0.8


def test_folds_are_scored_and_predicted() -> None:
    scores = cross_val_score(TableRegressor(epochs=100), FRAME, VALUES, cv=3)
    assert scores.shape == (3,)
    assert scores.min() > 0.5
    chances = cross_val_predict(TableClassifier(**TINY), FRAME, LABELS, cv=3, method="predict_proba")
    assert chances.shape == (60, 2)


def test_it_ends_a_pipeline_with_names_and_without() -> None:
    steps = ColumnTransformer(
        [("n", make_pipeline(SimpleImputer(), StandardScaler()), ["a", "b"])], remainder="passthrough"
    )
    line = make_pipeline(steps, TableClassifier(**TINY))
    assert line.fit(FRAME, LABELS).predict(FRAME.iloc[:1]).shape == (1,)
    assert not hasattr(line[-1], "feature_names_in_")
    line.set_output(transform="pandas").fit(FRAME, LABELS)
    assert line[-1].feature_names_in_.tolist() == ["n__a", "n__b", "remainder__c"]


def test_weights_are_routed() -> None:
    weight = np.where(LABELS == "yes", 3.0, 1.0)
    expected = TableClassifier(**TINY).fit(FRAME, LABELS, sample_weight=weight).predict_proba(FRAME)
    with sklearn.config_context(enable_metadata_routing=True):
        asking = TableClassifier(**TINY).set_fit_request(sample_weight=True)
        line = make_pipeline(asking).fit(FRAME, LABELS, sample_weight=weight)
    assert (line.predict_proba(FRAME) == expected).all()


def test_it_works_inside_others() -> None:
    votes = VotingClassifier(
        [("one", TableClassifier(**TINY)), ("two", TableClassifier(random_state=1, **TINY))], voting="soft"
    )
    votes.fit(FRAME, LABELS)
    each = [model.predict_proba(FRAME) for model in votes.estimators_]
    assert np.allclose(votes.predict_proba(FRAME), (each[0] + each[1]) / 2)
    scaled = TransformedTargetRegressor(TableRegressor(**TINY), transformer=StandardScaler()).fit(FRAME, VALUES)
    assert scaled.predict(FRAME).shape == (60,)


def test_a_clone_is_untrained_and_equal(trained: TableClassifier) -> None:
    other = clone(trained)
    assert other.get_params() == trained.get_params()
    assert not hasattr(other, "model_")
    assert (other.fit(FRAME, LABELS).predict_proba(FRAME) == trained.predict_proba(FRAME)).all()


@pytest.mark.parametrize("way", ["pickle", "joblib", "deepcopy"])
def test_a_pickle_predicts_the_same_bits(trained: TableClassifier, way: str, tmp_path: Path) -> None:
    if way == "pickle":
        other = pickle.loads(pickle.dumps(trained))
    elif way == "joblib":
        joblib.dump(trained, tmp_path / "model.joblib")
        other = joblib.load(tmp_path / "model.joblib")
    else:
        other = copy.deepcopy(trained)
    assert (other.predict_proba(FRAME) == trained.predict_proba(FRAME)).all()
    assert other.columns_ == trained.columns_
    assert (other.history_, other.notices_) == (trained.history_, trained.notices_)
    assert not hasattr(other, "run_"), "the training itself is no part of a pickle"
    other.save(tmp_path / "again.safetensors")
    assert (fl.load(tmp_path / "again.safetensors").predict(FRAME) == trained.predict(FRAME)).all()
    assert (pickle.loads(pickle.dumps(other)).predict_proba(FRAME) == trained.predict_proba(FRAME)).all()


def test_a_pickle_names_nothing_of_ours_but_the_estimator(trained: TableClassifier) -> None:
    strings: list[str] = []
    for code, value, _ in pickletools.genops(pickle.dumps(trained)):
        if isinstance(value, str):
            strings.append(value)
        assert code.name != "GLOBAL"
    modules = {text for text in strings if text.startswith("fallline")}
    assert modules == {"fallline.sklearn.table"}


def test_an_untrained_pickle_is_as_small_as_its_settings() -> None:
    other = pickle.loads(pickle.dumps(TableRegressor(epochs=7)))
    assert other.get_params() == TableRegressor(epochs=7).get_params()
    assert len(pickle.dumps(other)) < 1000


def test_a_damaged_model_in_a_pickle_is_refused(trained: TableClassifier) -> None:
    state = trained.__getstate__()
    state["model_"] = state["model_"][:-10]
    with pytest.raises(ValueError, match="is not a whole safetensors file"):
        TableClassifier().__setstate__(state)


def test_settings_are_shown() -> None:
    assert repr(TableClassifier(epochs=3)) == "TableClassifier(epochs=3)"
    assert "TableRegressor" in TableRegressor()._repr_html_()


def test_nothing_is_printed_by_default(capfd: pytest.CaptureFixture[str]) -> None:
    TableRegressor(**TINY).fit(FRAME, VALUES)
    assert capfd.readouterr() == ("", "")
