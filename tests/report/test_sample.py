"""Of very many rows, a report looks at a sample, and says so; its scores are of all."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fallline.report import judged

SAMPLED = (
    "Pictures, examples and the importance of columns are of 20 rows, drawn at random from the 30 test rows; the "
    "scores are of all."
)


@pytest.mark.parametrize(("data", "target"), [("iris", "species"), ("diabetes", "progression")])
def test_a_sample_is_told_and_the_scores_are_of_all(
    reported: Callable[..., Any],
    trained: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    data: str,
    target: str,
) -> None:
    whole, result = reported(data, target).text, trained(data, target)
    rows = len(result.prepared.parts["test"])
    before = judged.judge(result)
    monkeypatch.setattr(judged, "MOST_ROWS", rows - 1)
    monkeypatch.setattr(judged, "SAMPLE", 20)
    sample = reported(data, target).text
    after = judged.judge(result)
    assert after is not None
    assert before is not None
    assert (len(after), after.of_rows, after.scores) == (20, rows, before.scores)
    places = [int(np.flatnonzero((before.matrix == row).all(axis=1))[0]) for row in after.matrix]
    assert np.array_equal(before.true[places], after.true)
    assert np.array_equal(before.predicted[places], after.predicted)
    assert SAMPLED.replace("30", str(rows)) in sample
    assert "drawn at random" not in whole
    if data == "iris":
        assert after.interval() == before.interval()
