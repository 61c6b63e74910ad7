"""What `MLPClassifier` and `MLPRegressor` share: scikit-learn's interface outside, Fallline's engine inside."""

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, is_classifier
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from fallline.errors import ArgumentError
from fallline.nn import losses
from fallline.nn.trace import SEED, STEP
from fallline.nn.trace import X as INPUT
from fallline.sklearn.arrays import as_rows, parts
from fallline.sklearn.held_out import HeldOut
from fallline.sklearn.lbfgs import fit_lbfgs
from fallline.sklearn.losses import REGRESSION
from fallline.sklearn.objective import Design, forward_program, values
from fallline.sklearn.parameters import hidden_activations, hidden_dropout, hidden_widths
from fallline.sklearn.stochastic import NOT_FINITE, OptimizerState, StochasticSolver, rows_per_step
from fallline.sklearn.watchers import CallbackSupportMixin, Watchers
from fallline.training.step import OUTPUTS, Rows

Array = NDArray[Any]
STOCHASTIC = ("sgd", "adam")


class BasePerceptron(CallbackSupportMixin, BaseEstimator):  # type: ignore[misc]
    """A multilayer perceptron; see the two public classes. Subclasses say what targets and outputs mean."""

    _parameter_constraints: ClassVar[Mapping[str, list[Any]]]
    coefs_: list[Array]
    intercepts_: list[Array]
    _best_coefs: list[Array]
    _best_intercepts: list[Array]
    best_loss_: Any
    best_validation_score_: Any
    best_validation_loss_: Any
    loss_curve_: list[float]
    validation_scores_: Any
    validation_loss_curve_: Any

    # what subclasses say

    def _validated(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array, Array | None]:
        """X, y as (rows, outputs), and a factor for the weight of each row or None."""
        raise NotImplementedError

    def _held_out(self, X: Any, y: Any) -> tuple[Any, Array]:
        """X_val and y_val as `_validated` gives X and y."""
        raise NotImplementedError

    def _out_activation(self) -> str:
        raise NotImplementedError

    def _score_outputs(self, targets: Array, outputs: Array, weight: Array | None) -> float:
        raise NotImplementedError

    # training

    def _fit(
        self, X: Any, y: Any, sample_weight: Any, incremental: bool, held_out: tuple[Any, Any] | None = None
    ) -> Any:
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        hidden = hidden_widths(self.hidden_layer_sizes)
        first = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        given = {"X": X, "y": y, "sample_weight": sample_weight}
        X, y, factor = self._validated(X, y, incremental, first)
        weight = None if sample_weight is None else _check_sample_weight(sample_weight, X)
        if factor is not None:
            weight = factor if weight is None else weight * factor
        self.n_outputs_ = y.shape[1]
        self._random_state = check_random_state(self.random_state)
        self._dtype = str(X.dtype)
        widths = (X.shape[1], *hidden, self.n_outputs_)
        if first:
            self._initialize(widths)
        if self.solver in STOCHASTIC and (first or not self._goes_on_judging_alike):
            self._begin_curves()
        self._check_widths(widths)
        watchers = Watchers(self, given, 1 if incremental else self.max_iter)
        if self.solver == "lbfgs":
            design = self._design(widths, self._dtype)
            self._check_lbfgs(design, held_out)
            fit_lbfgs(self, design, self._rows(design, X, y, weight), watchers)
        else:
            self._fit_stochastic(widths, X, y, weight, incremental, held_out, watchers)
        if not all(np.isfinite(array).all() for array in (*self.coefs_, *self.intercepts_)):
            raise ValueError(NOT_FINITE)
        watchers.end()
        return self

    def _fit_stochastic(
        self,
        widths: tuple[int, ...],
        X: Any,
        y: Array,
        weight: Array | None,
        incremental: bool,
        held_out: tuple[Any, Any] | None,
        watchers: Watchers,
    ) -> None:
        (X, y, weight), aside = self._split(X, y, weight, held_out)
        if self.batch_size != "auto" and self.batch_size > len(y):
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=5
            )
        one_batch = rows_per_step(self.batch_size, len(y)) == len(y)
        dtype = (self._dtype if one_batch else "float32") if self.dtype == "auto" else self.dtype
        design = self._design(widths, dtype)
        if not incremental or not hasattr(self, "_optimizer"):
            seed = int(self._random_state.randint(np.iinfo(np.int32).max))
            self._optimizer = OptimizerState(self._rule(), seed, float(self.learning_rate_init))
        rows = self._rows(design, X, y, weight)
        judge = None if aside is None else HeldOut(design, self._rows(design, *aside))
        if judge is not None and self.validation_loss_curve_ is None:
            self.validation_loss_curve_ = []
        StochasticSolver(self, design, rows, judge, watchers).run(1 if incremental else self.max_iter, incremental)
        if self.early_stopping:
            self.coefs_, self.intercepts_ = self._best_coefs, self._best_intercepts

    def _initialize(self, widths: tuple[int, ...]) -> None:
        """Everything as before the first epoch; initial weights with scikit-learn's bounds, numbers and bits."""
        self.n_iter_ = self.t_ = 0
        self.n_layers_ = len(widths)
        self.out_activation_ = self._out_activation()
        activations = hidden_activations(self.activation, len(widths) - 2)
        self.coefs_, self.intercepts_ = [], []
        for number, (fan_in, fan_out) in enumerate(zip(widths, widths[1:], strict=False)):
            name = activations[min(number, len(activations) - 1)] if activations else "identity"
            bound = np.sqrt((2.0 if name == "logistic" else 6.0) / (fan_in + fan_out))
            self.coefs_.append(self._random_state.uniform(-bound, bound, (fan_in, fan_out)).astype(self._dtype))
            self.intercepts_.append(self._random_state.uniform(-bound, bound, fan_out).astype(self._dtype))

    @property
    def _goes_on_judging_alike(self) -> bool:
        """Whether there are curves, of the kind that early_stopping wants, from an earlier fit."""
        judged = getattr(self, "validation_scores_", None) is not None
        return hasattr(self, "loss_curve_") and judged == self.early_stopping

    def _begin_curves(self) -> None:
        """As before the first epoch."""
        stopping = self.early_stopping
        self._best_coefs, self._best_intercepts = (self.coefs_, self.intercepts_) if stopping else ([], [])
        self.loss_curve_, self._no_improvement_count = [], 0
        self.best_loss_ = None if stopping else np.inf
        self.validation_scores_ = [] if stopping else None
        self.best_validation_score_ = -np.inf if stopping else None
        self.validation_loss_curve_ = [] if stopping else None
        self.best_validation_loss_ = np.inf if stopping else None

    def _check_lbfgs(self, design: Design, held_out: tuple[Any, Any] | None) -> None:
        if any(design.dropout):
            raise ArgumentError(
                f"the solver 'lbfgs' cannot train with dropout={self.dropout!r}: its line search needs the same loss "
                "again; use the solver 'adam' or 'sgd', or dropout=0"
            )
        if held_out is not None:
            raise ArgumentError(
                "the solver 'lbfgs' has no epochs to judge after, but X_val was given; leave it out, or use the solver "
                "'adam' or 'sgd'"
            )

    @property
    def _widths(self) -> tuple[int, ...]:
        """The features, the hidden neurons layer by layer and the outputs that the weights are of."""
        return (*(len(weight) for weight in self.coefs_), len(self.intercepts_[-1]))

    def _check_widths(self, widths: tuple[int, ...]) -> None:
        if self._widths != widths:
            raise ArgumentError(
                f"the weights to go on from are of layers of {self._widths} neurons, but hidden_layer_sizes and the "
                f"data ask for {widths}; set hidden_layer_sizes back, or use fit with warm_start=False"
            )

    def _design(self, widths: tuple[int, ...], dtype: str) -> Design:
        layers = len(widths) - 2
        activations = hidden_activations(self.activation, layers)
        dropout = hidden_dropout(self.dropout, layers)
        return Design(widths, activations, dropout, self.loss, self.out_activation_, dtype)

    def _rule(self) -> dict[str, Any]:
        """The update rule's settings."""
        if self.solver == "sgd":
            return {"solver": "sgd", "momentum": float(self.momentum), "nesterov": bool(self.nesterovs_momentum)}
        return {"solver": "adam", "betas": (float(self.beta_1), float(self.beta_2)), "eps": float(self.epsilon)}

    def _rows(self, design: Design, X: Any, y: Array, weight: Array | None) -> Rows:
        """Data in the design's dtype; targets checked by a loss that is not scikit-learn's."""
        targets = y.astype(design.dtype)
        if not isinstance(self.loss, str) or self.loss in REGRESSION:
            chosen = REGRESSION[self.loss]() if isinstance(self.loss, str) else losses.get(self.loss)
            if isinstance(chosen, losses.CrossEntropy) and self.out_activation_ == "logistic":
                raise ArgumentError(
                    f"loss={self.loss!r} needs an output for each of at least three classes, but two classes or "
                    "several labels have one output each; use nn.losses.BinaryCrossEntropy() or a function"
                )
            targets = chosen.check_targets(targets, design.dtype, (self.n_outputs_,))
        row_weights = None if weight is None else np.ascontiguousarray(weight, dtype=design.dtype)
        return Rows(as_rows(X, design.dtype), np.ascontiguousarray(targets), row_weights)

    def _split(self, X: Any, y: Array, weight: Array | None, held_out: tuple[Any, Any] | None) -> tuple[Any, Any]:
        """(X, y, weights) to train on, and those to judge by or None."""
        if held_out is not None:
            return (X, y, weight), (*self._held_out(*held_out), None)
        if not self.early_stopping:
            return (X, y, weight), None
        data = [X, y] if weight is None else [X, y, weight]
        stratify = y if is_classifier(self) and self.n_outputs_ == 1 else None
        halves = train_test_split(
            *data, random_state=self._random_state, test_size=self.validation_fraction, stratify=stratify
        )
        train, aside = halves[0::2], halves[1::2]
        if aside[0].shape[0] < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        nothing = [None] if weight is None else []
        return (*train, *nothing), (*aside, *nothing)

    def _count_improvement(self) -> None:
        """Whether the epoch was better than the best by more than tol; keep its weights if it is the best."""
        if not self.early_stopping:
            loss, best = self.loss_curve_[-1], self.best_loss_
            better, by_tol, self.best_loss_ = loss < best, not loss > best - self.tol, min(loss, best)
        elif self.monitor == "loss":
            loss, best = self.validation_loss_curve_[-1], self.best_validation_loss_
            better, by_tol = loss < best, not loss > best - self.tol
        else:
            score, best = self.validation_scores_[-1], self.best_validation_score_
            better, by_tol = score > best, not score < best + self.tol
        self._no_improvement_count = 0 if by_tol else self._no_improvement_count + 1
        if self.early_stopping and better:
            self._best_coefs, self._best_intercepts = list(self.coefs_), list(self.intercepts_)
        if self.early_stopping:
            self.best_validation_score_ = max(self.best_validation_score_, self.validation_scores_[-1])
            self.best_validation_loss_ = min(self.best_validation_loss_, self.validation_loss_curve_[-1])

    @property
    def _watched(self) -> str:
        if not self.early_stopping:
            return "Training loss"
        return "Validation loss" if self.monitor == "loss" else "Validation score"

    # prediction

    def _outputs(self, X: Any) -> Array:
        """The outputs after the last activation, (rows, outputs)."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        dtype = self.coefs_[0].dtype
        if X.dtype.kind == "f":
            dtype = np.result_type(dtype, X.dtype)
        name = "float32" if dtype == np.float32 else "float64"
        activations = hidden_activations(self.activation, len(self._widths) - 2)
        design = Design(self._widths, activations, (0.0,) * len(activations), None, self.out_activation_, name)
        program = forward_program(design)
        given: dict[str, Any] = {
            **values(self.coefs_, self.intercepts_, 0.0, name),
            SEED: np.int64(0),
            STEP: np.int64(0),
        }
        found = [program({**given, INPUT: part})[OUTPUTS] for part in parts(X, name, program.rows_at_once)]
        return found[0] if len(found) == 1 else np.concatenate(found)

    def _check_solver(self) -> bool:
        if self.solver not in STOCHASTIC:
            raise AttributeError(
                f"partial_fit is only available for stochastic optimizers. {self.solver} is not stochastic."
            )
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def together(X_val: Any, y_val: Any) -> tuple[Any, Any] | None:
    """`fit`'s arguments X_val and y_val as a pair, or None.

    Raises:
        ArgumentError: only one of them is given.
    """
    if (X_val is None) != (y_val is None):
        there, missing = ("y_val", "X_val") if X_val is None else ("X_val", "y_val")
        raise ArgumentError(f"fit: {there} was given without {missing}; give both, or neither")
    return None if X_val is None else (X_val, y_val)
