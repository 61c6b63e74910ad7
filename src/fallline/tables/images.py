"""Tables of images: their columns, and their network, which takes bytes."""

from dataclasses import dataclass
from math import isqrt, prod
from typing import Any, Self

import numpy as np

from fallline import nn
from fallline.data.encoders import TableEncoder
from fallline.data.pixels import LARGEST, are_points, as_bytes
from fallline.data.table import Table
from fallline.errors import ModelFileError
from fallline.nn.activations import by_name
from fallline.nn.trace import random_stream
from fallline.ops import functions as f
from fallline.ops.tensor import Tensor, apply
from fallline.tables.columns import ColumnInfo
from fallline.tables.network import NetworkPlan, TableNetwork

MOST_AXES = 3


@dataclass(frozen=True)
class ImagePlan(NetworkPlan):
    """The plan of an `ImageNetwork`.

    Attributes:
        shape: of an image, (height, width) or (height, width, channels); (points,) where it is not known.
    """

    shape: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values for `from_json`."""
        return {
            "shape": list(self.shape),
            "hidden": list(self.hidden),
            "outputs": self.outputs,
            "activation": self.activation,
            "dropout": self.dropout,
        }

    def describe(self) -> str:
        """The plan in one line."""
        hidden = " → ".join(map(str, self.hidden)) or "none"
        moved = ", moved by up to one point in training" if len(self.shape) > 1 else ""
        inputs = f"images of {' × '.join(map(str, self.shape))} points{moved}"
        return f"{inputs}; hidden {hidden}, {self.activation}, dropout {self.dropout:g}; {self.outputs} outputs"

    @property
    def parameters(self) -> int:
        """How many numbers the network learns."""
        widths = (self.dense, *self.hidden, self.outputs)
        return sum((width + 1) * size for width, size in zip(widths, widths[1:], strict=False))

    @classmethod
    def from_json(cls, saved: Any) -> Self:
        """The plan that `to_json` wrote."""
        try:
            shape, hidden = (tuple(int(size) for size in saved[name]) for name in ("shape", "hidden"))
            outputs, activation, dropout = int(saved["outputs"]), str(saved["activation"]), float(saved["dropout"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ModelFileError(f"the network's plan in the file is damaged: {error}") from None
        if not 1 <= len(shape) <= MOST_AXES or min(shape) < 1:
            raise ModelFileError(f"the network's plan in the file is damaged: images of the shape {shape}")
        return cls(prod(shape), (), hidden, outputs, activation, dropout, shape=shape)


class ImageNetwork(nn.Module):
    """outputs = layers(x / 255), a multilayer perceptron, dropout after each hidden layer.

    Where the images' shape is known, each is moved in training by −1, 0 or 1 points along both sides, the same
    chance for all: what an image shows does not depend on it (Simard et al. 2003, "Best practices for convolutional
    neural networks applied to visual document analysis").

    Shapes: x (rows, points) of bytes → (rows, outputs).
    """

    def __init__(self, plan: ImagePlan, seed: int = 0) -> None:
        super().__init__(seed)
        self.plan = plan
        self.moved = Moved(plan.shape)
        layers: list[nn.Module] = []
        width = plan.dense
        for size in plan.hidden:
            layers += [nn.Linear(width, size, init="he_normal"), by_name(plan.activation)]
            if plan.dropout:
                layers.append(nn.Dropout(plan.dropout))
            width = size
        self.layers = nn.Sequential(*layers, nn.Linear(width, plan.outputs, init="lecun_normal"))

    def __call__(self, x: Tensor) -> Tensor:
        """Logits, or the standardised value."""
        return self.layers(self.moved(x.astype("float32") * (1.0 / LARGEST)))

    def describe(self) -> str:
        """The plan in one line."""
        return self.plan.describe()


class Moved(nn.Module):
    """In training, each image moved by −1, 0 or 1 points along both sides; the points at the edge are repeated.

    By how much is a function of (seed, layer, step, row), never of call order.

    Args:
        shape: of an image, (height, width, …); with one axis nothing is moved.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def __call__(self, x: Tensor) -> Tensor:
        """x (rows, points), moved."""
        if not self.training or len(self.shape) < 2:
            return x
        stream, seed, step = random_stream(self)
        rows = x.shape[0]
        chances = apply(
            "random_uniform", seed, step, purpose="moved", stream=stream, shape=(rows, 2), dtype=x.dtype
        )  # [0, 1)
        images = x.reshape(rows, *self.shape)
        for axis in (axis for axis in (1, 2) if self.shape[axis - 1] > 1):  # along one point nothing can move
            chance = chances[:, axis - 1].reshape(rows, *[1] * len(self.shape))
            back, forth = _neighbours(images, axis)
            images = f.where(chance < 1 / 3, back, f.where(chance < 2 / 3, forth, images))
        return images.reshape(rows, prod(self.shape))

    def describe(self) -> str:
        """The arguments as `repr` shows them."""
        return f"{self.shape}"


def _neighbours(images: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Images moved by one point back and forth along an axis: (rows, height, width, …) each."""

    def part(*ends: int | None) -> Tensor:
        return images[(slice(None),) * axis + (slice(*ends),)]

    back = f.concatenate([part(1, None), part(-1, None)], axis=axis)
    return back, f.concatenate([part(0, 1), part(0, -1)], axis=axis)


def network_of(plan: NetworkPlan, seed: int = 0) -> nn.Module:
    """The network of a plan, its weights drawn from the seed."""
    return ImageNetwork(plan, seed) if isinstance(plan, ImagePlan) else TableNetwork(plan, seed)


def plan_from_json(saved: Any) -> NetworkPlan:
    """The plan that `to_json` wrote, of images or of another table."""
    images = isinstance(saved, dict) and "shape" in saved
    return ImagePlan.from_json(saved) if images else NetworkPlan.from_json(saved)


def describe_images(table: Table, target: str) -> list[ColumnInfo]:
    """The columns of a table of images but the target, all of them points; none for any other table."""
    names = [name for name in table.names if name != target]
    read = table.layout is not None and table.layout.form is not None
    if not read and not are_points(table, names):
        return []
    columns = {name: as_bytes(table.column(name), name, table.place) for name in names}
    return [ColumnInfo(name, "pixel", 0, int(np.count_nonzero(np.bincount(v)))) for name, v in columns.items()]


def row_shape(encoder: TableEncoder, table: Table) -> tuple[int, ...]:
    """The shape of a table's images; empty where its columns are not the points of images.

    It is the form of images in files, or the array's that the table was read from; of other tables, n² points are
    read as an n × n image.
    """
    if encoder.images is not None:
        return encoder.images.shape
    points = len(encoder.feature_names)
    if encoder.dtype != np.uint8:
        return ()
    shape = () if table.layout is None else tuple(size for size in table.layout.shape if size > 1)
    if 1 < len(shape) <= MOST_AXES and prod(shape) == points:
        return shape
    side = isqrt(points)
    return (side, side) if side * side == points else (points,)
