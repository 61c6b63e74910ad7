"""Which settings two runs differ in, and which of them can make a given tensor differ."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fallline.insight.sides import Side

NOT_SETTINGS = (
    "parameters", "rows", "validation_rows", "data_hash", "validation_hash", "mean_weight", "program", "loss_settings",
)  # fmt: skip
"""What follows from others, or from the data."""
WITHOUT_INFLUENCE = ("threads", "checkpoint_every", "metrics", "train_metrics", "train_loss_each_epoch", "restore_best")
"""What no step's numbers depend on."""
LENGTH = ("epochs", "until", "tol", "patience", "validation")
"""What decides how many steps are taken."""
START = ("network", "network_seed", "dtype")
ROWS = ("batch_size", "seed", "shuffle", "validation")
SEED = ("seed",)
NUMBERS = ("optimizer", "schedule", "epochs", "validation")
WEIGHTS_OF_ROWS = ("class_weight", "batch_size")
COMPUTED = (
    "engine", "dtype", "network", "loss", "optimizer", "clip_value", "clip_norm", "shards", "class_weight",
)  # fmt: skip
"""By what differs first: the weights before the first step, which rows a step takes, its random numbers, the numbers
that the rule is given, the weights of rows, whatever is computed of all these."""
MISSING = "not set"


@dataclass(frozen=True)
class Setting:
    """A setting that differs: its name ("optimizer.lr") and both values."""

    name: str
    a: Any
    b: Any

    def __str__(self) -> str:
        return f"{self.name} {_shown(self.a)} → {_shown(self.b)}"


def changed_settings(a: Side, b: Side) -> list[Setting]:
    """All that differ, whether they matter or not."""
    one, other = _flat(a.config), _flat(b.config)
    found = [
        Setting(name, one.get(name, MISSING), other.get(name, MISSING))
        for name in dict.fromkeys([*one, *other])
        if one.get(name, MISSING) != other.get(name, MISSING) and name.split(".")[0] not in NOT_SETTINGS
    ]
    known = {setting.name for setting in found}
    if a.recording.graphs.digest != b.recording.graphs.digest and not known & {"network", "loss", "dtype"}:
        found.append(Setting("program", a.recording.graphs.digest[:8], b.recording.graphs.digest[:8]))
    return found


def influential(settings: Iterable[Setting]) -> list[Setting]:
    """Those that a step's numbers can depend on."""
    return [setting for setting in settings if setting.name not in WITHOUT_INFLUENCE]


def among(settings: Iterable[Setting], groups: tuple[str, ...]) -> list[Setting]:
    """Those of some groups; "optimizer" has "optimizer.lr"."""
    return [setting for setting in settings if setting.name.split(".")[0] in groups]


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings within settings by dotted names."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[prefix + str(key)] = list(value) if isinstance(value, tuple) else value
    return found


def _shown(value: Any) -> str:
    return MISSING if value is None else value if isinstance(value, str) else repr(value)
