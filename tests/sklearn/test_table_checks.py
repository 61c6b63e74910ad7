"""scikit-learn's own checks of an estimator, on both estimators for tables as they are by default: none may fail."""

import os
import subprocess
import sys
from typing import Any

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from fallline.sklearn import TableClassifier, TableRegressor

LONG = {
    "check_class_weight_classifiers", "check_classifier_data_not_an_array", "check_classifiers_classes",
    "check_classifiers_train", "check_dict_unchanged", "check_dont_overwrite_parameters", "check_dtype_object",
    "check_estimators_dtypes", "check_estimators_fit_returns_self", "check_estimators_overwrite_params",
    "check_estimators_pickle", "check_f_contiguous_array_estimator", "check_fit_idempotent",
    "check_n_features_in_after_fitting", "check_pipeline_consistency", "check_positive_only_tag_during_fit",
    "check_regressor_data_not_an_array", "check_regressors_train", "check_sample_weight_equivalence_on_dense_data",
}  # fmt: skip
"""Checks that train several ensembles, some of them a dozen: `make soak JOB=properties` runs them."""


@parametrize_with_checks([TableClassifier(), TableRegressor()])
def test_scikit_learn_checks(estimator: Any, check: Any) -> None:
    if check.func.__name__ in LONG:
        skip_outside_of_soaks()
    check(estimator)


def skip_outside_of_soaks() -> None:
    if "FALLLINE_SOAK_FACTOR" not in os.environ:
        pytest.skip("trains several ensembles: make soak JOB=properties")


ARRAY_API = """
from sklearn.utils.estimator_checks import check_array_api_input
from fallline.sklearn import TableClassifier, TableRegressor
for estimator in (TableClassifier(), TableRegressor()):
    name = type(estimator).__name__
    check_array_api_input(name, estimator, array_namespace="numpy", expect_only_array_outputs=False)
    print(name)
"""


def test_the_check_that_scipy_must_be_told_of_before_it_is_imported() -> None:
    skip_outside_of_soaks()
    environment = os.environ | {"SCIPY_ARRAY_API": "1"}
    done = subprocess.run([sys.executable, "-c", ARRAY_API], env=environment, capture_output=True, text=True)
    assert done.stdout.split() == ["TableClassifier", "TableRegressor"], done.stderr
