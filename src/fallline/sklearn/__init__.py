"""Estimators for scikit-learn's users: change one import, and the rest stays as it is.

`MLPClassifier` and `MLPRegressor` take scikit-learn's own parameters; `TableClassifier` and
`TableRegressor` take raw frames.

The names are fetched when they are first used; without scikit-learn and SciPy that says what to install.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fallline.errors import MissingExtraError

if TYPE_CHECKING:
    from fallline.sklearn.classifier import MLPClassifier
    from fallline.sklearn.regressor import MLPRegressor
    from fallline.sklearn.table import TableClassifier, TableRegressor

_HOME = {
    "MLPClassifier": "classifier",
    "MLPRegressor": "regressor",
    "TableClassifier": "table",
    "TableRegressor": "table",
}

__all__ = ["MLPClassifier", "MLPRegressor", "TableClassifier", "TableRegressor"]


def __getattr__(name: str) -> Any:
    """Fetch an estimator from its file, once."""
    if name not in _HOME:
        raise AttributeError(f"module 'fallline.sklearn' has no attribute {name!r}")
    for needed in ("scipy", "sklearn"):
        try:
            import_module(needed)
        except ImportError:
            raise MissingExtraError(
                f"fallline.sklearn.{name} needs scikit-learn and SciPy, and {needed} cannot be imported; "
                "install them with pip install 'fallline[sklearn]'."
            ) from None
    value = getattr(import_module(f"fallline.sklearn.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return list(__all__)
