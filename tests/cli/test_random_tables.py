"""Tables that chance makes: training either works and predicts every row, or is refused in one sentence."""

import contextlib
import csv
import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from fallline.cli.main import main

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r", exclude_categories=["Cs"]), max_size=8)
SMALL = st.floats(-3, 3).map(lambda number: round(number, 2))
NUMBERS = st.one_of(st.integers(-5, 5), st.floats(), st.integers(-(10**25), 10**25), SMALL)
WORDS = st.sampled_from(["red", "green", "blue", "", "NA", "say \"no\"", "a,b", "two\nlines", "ß"])  # fmt: skip
TRUTHS = st.sampled_from(["true", "false", "yes", "", "1"])
DATES = st.dates().map(str)
CELLS = st.sampled_from([NUMBERS, WORDS, TRUTHS, DATES, st.just("same"), st.just(""), st.one_of(NUMBERS, WORDS)])


@st.composite
def tables(draw: Callable[..., Any]) -> list[list[str]]:
    """Rows of cells as text, with or without a row of names."""
    rows = draw(st.integers(1, 24))
    columns = [
        [str(cell) for cell in draw(st.lists(kind, min_size=rows, max_size=rows))]
        for kind in draw(st.lists(CELLS, min_size=1, max_size=5))
    ]
    target = draw(st.sampled_from([st.sampled_from(["p", "q"]), st.integers(0, 2), st.floats(-9, 9), WORDS, NUMBERS]))
    columns.append([str(cell) for cell in draw(st.lists(target, min_size=rows, max_size=rows))])
    names = draw(st.lists(NAMES, min_size=len(columns), max_size=len(columns)))
    body = [list(row) for row in zip(*columns, strict=True)]
    return [names, *body] if draw(st.booleans()) else body


def said(*words: Any) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in words])
    return code, out.getvalue(), err.getvalue()


@settings(max_examples=12, phases=[Phase.explicit, Phase.generate])  # to make a failing table smaller takes minutes
@given(rows=tables(), batch=st.sampled_from(["all", "1", "8"]))
def test_any_table_is_learnt_or_refused(rows: list[list[str]], batch: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        data, run, predictions = (Path(name, part) for part in ("t.csv", "run", "p.csv"))
        with data.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(rows)
        words = ("--target", "last", "--hidden", "2", "--epochs", "2", "--batch", batch)
        code, out, err = said("train", data, *words, "--out", run, "--json")
        if code != 0:
            assert (code, out) == (2, ""), err
            assert err.startswith("error: ")
            assert err.count("\n") == 1
            assert not run.exists()
            return
        assert (err, out.count("\n")) == ("", 1)
        code, out, err = said("predict", run, data, "--out", predictions)
        if code != 0:  # a row whose target was missing may hold what its column never held in training
            assert (code, out) == (2, "")
            assert " as in training" in err
            return
        with predictions.open(encoding="utf-8", newline="") as file:
            predicted = len(list(csv.reader(file))) - 1
        blank = sum(len(row) == 1 and not row[0].strip() for row in rows)
        assert predicted in (len(rows) - blank, len(rows) - blank - 1)  # the first row may be names
