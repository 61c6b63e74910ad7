"""Sample weights, class weights and shards: the same objective, cut and weighted in other ways."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fallline as fl
from fallline import nn, optim
from fallline.training.class_weight import row_weights

Array = NDArray[Any]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 3))
LABELS = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 0])


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3), seed=1)


def trained(x: Array, y: Array, **options: Any) -> dict[str, Array]:
    """In float64, so that equal objectives give equal weights to many digits."""
    network = net()
    fl.fit(network, x, y, dtype="float64", optimizer=optim.SGD(lr=0.3, momentum=0.5), **{"epochs": 5, **options})
    return network.parameters()


def assert_close(one: dict[str, Array], other: dict[str, Array]) -> None:
    for name, value in one.items():
        np.testing.assert_allclose(value, other[name], rtol=1e-10, atol=1e-13, err_msg=name)


def test_a_weight_of_k_is_k_copies() -> None:
    copies = RNG.integers(0, 4, 12)
    assert_close(
        trained(X, LABELS, sample_weight=copies, batch_size="all"),
        trained(np.repeat(X, copies, axis=0), np.repeat(LABELS, copies), batch_size="all"),
    )
    assert fl.loss_and_gradients(net(), X, LABELS, sample_weight=copies)[0] == pytest.approx(
        fl.loss_and_gradients(net(), np.repeat(X, copies, axis=0), np.repeat(LABELS, copies))[0], rel=1e-6
    )


@pytest.mark.parametrize("batch_size", [1, 5, "all"])
def test_equal_weights_are_no_weights_whatever_their_size(batch_size: Any) -> None:
    options: dict[str, Any] = {"batch_size": batch_size, "epochs": 2}
    plain = trained(X, LABELS, **options)
    assert_close(plain, trained(X, LABELS, sample_weight=np.full(12, 7.5), **options))


def test_a_batch_is_divided_by_its_rows_times_the_mean_weight_of_all() -> None:
    """Weights 1 and 3, mean 2; one row a batch; loss lᵢ·wᵢ/2, so that steps are halved and one and a half."""
    x, y, weight = np.array([[1.0], [1.0]]), np.array([[2.0], [4.0]]), np.array([1.0, 3.0])
    line = nn.Linear(1, 1, bias=False)
    line.load_parameters({"weight": np.zeros((1, 1))})
    run = fl.fit(
        line, x, y, loss="mse", optimizer=optim.SGD(lr=0.25), batch_size=1, epochs=1, shuffle=False,
        sample_weight=weight, dtype="float64",
    )  # fmt: skip
    # first row: loss ½·2² = 2, gradient ½·2·(0 − 2) = −2, w = ½; second: 1½·3.5² = 18.375, −10.5, w = 3.125
    assert run.steps["loss"] == [2.0, 18.375]
    assert line.parameters()["weight"].tolist() == [[3.125]]
    assert run.history["loss"] == [(2.0 + 18.375) / 2]
    # Σwl/Σw at the end: (1·1.125² + 3·0.875²)/4
    assert run.history["train_loss"] == [(1.125**2 + 3 * 0.875**2) / 4]


def test_rows_of_weight_zero_do_not_count() -> None:
    weight = np.where(np.arange(12) < 8, 1.0, 0.0)
    assert_close(
        trained(X, LABELS, sample_weight=weight, batch_size="all"),
        trained(X[:8], LABELS[:8], batch_size="all"),
    )


def test_balanced_class_weights_give_each_class_the_same_say() -> None:
    """7, 3 and 2 rows of 12: weights 12/21, 12/9 and 12/6."""
    weight = np.array([12 / 21, 12 / 9, 12 / 6])[LABELS]
    for class_weight in ("balanced", {0: 12 / 21, 1: 12 / 9, 2: 2.0}):
        assert_close(
            trained(X, LABELS, class_weight=class_weight, batch_size=5),
            trained(X, LABELS, sample_weight=weight, batch_size=5),
        )


def test_balanced_weights_have_mean_1() -> None:
    """n / (classes × rows of the class): for 3 rows of 4 in one of two classes, 2/3 and 2."""
    weight = row_weights(None, "balanced", [5, 5, 9, 5])
    assert weight.tolist() == [2 / 3, 2 / 3, 2.0, 2 / 3]
    assert row_weights([1.0, 2.0, 0.0, 1.0], {9: 3.0}, [5, 5, 9, 5]).tolist() == [1, 2, 0, 1]


def test_class_weights_multiply_sample_weights_and_are_1_where_not_named() -> None:
    weight = RNG.uniform(0.5, 2.0, 12)
    assert_close(
        trained(X, LABELS, class_weight={2: 3.0}, sample_weight=weight, batch_size=5),
        trained(X, LABELS, sample_weight=np.where(LABELS == 2, 3.0, 1.0) * weight, batch_size=5),
    )


def test_class_weights_of_a_column_of_labels() -> None:
    y = (LABELS > 0).astype(float)[:, None]
    network = nn.Linear(3, 1)
    run = fl.fit(network, X, y, loss="binary_cross_entropy", class_weight="balanced", epochs=1)
    assert run.stopped == "epochs"


@pytest.mark.parametrize(
    ("class_weight", "y", "kind", "text"),
    [
        ("even", LABELS, fl.KindError, "class_weight must be 'balanced' or {class: weight}, found 'even'"),
        ([1, 2, 3], LABELS, fl.KindError, "class_weight must be 'balanced' or {class: weight}, found [1, 2, 3]"),
        ({7: 1.0}, LABELS, fl.ArgumentError, "class_weight names class 7, which no row has; the labels are [0, 1, 2]"),
        ({0: "a"}, LABELS, fl.KindError, "class_weight of class 0 must be a number, found 'a'"),
        ({0: -1.0}, LABELS, fl.ArgumentError, "class_weight of class 0 must be finite and 0 or more, found -1.0"),
        (
            {1: float("nan")},
            LABELS,
            fl.ArgumentError,
            "class 1 must be finite and 0 or more, found nan",
        ),
        ("balanced", np.ones((12, 3)) / 3, fl.ArgumentError, "class_weight needs one whole-number label per row"),
        ("balanced", LABELS + 0.5, fl.ArgumentError, "class_weight needs one whole-number label per row"),
    ],
)
def test_wrong_class_weights(class_weight: Any, y: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind) as error:
        fl.fit(net(), X, y, class_weight=class_weight)
    assert text in str(error.value)


def test_class_weights_do_not_hide_wrong_sample_weights() -> None:
    with pytest.raises(fl.ShapeError, match=r"fit: sample_weight must have shape \(12,\), found \(5,\)"):
        fl.fit(net(), X, LABELS, class_weight="balanced", sample_weight=np.ones(5))


# Shards: other sums, other bits, the same numbers.


def sharded(shards: int) -> dict[str, Array]:
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(50, 3)).astype(np.float32), rng.integers(0, 3, 50)
    network = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm(8), nn.Tanh(), nn.Linear(8, 3))
    fl.fit(network, x, y, batch_size=20, epochs=2, shards=shards, clip_norm=1.0)
    return {**network.parameters(), **network.buffers()}


def test_shards_agree_up_to_rounding_and_repeat_exactly() -> None:
    whole = sharded(1)
    for shards in (3, 8, 64):
        cut = sharded(shards)
        for name, value in cut.items():
            np.testing.assert_allclose(value, whole[name], rtol=1e-4, atol=1e-6, err_msg=name)
        assert all(
            value.tobytes() == again.tobytes()
            for value, again in zip(cut.values(), sharded(shards).values(), strict=True)
        )
    assert any(whole[name].tobytes() != value.tobytes() for name, value in sharded(8).items()), "S changes bits"


def test_shards_of_an_embedding() -> None:
    tokens, y = RNG.integers(0, 5, (30, 4)), RNG.integers(0, 2, 30)
    found = []
    for shards in (1, 4):
        network = nn.Sequential(nn.Embedding(5, 2), nn.Flatten(), nn.Linear(8, 2))
        fl.fit(network, tokens, y, epochs=2, shards=shards, dtype="float64")
        found.append(network.parameters())
    assert_close(*found)
