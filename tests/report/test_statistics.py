"""What a report measures, against scikit-learn and SciPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve
from sklearn.metrics import auc, average_precision_score, confusion_matrix, precision_recall_curve, roc_curve

from fallline.report.statistics import (
    Bin,
    calibration_error,
    chance_bins,
    confusion_counts,
    interval,
    ranking,
    resampled,
    value_bins,
    wilson,
)

LABELLED = st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=2, max_size=40).filter(
    lambda rows: 0 < sum(label for label, _ in rows) < len(rows)
)


@pytest.mark.parametrize(("right", "rows"), [(0, 1), (1, 1), (3, 10), (149, 178), (10, 10), (0, 5000)])
def test_the_interval_of_a_share(right: int, rows: int) -> None:
    expected = binomtest(right, rows).proportion_ci(method="wilson")
    assert wilson(right, rows) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_of_no_rows_any_share_is_possible() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


@given(LABELLED)
def test_curves_of_a_class_are_those_of_scikit_learn(rows: list[tuple[bool, int]]) -> None:
    belongs, score = np.array([label for label, _ in rows]), np.array([value / 8 for _, value in rows])
    found = ranking(belongs, score)
    assert found is not None
    across, up, _ = roc_curve(belongs, score, drop_intermediate=False)
    assert found.false_positives == pytest.approx(across)
    assert found.true_positives == pytest.approx(up)
    assert found.area == pytest.approx(auc(across, up))
    assert found.average_precision == pytest.approx(average_precision_score(belongs, score))
    precision, recall, _ = precision_recall_curve(belongs, score)
    assert found.precision == pytest.approx(precision[::-1][1:])  # without its end at recall 0
    assert found.recall == pytest.approx(recall[::-1][1:])
    assert found.share == belongs.mean()


@pytest.mark.parametrize("belongs", [[True, True], [False, False]])
def test_one_class_has_no_curves(belongs: list[bool]) -> None:
    assert ranking(belongs, [0.1, 0.9]) is None


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
def test_calibration_is_that_of_scikit_learn(rows: list[tuple[float, bool]]) -> None:
    chances, happened = np.array([chance for chance, _ in rows]), np.array([came for _, came in rows])
    place = np.minimum((chances * 10).astype(int), 9)
    middle = (place + 0.5) / 10  # both sort a chance at the edge of two bins elsewhere; so none is there
    found = chance_bins(middle, happened)
    often, said = calibration_curve(happened, middle, n_bins=10)
    assert [one.found for one in found] == pytest.approx(often.tolist())
    assert [one.predicted for one in found] == pytest.approx(said.tolist())
    assert sum(one.rows for one in found) == len(rows)
    assert all(one.low <= one.found <= one.high for one in found)


def test_certain_and_impossible_are_in_the_outer_bins() -> None:
    first, last = chance_bins([0.0, 1.0], [False, True])
    assert (first.predicted, first.found, last.predicted, last.found) == (0.0, 0.0, 1.0, 1.0)


def test_the_calibration_error_weighs_bins_by_their_rows() -> None:
    bins = [Bin(0.2, 0.3, 0, 1, 30), Bin(0.8, 0.6, 0, 1, 10)]
    assert calibration_error(bins) == pytest.approx((30 * 0.1 + 10 * 0.2) / 40)
    assert calibration_error([]) == 0.0


def test_values_are_grouped_by_their_prediction() -> None:
    predicted = np.arange(100.0)[::-1]
    found = value_bins(predicted, predicted + 3.0)
    assert [one.rows for one in found] == [10] * 10
    assert [one.predicted for one in found] == [4.5 + 10 * k for k in range(10)]
    assert [one.found - one.predicted for one in found] == pytest.approx([3.0] * 10)
    half = 1.96 * np.arange(10.0).std(ddof=1) / np.sqrt(10)
    assert found[0].high - found[0].found == pytest.approx(half, rel=1e-3)


def test_few_and_huge_values_are_grouped_as_well() -> None:
    assert [one.rows for one in value_bins([1.0], [2.0])] == [1]
    (one,) = value_bins([1e300, -1e300, 1e300], [1e300, -1e300, 1e300])
    assert np.isfinite([one.predicted, one.found, one.low, one.high]).all()


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1))
def test_confusions_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    true, predicted = zip(*pairs, strict=True)
    assert (confusion_counts(true, predicted, 4) == confusion_matrix(true, predicted, labels=range(4))).all()


def test_means_of_other_draws_spread_as_the_standard_error_says() -> None:
    values = np.random.default_rng(1).normal(5.0, 2.0, size=(400, 1))
    low, high = interval(resampled(values, times=2000))
    assert (high - low)[0] == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
    assert low[0] < values.mean() < high[0]
    assert (resampled(values, seed=3) == resampled(values, seed=3)).all()
