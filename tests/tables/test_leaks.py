"""Columns that give the target away are named, and honest ones are not."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fallline.data.sources import read_table
from fallline.tables.prepare import TableOptions, prepare

ROWS = 400


def told(columns: dict[str, Any], target: str, **options: Any) -> list[str]:
    notices = prepare(read_table(columns), target, TableOptions(**options)).notices
    return [notice for notice in notices if "almost exactly" in notice]


def noise(seed: int, count: int = 3) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {f"noise {i}": rng.normal(size=ROWS) for i in range(count)}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([(1, 1), (1, -1), (2, 0.5)]), st.booleans())
def test_two_columns_of_a_sum_are_named(seed: int, factors: tuple[float, float], gaps: bool) -> None:
    rng = np.random.default_rng(seed)
    casual, registered = (rng.integers(0, 400, ROWS).astype(float) for _ in range(2))
    columns = {**noise(seed), "casual": casual.copy(), "registered": registered}
    columns["cnt"] = factors[0] * casual + factors[1] * registered
    if gaps:
        columns["casual"][::10] = np.nan
    (notice,) = told(columns, "cnt", task="regression")
    assert notice.startswith("'casual', 'registered' together make 'cnt' almost exactly (cnt ≈ ")
    assert notice.endswith("leave them out: --drop casual --drop registered")


def test_the_sum_is_written_out() -> None:
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(size=(3, ROWS))
    notice = told({**noise(1), "a": a, "b b": b, "c": c, "y": 2.5 * a - b + 0.25 * c + 7}, "y")[0]
    assert "(y ≈ 2.5 · a - b b + 0.25 · c + 7)" in notice
    assert notice.endswith("--drop a --drop 'b b' --drop c")


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from(
        [
            lambda y: y * 3 - 1,
            lambda y: -y,
            np.exp,
            lambda y: y + 1e-4 * np.sin(1e4 * y),
            lambda y: np.where(np.arange(ROWS) % 9, y, np.nan),
        ]
    ),
)
def test_a_copy_is_named_however_it_is_scaled(seed: int, copy: Any) -> None:
    y = np.random.default_rng(seed).normal(size=ROWS)
    notices = told({**noise(seed + 1), "copy": copy(y), "y": y}, "y")
    assert notices[0].startswith("'copy' alone tells 'y' almost exactly.")
    assert notices[0].endswith("leave it out: --drop copy")


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 6), st.sampled_from(["words", "codes", "threshold"]))
def test_a_renamed_label_is_named(seed: int, classes: int, how: str) -> None:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, classes, ROWS)
    alias: dict[str, Any] = {
        "words": [f"{'xyzuvw'[code]}-{rng.integers(3)}" for code in codes],
        "codes": (codes * 7 % 13),
        "threshold": codes + rng.uniform(0, 0.9, ROWS),
    }
    notices = told({**noise(seed), "alias": alias[how], "label": [f"class {code}" for code in codes]}, "label")
    assert [notice.split(" alone")[0] for notice in notices] == ["'alias'"]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["number", "class", "rare class"]))
def test_honest_columns_are_not_named(seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=(2, ROWS))
    signal = x + 0.5 * z + rng.normal(size=ROWS) * 0.3
    y = {
        "number": signal,
        "class": np.where(signal > 0, "yes", "no"),
        "rare class": np.where(signal > np.sort(signal)[-6], "yes", "no"),
    }[kind]
    assert told({"x": x, "z": z, "kind": rng.integers(0, 3, ROWS), "y": y}, "y") == []


def test_a_rule_that_is_learnt_from_one_column_alone_is_no_leak() -> None:
    x = np.random.default_rng(0).normal(size=ROWS)
    assert told({"x": x, "y": 2 * x + 1}, "y") == []
    z = np.random.default_rng(1).normal(size=ROWS)
    assert told({"x": x, "z": z, "y": 2 * x + z}, "y") == []


def test_huge_and_constant_numbers_do_no_harm() -> None:
    rng = np.random.default_rng(0)
    columns = {**noise(1), "huge": rng.normal(size=ROWS) * 1e300, "y": rng.normal(size=ROWS)}
    columns["inf"] = np.where(rng.random(ROWS) < 0.1, np.inf, 1.0)
    with np.errstate(all="raise"):
        assert told(columns, "y") == []


@pytest.mark.parametrize("target", ["cnt", "season"])
def test_few_rows_say_nothing(target: str) -> None:
    columns = {"a": list(range(40)), "b": [i * i % 7 for i in range(40)], "season": ["s", "t"] * 20}
    columns["cnt"] = [a + b for a, b in zip(columns["a"], columns["b"], strict=True)]
    assert told(columns, target, task="auto") == []
