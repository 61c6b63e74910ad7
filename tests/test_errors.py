"""The exception tree, and the nearest name."""

import re

import pytest

import fallline as fl
from fallline import errors


def test_the_tree_is_the_one_that_the_docstring_draws() -> None:
    drawn = re.findall(r"([A-Z]\w+Error)(?: \((\w+)\))?(?= {2,})", errors.__doc__ or "")
    assert len(drawn) == 9
    for name, builtin in drawn:
        found = getattr(errors, name)
        assert issubclass(found, fl.FalllineError)
        if builtin:
            assert issubclass(found, getattr(__import__("builtins"), builtin))
    assert issubclass(fl.ShapeError, fl.ArgumentError)
    assert fl.FalllineError.__bases__ == (Exception,)


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("adm", ["adam", "sgd"], "did you mean 'adam'?"),
        ("ADAM", ["adam", "sgd"], "did you mean 'adam'?"),
        ("petal_lenght", ["Petal_Length", "x"], "did you mean 'Petal_Length'?"),
        ("zzz", ["adam", "sgd"], "choose one of: adam, sgd"),
        ("zzz", [], "there is none to choose from"),
        ("zzz", [str(i) for i in range(30)], "choose one of: " + ", ".join(str(i) for i in range(20)) + ", …"),
    ],
)
def test_nearest(name: str, options: list[str], text: str) -> None:
    assert errors.nearest(name, options) == text
