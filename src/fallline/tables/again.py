"""From the folder of a run that `fallline train` made back to its data: the same file, split and encoded as then."""

import shlex
from pathlib import Path
from typing import Any

from fallline.data.encoders import TableEncoder
from fallline.data.sources import read_table
from fallline.data.targets import target_from_json
from fallline.errors import DataError, RunFolderError
from fallline.tables.model import KEY, TableModel
from fallline.tables.network import NetworkPlan
from fallline.tables.prepare import HELD_OUT, TableOptions, prepare
from fallline.training.recording import Given
from fallline.training.run_reader import StoredRun


def data_of_run(stored: StoredRun, data: str | None = None) -> Given:
    """The rows that a run was trained and validated on.

    Args:
        stored: the run.
        data: the data's file, where it is no longer at its place.

    Raises:
        RunFolderError: `fallline train` did not make the run.
        DataError: the data are not there, or not those of then.
    """
    about = stored.made_by
    if KEY not in stored.model_extra or not all(isinstance(about.get(k), str) for k in ("data", "target", "command")):
        raise RunFolderError(
            f"{stored.call}: {str(stored.path)!r} was not made by `fallline train`, so that it does not say where its "
            f"data are; use fl.{stored.call} in Python, with x and y"
        )
    source = data or about["data"]
    words = _options(about["command"])
    header = False if "no-header" in words else None
    validation = words.get("validation", [str(HELD_OUT)])[0]
    options = TableOptions(
        task=about["task"],
        validation=float(validation) if _is_number(validation) else read_table(validation, header),
        test=read_table(words["test"][0], header) if "test" in words else None,
        drop=tuple(words.get("drop", ())),
        class_weight=stored.config["class_weight"],
        weight_column=words.get("weight-column", [None])[0],
        init=_began_with(stored) if "init" in words else None,
        seed=int(stored.config["seed"]),
    )
    _require_there(source, stored)
    prepared = prepare(read_table(source, header), about["target"], options)
    x, y = prepared.matrices["training"]
    return Given(x, y, prepared.weights, prepared.matrices["validation"])


def _options(command: str) -> dict[str, list[str]]:
    """The options of a command line by name, each with all its values."""
    found: dict[str, list[str]] = {}
    name = ""
    for word in shlex.split(command):
        if word.startswith("--"):
            name = word[2:]
            found.setdefault(name, [])
        elif name:
            found[name].append(word)
    return found


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _began_with(stored: StoredRun) -> TableModel:
    """A model with the encoders of the run's own, which are those of the model that it began with."""
    saved: dict[str, Any] = stored.model_extra[KEY]
    return TableModel(
        stored.network(),
        TableEncoder.from_json(saved["encoder"]),
        target_from_json(saved["target"]),
        NetworkPlan.from_json(saved["plan"]),
    )


def _require_there(source: str, stored: StoredRun) -> None:
    if ("/" in source or "." in source) and not Path(source).exists():
        raise DataError(
            f"{stored.call}: the data {source!r} of the run {str(stored.path)!r} are no longer there; call it from "
            "the folder that the run was made in, or put the file back"
        )
