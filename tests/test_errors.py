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


def test_a_sentence_is_cut_and_moves_no_cursor() -> None:
    long = str(fl.DataError(f"row 3: found {'x' * 10**6}. Correct it."))
    assert long.startswith("row 3: found xxx")
    assert long.endswith("xxx. Correct it.")
    assert len(long) <= errors.MOST_LETTERS
    assert str(fl.ArgumentError("the name\x1b[2J \ud800\nis red")) == "the name\\x1b[2J \\ud800\nis red"
    assert str(fl.KindError("größer als 3 × 4 → ok")) == "größer als 3 × 4 → ok"


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (ValueError("bad\nsecond line"), "bad"),
        (KeyError(), "KeyError"),
        ("", ""),
        ("a\x00b", "a\\x00b"),
        ("x" * 400, "x" * 299 + "…"),
    ],
)
def test_what_others_say_becomes_a_line(problem: object, text: str) -> None:
    assert errors.told(problem) == text
