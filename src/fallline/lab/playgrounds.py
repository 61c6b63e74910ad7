"""The playground that a query asks for: a function of its settings alone, kept for a while."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from fallline import optim
from fallline.data.planar import MOST_ROWS, PLANAR
from fallline.data.sources import read_table
from fallline.data.table import Table
from fallline.errors import ArgumentError
from fallline.insight.plane_data import PlaneData, built_in, losses_for, numeric_columns, of_table
from fallline.insight.playground import MOST_LAYERS, MOST_UNITS, Playground, Recipe
from fallline.lab.asked import Asked
from fallline.lab.place import Lab
from fallline.nn.activations import ACTIVATIONS

DEFAULTS = {
    "set": "moons", "rows": "200", "noise": "0.1", "dataseed": "0", "a": "", "b": "", "target": "", "layers": "6,4",
    "activation": "tanh", "loss": "cross_entropy", "optimizer": "sgd", "lr": "0.3", "momentum": "0", "batch": "16",
    "seed": "0",
}  # fmt: skip
"""What a query that does not say so means."""
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
    asked = asked.assuming(defaults_of(lab))
    kind = asked.word("set", [*PLANAR, *([OWN] if lab.data is not None else [])])
    if kind in PLANAR and not PLANAR[kind].classes and not asked.given("loss"):
        asked = asked.assuming({"loss": "mse"})
    return Setting(
        kind=kind,
        rows=asked.whole("rows", 10, MOST_ROWS),
        noise=asked.number("noise", 0.0, 0.5),
        data_seed=asked.whole("dataseed", 0, 10**6),
        columns=(asked.text("a"), asked.text("b"), asked.text("target")),
        recipe=Recipe(
            layers=asked.wholes("layers", 1, MOST_UNITS, MOST_LAYERS),
            activation=asked.word("activation", ACTIVATIONS),
            loss=asked.word("loss", {*losses_for(0), *losses_for(2), *losses_for(3)}),
            optimizer=asked.word("optimizer", optim.RULES),
            lr=asked.number("lr", 1e-7, 1e4),
            momentum=asked.number("momentum", 0.0, 0.999),
            batch_size="all" if asked.text("batch") == "all" else asked.whole("batch", 1, MOST_ROWS),
            seed=asked.whole("seed", 0, 10**6),
        ),
    )


def defaults_of(lab: Lab) -> dict[str, str]:
    """What a query means that says nothing; a lab with a table of its own begins with that."""
    if lab.data is None:
        return DEFAULTS
    table = own_table(lab.data)
    target = table.default_target or (table.names[-1] if table.names else "")
    inputs = [name for name in numeric_columns(table) if name != target][:2]
    first, second = (*inputs, "", "")[:2]
    return {**DEFAULTS, "set": OWN, "a": first, "b": second, "target": target}


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
