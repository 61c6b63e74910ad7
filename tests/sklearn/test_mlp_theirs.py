"""scikit-learn's own tests of its perceptrons, those of the installed version, run on Fallline's.

Left out, each with its reason:

- `test_gradient` calls the private `_loss_grad_lbfgs` with arrays that only scikit-learn's code fills. In its place:
  `test_mlp_parity.py::test_the_gradient_is_that_of_the_loss`.
- `test_learning_rate_warmstart` compares a private learning rate with `pow` to the last bit, which differs between
  systems' libraries and is not called here. In its place: `test_mlp_parity.py::test_the_learning_rate_of_a_warm_start`.
"""

import inspect
from pathlib import Path
from typing import Any

import pytest
from sklearn.neural_network.tests import test_mlp as theirs

LEFT_OUT = ("test_gradient", "test_learning_rate_warmstart")
IMPORT = "from sklearn.neural_network import MLPClassifier, MLPRegressor\n"
SOURCE = Path(str(theirs.__file__)).read_text(encoding="utf-8")

_names: dict[str, Any] = {"__name__": "scikit_learns_test_mlp"}
exec(
    compile(SOURCE.replace(IMPORT, IMPORT.replace("sklearn.neural_network", "fallline.sklearn")), "mlp", "exec"), _names
)
globals().update({name: test for name, test in _names.items() if name.startswith("test_") and name not in LEFT_OUT})


@pytest.fixture
def global_random_seed() -> int:
    """scikit-learn's conftest has it."""
    return 0


def test_it_is_fallline_that_is_tested_and_no_test_is_lost() -> None:
    assert _names["MLPClassifier"].__module__ == "fallline.sklearn.classifier"
    assert _names["MLPRegressor"].__module__ == "fallline.sklearn.regressor"
    those = {name for name, test in inspect.getmembers(theirs, inspect.isfunction) if name.startswith("test_")}
    assert those - set(globals()) == set(LEFT_OUT)
