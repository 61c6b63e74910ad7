"""scikit-learn's own checks of an estimator, on both estimators for tables as they are by default: none may fail."""

from typing import Any

from sklearn.utils.estimator_checks import parametrize_with_checks

from fallline.sklearn import TableClassifier, TableRegressor


@parametrize_with_checks([TableClassifier(), TableRegressor()])
def test_scikit_learn_checks(estimator: Any, check: Any) -> None:
    check(estimator)
