"""`MLPClassifier`: scikit-learn's, trained by Fallline."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels
from sklearn.utils.validation import validate_data

from fallline.sklearn.parameters import CLASSIFIER
from fallline.sklearn.perceptron import BasePerceptron, together
from fallline.sklearn.scoring import accuracy

Array = NDArray[Any]


class MLPClassifier(ClassifierMixin, BasePerceptron):  # type: ignore[misc]
    """A multilayer perceptron that classifies: `sklearn.neural_network.MLPClassifier` on Fallline's engine.

    L = (Σᵢ wᵢ·lᵢ + alpha/2·Σ W²) / Σᵢ wᵢ, where lᵢ is the cross entropy of row i

    All of scikit-learn's parameters, attributes, inputs (also sparse X and several labels per row) and errors; the
    same `random_state` gives the same initial weights, and other orders of rows. Beyond scikit-learn, by keyword:

    Args:
        loss: "log_loss"; a `fallline.nn.losses` object, such as CrossEntropy(label_smoothing=0.1); or a function of
            (outputs, targets), both (rows, outputs): raw outputs, and zeros and ones; it gives a number for each row.
        dropout: the share of each hidden layer's outputs that are left out at random in training; a number, or one
            for each layer. Not with the solver "lbfgs".
        class_weight: as in `sklearn.linear_model.LogisticRegression`: {class: weight}, "balanced", or for several
            labels a list of one such dict each; multiplies sample_weight.
        activation: also a sequence of names, one for each hidden layer; also names of `fallline.nn.activations`.
        monitor: with early_stopping, judge by the validation rows' "score" or their "loss".
        callbacks: a function of (estimator, epoch), or several, called after every epoch; one that returns True ends
            the training. Callbacks of scikit-learn's own protocol are given to `set_callbacks`.
        dtype: of the arithmetic of training: "float32", "float64", or "auto": that of X where an epoch is a single
            batch and for "lbfgs", else float32. Weights have the dtype of X.
        threads: how many train; chosen if None. The number changes no result.

    Attributes beyond scikit-learn's:
        validation_loss_curve_: the mean loss of the validation rows after every epoch, without the penalty; None
            where there are none (see early_stopping, and X_val of `fit`).
        best_validation_loss_: the least of them, with early_stopping.

    Deviations: `loss_` is the exact loss, where scikit-learn cuts probabilities off at the machine's precision;
    a loss that becomes NaN or infinite ends the training at once.
    """

    _parameter_constraints = CLASSIFIER

    def __init__(
        self,
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
        loss: Any = "log_loss",
        dropout: Any = 0.0,
        class_weight: Any = None,
        monitor: str = "score",
        callbacks: Any = None,
        dtype: str = "auto",
        threads: int | None = None,
    ) -> None:
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
        self.loss = loss
        self.dropout = dropout
        self.class_weight = class_weight
        self.monitor = monitor
        self.callbacks = callbacks
        self.dtype = dtype
        self.threads = threads

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, X_val: Any = None, y_val: Any = None) -> Any:
        """Train on rows X (rows, features) with labels y (rows,), or (rows, labels) of zeros and ones.

        Args:
            X: array, frame or sparse matrix.
            y: labels of any kind.
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
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Any:
        """Train for one epoch over these rows, going on from where the last call ended.

        Args:
            X, y, sample_weight: as in `fit`.
            classes: all labels that will ever come; needed in the first call.
        """
        if _check_partial_fit_first_call(self, classes):
            self._label_binarizer = LabelBinarizer().fit(y if type_of_target(y).startswith("multilabel") else classes)
        if isinstance(self.class_weight, str):
            raise ValueError(
                f"class_weight={self.class_weight!r} cannot be used with partial_fit, which does not see all rows; "
                "give a dict of weights, as sklearn.utils.class_weight.compute_class_weight finds them"
            )
        return self._fit(X, y, sample_weight, True)

    def predict(self, X: Any) -> Array:
        """The labels of rows X: (rows,), or (rows, labels) of zeros and ones."""
        outputs = self._outputs(X)
        return self._label_binarizer.inverse_transform(outputs.ravel() if self.n_outputs_ == 1 else outputs)  # type: ignore[no-any-return]

    def predict_proba(self, X: Any) -> Array:
        """The probability of each class in the order of `classes_`, (rows, classes); of each label, if several."""
        outputs = self._outputs(X)
        return np.hstack([1.0 - outputs, outputs]) if self.n_outputs_ == 1 else outputs

    def predict_log_proba(self, X: Any) -> Array:
        """The logarithm of `predict_proba`."""
        probabilities = self.predict_proba(X)
        return np.log(probabilities, out=probabilities)

    def _validated(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array, Array | None]:
        X, y = self._checked(X, y, reset)
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            self._check_classes(unique_labels(y), self.warm_start)
        factor = None if self.class_weight is None else compute_sample_weight(self.class_weight, y)
        return X, self._label_binarizer.transform(y).astype(bool), factor

    def _held_out(self, X: Any, y: Any) -> tuple[Any, Array]:
        X, y = self._checked(X, y, False)
        self._check_classes(unique_labels(y), False)
        return X, self._label_binarizer.transform(y).astype(bool)

    def _checked(self, X: Any, y: Any, reset: bool) -> tuple[Any, Any]:
        sparse, dtypes = ["csr", "csc"], (np.float64, np.float32)
        X, y = validate_data(self, X, y, accept_sparse=sparse, multi_output=True, dtype=dtypes, reset=reset)
        return X, column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    def _check_classes(self, found: Array, same: bool) -> None:
        if same and set(found) != set(self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                f"Previously got {self.classes_}, `y` has {found}"
            )
        if len(np.setdiff1d(found, self.classes_, assume_unique=True)):
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {found}."
            )

    def _out_activation(self) -> str:
        return "softmax" if self._label_binarizer.y_type_ == "multiclass" else "logistic"

    def _score_outputs(self, targets: Array, outputs: Array, weight: Array | None) -> float:
        if self.out_activation_ == "softmax":
            return accuracy(targets.argmax(axis=1), outputs.argmax(axis=1), weight)
        return accuracy(targets > 0.5, outputs > 0.5, weight)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
