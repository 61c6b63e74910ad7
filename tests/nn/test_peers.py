"""Layers and losses against PyTorch's: values and gradients, in float64; skipped where it is absent."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fallline as fl
from fallline import nn
from fallline.nn import losses

pytestmark = pytest.mark.peers

Array = NDArray[Any]
RNG = np.random.default_rng(0)
ROWS = 7
X, CUBE, TOKENS = RNG.normal(size=(ROWS, 4)), RNG.normal(size=(ROWS, 3, 4)), RNG.integers(0, 5, (ROWS, 3))


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch")


LAYERS: dict[str, tuple[Any, Array, Any]] = {
    "Linear": (nn.Linear(4, 3), X, lambda t: t.nn.Linear(4, 3)),
    "Linear without bias": (nn.Linear(4, 3, bias=False), X, lambda t: t.nn.Linear(4, 3, bias=False)),
    "Linear on 3-D": (nn.Linear(4, 2), CUBE, lambda t: t.nn.Linear(4, 2)),
    "Embedding": (nn.Embedding(5, 2), TOKENS, lambda t: t.nn.Embedding(5, 2)),
    "EmbeddingBag": (nn.EmbeddingBag(5, 2), TOKENS, lambda t: t.nn.EmbeddingBag(5, 2, mode="sum")),
    "EmbeddingBag's mean": (
        nn.EmbeddingBag(5, 2, "mean", padding=1),
        TOKENS,
        lambda t: t.nn.EmbeddingBag(5, 2, mode="mean", padding_idx=1),
    ),
    "BatchNorm": (nn.BatchNorm(4), X, lambda t: t.nn.BatchNorm1d(4)),
    "LayerNorm": (nn.LayerNorm(4), CUBE, lambda t: t.nn.LayerNorm(4)),
    **{
        name: (
            nn.Sequential(nn.Linear(4, 4), make()),
            X * 3.0,
            lambda t, peer=peer: t.nn.Sequential(t.nn.Linear(4, 4), peer(t)),
        )
        for name, make, peer in (
            ("ReLU", nn.ReLU, lambda t: t.nn.ReLU()),
            ("LeakyReLU", nn.LeakyReLU, lambda t: t.nn.LeakyReLU()),
            ("Tanh", nn.Tanh, lambda t: t.nn.Tanh()),
            ("Sigmoid", nn.Sigmoid, lambda t: t.nn.Sigmoid()),
            ("GELU", nn.GELU, lambda t: t.nn.GELU()),
            ("SiLU", nn.SiLU, lambda t: t.nn.SiLU()),
            ("SELU", nn.SELU, lambda t: t.nn.SELU()),
            ("Mish", nn.Mish, lambda t: t.nn.Mish()),
            ("Softplus", nn.Softplus, lambda t: t.nn.Softplus()),
        )
    },
}  # fmt: skip


def theirs(name: str, value: Array, net: nn.Module) -> Array:
    """A Linear's weight is (in, out) here and (out, in) there."""
    holder = net.named_modules()[name.rpartition(".")[0]]
    return value.T if isinstance(holder, nn.Linear) and name.endswith("weight") else value


@pytest.mark.parametrize("training", [False, True], ids=["prediction", "training"])
@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str, training: bool, torch: Any) -> None:
    net, x, make = LAYERS[name]
    net.load_parameters({key: RNG.normal(size=w.shape) for key, w in net.parameters().items()})
    net.load_buffers({key: RNG.uniform(0.5, 2.0, b.shape) for key, b in net.buffers().items()})
    peer = make(torch).double().train(training)
    with torch.no_grad():
        for key, parameter in peer.named_parameters():
            parameter.copy_(torch.tensor(theirs(key, net.parameters()[key], net)))
        for key, buffer in net.buffers().items():
            dict(peer.named_buffers())[key.replace("variance", "var")].copy_(torch.tensor(buffer))
    given = torch.tensor(x)
    if not training:
        np.testing.assert_allclose(net.predict(x), peer(given).detach().numpy(), rtol=1e-8, atol=1e-12)
    y = RNG.normal(size=tuple(peer(given).shape))
    loss, gradients = fl.loss_and_gradients(net, x, y, "mse", training=training)
    their_loss = torch.nn.functional.mse_loss(peer(given), torch.tensor(y))
    their_loss.backward()
    assert loss == pytest.approx(their_loss.item(), rel=1e-8)
    for key, parameter in peer.named_parameters():
        np.testing.assert_allclose(
            gradients[key], theirs(key, parameter.grad.numpy(), net), rtol=1e-7, atol=1e-10, err_msg=key
        )


def test_running_statistics(torch: Any) -> None:
    net, peer = nn.Sequential(nn.BatchNorm(4), nn.Linear(4, 1)), torch.nn.BatchNorm1d(4).double()
    fl.fit(net, X, np.zeros((ROWS, 1)), loss="mse", epochs=2, batch_size="all", shuffle=False, dtype="float64")
    for _ in range(2):
        peer(torch.tensor(X))
    np.testing.assert_allclose(net.buffers()["0.running_mean"], peer.running_mean.numpy(), rtol=1e-12)
    np.testing.assert_allclose(net.buffers()["0.running_variance"], peer.running_var.numpy(), rtol=1e-12)


LABELS, SOFT = RNG.integers(0, 4, ROWS), RNG.dirichlet(np.ones(4), ROWS)
LOSSES: dict[str, tuple[Any, Array, Any]] = {
    "mse": ("mse", SOFT, lambda f, o, t: f.mse_loss(o, t)),
    "mae": ("mae", SOFT, lambda f, o, t: f.l1_loss(o, t)),
    "huber": (losses.Huber(0.6), SOFT, lambda f, o, t: f.huber_loss(o, t, delta=0.6)),
    "binary": ("binary_cross_entropy", SOFT, lambda f, o, t: f.binary_cross_entropy_with_logits(o, t)),
    "labels": ("cross_entropy", LABELS, lambda f, o, t: f.cross_entropy(o, t)),
    "soft": ("cross_entropy", SOFT, lambda f, o, t: f.cross_entropy(o, t)),
    "smooth": (losses.CrossEntropy(0.1), LABELS, lambda f, o, t: f.cross_entropy(o, t, label_smoothing=0.1)),
    "smooth soft": (losses.CrossEntropy(0.1), SOFT, lambda f, o, t: f.cross_entropy(o, t, label_smoothing=0.1)),
    "poisson": ("poisson", RNG.poisson(2.0, (ROWS, 4)), lambda f, o, t: f.poisson_nll_loss(o, t)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name: str, torch: Any) -> None:
    loss, y, peer = LOSSES[name]
    outputs = RNG.normal(size=(ROWS, 4)) * 2.0
    net = nn.Embedding(ROWS, 4)
    net.load_parameters({"weight": outputs})
    value, gradients = fl.loss_and_gradients(net, np.arange(ROWS), y, loss)
    theirs = torch.tensor(outputs, requires_grad=True)
    their_loss = peer(torch.nn.functional, theirs, torch.tensor(y))
    their_loss.backward()
    assert value == pytest.approx(their_loss.item(), rel=1e-12)
    np.testing.assert_allclose(gradients["weight"], theirs.grad.numpy(), rtol=1e-10, atol=1e-14)
