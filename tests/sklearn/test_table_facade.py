"""`fallline.sklearn` is cheap to import, and says what to install where scikit-learn is absent."""

import subprocess
import sys

import pytest

import fallline.sklearn


def printed_by(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_loads_nothing_heavy() -> None:
    loaded = printed_by("import sys, fallline.sklearn; dir(fallline.sklearn); print(*sys.modules)").split()
    assert "fallline.sklearn" in loaded
    assert not {"numpy", "scipy", "sklearn", "pandas"} & set(loaded)


@pytest.mark.parametrize("name", ["TableClassifier", "TableRegressor"])
def test_without_scikit_learn_it_says_what_to_install(name: str) -> None:
    code = (
        f"import sys; sys.modules['sklearn'] = None\n"
        f"import fallline as fl\n"
        f"try:\n    from fallline.sklearn import {name}\n"
        f"except fl.MissingExtraError as problem:\n    print(problem)\n"
    )
    assert printed_by(code) == (
        f"fallline.sklearn.{name} needs scikit-learn and SciPy, and sklearn cannot be imported; "
        "install them with pip install 'fallline[sklearn]'."
    )


def test_unknown_names_are_unknown() -> None:
    with pytest.raises(AttributeError, match=r"module 'fallline\.sklearn' has no attribute 'TableClasifier'"):
        _ = fallline.sklearn.TableClasifier  # type: ignore[attr-defined]
    assert {"TableClassifier", "TableRegressor"} <= set(dir(fallline.sklearn))
