"""The data sets that come with Fallline; `bundled/SOURCES.md` tells where each is from and its licence."""

import tempfile
from importlib import resources
from pathlib import Path

from fallline.data.delimited import read_delimited
from fallline.data.table import Table
from fallline.data.text_files import decompress, prepare_text
from fallline.errors import ArgumentError, nearest

_TARGETS = {
    "digits": "digit",
    "iris": "species",
    "wine": "cultivar",
    "breast_cancer": "diagnosis",
    "diabetes": "progression",
    "penguins": "species",
}


def sample_names() -> list[str]:
    """The names of the bundled data sets."""
    return list(_TARGETS)


def sample_target(name: str) -> str:
    """The column that a bundled data set is usually asked about."""
    _require(name)
    return _TARGETS[name]


def load_sample(name: str) -> Table:
    """A bundled data set as a table.

    Raises:
        ArgumentError: there is none of that name.
    """
    _require(name)
    packed = resources.files("fallline.data") / "bundled" / f"{name}.csv.gz"
    with resources.as_file(packed) as path, tempfile.TemporaryDirectory(prefix="fallline-") as folder:
        text = prepare_text(decompress(path, Path(folder), name), Path(folder), name)
        table = read_delimited(text, Path(folder), ".csv", header=True)
    return Table(table.columns, name, table.notices, table.lines, _TARGETS[name])


def _require(name: str) -> None:
    if name not in _TARGETS:
        raise ArgumentError(f"There is no bundled data set {name!r}: {nearest(name, _TARGETS)}")
