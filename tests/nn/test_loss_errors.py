"""What a loss says to outputs and targets that do not fit."""

from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline import nn
from fallline.nn import losses

X = np.random.default_rng(0).normal(size=(4, 3))
NAN = float("nan")


class Column(nn.Module):
    """One number per row, (n,)."""

    def __init__(self) -> None:
        self.inner = nn.Linear(3, 1)

    def __call__(self, x: Any) -> Any:
        return self.inner(x)[:, 0]


def refusal(outputs: int, targets: Any, loss: Any, kind: type[Exception], weight: Any = None) -> str:
    """The sentence; `outputs` 0 stands for a network of outputs (n,)."""
    net = nn.Linear(3, outputs) if outputs else Column()
    with pytest.raises(kind) as error:
        fl.loss_and_gradients(net, X, targets, loss, weight)
    with pytest.raises(kind) as again:
        fl.fit(net, X, targets, loss=loss, sample_weight=weight, epochs=1)
    assert str(again.value).replace("fit:", "") == str(error.value).replace("loss_and_gradients:", "")
    return str(error.value)


@pytest.mark.parametrize("loss", ["mse", "mae", "huber", "binary_cross_entropy", "poisson", "hinge"])
def test_a_column_against_a_row_of_numbers(loss: str) -> None:
    column_outputs = refusal(1, [1, 1, 1, 1], loss, fl.ShapeError)
    assert column_outputs == (
        f"{loss}: outputs are (n, 1) but targets are (n,); broadcasting would pair every row with every other: "
        "use targets[:, None]"
    )
    column_targets = refusal(0, [[1], [1], [1], [1]], loss, fl.ShapeError)
    assert column_targets == (
        f"{loss}: outputs are (n,) but targets are (n, 1); broadcasting would pair every row with every other: "
        "use targets[:, 0]"
    )


@pytest.mark.parametrize(
    ("outputs", "targets", "loss", "kind", "text"),
    [
        (2, np.ones((4, 3)), "mse", fl.ShapeError, "mse: outputs are (n, 2) but targets are (n, 3); they must agree"),
        (2, np.ones((4, 2, 2)), "mae", fl.ShapeError, "mae: outputs are (n, 2) but targets are (n, 2, 2)"),
        (2, 3.0, "mse", fl.ShapeError, "mse: targets must have one entry per row, found a single number"),
        (1, [[1.0], [NAN], [1.0], [1.0]], "mse", fl.ArgumentError, "mse: targets must be finite, found nan in row 1"),
        (1, [[1.0], [1.0], [1e300], [1.0]], "mse", fl.ArgumentError, "mse: targets must fit float32, found 1e+300"),
        (1, [["a"], ["b"], ["c"], ["d"]], "mse", fl.KindError, "mse: targets must be numbers, found <U1; encode"),
        (1, None, "mse", fl.KindError, "mse: targets must be numbers, found object"),
        (2, [[1.0, 2.0], [1.0]], "mse", fl.ShapeError, "mse: targets must have rows of one length, found"),
        (2, np.ones((5, 2)), "mse", fl.ShapeError, "x has 4 rows but y has 5; they must agree"),
        (3, [0, 1, 3, 0], "cross_entropy", fl.ArgumentError,
         "cross_entropy: labels must be from 0 to 2 (the network has 3 outputs), found 3 in row 2; check the labels"),
        (3, [0, 1, -1, 0], "cross_entropy", fl.ArgumentError, "labels must be from 0 to 2"),
        (3, [0.0, 1.5, 2.0, 0.0], "cross_entropy", fl.KindError,
         "cross_entropy: labels must be whole numbers (n,), found 1.5 in row 1; for a distribution over classes give "
         "soft targets (n, 3)"),
        (3, [0.0, NAN, 2.0, 0.0], "cross_entropy", fl.ArgumentError,
         "cross_entropy: targets must be finite, found nan in row 1"),
        (3, ["a", "b", "c", "a"], "cross_entropy", fl.KindError,
         "cross_entropy: targets must be numbers, found <U1; encode text labels as 0, 1, … "
         "(np.unique(y, return_inverse=True))"),
        (3, [[0], [1], [2], [0]], "cross_entropy", fl.ShapeError,
         "cross_entropy: outputs are (n, 3), so labels must be (n,), found (n, 1); use targets[:, 0]"),
        (3, [[0.0], [1.0], [2.0], [0.0]], "cross_entropy", fl.ShapeError, "found (n, 1); use targets[:, 0]"),
        (3, np.full((4, 4), 0.25), "cross_entropy", fl.ShapeError,
         "cross_entropy: outputs are (n, 3), so labels must be (n,), found (n, 4)"),
        (3, [[0.5, 0.6, -0.1]] * 4, "cross_entropy", fl.ArgumentError,
         "cross_entropy: targets must be shares from 0 to 1 of each class, found -0.1 in row 0"),
        (3, [[2, 0, 0]] * 4, "cross_entropy", fl.ArgumentError, "shares from 0 to 1 of each class, found 2 in row 0"),
        (0, [0, 1, 1, 0], "cross_entropy", fl.ShapeError,
         "cross_entropy: the network must give logits (n, classes), found one number per row"),
        (1, [[0.5], [1.5], [0.0], [1.0]], "binary_cross_entropy", fl.ArgumentError,
         "binary_cross_entropy: targets must be probabilities or labels from 0 to 1, found 1.5 in row 1"),
        (1, [[-1], [1], [1], [1]], "binary_cross_entropy", fl.ArgumentError, "from 0 to 1, found -1.0 in row 0"),
        (1, [[1], [-2], [0], [0]], "poisson", fl.ArgumentError,
         "poisson: targets must be counts of 0 or more, found -2.0 in row 1"),
        (0, [0, 1, 1, 0], "hinge", fl.ArgumentError,
         "hinge: targets must be −1 or 1, found 0; map labels 0 and 1 with 2*y - 1"),
        (0, [1.0, NAN, 1.0, 1.0], "hinge", fl.ArgumentError, "hinge: targets must be −1 or 1, found nan"),
        (3, [0, 1, 3, 0], "hinge", fl.ArgumentError,
         "hinge: labels must be from 0 to 2 (the network has 3 outputs), found 3"),
        (3, [0, 1, 2, 0.5], "hinge", fl.KindError, "hinge: labels must be whole numbers (n,), found 0.5 in row 3"),
    ],
)  # fmt: skip
def test_targets_that_do_not_fit(outputs: int, targets: Any, loss: str, kind: type[Exception], text: str) -> None:
    assert text in refusal(outputs, targets, loss, kind)


@pytest.mark.parametrize(
    ("own", "kind", "text"),
    [
        (
            lambda o, t: 1.0,
            fl.KindError,
            "a tensor made of its arguments, found float; use operators and fl.*",
        ),
        (lambda o, t: np.zeros(4), fl.KindError, "must return a tensor made of its arguments, found ndarray"),
        (lambda o, t: None, fl.KindError, "found NoneType"),
        (lambda o, t: fl.sum(o, axis=0), fl.ShapeError, "must return one number, or one per row, (n,); found (2,)"),
        (lambda o, t: fl.reshape(fl.sum(o), (1,)), fl.ShapeError, "one number, or one per row, (n,); found (1,)"),
        (lambda o, t: fl.sum(o) > 0, fl.KindError, "backpropagation needs a float loss, found bool ()"),
    ],
)
def test_own_losses_that_return_the_wrong_thing(own: Any, kind: type[Exception], text: str) -> None:
    assert text in refusal(2, [0, 1, 1, 0], own, kind)


def test_the_name_of_an_own_loss_is_told() -> None:
    def my_loss(outputs: Any, targets: Any) -> Any:
        return np.mean(np.ones(3))

    assert "my_loss must return a tensor" in refusal(2, [0, 1, 1, 0], my_loss, fl.KindError)


def test_a_loss_of_one_number_cannot_be_weighted() -> None:
    text = refusal(2, [0, 1, 1, 0], lambda o, t: fl.sum(o), fl.ArgumentError, weight=[1, 2, 3, 4])
    assert "returns one number, so rows cannot be weighted; let it return one number per row" in text


@pytest.mark.parametrize(
    ("weight", "kind", "text"),
    [
        ([1.0, 2.0], fl.ShapeError, "sample_weight must have shape (4,), found (2,)"),
        ([[1.0]] * 4, fl.ShapeError, "sample_weight must have shape (4,), found (4, 1)"),
        (
            [1.0, -1.0, 1.0, 1.0],
            fl.ArgumentError,
            "must be finite numbers of 0 or more, not all of them 0",
        ),
        ([1.0, NAN, 1.0, 1.0], fl.ArgumentError, "sample_weight must be finite numbers"),
        ([0, 0, 0, 0], fl.ArgumentError, "not all of them 0"),
        (["a", "b", "c", "d"], fl.ArgumentError, "sample_weight must be finite numbers"),
    ],
)
def test_wrong_weights(weight: Any, kind: type[Exception], text: str) -> None:
    assert text in refusal(2, [0, 1, 1, 0], "cross_entropy", kind, weight)


def test_losses_refuse_impossible_settings() -> None:
    with pytest.raises(fl.ArgumentError, match=r"huber: delta must be greater than 0, found 0\.0"):
        losses.Huber(0.0)
    with pytest.raises(fl.ArgumentError, match=r"label_smoothing must be at least 0 and less than 1, found 1\.0"):
        losses.CrossEntropy(label_smoothing=1.0)
    with pytest.raises(fl.ArgumentError, match="no loss is named 'cross entropy': did you mean 'cross_entropy'"):
        losses.get("cross entropy")
    with pytest.raises(fl.KindError, match="a loss must be a name, a loss object or a function"):
        losses.get(3)


def test_calling_a_loss_on_arrays_checks_shapes_too() -> None:
    with pytest.raises(fl.ShapeError, match=r"mse: outputs are \(4, 1\) but targets are \(4,\)"):
        losses.MeanSquaredError()(np.zeros((4, 1)), np.zeros(4))
    with pytest.raises(fl.ShapeError, match=r"cross_entropy: the logits must be \(n, classes\), found \(4,\)"):
        losses.CrossEntropy()(np.zeros(4), np.zeros(4, int))
