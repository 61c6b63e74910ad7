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
from fallline.nn.init import Normal
from fallline.nn.module import Buffer
from fallline.ops import functions as f
from fallline.ops.tensor import Tensor
from fallline.tables.members import MemberHeads, MemberScales, together


@dataclass(frozen=True)
class NetworkPlan:
    """All that decides a table network's shape, as JSON can hold it.

    Attributes:
        dense: how many of the encoded columns are numbers (they come first).
        embedded: (categories, features) of each code column, in order.
        bags: (n-grams, features, slots) of each text, in order.
        hidden: width of each hidden layer.
        outputs: logits (one per class) or 1.
        activation: a name of `nn.activations`.
        dropout: probability after each hidden layer.
        members: networks in the ensemble.
        knots: of each number, ascending, between which its pieces lie; none for a number without.
    """

    dense: int
    embedded: tuple[tuple[int, int], ...]
    hidden: tuple[int, ...]
    outputs: int
    activation: str = "relu"
    dropout: float = 0.0
    bags: tuple[tuple[int, int, int], ...] = ()
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
        inputs = f"{self.dense} numbers" + (f" in {self.pieces} pieces" if self.pieces else "")
        inputs += f", embeddings {', '.join(names)}" if names else ""
        inputs += "".join(f", text of {count:,} n-grams→{width}" for count, width, _ in self.bags)
        hidden = " → ".join(map(str, self.hidden))
        inside = f"{self.members} members with hidden {hidden}" if hidden else "hidden none"
        return f"{inputs}; {inside}, {self.activation}, dropout {self.dropout:g}; {self.outputs} outputs"

    @property
    def parameters(self) -> int:
        """How many numbers the network learns."""
        tables = [(count, features) for count, features, *_ in (*self.embedded, *self.bags)]
        width = self.dense + sum(features for _, features in tables)
        counted = sum(count * features for count, features in tables) + (width + 1) * self.outputs
        if not self.hidden:
            return counted
        counted += (width + self.pieces + 2 * self.members) * self.hidden[0]
        counted += sum((before + 1) * after for before, after in itertools.pairwise(self.hidden))
        return counted + (self.hidden[-1] + 1) * self.outputs * self.members

    @classmethod
    def from_json(cls, saved: Any) -> Self:
        """The plan that `to_json` wrote."""
        try:
            plan = cls(
                int(saved["dense"]),
                tuple((int(count), int(width)) for count, width in saved["embedded"]),
                tuple(int(width) for width in saved["hidden"]),
                int(saved["outputs"]),
                str(saved["activation"]),
                float(saved["dropout"]),
                tuple((int(count), int(width), int(slots)) for count, width, slots in saved["bags"]),
                int(saved["members"]),
                tuple(tuple(float(knot) for knot in knots) for knots in saved["knots"]),
            )
            plan._require_sense()
            return plan
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ModelFileError(f"the network's plan in the file is damaged: {error}") from None

    def _require_sense(self) -> None:
        """Raise ValueError where members or knots cannot be."""
        if self.members < 1:
            raise ValueError(f"{self.members} members")
        if self.knots and len(self.knots) != self.dense:
            raise ValueError(f"knots of {len(self.knots)} numbers, where there are {self.dense}")
        spans = [high - low for own in self.knots for low, high in itertools.pairwise(own)]
        if not all(0.0 < span < math.inf for span in spans):
            raise ValueError("knots that do not rise")


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


class Pieces(nn.Module):
    """Where a number lies among its knots k₀ < k₁ < …: p_t = clip((x − k_t)/(k_{t+1} − k_t), 0, 1).

    A linear layer on them is any piecewise-linear function of each number, which lets a network follow the jumps and
    bends that a smooth one rounds off: "piecewise linear encoding", Gorishniy, Rubachev & Babenko 2022,
    arXiv:2203.05556, section 3.2. Nothing here is learned.

    Shapes: x (rows, numbers) → (rows, pieces).

    Args:
        knots: ascending, of each number; none for one that has no pieces.
    """

    def __init__(self, knots: tuple[tuple[float, ...], ...]) -> None:
        spans = [(column, *span) for column, own in enumerate(knots) for span in itertools.pairwise(own)]
        slopes, offsets = np.zeros((len(knots), len(spans))), np.zeros(len(spans))
        for piece, (column, low, high) in enumerate(spans):
            slopes[column, piece] = 1.0 / (high - low)
            offsets[piece] = -low / (high - low)
        self.slopes, self.offsets = Buffer(slopes), Buffer(offsets)

    def __call__(self, x: Tensor) -> Tensor:
        """The pieces of all numbers; the product has one term that is not 0."""
        return f.clip(x @ self.slopes + self.offsets, 0.0, 1.0)  # type: ignore[no-any-return]


class TableNetwork(nn.Module):
    """An ensemble of networks that share their weights, on numbers, their pieces, embeddings, and bags of n-grams.

        u = [numbers, embeddings]                                       p = pieces of the numbers
        h_m = φ(s_m ⊙ (u·W₁ + p·V) + b_m),    then h_m ← φ(h_m·W_l + b_l),    o_m = h_m·H_m + c_m + u·D + d

    Each member m has scales, biases and a head of its own (`members.py`); the layers between are shared, so that the
    members learn once what is common to them. A direct linear path is beside the deep one, so that the sum is at least
    as able as either (Cheng et al. 2016, "Wide & Deep Learning", arXiv:1606.07792). V and D start at 0: what a straight
    line tells is learned first.

    In training it gives each member's outputs, for `losses.Ensemble`; in prediction those of all together.

    Shapes: x (rows, dense + codes + Σ 2·slots) → (rows, members, outputs) in training, (rows, outputs) in prediction.
    """

    def __init__(self, plan: NetworkPlan, seed: int = 0) -> None:
        super().__init__(seed)
        self.plan = plan
        self.embeddings = [nn.Embedding(count, width, init=Normal(0.1)) for count, width in plan.embedded]
        self.bags = [nn.EmbeddingBag(count, width, init=Normal(0.1)) for count, width, _ in plan.bags]
        width = plan.dense + sum(features for _, features, *_ in (*plan.embedded, *plan.bags))
        self.direct = nn.Linear(width, plan.outputs, init="zeros")
        if not plan.hidden:
            return
        init = "he_normal" if plan.activation in ("relu", "leaky_relu") else "glorot_normal"
        self.first = nn.Linear(width, plan.hidden[0], bias=False, init=init)
        self.pieces = Pieces(plan.knots) if plan.pieces else None
        self.bends = nn.Linear(plan.pieces, plan.hidden[0], bias=False, init="zeros") if plan.pieces else None
        self.scales = MemberScales(plan.members, plan.hidden[0])
        self.activation = by_name(plan.activation)
        self.dropout = [nn.Dropout(plan.dropout) for _ in plan.hidden]
        self.layers = [nn.Linear(*sizes, init=init) for sizes in itertools.pairwise(plan.hidden)]
        self.heads = MemberHeads(plan.members, plan.hidden[-1], plan.outputs)

    def __call__(self, x: Tensor) -> Tensor:
        """Logits or standardised values: of each member in training, of all together in prediction."""
        plan = self.plan
        numbers = x[:, : plan.dense]
        parts = [numbers] if plan.dense else []
        for number, embedding in enumerate(self.embeddings):
            codes = x[:, plan.dense + number]
            parts.append(embedding(f.clip(codes, 0, embedding.count - 1).astype("int64")))  # so that it compiles
        begin = plan.dense + len(self.embeddings)
        for bag, (count, _, slots) in zip(self.bags, plan.bags, strict=True):
            codes, weights = x[:, begin : begin + slots], x[:, begin + slots : begin + 2 * slots]
            parts.append(bag(f.clip(codes, 0, count - 1).astype("int64"), weights))
            begin += 2 * slots
        joined = f.concatenate(parts, axis=-1)  # (rows, width)
        direct = self.direct(joined)
        if not plan.hidden:
            return direct
        common = self.first(joined)
        if self.pieces is not None and self.bends is not None:
            common = common + self.bends(self.pieces(numbers))
        hidden = self.dropout[0](self.activation(self.scales(common)))  # (rows, members, first)
        for layer, dropout in zip(self.layers, self.dropout[1:], strict=True):
            hidden = dropout(self.activation(layer(hidden)))
        outputs = self.heads(hidden) + direct[:, None, :]  # (rows, members, outputs)
        return outputs if self.training else together(outputs)

    def describe(self) -> str:
        """The plan in one line."""
        return self.plan.describe()
