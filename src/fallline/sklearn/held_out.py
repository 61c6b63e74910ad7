"""Rows that are held out, by which an estimator is judged after every epoch."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.nn.trace import SEED, STEP, X, Y
from fallline.sklearn.objective import Design, forward_program, values
from fallline.sklearn.scoring import weighted_mean
from fallline.training.step import OUTPUTS, ROWS, Rows

Array = NDArray[Any]


class HeldOut:
    """Held-out rows.

    Args:
        design: the network and its loss.
        rows: in the design's dtype, with weights or without.
    """

    def __init__(self, design: Design, rows: Rows) -> None:
        self.rows, self._dtype, self._program = rows, design.dtype, forward_program(design)

    def judge(self, estimator: Any) -> None:
        """Note the score and the mean loss, without the penalty, at the estimator's weights; NaN if they diverged."""
        weights = values(estimator.coefs_, estimator.intercepts_, estimator.alpha, self._dtype)
        given: dict[str, Any] = {**weights, X: self.rows.x, Y: self.rows.y, SEED: np.int64(0), STEP: np.int64(0)}
        found = self._program(given)
        outputs, weight = found[OUTPUTS], self.rows.weight
        finite = bool(np.isfinite(outputs).all()) and bool(np.isfinite(estimator.loss_))
        score = estimator._score_outputs(self.rows.y, outputs, weight) if finite else float("nan")
        estimator.validation_loss_curve_.append(weighted_mean(found[ROWS].astype(np.float64), weight))
        if estimator.early_stopping:
            estimator.validation_scores_.append(score)
            if estimator.verbose:
                print(f"Validation score: {score:f}")
