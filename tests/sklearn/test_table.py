"""TableClassifier and TableRegressor: what they learn, and that it is what the command line learns."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes, load_wine
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import train_test_split

import fallline as fl
from fallline.cli.main import main
from fallline.data.samples import load_sample
from fallline.sklearn import TableClassifier, TableRegressor

TINY: dict[str, Any] = {"hidden": 4, "epochs": 3}


def garden(count: int = 60) -> pd.DataFrame:
    """height (with gaps), soil, shade, planted, plant."""
    turn = np.arange(count)
    frame = pd.DataFrame(
        {"height": np.round(np.sin(turn) * 3 + 5, 3), "soil": np.array(["clay", "sand", "peat"])[turn**2 % 3]}
    )
    frame.loc[turn % 11 == 5, "height"] = np.nan
    frame["soil"] = frame["soil"].astype("category")
    frame["shade"] = turn % 3 == 0
    frame["planted"] = pd.to_datetime([f"20{10 + i % 9}-0{1 + i % 7}-15" for i in turn])
    frame["plant"] = [None if i % 20 == 3 else f"plant {i % 20}" for i in turn]
    return frame


def fruit(count: int = 60) -> pd.Series:
    return pd.Series(np.array(["ripe", "unripe", "none"])[np.arange(count) % 3], name="fruit")


def harvest(count: int = 60) -> pd.Series:
    return pd.Series(np.sin(np.arange(count)) * 40 + np.arange(count) % 3, name="harvest")


def weights_of(model: Any) -> dict[str, list[float]]:
    return {name: values.tolist() for name, values in model.network.parameters().items()}


def test_classes_are_learnt_from_a_frame() -> None:
    X, y = load_wine(return_X_y=True, as_frame=True)
    kinds = np.array(["red", "white", "rosé"])[y]
    train, test, learnt, true = train_test_split(X, kinds, random_state=0)
    model = TableClassifier().fit(train, learnt)
    assert model.score(test, true) > 0.9, "a linear model reaches 0.95 and more"
    assert model.classes_.tolist() == ["red", "rosé", "white"]
    assert model.n_features_in_ == 13
    assert model.feature_names_in_.tolist() == list(X.columns)
    chances = model.predict_proba(test)
    assert chances.shape == (45, 3)
    assert np.allclose(chances.sum(axis=1), 1.0)
    assert (model.predict(test) == model.classes_[chances.argmax(axis=1)]).all()


def test_numbers_are_learnt_from_an_array() -> None:
    X, y = load_diabetes(return_X_y=True)
    train, test, learnt, true = train_test_split(X, y, random_state=0)
    linear = LinearRegression().fit(train, learnt).score(test, true)
    model = TableRegressor().fit(train, learnt)
    assert model.score(test, true) > linear - 0.1
    assert not hasattr(model, "feature_names_in_")
    assert model.predict(test).dtype == np.float64


def test_what_a_training_knows_is_there() -> None:
    model = TableClassifier(**TINY).fit(garden(), fruit())
    assert [info.kind for info in model.columns_] == ["number", "category", "boolean", "date", "category"]
    assert model.n_iter_ == 3 == len(model.history_["validation_loss"]) == model.run_.epochs
    assert set(model.validation_scores_) == {"accuracy", "log_loss"}
    assert model.model_.target.name == "fruit"
    assert model.model_.plan.hidden == (4,)


@pytest.mark.parametrize(
    ("target", "estimator"), [("species", TableClassifier), ("body_mass_g", TableRegressor)], ids=["classes", "numbers"]
)
def test_the_weights_are_those_of_the_command_line(target: str, estimator: Any, tmp_path: Path) -> None:
    frame = pd.DataFrame(load_sample("penguins").columns)
    frame = frame[frame[target].notna()].drop_duplicates()
    train, test = frame.iloc[:250], frame.iloc[250:]
    train.to_csv(tmp_path / "train.csv", index=False)
    test.to_csv(tmp_path / "test.csv", index=False)
    call = ["train", str(tmp_path / "train.csv"), "--target", target, "--test", str(tmp_path / "test.csv")]
    assert main([*call, "--seed", "5", "--epochs", "4", "--out", str(tmp_path / "run"), "--quiet"]) == 0
    theirs = fl.load(tmp_path / "run" / "model.safetensors")
    ours = estimator(random_state=5, epochs=4).fit(train.drop(columns=target), train[target])
    assert weights_of(ours.model_) == weights_of(theirs)
    assert ours.model_.encoder.to_json() == theirs.encoder.to_json()
    assert ours.predict(test.drop(columns=target)).tolist() == theirs.predict(test).tolist()


def test_the_file_predicts_as_the_estimator_does(tmp_path: Path) -> None:
    model = TableClassifier(**TINY).fit(garden(), fruit())
    model.save(tmp_path / "fruit.safetensors")
    loaded = fl.load(tmp_path / "fruit.safetensors")
    assert loaded.predict(garden()).tolist() == model.predict(garden()).tolist()
    assert (loaded.predict_proba(garden()) == model.predict_proba(garden())).all()


@pytest.mark.parametrize("call", ["predict", "save"])
def test_what_was_not_trained_says_so(call: str) -> None:
    with pytest.raises(NotFittedError, match="This TableRegressor instance is not fitted yet"):
        getattr(TableRegressor(), call)(garden())


def test_the_seed_decides_the_bits() -> None:
    def trained(random_state: Any) -> dict[str, list[float]]:
        return weights_of(TableClassifier(random_state=random_state, **TINY).fit(garden(), fruit()).model_)

    assert trained(None) == trained(0)
    assert trained(0) != trained(1)
    assert trained(np.random.RandomState(7)) == trained(np.random.RandomState(7))


# weights


@pytest.mark.parametrize("validation", [None, 0.3, 0])
@pytest.mark.parametrize(("estimator", "y"), [(TableClassifier, fruit()), (TableRegressor, harvest())])
def test_weight_k_is_k_copies(estimator: Any, y: pd.Series, validation: Any) -> None:
    X, weight = garden(), np.arange(60) * 7 % 4
    order = np.random.default_rng(0).permutation(60)
    copies = np.repeat(np.arange(60), weight)
    model = estimator(validation=validation, **TINY)
    one = weights_of(model.fit(X.iloc[order], y.iloc[order], sample_weight=weight[order]).model_)
    other = weights_of(model.fit(X.iloc[copies], y.iloc[copies]).model_)
    assert one == other, "the same bits"
    assert one != weights_of(model.fit(X, y).model_)


def test_weights_of_1_are_none_and_of_2_two_copies() -> None:
    model = TableRegressor(**TINY)
    plain = weights_of(model.fit(garden(), harvest()).model_)
    assert weights_of(model.fit(garden(), harvest(), sample_weight=1.0).model_) == plain
    twice = weights_of(model.fit(garden(), harvest(), sample_weight=[2] * 60).model_)
    for copies in (np.tile(np.arange(60), 2), np.repeat(np.arange(60)[::-1], 2)):
        assert weights_of(model.fit(garden().iloc[copies], harvest().iloc[copies]).model_) == twice


def test_a_row_of_weight_0_is_absent() -> None:
    weight = (np.arange(60) % 5 > 0).astype(float)
    model, kept = TableClassifier(**TINY), weight > 0
    absent = weights_of(model.fit(garden()[kept], fruit()[kept]).model_)
    assert weights_of(model.fit(garden(), fruit(), sample_weight=weight).model_) == absent
    model.fit(garden(), fruit(), sample_weight=(fruit() != "ripe").astype(float))
    assert model.classes_.tolist() == ["none", "unripe"]
    assert model.predict_proba(garden()).shape == (60, 2)


def test_class_weights_are_weights() -> None:
    X, y = garden(), fruit()
    named = TableClassifier(class_weight={"ripe": 3.0}, **TINY).fit(X, y)
    model = TableClassifier(**TINY).fit(X, y, sample_weight=np.where(y == "ripe", 3.0, 1.0))
    assert weights_of(named.model_) == weights_of(model.model_)


def test_balanced_classes_weigh_alike() -> None:
    """Of counts 40, 16 and 4: n / (classes × count) is 0.5, 1.25 and 5."""
    X = pd.DataFrame({"a": np.linspace(0.0, 1.0, 60), "b": np.sin(np.arange(60))})  # sorted, as weighted rows will be
    y = np.repeat(["x", "y", "z"], [40, 16, 4])
    plain = TableClassifier(validation=0, **TINY)
    balanced = TableClassifier(validation=0, class_weight="balanced", **TINY)
    given = plain.fit(X, y, sample_weight=np.repeat([0.5, 1.25, 5.0], [40, 16, 4]))
    assert weights_of(balanced.fit(X, y).model_) == weights_of(given.model_)


def test_balanced_counts_copies() -> None:
    """Ten of x twice: counts 50, 16 and 4 of 70."""
    X = pd.DataFrame({"a": np.sin(np.arange(60)), "b": np.cos(np.arange(60) ** 2)})
    y, weight = np.repeat(["x", "y", "z"], [40, 16, 4]), np.repeat([2.0, 1.0], [10, 50])
    copies = np.repeat(np.arange(60), weight.astype(int))
    balanced = TableClassifier(class_weight="balanced", **TINY)
    found = weights_of(balanced.fit(X.iloc[copies], y[copies]).model_)
    assert found == weights_of(balanced.fit(X, y, sample_weight=weight).model_)
    by_hand = weight * np.repeat([70.0 / (3 * 50.0), 70.0 / (3 * 16.0), 70.0 / (3 * 4.0)], [40, 16, 4])
    assert found == weights_of(TableClassifier(**TINY).fit(X, y, sample_weight=by_hand).model_)


# rows that are set aside


def test_few_rows_are_all_trained_on_and_that_is_told() -> None:
    model = TableClassifier(**TINY).fit([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0])
    assert model.run_.config["rows"] == 4
    assert model.validation_scores_ == {}
    assert model.notices_[0] == (
        "All rows are trained on, and none is set aside to tell when to stop: fewer than 20 differ."
    )


def test_validation_rows_may_be_given() -> None:
    X, y = garden(), fruit()
    model = TableClassifier(validation=(X[40:], y[40:]), **TINY).fit(X[:40], y[:40])
    assert (model.run_.config["rows"], model.run_.config["validation_rows"]) == (40, 20)
    assert model.validation_scores_["accuracy"] == pytest.approx(model.score(X[40:], y[40:]))
    with pytest.raises(fl.DataError, match="'rotten' is none of the classes"):
        model.set_params(validation=(X[40:], ["rotten"] * 20)).fit(X[:40], y[:40])


def test_no_row_or_a_share_is_set_aside() -> None:
    model = TableRegressor(validation=0, **TINY).fit(garden(), harvest())
    assert (model.run_.config["rows"], model.run_.config["validation_rows"]) == (60, 0)
    model.set_params(validation=0.5, patience=1, epochs=50).fit(garden(), harvest())
    assert (model.run_.config["rows"], model.run_.config["validation_rows"]) == (30, 30)
    assert model.validation_scores_.keys() == {"rmse", "mae", "r2"}
