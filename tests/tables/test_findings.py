"""What is told of a target: uneven classes, values at a limit, a skewed scale."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fallline.data.sources import read_table
from fallline.data.targets import ClassTarget
from fallline.errors import ArgumentError, DataError
from fallline.tables.findings import about_classes, limits
from fallline.tables.prepare import Prepared, TableOptions, prepare
from fallline.tables.target_scale import heavily_skewed, skewness


def prepared_of(y: Any, **options: Any) -> Prepared:
    x = np.random.default_rng(9).normal(size=(2, len(y)))
    return prepare(read_table({"a": x[0], "b": x[1], "y": y}), "y", TableOptions(**options))


def test_uneven_classes_are_told() -> None:
    y = ["rare" if i % 20 == 0 else "usual" for i in range(400)]
    assert prepared_of(y).notices == [
        "The classes are uneven: 'usual' has 243 of 256 training rows (95 %), 'rare' 13. Accuracy says little of rare "
        "classes; --class-weight balanced lets each count alike."
    ]
    assert prepared_of(y, class_weight="balanced").notices == []
    assert prepared_of(["x" if i % 4 == 0 else "y" for i in range(400)]).notices == []


def test_classes_of_too_few_rows_are_told() -> None:
    told = about_classes(ClassTarget("y", ["a", "b", "c"]), np.array([0] * 60 + [1] * 4 + [2] * 40), balanced=True)
    assert told == ["Too few training rows to learn a class from: 'b' (4)."]


def test_one_class_before_a_time_is_refused() -> None:
    table = read_table({"t": range(60), "x": [i % 7 for i in range(60)], "y": ["a"] * 50 + ["b"] * 10})
    with pytest.raises(DataError) as problem:
        prepare(table, "y", TableOptions(time_column="t"))
    assert str(problem.value).startswith(
        "the 38 training rows have one class of 'y' only, 'a'; a classifier needs two."
    )


@given(
    st.lists(st.floats(0, 1000), min_size=300, max_size=500, unique=True),
    st.integers(20, 80),
    st.sampled_from(["high", "low"]),
)
@settings(max_examples=30, deadline=None)
def test_a_cap_is_found(values: list[float], capped: int, end: str) -> None:
    ordered = np.sort(values)
    if end == "high":
        ordered[-capped:] = ordered[-capped]
        assert limits(ordered) == (None, ordered[-1])
    else:
        ordered[:capped] = ordered[capped - 1]
        assert limits(ordered) == (ordered[0], None)


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(0).normal(size=500),
        np.random.default_rng(0).integers(0, 6, 500),  # grades: the largest is one among few
        np.random.default_rng(0).integers(0, 60, 5000),  # each value is as frequent as the last
        np.append(np.arange(200.0), [199.0] * 8),
    ],
)
def test_what_is_no_cap(values: np.ndarray) -> None:
    assert limits(values) == (None, None)


def test_a_cap_is_told_and_kept_to() -> None:
    y = np.minimum(np.random.default_rng(1).normal(500, 100, size=400).round(2), 600.0)
    prepared = prepared_of(y)
    training = prepared.parts["training"].column("y")
    assert prepared.notices == [
        f"The target 'y' is exactly 600, its largest value, in {(training == 600).sum()} of 256 training rows: it "
        "looks cut off there. What lies beyond cannot be learnt, and no prediction goes above it."
    ]
    assert prepared.codec.decode(np.array([1e9, -1e9])).tolist()[0] == 600.0
    assert prepared.codec.decode(np.array([-3.0]))[0] < training.min() + 100


@given(st.lists(st.integers(-(10**6), 10**6), min_size=2, max_size=50))
def test_skewness_is_that_of_the_textbook(values: list[int]) -> None:
    numbers = np.array(values, dtype=np.float64)
    if np.ptp(numbers) > 0:
        centred = numbers - np.mean(numbers)
        expected = np.mean(centred**3) / np.mean(centred**2) ** 1.5
        assert skewness(numbers) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_a_heavily_skewed_target_is_learnt_as_its_logarithm() -> None:
    y = np.exp(np.random.default_rng(0).normal(size=2000) * 2)
    prepared = prepared_of(y)
    assert prepared.codec.to_json()["log"] is True
    training = prepared.parts["training"].column("y")
    assert prepared.codec.to_json()["mean"] == pytest.approx(np.log(training).mean(), rel=1e-12)
    assert prepared.notices == [
        "The target 'y' is learnt on a logarithmic scale (it is positive, and a few values are far above the others); "
        "predictions, which stay within the range of the training rows, and scores are in its own units. "
        "--target-scale linear takes it as it is."
    ]
    assert prepared.codec.decode(np.array([99.0, -99.0])).tolist() == [training.max(), training.min()]
    linear = prepared_of(y, target_scale="linear")
    assert linear.codec.to_json()["log"] is False
    assert linear.notices == []
    assert "(as you said)" in prepared_of(np.arange(1.0, 101.0), target_scale="log").notices[0]


@pytest.mark.parametrize(
    "y",
    [
        np.random.default_rng(0).normal(size=400) + 10,
        np.random.default_rng(0).exponential(size=400),
        np.exp(np.random.default_rng(0).normal(size=2000) * 2) - 0.5,  # some are negative
        np.append(np.ones(399), 1e9),  # one outlier: its logarithm is as far off
    ],
)
def test_other_targets_stay_as_they_are(y: np.ndarray) -> None:
    assert not heavily_skewed(y)


def test_a_scale_that_is_none() -> None:
    with pytest.raises(ArgumentError, match="the target's scale must be one of auto, linear, log; found 'square'"):
        prepared_of(np.arange(100.0), target_scale="square")
