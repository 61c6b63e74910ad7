"""The network for a table: embeddings for categories, a multilayer perceptron, and a direct linear path."""

import itertools
import math
import os
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from fallline import nn
from fallline.errors import ArgumentError, ModelFileError
from fallline.nn.activations import by_name
from fallline.nn.init import Float64Array, Initializer, Normal
from fallline.nn.module import Buffer, Parameter
from fallline.ops import functions as f
from fallline.ops import philox
from fallline.ops.tensor import Tensor


@dataclass(frozen=True)
class NetworkPlan:
    """All that decides a table network's shape, as JSON can hold it.

    Attributes:
        dense: how many of the encoded columns are numbers (they come first).
        embedded: (categories, features) of each code column, in order.
        hidden: width of each hidden layer.
        outputs: logits (one per class) or 1.
        activation: a name of `nn.activations`.
        dropout: probability after each hidden layer.
    """

    dense: int
    embedded: tuple[tuple[int, int], ...]
    hidden: tuple[int, ...]
    outputs: int
    activation: str = "relu"
    dropout: float = 0.0
    members: int = 16
    knots: tuple[tuple[float, ...], ...] = ()

    @property
    def pieces(self) -> int:
        """How many pieces the knots make."""
        return sum(max(0, len(knots) - 1) for knots in self.knots)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values for `from_json`."""
        return asdict(self)

    def describe(self) -> str:
        """The plan in one line."""
        names = [f"{count}→{width}" for count, width in self.embedded]
        inputs = f"{self.dense} numbers" + (f", embeddings {', '.join(names)}" if names else "")
        hidden = " → ".join(map(str, self.hidden)) or "none"
        return f"{inputs}; hidden {hidden}, {self.activation}, dropout {self.dropout:g}; {self.outputs} outputs"

    @property
    def parameters(self) -> int:
        """How many numbers the network learns."""
        width = self.dense + sum(features for _, features in self.embedded)
        counted = sum(count * features for count, features in self.embedded) + (width + 1) * self.outputs
        if not self.hidden:
            return counted
        counted += (width + self.pieces + 2 * self.members) * self.hidden[0]
        counted += sum((before + 1) * after for before, after in itertools.pairwise(self.hidden))
        return counted + (self.hidden[-1] + 1) * self.outputs * self.members

    @classmethod
    def from_json(cls, saved: Any) -> Self:
        """The plan that `to_json` wrote."""
        try:
            embedded = tuple((int(count), int(width)) for count, width in saved["embedded"])
            hidden = tuple(int(width) for width in saved["hidden"])
            return cls(
                int(saved["dense"]),
                embedded,
                hidden,
                int(saved["outputs"]),
                str(saved["activation"]),
                float(saved["dropout"]),
                int(saved["members"]),
                tuple(tuple(float(knot) for knot in knots) for knots in saved["knots"]),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ModelFileError(f"the network's plan in the file is damaged: {error}") from None


def require_memory(plan: NetworkPlan) -> None:
    """Refuse a network that this machine cannot train.

    Weights, gradients and two moments, and as much again for copies and checkpoints: 32 bytes a parameter.
    """
    need = plan.parameters * 32
    try:
        has = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows does not say
        return
    if need > has:
        raise ArgumentError(
            f"a network with hidden layers of {', '.join(map(str, plan.hidden))} has {plan.parameters:,} parameters "
            f"and needs {need / 1e9:,.1f} GB for training; this machine has {has / 1e9:,.1f} GB. Choose smaller layers."
        )


class Signs(Initializer):
    """−1 or 1, each as likely."""

    def __call__(self, key: philox.Key, shape: tuple[int, ...]) -> Float64Array:
        return np.where(philox.uniform53(key, math.prod(shape)) < 0.5, -1.0, 1.0).reshape(shape)


class TableNetwork(nn.Module):
    """An ensemble of networks that share their weights, on numbers, their pieces, and embeddings.

        u = [numbers, embeddings]                           pieces: p_t = clip((x − a_t)/(b_t − a_t), 0, 1)
        h_m = φ(s_m ⊙ (u·W₁ + p·V) + b_m),   then   h_m ← φ(h_m·W_l + b_l),   o_m = h_m·H_m + c_m + u·D + d

    Each member m has signs s_m (drawn ±1) and biases b_m of its own in the first layer and a head H_m; the layers
    between are shared, so that k members learn much of what is common once (TabM, Gorishniy et al. 2025,
    arXiv:2410.24210). The pieces are a number's place among the quantiles of the training rows (piecewise-linear
    encoding, Gorishniy et al. 2022, arXiv:2203.05556); V and the direct path D start at 0.

    In training it gives every member's outputs, (rows, members, outputs), for `losses.Ensemble`; in prediction
    the mean of their values, or the logarithm of their mean probabilities, (rows, outputs).
    """

    def __init__(self, plan: NetworkPlan, seed: int = 0) -> None:
        super().__init__(seed)
        self.plan = plan
        self.embeddings = [nn.Embedding(count, width, init=Normal(0.1)) for count, width in plan.embedded]
        width = plan.dense + sum(features for _, features in plan.embedded)
        self.direct = nn.Linear(width, plan.outputs, init="zeros")
        slopes, offsets = pieces_of(plan)
        self.slopes, self.offsets = (Buffer(slopes), Buffer(offsets)) if plan.pieces else (None, None)
        if not plan.hidden:
            return
        first, last, k = plan.hidden[0], plan.hidden[-1], plan.members
        self.first = nn.Linear(width, first, bias=False, init=FIRST_INIT)
        self.pieces = nn.Linear(plan.pieces, first, bias=False, init="zeros") if plan.pieces else None
        self.signs = Parameter((k, first), Signs())
        self.shifts = Parameter((k, first), SHIFT_INIT)
        self.activation = by_name(plan.activation)
        self.dropout = nn.Dropout(plan.dropout)
        init = "he_normal" if plan.activation in ("relu", "leaky_relu") else "glorot_normal"
        self.layers = [nn.Linear(*sizes, init=init) for sizes in itertools.pairwise(plan.hidden)]
        self.heads = Parameter((k, last, plan.outputs), HeadInit())
        self.biases = Parameter((k, 1, plan.outputs), "zeros")

    def __call__(self, x: Tensor) -> Tensor:
        """Logits or standardised values: of each member in training, of the ensemble in prediction."""
        plan = self.plan
        numbers = x[:, : plan.dense]
        parts = [numbers] if plan.dense else []
        for number, embedding in enumerate(self.embeddings):
            parts.append(embedding(x[:, plan.dense + number].astype("int64")))
        joined = f.concatenate(parts, axis=-1)  # (rows, width)
        direct = self.direct(joined)
        if not plan.hidden:
            return direct
        common = self.first(joined)
        if self.pieces is not None:
            common = common + self.pieces(f.clip(numbers @ self.slopes + self.offsets, 0.0, 1.0))
        hidden = self.activation(common[:, None, :] * self.signs + self.shifts)  # (rows, members, first)
        hidden = self.dropout(hidden)
        for layer in self.layers:
            hidden = self.dropout(self.activation(layer(hidden)))
        outputs = (hidden.transpose(1, 0, 2) @ self.heads + self.biases).transpose(1, 0, 2)  # (rows, members, outputs)
        outputs = outputs + direct[:, None, :]
        return outputs if self.training else self.together(outputs)

    def together(self, outputs: Tensor) -> Tensor:
        """(rows, members, outputs) → (rows, outputs): the members' mean, of probabilities where these are logits."""
        if self.plan.outputs == 1:
            return f.mean(outputs, axis=1)
        members = self.plan.members
        return f.logsumexp(f.log_softmax(outputs), axis=1) - math.log(members)

    def describe(self) -> str:
        """The plan in one line."""
        return self.plan.describe()


class HeadInit(Initializer):
    """Normal with variance 1/width, for (members, width, outputs)."""

    def __call__(self, key: philox.Key, shape: tuple[int, ...]) -> Float64Array:
        return Normal(1.0 / math.sqrt(shape[1]))(key, shape)


def pieces_of(plan: NetworkPlan) -> tuple[Any, Any]:
    """The pieces of all numbers as one affine map before clipping: slopes (dense, pieces), offsets (pieces,)."""
    slopes = np.zeros((plan.dense, plan.pieces))
    offsets = np.zeros(plan.pieces)
    piece = 0
    for column, knots in enumerate(plan.knots):
        for low, high in itertools.pairwise(knots):
            slopes[column, piece] = 1.0 / (high - low)
            offsets[piece] = -low / (high - low)
            piece += 1
    return slopes, offsets


FIRST_INIT = "he_normal"
SHIFT_INIT = Normal(0.5)
