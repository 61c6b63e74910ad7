"""Tables of images: their columns, and their network, which takes bytes."""

from dataclasses import dataclass
from math import isqrt, prod
from typing import Any, Self

import numpy as np

from fallline import nn
from fallline.data.encoders import TableEncoder
from fallline.data.pixels import LARGEST, are_points, as_bytes
from fallline.data.table import Table
from fallline.errors import ArgumentError, ModelFileError
from fallline.nn.activations import by_name
from fallline.nn.trace import random_stream
from fallline.ops import functions as f
from fallline.ops.tensor import Tensor, apply
from fallline.tables.columns import ColumnInfo
from fallline.tables.network import NetworkPlan, TableNetwork

MOST_AXES, MOST_MOVES = 3, 16
FLATTEST = 1e-3
"""The variance that is added where images are standardised: of an even one, the noise is not blown up."""


@dataclass(frozen=True)
class ImagePlan(NetworkPlan):
    """The plan of an `ImageNetwork`.

    Attributes:
        shape: of an image, (height, width) or (height, width, channels); (points,) where it is not known.
        moves: by how many points each is moved at most in training.
        standardised: whether each is brought to one brightness and contrast.
    """

    shape: tuple[int, ...] = ()
    moves: int = 1
    standardised: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values for `from_json`."""
        return {
            "shape": list(self.shape),
            "hidden": list(self.hidden),
            "outputs": self.outputs,
            "activation": self.activation,
            "dropout": self.dropout,
            "moves": self.moves,
            "standardised": self.standardised,
        }

    def describe(self) -> str:
        """The plan in one line."""
        hidden = " → ".join(map(str, self.hidden)) or "none"
        far = "one point" if self.moves == 1 else f"{self.moves} points"
        moved = f", moved by up to {far} in training" if self.moves and len(self.shape) > 1 else ""
        alike = ", each standardised" if self.standardised else ""
        inputs = f"images of {' × '.join(map(str, self.shape))} points{alike}{moved}"
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
            moves, standardised = int(saved.get("moves", 1)), bool(saved.get("standardised", False))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ModelFileError(f"the network's plan in the file is damaged: {error}") from None
        if not 1 <= len(shape) <= MOST_AXES or min(shape) < 1:
            raise ModelFileError(f"the network's plan in the file is damaged: images of the shape {shape}")
        if not 0 <= moves <= MOST_MOVES:
            raise ModelFileError(f"the network's plan in the file is damaged: images moved by {moves} points")
        return cls(
            prod(shape), (), hidden, outputs, activation, dropout, shape=shape, moves=moves, standardised=standardised
        )


class ImageNetwork(nn.Module):
    """outputs = layers(x / 255), a multilayer perceptron, dropout after each hidden layer.

    Where the plan says so, the points of each image are standardised: what a photograph shows depends on neither its
    brightness nor its contrast. Where the images' shape is known, each is moved in training by a point or a few along
    both sides: what it shows does not depend on that, either (Simard et al. 2003, "Best practices for convolutional
    neural networks applied to visual document analysis").

    Shapes: x (rows, points) of bytes → (rows, outputs).
    """

    def __init__(self, plan: ImagePlan, seed: int = 0) -> None:
        super().__init__(seed)
        self.plan = plan
        self.moved = Moved(plan.shape, plan.moves)
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
        images = x.astype("float32") * (1.0 / LARGEST)
        return self.layers(self.moved(standardised(images) if self.plan.standardised else images))

    def describe(self) -> str:
        """The plan in one line."""
        return self.plan.describe()


def standardised(images: Tensor) -> Tensor:
    """z = (x − mean) / √(variance + 0.001), both of the points of an image: (rows, points)."""
    centred = images - f.mean(images, axis=1, keepdims=True)
    return centred / f.sqrt(f.mean(centred * centred, axis=1, keepdims=True) + FLATTEST)  # type: ignore[no-any-return]


class Moved(nn.Module):
    """In training, each image moved by up to so many points along both sides, the same chance for all ways.

    The points at the edge are repeated. By how much an image is moved is a function of (seed, layer, step, row), never
    of call order.

    Args:
        shape: of an image, (height, width, …); with one axis nothing is moved.
        most: points.
    """

    def __init__(self, shape: tuple[int, ...], most: int = 1) -> None:
        self.shape, self.most = shape, most

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
            most = min(self.most, self.shape[axis - 1] - 1)
            ways = [way for points in range(1, most + 1) for way in _neighbours(images, axis, points)]
            for number, way in reversed(list(enumerate(ways, start=1))):
                images = f.where(chance < number / (len(ways) + 1), way, images)
        return images.reshape(rows, prod(self.shape))

    def describe(self) -> str:
        """The arguments as `repr` shows them."""
        return f"{self.shape}, most={self.most}"


def _neighbours(images: Tensor, axis: int, points: int) -> tuple[Tensor, Tensor]:
    """Images moved by so many points back and forth along an axis: (rows, height, width, …) each."""

    def part(*ends: int | None) -> Tensor:
        return images[(slice(None),) * axis + (slice(*ends),)]

    back = f.concatenate([part(points, None), *[part(-1, None)] * points], axis=axis)
    return back, f.concatenate([*[part(0, 1)] * points, part(0, -points)], axis=axis)


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


def require_whole_images(table: Table, target: str, away: set[str]) -> None:
    """Raise where the target of images in files is one of their points, or points are left out.

    Args:
        table: of which these are columns.
        target: the one to predict.
        away: those that are no inputs.
    """
    if table.layout is None or table.layout.form is None:
        return
    if target != table.layout.labels:
        raise ArgumentError(
            f"images are told apart by {table.layout.labels!r}, their folders' names; leave --target away"
        )
    if away:
        raise ArgumentError(
            f"{min(away)!r} is a point of images, and those are taken whole; --image-size takes fewer points of each"
        )


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
