"""The network for a table: embeddings for categories, a multilayer perceptron, and a direct linear path."""

import os
from dataclasses import asdict, dataclass
from typing import Any, Self

from fallline import nn
from fallline.errors import ArgumentError, ModelFileError
from fallline.nn.activations import by_name
from fallline.nn.init import Normal
from fallline.ops import functions as f
from fallline.ops.tensor import Tensor


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
    """

    dense: int
    embedded: tuple[tuple[int, int], ...]
    hidden: tuple[int, ...]
    outputs: int
    activation: str = "relu"
    dropout: float = 0.0
    bags: tuple[tuple[int, int, int], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values for `from_json`."""
        return asdict(self)

    def describe(self) -> str:
        """The plan in one line."""
        names = [f"{count}→{width}" for count, width in self.embedded]
        inputs = f"{self.dense} numbers" + (f", embeddings {', '.join(names)}" if names else "")
        inputs += "".join(f", text of {count:,} n-grams→{width}" for count, width, _ in self.bags)
        hidden = " → ".join(map(str, self.hidden)) or "none"
        return f"{inputs}; hidden {hidden}, {self.activation}, dropout {self.dropout:g}; {self.outputs} outputs"

    @property
    def parameters(self) -> int:
        """How many numbers the network learns."""
        tables = [(count, features) for count, features, *_ in (*self.embedded, *self.bags)]
        width = self.dense + sum(features for _, features in tables)
        counted = sum(count * features for count, features in tables) + (width + 1) * self.outputs
        for size in self.hidden:
            counted += (width + 1) * size
            width = size
        return counted + ((width + 1) * self.outputs if self.hidden else 0)

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
                tuple((int(count), int(width), int(slots)) for count, width, slots in saved["bags"]),
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


class TableNetwork(nn.Module):
    """outputs = layers([numbers, embeddings, bags]) + direct([numbers, embeddings, bags]).

    The direct path is a linear model beside the deep one, so that the sum is at least as able as either
    (Cheng et al. 2016, "Wide & Deep Learning", arXiv:1606.07792). It starts at 0.

    Shapes: x (rows, dense + codes + Σ 2·slots) → (rows, outputs).
    """

    def __init__(self, plan: NetworkPlan, seed: int = 0) -> None:
        super().__init__(seed)
        self.plan = plan
        self.embeddings = [nn.Embedding(count, width, init=Normal(0.1)) for count, width in plan.embedded]
        self.bags = [nn.EmbeddingBag(count, width, init=Normal(0.1)) for count, width, _ in plan.bags]
        width = plan.dense + sum(features for _, features, *_ in (*plan.embedded, *plan.bags))
        self.direct = nn.Linear(width, plan.outputs, init="zeros")
        layers: list[nn.Module] = []
        for size in plan.hidden:
            init = "he_normal" if plan.activation in ("relu", "leaky_relu") else "glorot_normal"
            layers += [nn.Linear(width, size, init=init), by_name(plan.activation)]
            if plan.dropout:
                layers.append(nn.Dropout(plan.dropout))
            width = size
        if plan.hidden:
            layers.append(nn.Linear(width, plan.outputs, init="lecun_normal"))
        self.layers = nn.Sequential(*layers) if layers else None

    def __call__(self, x: Tensor) -> Tensor:
        """Logits, or the standardised value."""
        parts = [x[:, : self.plan.dense]] if self.plan.dense else []
        for number, embedding in enumerate(self.embeddings):
            codes = x[:, self.plan.dense + number]
            parts.append(embedding(f.clip(codes, 0, embedding.count - 1).astype("int64")))  # so that it compiles
        begin = self.plan.dense + len(self.embeddings)
        for bag, (count, _, slots) in zip(self.bags, self.plan.bags, strict=True):
            codes, weights = x[:, begin : begin + slots], x[:, begin + slots : begin + 2 * slots]
            parts.append(bag(f.clip(codes, 0, count - 1).astype("int64"), weights))
            begin += 2 * slots
        joined = f.concatenate(parts, axis=-1)  # (rows, width)
        direct = self.direct(joined)
        return direct if self.layers is None else direct + self.layers(joined)

    def describe(self) -> str:
        """The plan in one line."""
        return self.plan.describe()
