"""The playground that a query asks for: a function of its settings alone, kept for a while."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from fallline import optim
from fallline.data.planar import MOST_ROWS, PLANAR
from fallline.data.sources import read_table
from fallline.data.table import Table
from fallline.errors import ArgumentError
from fallline.insight.plane_data import PlaneData, built_in, losses_for, of_table
from fallline.insight.playground import MOST_LAYERS, MOST_UNITS, Playground, Recipe
from fallline.lab.asked import Asked
from fallline.lab.place import Lab
from fallline.nn.activations import ACTIVATIONS

OWN = "own"
"""The set that stands for the lab's own table."""
KEPT = 6
"""Playgrounds that are kept, each with its network's past."""


@dataclass(frozen=True)
class Setting:
    """Everything that decides a playground.

    Attributes:
        kind: one of `PLANAR`, or "own".
        rows, noise, data_seed: of a built-in set.
        columns: two inputs and the target, of a table of one's own.
        recipe: what is trained.
    """

    kind: str
    rows: int
    noise: float
    data_seed: int
    columns: tuple[str, str, str]
    recipe: Recipe


def setting_of(asked: Asked, lab: Lab) -> Setting:
    """The settings of a query, each checked.

    Raises:
        ArgumentError: one of them cannot be.
    """
    own = [OWN] if lab.data is not None else []
    kind = asked.word("set", OWN if own else "moons", [*PLANAR, *own])
    classes = PLANAR[kind].classes if kind in PLANAR else 0
    default = "mse" if kind in PLANAR and not classes else "cross_entropy"
    batch = asked.text("batch", "16")
    return Setting(
        kind=kind,
        rows=asked.whole("rows", 200, 10, MOST_ROWS),
        noise=asked.number("noise", 0.1, 0.0, 0.5),
        data_seed=asked.whole("dataseed", 0, 0, 10**6),
        columns=(asked.text("a"), asked.text("b"), asked.text("target")),
        recipe=Recipe(
            layers=asked.wholes("layers", "6,4", 1, MOST_UNITS, MOST_LAYERS),
            activation=asked.word("activation", "tanh", ACTIVATIONS),
            loss=asked.word("loss", default, {*losses_for(0), *losses_for(2), *losses_for(3)}),
            optimizer=asked.word("optimizer", "sgd", optim.RULES),
            lr=asked.number("lr", 0.3, 1e-7, 1e4),
            momentum=asked.number("momentum", 0.0, 0.0, 0.999),
            batch_size="all" if batch == "all" else asked.whole("batch", 16, 1, MOST_ROWS),
            seed=asked.whole("seed", 0, 0, 10**6),
        ),
    )


def playground_of(setting: Setting, data: str | None) -> Playground:
    """The playground of settings; the same one again for the same.

    Args:
        setting: from `setting_of`.
        data: the lab's table.

    Raises:
        ArgumentError, DataError: the settings do not go together, or the table does not have what they name.
    """
    return _playground(setting, "" if setting.kind != OWN else str(data))


def own_table(data: str) -> Table:
    """The lab's own table, read again when its file has changed."""
    path = Path(data)
    stamp = path.stat() if path.is_file() else None
    return _table(data, None if stamp is None else (stamp.st_mtime_ns, stamp.st_size))


@lru_cache(maxsize=2)
def _table(data: str, stamp: tuple[int, int] | None) -> Table:
    return read_table(data)


@lru_cache(maxsize=KEPT)
def _playground(setting: Setting, data: str) -> Playground:
    return Playground(_data(setting, data), setting.recipe)


def _data(setting: Setting, data: str) -> PlaneData:
    if setting.kind != OWN:
        return built_in(setting.kind, setting.rows, setting.noise, setting.data_seed)
    if not all(setting.columns):
        raise ArgumentError("play: choose two columns as inputs and one as the target")
    return of_table(own_table(data), *setting.columns)
