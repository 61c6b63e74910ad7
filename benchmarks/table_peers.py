"""scikit-learn's models on tables, as their users set them up: defaults, on columns made ready for each."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.data.table import Table

Array = NDArray[Any]
MOST_CATEGORIES = 255
"""HistGradientBoosting takes no more, so a text column with more is left out, for both."""


def columns(training: Table, test: Table, target: str) -> tuple[Array, Array, list[bool]]:
    """(training, test, which are categories): numbers as they are, text as codes by alphabet, NaN where missing."""
    pairs: list[tuple[Array, Array]] = []
    categories: list[bool] = []
    for name in training.names:
        a, b = training.column(name), test.column(name)
        if name == target:
            continue
        if a.dtype.kind in "biuf" and b.dtype.kind in "biuf":
            pairs.append((a.astype(np.float64), b.astype(np.float64)))
            categories.append(False)
            continue
        known = {label: code for code, label in enumerate(sorted({str(v) for v in a if v is not None}))}
        if len(known) <= MOST_CATEGORIES:
            first, second = (np.array([known.get(str(v), np.nan) for v in part]) for part in (a, b))
            pairs.append((first, second))
            categories.append(True)
    return np.stack([a for a, _ in pairs], axis=1), np.stack([b for _, b in pairs], axis=1), categories


def boosting(categories: list[bool], classify: bool, seed: int) -> Any:
    """HistGradientBoosting's defaults, told which columns are categories."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingClassifier if classify else HistGradientBoostingRegressor
    return kind(categorical_features=categories, random_state=seed)


def perceptron(categories: list[bool], classify: bool, seed: int) -> Any:
    """MLPClassifier's or MLPRegressor's defaults on imputed, standardised, one-hot columns; the target standardised."""
    from sklearn.compose import TransformedTargetRegressor, make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    mask = np.array(categories)
    ready = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ~mask), (OneHotEncoder(handle_unknown="ignore"), mask)
    )
    if classify:
        return make_pipeline(ready, MLPClassifier(random_state=seed))
    target = TransformedTargetRegressor(MLPRegressor(random_state=seed), transformer=StandardScaler())
    return make_pipeline(ready, target)


PEERS = {"HistGradientBoosting": boosting, "MLP": perceptron}


def predictions(peer: str, training: Table, test: Table, target: str, metric: str, seed: int) -> tuple[Array, Array]:
    """(predicted, true) on the test rows: labels as text, or values."""
    x, x_test, categories = columns(training, test, target)
    classify = metric == "accuracy"
    y, y_test = (values_of(part.column(target), metric) for part in (training, test))
    model = PEERS[peer](categories, classify, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 200 passes without convergence are the default, too
        return model.fit(x, y).predict(x_test), y_test


def values_of(column: Array, metric: str) -> Array:
    """A target column as models take it: labels as text without blanks and a dot at the end, or float64."""
    if metric == "accuracy":
        return np.array([str(label).strip().removesuffix(".") for label in column])
    return column.astype(np.float64)
