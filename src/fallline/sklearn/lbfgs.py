"""The solver "lbfgs": SciPy's L-BFGS-B over the compiled program of the loss and its gradient on all rows."""

from typing import Any

import numpy as np
import scipy.optimize
from numpy.typing import NDArray
from sklearn.utils.optimize import _check_optimize_result

from fallline.engine.programs import make_program
from fallline.ir.types import BATCH
from fallline.nn.trace import DENOMINATOR, SAMPLE_WEIGHT, SEED, STEP, X, Y
from fallline.sklearn.objective import ALPHA, TOLD, Design, objective_graph
from fallline.sklearn.watchers import Watchers
from fallline.training.step import GRADIENT, LOSS, Rows

Array = NDArray[Any]


class Objective:
    """(all weights in one vector) → (loss, gradient), on all rows.

    Args:
        estimator: whose weights the vector begins with, and whose α counts.
        design: the network and its loss; dropout does not act, for the line search needs the same loss again.
        rows: the training set, in the design's dtype.
    """

    def __init__(self, estimator: Any, design: Design, rows: Rows) -> None:
        arrays = [*estimator.coefs_, *estimator.intercepts_]
        kinds = [f"coefs.{n}" for n in range(design.layers)] + [f"intercepts.{n}" for n in range(design.layers)]
        self.shapes = {name: array.shape for name, array in zip(kinds, arrays, strict=True)}
        self.start = np.concatenate([np.ravel(array) for array in arrays]).astype(np.float64)
        self._dtype, self._layers = design.dtype, design.layers
        graph = objective_graph(design, rows.weight is not None, False)
        self._program = make_program(graph, {BATCH.name: len(rows)}, threads=estimator.threads)
        self._given = {X: rows.x, Y: rows.y, SEED: np.int64(0), STEP: np.int64(0)}
        self._given[ALPHA] = np.asarray(estimator.alpha, dtype=design.dtype)
        self._given[DENOMINATOR] = np.asarray(len(rows), dtype=design.dtype)
        if rows.weight is not None:
            self._given[SAMPLE_WEIGHT] = rows.weight

    def __call__(self, vector: Array) -> tuple[float, Array]:
        """L and dL/dw."""
        found = self._found(vector)
        gradient = np.concatenate([np.ravel(found[GRADIENT + name]) for name in self.shapes])
        return float(found[LOSS]), gradient.astype(np.float64)

    def told(self, vector: Array) -> float:
        """The loss as scikit-learn tells it."""
        return float(self._found(vector)[TOLD])

    def _found(self, vector: Array) -> dict[str, Array]:
        return self._program({**self._given, **self.unpacked(vector)})  # type: ignore[no-any-return]

    def unpacked(self, vector: Array) -> dict[str, Array]:
        """Weights and intercepts by name."""
        ends = np.cumsum([int(np.prod(shape)) for shape in self.shapes.values()])
        parts = np.split(np.asarray(vector, dtype=self._dtype), ends[:-1])
        return {name: part.reshape(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}

    def put(self, estimator: Any, vector: Array) -> None:
        """The vector's weights into the estimator."""
        named = self.unpacked(vector)
        arrays = [array.astype(estimator._dtype) for array in named.values()]
        estimator.coefs_, estimator.intercepts_ = arrays[: self._layers], arrays[self._layers :]


def fit_lbfgs(estimator: Any, design: Design, rows: Rows, watchers: Watchers) -> None:
    """Minimise from the estimator's weights; leave weights, `loss_` and `n_iter_` in it."""
    objective, stopped = Objective(estimator, design, rows), False
    estimator.n_iter_ = 0

    def after_iteration(vector: Array) -> None:
        nonlocal stopped
        estimator.n_iter_ += 1
        objective.put(estimator, vector)
        stopped = watchers.end_epoch(estimator.n_iter_ - 1)
        if stopped:
            raise StopIteration
        if estimator.n_iter_ < estimator.max_iter:
            watchers.begin_epoch()

    watchers.begin_epoch()
    result = scipy.optimize.minimize(
        objective,
        objective.start,
        method="L-BFGS-B",
        jac=True,
        callback=after_iteration if watchers.active else None,
        options={"maxfun": estimator.max_fun, "maxiter": estimator.max_iter, "gtol": estimator.tol},
    )
    if not stopped:
        estimator.n_iter_ = _check_optimize_result("lbfgs", result, estimator.max_iter)
    estimator.loss_ = objective.told(result.x)
    objective.put(estimator, result.x)
    if estimator.verbose:
        print(f"lbfgs: {result.nit} iterations, {result.nfev} evaluations, loss = {estimator.loss_:.8f}")
