"""Layers compute what their definitions say, and refuse what does not fit."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special

import fallline as fl
from fallline import nn
from fallline.nn.trace import values_of
from fallline.training.step import OUTPUTS, Rows, StepProgram

Array = NDArray[Any]


def in_training(net: nn.Module, x: Any, seed: int = 0, step: int = 0) -> Array:
    """The outputs of a network in training mode."""
    rows = Rows(np.asarray(x, dtype=net.dtype), np.zeros(np.shape(x), dtype=net.dtype))
    program = StepProgram(net, rows, nn.losses.get("mse"), training=True, backward=False, dtype=net.dtype)
    return program.program(len(rows))(program.inputs(rows, values_of(net), 1.0, seed, step))[OUTPUTS]


def random_net(net: nn.Module, seed: int = 0) -> nn.Module:
    """In float64, with random weights and buffers."""
    rng = np.random.default_rng(seed)
    net.load_parameters({name: rng.normal(size=w.shape) for name, w in net.parameters().items()})
    net.load_buffers({name: rng.uniform(0.5, 2.0, b.shape) for name, b in net.buffers().items()})
    return net


X = np.random.default_rng(1).normal(size=(5, 3))


def test_linear() -> None:
    net = nn.Linear(3, 2)
    net.load_parameters({"weight": [[1, 2], [3, 4], [5, 6]], "bias": [10, 20]})
    assert net.predict([[1.0, 0.0, -1.0], [2.0, 1.0, 0.5]]).tolist() == [[6.0, 16.0], [17.5, 31.0]]
    without = nn.Linear(3, 2, bias=False)
    without.load_parameters({"weight": [[1, 2], [3, 4], [5, 6]]})
    assert without.predict([[1.0, 0.0, -1.0]]).tolist() == [[-4.0, -4.0]]


def test_linear_maps_the_last_axis() -> None:
    net = random_net(nn.Linear(3, 2))
    x = np.random.default_rng(0).normal(size=(2, 4, 5, 3))
    w = net.parameters()
    expected = np.einsum("abci,io->abco", x, w["weight"]) + w["bias"]
    np.testing.assert_allclose(net.predict(x), expected, rtol=1e-13)


def test_whole_numbers_and_truth_values_are_numbers() -> None:
    net = random_net(nn.Linear(3, 2))
    expected = net.predict(np.array([[1.0, 0.0, 1.0]]))
    for dtype in ("uint8", "int8", "int64", "uint32", "bool", "float16"):
        assert net.predict(np.array([[1, 0, 1]], dtype=dtype)).tobytes() == expected.tobytes(), dtype


@pytest.mark.parametrize(
    ("layer", "formula"),
    [
        (nn.Identity(), lambda x: x),
        (nn.ReLU(), lambda x: np.clip(x, 0, None)),
        (nn.LeakyReLU(0.2), lambda x: np.where(x > 0, x, 0.2 * x)),
        (nn.Tanh(), np.tanh),
        (nn.Sigmoid(), special.expit),
        (nn.GELU(), lambda x: x * special.ndtr(x)),
        (nn.SiLU(), lambda x: x * special.expit(x)),
        # λ and α to 9 digits from the paper (arXiv:1706.02515, section 2)
        (nn.SELU(), lambda x: np.where(x > 0, 1.0507009873 * x, 1.0507009873 * 1.6732632423 * np.expm1(x))),
        (nn.Mish(), lambda x: x * np.tanh(np.logaddexp(0, x))),
        (nn.Softplus(), lambda x: np.logaddexp(0, x)),
    ],
    ids=lambda item: type(item).__name__ if isinstance(item, nn.Module) else "",
)
def test_activations(layer: nn.Module, formula: Any) -> None:
    x = np.concatenate([np.linspace(-6, 6, 241), [-1e-8, 1e-8, -50.0, 50.0]])[:, None]
    net = nn.Sequential(nn.Linear(1, 1), layer)
    net.load_parameters({"0.weight": np.ones((1, 1)), "0.bias": np.zeros(1)})
    np.testing.assert_allclose(net.predict(x), formula(x), rtol=2e-9, atol=1e-15)


@pytest.mark.parametrize("name", nn.activations.ACTIVATIONS)
def test_no_activation_overflows(name: str) -> None:
    """At ±1000 values and gradients stay finite, in float32."""
    net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.activations.by_name(name))
    net.load_parameters({"0.weight": np.ones((1, 1), np.float32)})
    x = np.array([[-1000.0], [1000.0], [0.0]])
    assert np.isfinite(net.predict(x)).all()
    _, gradients = fl.loss_and_gradients(net, x, np.zeros((3, 1)), "mae")
    assert np.isfinite(gradients["0.weight"]).all()


def test_activations_by_name() -> None:
    assert isinstance(nn.activations.by_name("gelu"), nn.GELU)
    with pytest.raises(fl.ArgumentError, match="no activation is named 'rleu': did you mean 'relu'"):
        nn.activations.by_name("rleu")


def test_flatten() -> None:
    x = np.arange(24.0).reshape(2, 3, 4)
    assert nn.Sequential(nn.Flatten()).predict(x).tolist() == x.reshape(2, 12).tolist()


def test_embedding_takes_rows_of_its_table() -> None:
    net = nn.Embedding(4, 3)
    table = net.parameters()["weight"]
    tokens = np.array([[0, 3], [2, 2]], dtype=np.uint8)
    assert np.array_equal(net.predict(tokens), table[tokens])
    with pytest.raises(fl.KindError, match=r"nn.Embedding: needs whole numbers, found float32 \(n, 2\)"):
        net.predict([[0.0, 1.0]])
    with pytest.raises(fl.ArgumentError, match=r"indices must be from 0 to 3, found 4 at position \(1, 0\)"):
        net.predict([[0, 1], [4, 0]])
    with pytest.raises(fl.ArgumentError, match="indices must be from 0 to 3, found -1"):
        net.predict([[-1, 1]])


def test_embedding_bag_adds_rows_of_its_table() -> None:
    tokens, weights = np.array([[0, 3, 3], [2, 1, 1]]), np.array([[1.0, 0.5, -2.0], [0.0, 4.0, 1.0]])
    table = np.random.default_rng(2).normal(size=(4, 2))
    rows = table[tokens]

    def answer(weights: Any = None, **options: Any) -> Array:
        bag = nn.EmbeddingBag(4, 2, **options)
        net = bag if weights is None else Weighted(bag, 3)
        net.load_parameters({next(iter(net.parameters())): table})
        return net.predict(tokens if weights is None else np.hstack([tokens, weights]))

    np.testing.assert_allclose(answer(), rows.sum(axis=1), rtol=1e-12)
    np.testing.assert_allclose(answer(mode="mean"), rows.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(answer(padding=1), [rows[0].sum(axis=0), table[2]], rtol=1e-12)
    np.testing.assert_allclose(answer(mode="mean", padding=3), [table[0], rows[1].mean(axis=0)], rtol=1e-12)
    weighted = (rows * weights[:, :, None]).sum(axis=1)
    np.testing.assert_allclose(answer(weights), weighted, rtol=1e-12)
    np.testing.assert_allclose(answer(weights, mode="mean"), weighted / 3, rtol=1e-12)
    np.testing.assert_allclose(answer(weights, padding=1), [weighted[0], [0, 0]], rtol=1e-12)


def test_embedding_bag_of_nothing_but_padding_is_0() -> None:
    for mode in ("sum", "mean"):
        assert nn.EmbeddingBag(3, 2, mode=mode, padding=0).predict([[0, 0, 0, 0]]).tolist() == [[0.0, 0.0]]


def test_padding_learns_nothing() -> None:
    tokens = np.array([[0, 3, 1], [0, 0, 1], [2, 2, 0]])
    net = nn.EmbeddingBag(4, 2, padding=0)
    _, gradients = fl.loss_and_gradients(net, tokens, np.ones((3, 2)), loss="mse")
    assert [bool(row.any()) for row in gradients["weight"]] == [False, True, True, True]


@pytest.mark.parametrize("mode", ["sum", "mean"])
def test_embedding_bag_backpropagates(mode: str) -> None:
    rng = np.random.default_rng(3)
    net = nn.Sequential(nn.EmbeddingBag(5, 3, mode=mode, padding=4), nn.Tanh(), nn.Linear(3, 2))
    tokens, y = rng.integers(0, 5, (6, 7)), rng.normal(size=(6, 2))
    assert fl.check_gradients(net, tokens, y, loss="mse").ok


class Weighted(nn.Module):
    """A bag of 4 rows whose numbers and weights are the two halves of a row."""

    def __init__(self, bag: nn.EmbeddingBag, slots: int, weights: int | None = None) -> None:
        self.bag, self.slots, self.weights = bag, slots, weights or slots

    def __call__(self, x: Any) -> Any:
        numbers, weights = x[:, : self.slots], x[:, self.slots : self.slots + self.weights]
        return self.bag(fl.clip(numbers, 0, 3).astype("int64"), weights)


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda: nn.EmbeddingBag(4, 2, mode="max"), fl.ArgumentError, "mode must be 'sum' or 'mean', found 'max'"),
        (
            lambda: nn.EmbeddingBag(4, 2, padding=4),
            fl.ArgumentError,
            "padding must be None or a whole number from 0 to 3, found 4",
        ),
        (lambda: nn.EmbeddingBag(4, 2, padding=True), fl.ArgumentError, "from 0 to 3, found True"),
        (
            lambda: nn.EmbeddingBag(4, 2).predict([[0.5]]),
            fl.KindError,
            r"nn.EmbeddingBag: needs whole numbers \(rows, slots\), found float32 \(n, 1\); convert the input",
        ),
        (lambda: nn.EmbeddingBag(4, 2).predict([1]), fl.KindError, r"needs whole numbers \(rows, slots\), found int64"),
        (
            lambda: Weighted(nn.EmbeddingBag(4, 2), 2, 3).predict([[1.0, 2.0, 3.0, 4.0, 5.0]]),
            fl.ShapeError,
            r"nn.EmbeddingBag: needs a weight for each number, \(n, 2\), found \(n, 3\)",
        ),
        (lambda: nn.EmbeddingBag(4, 2).predict([[1, 4]]), fl.ArgumentError, "indices must be from 0 to 3, found 4"),
    ],
)
def test_embedding_bag_refuses_what_does_not_fit(call: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        call()


def test_layer_norm_gives_rows_mean_0_and_variance_1() -> None:
    net = nn.LayerNorm(3, eps=1e-12)
    net.load_parameters({"weight": np.ones(3), "bias": np.zeros(3)})
    y = net.predict(X)
    np.testing.assert_allclose(y.mean(axis=1), 0.0, atol=1e-14)
    np.testing.assert_allclose(y.var(axis=1), 1.0, rtol=1e-9)
    net.load_parameters({"weight": np.array([1.0, 2.0, 3.0]), "bias": np.array([0.5, 0.0, -0.5])})
    np.testing.assert_allclose(net.predict(X), y * [1.0, 2.0, 3.0] + [0.5, 0.0, -0.5], rtol=1e-14)


def test_batch_norm_in_training_gives_features_mean_0_and_variance_1() -> None:
    net = nn.BatchNorm(3, eps=1e-12)
    net.load_parameters({"weight": np.ones(3), "bias": np.zeros(3)})
    y = in_training(net, X)
    np.testing.assert_allclose(y.mean(axis=0), 0.0, atol=1e-14)
    np.testing.assert_allclose(y.var(axis=0), 1.0, rtol=1e-9)


def test_batch_norm_in_prediction_uses_the_running_statistics() -> None:
    net = nn.BatchNorm(2, eps=0.5)
    net.load_parameters({"weight": np.array([2.0, 1.0]), "bias": np.array([0.0, 3.0])})
    net.load_buffers({"running_mean": np.array([1.0, -1.0]), "running_variance": np.array([3.5, 0.5])})
    assert net.predict(np.array([[3.0, 1.0]])).tolist() == [[2.0, 5.0]]  # 2·(3−1)/√4 and (1+1)/√1 + 3


def test_batch_norm_keeps_running_statistics_by_hand() -> None:
    """Rows 1, 3, 8 and 0, 0, 6: means 4 and 2, variances with divisor n − 1 of 13 and 12; momentum ¼."""
    net = nn.Sequential(nn.BatchNorm(2, momentum=0.25), nn.Linear(2, 1))
    x = np.array([[1.0, 0.0], [3.0, 0.0], [8.0, 6.0]])
    fl.fit(net, x, np.zeros((3, 1)), loss="mse", epochs=1, batch_size="all", dtype="float64", shuffle=False)
    assert net.buffers()["0.running_mean"].tolist() == [1.0, 0.5]
    assert net.buffers()["0.running_variance"].tolist() == [0.75 + 13 / 4, 0.75 + 12 / 4]


def test_batch_norm_of_one_row_keeps_a_finite_variance() -> None:
    net = nn.Sequential(nn.BatchNorm(2), nn.Linear(2, 1))
    run = fl.fit(net, X[:, :2], np.zeros((5, 1)), loss="mse", epochs=1, batch_size=1)
    assert run.stopped == "epochs"
    assert np.isfinite(net.buffers()["0.running_variance"]).all()


def test_batch_norm_called_twice_keeps_both_batches() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            self.norm = nn.BatchNorm(1, momentum=0.5)
            self.head = nn.Linear(1, 1)

        def __call__(self, x: Any) -> Any:
            return self.head(self.norm(x) + self.norm(x + 8.0))

    net = Twice()
    fl.fit(net, [[1.0], [3.0]], [[0.0], [0.0]], loss="mse", epochs=1, batch_size="all", dtype="float64")
    assert net.buffers()["norm.running_mean"].tolist() == [(0.0 / 2 + 2.0 / 2) / 2 + 10.0 / 2]


def test_loss_and_gradients_leaves_running_statistics_alone() -> None:
    net = nn.BatchNorm(3)
    fl.loss_and_gradients(net, X, np.zeros((5, 3)), "mse")
    assert net.buffers()["running_mean"].tolist() == [0.0, 0.0, 0.0]


def test_dropout_is_the_identity_in_prediction() -> None:
    assert np.array_equal(nn.Sequential(nn.Dropout(0.9)).predict(X), X.astype(np.float32))


def test_dropout_drops_a_share_p_and_scales_the_rest() -> None:
    x = np.ones((40, 50))
    net = nn.Sequential(nn.Dropout(0.25))
    y = in_training(net, x)
    values, counts = np.unique(y, return_counts=True)
    np.testing.assert_allclose(values, [0.0, 1.0 / 0.75], rtol=1e-6)
    # 2000 draws of a coin of ¼: 500 ± 19.4; five deviations are safe
    assert abs(counts[0] - 500) < 97


def test_dropout_is_a_function_of_seed_step_and_place() -> None:
    x = np.ones((6, 40))
    net = nn.Sequential(nn.Dropout(0.5))
    first = in_training(net, x, seed=3, step=7)
    assert np.array_equal(first, in_training(net, x, seed=3, step=7))
    assert np.array_equal(first[:4], in_training(net, x[:4], seed=3, step=7)), "a row's mask is that of its position"
    for other in ({"seed": 4, "step": 7}, {"seed": 3, "step": 8}):
        assert not np.array_equal(first, in_training(net, x, **other))
    assert len({row.tobytes() for row in first}) == 6


def test_two_dropouts_differ_and_so_do_two_calls_of_one() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            self.drop = nn.Dropout(0.5)

        def __call__(self, x: Any) -> Any:
            return self.drop(x) * 3.0 + self.drop(x)

    x = np.ones((10, 20))
    both = in_training(Twice(), x)
    assert set(np.unique(both)) == {0.0, 2.0, 6.0, 8.0}
    chain = in_training(nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5)), x)
    assert 0.15 < np.mean(chain == 4.0) < 0.35, "equal masks would keep a half"


def test_dropout_works_on_images_of_whole_numbers() -> None:
    x = np.full((8, 20), 100, dtype=np.uint8)
    _, gradients = fl.loss_and_gradients(
        nn.Sequential(nn.Dropout(0.5), nn.Linear(20, 1, bias=False)), x, np.zeros((8, 1)), lambda o, _: fl.sum(o)
    )
    columns = gradients["1.weight"][:, 0]
    assert set(np.unique(columns)) <= {200.0 * k for k in range(9)}
    assert 0.3 < columns.sum() / (8 * 20 * 200) < 0.7


def test_dropout_of_nothing_is_no_dropout() -> None:
    assert np.array_equal(in_training(nn.Sequential(nn.Dropout(0.0)), X), X.astype(np.float32))


def test_sequential_is_a_list_of_layers() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2, bias=False))
    assert len(net) == 3
    assert isinstance(net[1], nn.ReLU)
    assert repr(net) == "Sequential(Linear(3, 4), ReLU(), Linear(4, 2, bias=False))"
    with pytest.raises(fl.KindError, match=r"nn.Sequential: layer 1 must be a module, found 'relu'"):
        nn.Sequential(nn.Linear(3, 4), "relu")


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (nn.LeakyReLU(0.2), "LeakyReLU(slope=0.2)"),
        (nn.Dropout(0.1), "Dropout(0.1)"),
        (nn.Embedding(5, 2), "Embedding(5, 2)"),
        (nn.EmbeddingBag(5, 2), "EmbeddingBag(5, 2)"),
        (nn.EmbeddingBag(5, 2, "mean", 0), "EmbeddingBag(5, 2, mode='mean', padding=0)"),
        (nn.BatchNorm(4), "BatchNorm(4)"),
        (nn.LayerNorm(4), "LayerNorm(4)"),
        (nn.Flatten(), "Flatten()"),
        (nn.Linear(np.int64(2), 3), "Linear(2, 3)"),
    ],
)
def test_layers_show_their_arguments(layer: nn.Module, text: str) -> None:
    assert repr(layer) == text


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: nn.Linear(0, 2), "nn.Linear: in_features must be a whole number of at least 1, found 0"),
        (lambda: nn.Linear(2, 2.0), "nn.Linear: out_features must be a whole number of at least 1, found 2.0"),
        (lambda: nn.Linear(True, 2), "nn.Linear: in_features must be a whole number of at least 1, found True"),
        (lambda: nn.Embedding(-1, 2), "nn.Embedding: count must be a whole number of at least 1, found -1"),
        (lambda: nn.Embedding(3, "2"), "nn.Embedding: features must be a whole number of at least 1, found '2'"),
        (lambda: nn.BatchNorm(None), "nn.BatchNorm: features must be a whole number of at least 1, found None"),
        (lambda: nn.LayerNorm(0), "nn.LayerNorm: features must be a whole number of at least 1, found 0"),
        (lambda: nn.LayerNorm(2, eps=0.0), "nn.LayerNorm: eps must be greater than 0, found 0.0"),
        (lambda: nn.BatchNorm(2, momentum=0.0), "momentum must be greater than 0 and at most 1, found 0.0"),
        (lambda: nn.Dropout(1.0), "nn.Dropout: p must be at least 0 and less than 1, found 1.0"),
        (lambda: nn.Dropout(float("nan")), "nn.Dropout: p must be at least 0 and less than 1, found nan"),
    ],
)
def test_impossible_layers_are_refused(make: Any, text: str) -> None:
    with pytest.raises(fl.ArgumentError) as error:
        make()
    assert text in str(error.value)


@pytest.mark.parametrize(
    ("net", "x", "text"),
    [
        (nn.Linear(3, 2), np.zeros((4, 2)), "nn.Linear(3, 2): the input's last axis must be 3, found shape (n, 2)"),
        (nn.BatchNorm(3), np.zeros((4, 2)), "nn.BatchNorm(3): the input must be (rows, …, 3), found (n, 2)"),
        (nn.LayerNorm(3), np.zeros(4), "nn.LayerNorm(3): the input must be (rows, …, 3), found (n,)"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(net: nn.Module, x: Array, text: str) -> None:
    with pytest.raises(fl.ShapeError) as error:
        net.predict(x)
    assert str(error.value) == text
