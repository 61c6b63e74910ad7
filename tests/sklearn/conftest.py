"""What tests of several estimators share."""

import warnings
from collections.abc import Iterator

import pytest


@pytest.fixture
def no_convergence_wanted() -> Iterator[None]:
    """Few epochs are enough here: that they do not converge is no news."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield
