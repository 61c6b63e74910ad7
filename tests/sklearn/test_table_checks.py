"""scikit-learn's own checks of an estimator, on both estimators for tables as they are by default: none may fail."""

import os
import subprocess
import sys
from typing import Any

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from fallline.sklearn import TableClassifier, TableRegressor

LONG = ("check_classifiers_train", "check_classifiers_classes", "check_pipeline_consistency")
"""Checks that train a dozen ensembles: `make soak JOB=properties` runs them."""


@parametrize_with_checks([TableClassifier(), TableRegressor()])
def test_scikit_learn_checks(estimator: Any, check: Any) -> None:
    if check.func.__name__ in LONG and "FALLLINE_SOAK_FACTOR" not in os.environ:
        pytest.skip("takes a minute: make soak JOB=properties")
    check(estimator)


ARRAY_API = """
from sklearn.utils.estimator_checks import check_array_api_input
from fallline.sklearn import TableClassifier, TableRegressor
for estimator in (TableClassifier(), TableRegressor()):
    name = type(estimator).__name__
    check_array_api_input(name, estimator, array_namespace="numpy", expect_only_array_outputs=False)
    print(name)
"""


def test_the_check_that_scipy_must_be_told_of_before_it_is_imported() -> None:
    environment = os.environ | {"SCIPY_ARRAY_API": "1"}
    done = subprocess.run([sys.executable, "-c", ARRAY_API], env=environment, capture_output=True, text=True)
    assert done.stdout.split() == ["TableClassifier", "TableRegressor"], done.stderr
