"""`MLPRegressor`: scikit-learn's, trained by Fallline."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils import column_or_1d
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import validate_data

from fallline.sklearn.parameters import REGRESSOR
from fallline.sklearn.perceptron import BasePerceptron, together
from fallline.sklearn.scoring import r2

Array = NDArray[Any]


class MLPRegressor(RegressorMixin, BasePerceptron):  # type: ignore[misc]
    """A multilayer perceptron of one or several numbers: `sklearn.neural_network.MLPRegressor` on Fallline's engine.

    L = (Σᵢ wᵢ·lᵢ + alpha/2·Σ W²) / Σᵢ wᵢ, where lᵢ is half the squared error of row i, or its Poisson deviance

    All of scikit-learn's parameters, attributes, inputs (also sparse X and several outputs) and errors; the same
    `random_state` gives the same initial weights, and other orders of rows. Beyond scikit-learn:

    Args:
        loss: "squared_error", "poisson" (predicts e^outputs), "absolute_error", "huber"; an object of
            `fallline.nn.losses`; or a function of (outputs, targets), both (rows, outputs), that gives a number for
            each row.
        dropout, activation, monitor, callbacks, dtype, threads: as in `MLPClassifier`.

    Attributes beyond scikit-learn's:
        validation_loss_curve_, best_validation_loss_: as in `MLPClassifier`.

    Deviations: with several outputs, "lbfgs" minimises the sum of their errors, as "sgd" and "adam" do, where
    scikit-learn's compares the mean but follows the sum's gradient; `loss_` is the mean's, as there. A loss that
    becomes NaN or infinite ends the training at once.
    """

    _parameter_constraints = REGRESSOR

    def __init__(
        self,
        loss: Any = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        dropout: Any = 0.0,
        monitor: str = "score",
        callbacks: Any = None,
        dtype: str = "auto",
        threads: int | None = None,
    ) -> None:
        self.loss = loss
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.dropout = dropout
        self.monitor = monitor
        self.callbacks = callbacks
        self.dtype = dtype
        self.threads = threads

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, X_val: Any = None, y_val: Any = None) -> Any:
        """Train on rows X (rows, features) with targets y (rows,) or (rows, outputs).

        Args:
            X: array, frame or sparse matrix.
            y: numbers.
            sample_weight: (rows,); weight k counts as k copies.
            X_val, y_val: rows to judge by after every epoch: `validation_loss_curve_`, and early stopping.

        Returns:
            The estimator itself.

        Raises:
            ValueError: as scikit-learn's, and where the weights do not stay finite.
        """
        return self._fit(X, y, sample_weight, False, together(X_val, y_val))

    @available_if(lambda estimator: estimator._check_solver())  # type: ignore[untyped-decorator]
    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train for one epoch over these rows, going on from where the last call ended."""
        return self._fit(X, y, sample_weight, True)

    def predict(self, X: Any) -> Array:
        """The predictions for rows X: (rows,) or (rows, outputs)."""
        outputs = self._outputs(X)
        return outputs.ravel() if outputs.shape[1] == 1 else outputs

    def _validated(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array, Array | None]:
        return *self._checked(X, y, reset), None

    def _held_out(self, X: Any, y: Any) -> tuple[Any, Array]:
        return self._checked(X, y, False)

    def _checked(self, X: Any, y: Any, reset: bool) -> tuple[Any, Array]:
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            y_numeric=True,
            dtype=(np.float64, np.float32),
            reset=reset,
        )
        y = column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y
        if self.loss == "poisson" and (y < 0).any():
            raise ValueError(f"loss='poisson' needs y of 0 or more, found {y.min()}; choose another loss")
        return X, y.reshape(len(y), -1)

    def _out_activation(self) -> str:
        return "exp" if self.loss == "poisson" else "identity"

    def _score_outputs(self, targets: Array, outputs: Array, weight: Array | None) -> float:
        return r2(targets, outputs, weight)
