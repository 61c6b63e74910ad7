"""What `fit` says to arguments that it cannot use; nothing is trained and nothing is written then."""

from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline import nn, optim

X = np.random.default_rng(0).normal(size=(10, 3))
LABELS = np.arange(10) % 2
WITH_NAN, WITH_INFINITY = X.copy(), X.copy()
WITH_NAN[4, 1], WITH_INFINITY[7, 2] = np.nan, -np.inf


def network() -> nn.Module:
    return nn.Linear(3, 2)


CASES: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"batch_size": 0}, fl.ArgumentError,
     "fit: batch_size must be a whole number of at least 1, or 'all' for batch gradient descent; found 0"),
    ({"batch_size": "some"}, fl.ArgumentError, "or 'all' for batch gradient descent; found 'some'"),
    ({"batch_size": 2.5}, fl.ArgumentError, "found 2.5"),
    ({"batch_size": True}, fl.ArgumentError, "found True"),
    ({"epochs": 0}, fl.ArgumentError, "fit: epochs must be a whole number of at least 1, found 0"),
    ({"epochs": 1.5}, fl.ArgumentError, "fit: epochs must be a whole number of at least 1, found 1.5"),
    ({"until": "done"}, fl.ArgumentError, "fit: until must be None or 'converged', found 'done'"),
    ({"patience": 3}, fl.ArgumentError,
     "fit: patience=3 needs validation rows to judge by; give validation=0.2, validation=(x, y), or until='converged'"),
    ({"patience": 0, "validation": 0.5}, fl.ArgumentError, "patience must be a whole number of at least 1, found 0"),
    ({"tol": -1.0}, fl.ArgumentError, "fit: tol must be 0 or greater, found -1.0"),
    ({"tol": float("nan")}, fl.ArgumentError, "fit: tol must be 0 or greater, found nan"),
    ({"clip_norm": 0}, fl.ArgumentError, "fit: clip_norm must be greater than 0, found 0"),
    ({"clip_value": "1"}, fl.ArgumentError, "fit: clip_value must be greater than 0, found '1'"),
    ({"checkpoint_every": 0}, fl.ArgumentError, "fit: checkpoint_every must be greater than 0, found 0"),
    ({"dtype": "float16"}, fl.ArgumentError, "fit: dtype cannot be 'float16'; did you mean 'float64'?"),
    ({"engine": "cuda"}, fl.ArgumentError, "fit: engine cannot be 'cuda'; choose one of: compiled, reference"),
    ({"threads": 0}, fl.ArgumentError, "fit: threads must be a whole number of at least 1, found 0"),
    ({"shards": 0}, fl.ArgumentError, "fit: shards must be a whole number of at least 1, found 0"),
    ({"seed": -1}, fl.ArgumentError, "fit: seed must be a whole number of at least 0, found -1"),
    ({"seed": 2**63}, fl.ArgumentError, "fit: seed must be less than 2^63, found 9223372036854775808"),
    ({"validation": 1.5}, fl.ArgumentError,
     "fit: validation must be a fraction between 0 and 1, or (x, y); found 1.5"),
    ({"validation": True}, fl.ArgumentError, "or (x, y); found True"),
    ({"validation": (X,)}, fl.ArgumentError, "or (x, y); found a tuple of 1"),
    ({"validation": X}, fl.ArgumentError, "or (x, y); found a ndarray of 10"),
    ({"validation": 0.99}, fl.ArgumentError, "fit: validation=0.99 leaves no row of 10 to train on"),
    ({"validation": (X[:, :2], LABELS)}, fl.ShapeError, "the input's last axis must be 3, found shape (n, 2)"),
    ({"validation": (X, LABELS[:4])}, fl.ShapeError, "fit: validation: x has 10 rows but y has 4; they must agree"),
    ({"validation": (WITH_NAN, LABELS)}, fl.ArgumentError, "validation: x must be finite, found nan in row 4"),
    ({"optimizer": "adamm"}, fl.ArgumentError, "no optimizer is named so: did you mean 'adam'?"),
    ({"optimizer": "sgd"}, fl.ArgumentError, "lr is required"),
    ({"optimizer": 0.1}, fl.KindError, "fit: optimizer must be an object of fallline.optim or its name, found 0.1"),
    ({"optimizer": optim.SGD}, fl.KindError, "fit: optimizer must be an object of fallline.optim or its name"),
    ({"optimizer": optim.SGD(lr=0.1, groups={"9.*": 0.2})}, fl.ArgumentError, "'9.*'"),
    ({"schedule": "cosin"}, fl.ArgumentError, "did you mean 'cosine'?"),
    ({"schedule": 0.5}, fl.KindError, "fit: schedule must be an object of optim.schedules or its name, found 0.5"),
    ({"loss": "mean"}, fl.ArgumentError, "no loss is named 'mean'"),
    ({"metrics": "accurate"}, fl.ArgumentError, "no metric is named 'accurate': did you mean 'accuracy'?"),
    ({"metrics": [3]}, fl.KindError, "a metric must be a name or a function of (outputs, targets), found 3"),
    ({"metrics": "train_acuracy"}, fl.ArgumentError, "no metric is named 'acuracy': did you mean 'accuracy'?"),
    ({"x": WITH_NAN}, fl.ArgumentError, "fit: x must be finite, found nan in row 4, column 1; fill or drop it first"),
    ({"x": WITH_INFINITY}, fl.ArgumentError, "fit: x must be finite, found -inf in row 7, column 2; fill or"),
    ({"x": X[:0], "y": LABELS[:0]}, fl.ShapeError, "fit: x has no rows; there is nothing to learn from"),
    ({"x": np.full((10, 3), "a")}, fl.KindError, "fit: x must hold numbers, found <U1; for tables with text use"),
    ({"x": np.full((10, 3), None)}, fl.KindError, "fit: x must hold numbers, found object"),
    ({"x": X * 1e300}, fl.ArgumentError, "fit: x must fit float32, found "),
    ({"x": [*X.tolist()[:9], [1.0]]}, fl.ShapeError, "fit: x must have rows of one length, found rows that differ"),
    ({"x": 5}, fl.ShapeError, "fit: x must have rows, shape (rows, …), found a single number"),
    ({"x": X[:, :2]}, fl.ShapeError, "nn.Linear(3, 2): the input's last axis must be 3, found shape (n, 2)"),
    ({"y": LABELS[:5]}, fl.ShapeError, "fit: x has 10 rows but y has 5; they must agree"),
    ({"y": LABELS.astype(str)}, fl.KindError, "cross_entropy: targets must be numbers, found <U21; encode"),
    ({"net": nn.Linear}, fl.KindError, "fit: net must be an object of fallline.nn.Module, found <class"),
    ({"net": nn.Linear}, fl.KindError, "; make an object of it, Linear(…)"),
    ({"net": None}, fl.KindError, "fit: net must be an object of fallline.nn.Module, found None"),
    ({"net": nn.Sequential(nn.ReLU())}, fl.ArgumentError, "the network Sequential(ReLU()) has no weights to train"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "kind", "text"), CASES, ids=[str(i) for i in range(len(CASES))])
def test_fit_refuses(arguments: dict[str, Any], kind: type[Exception], text: str) -> None:
    net = network()
    before = net.parameters()
    with pytest.raises(kind) as error:
        fl.fit(**{"net": net, "x": X, "y": LABELS, **arguments})
    assert text in str(error.value)
    after = net.parameters()
    assert all(before[name].tobytes() == after[name].tobytes() for name in before)


def test_lr_must_be_positive() -> None:
    with pytest.raises(fl.ArgumentError, match=r"optim.SGD\(lr=-0\.1\): lr must be greater than 0, found -0\.1"):
        fl.fit(network(), X, LABELS, optimizer=optim.SGD(lr=-0.1))


@pytest.mark.parametrize("call", [fl.loss_and_gradients, fl.evaluate, fl.check_gradients])
def test_other_calls_refuse_alike(call: Any) -> None:
    name = call.__name__
    for arguments, kind, text in (
        ((None, X, LABELS), fl.KindError, f"{name}: net must be an object of fallline.nn.Module, found None"),
        ((network(), WITH_NAN, LABELS), fl.ArgumentError, f"{name}: x must be finite, found nan in row 4, column 1"),
        ((network(), X[:0], LABELS[:0]), fl.ShapeError, f"{name}: x has no rows; there is nothing to learn from"),
        ((network(), X, LABELS[:3]), fl.ShapeError, f"{name}: x has 10 rows but y has 3; they must agree"),
    ):
        with pytest.raises(kind) as error:
            call(*arguments)
        assert text in str(error.value)


def test_values_of_numpy_and_single_metrics_are_taken_as_plain_ones() -> None:
    run = fl.fit(
        network(), X, LABELS, batch_size=np.int64(5), epochs=np.int32(2), seed=np.uint8(3), clip_norm=np.float32(1.0),
        validation=np.float64(0.2), metrics="accuracy", loss=nn.losses.CrossEntropy,
    )  # fmt: skip
    assert run.stopped == "epochs"
    assert len(run.history["validation_accuracy"]) == 2
