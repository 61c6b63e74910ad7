"""What a user would call on a file: in Python, and on the command line.

A reader is given the file (in the current folder, under a name of its own) and the folder of good files. It returns
where the file was accepted and what came of it is whole, raises what the call raised where it was refused, and raises
`Wrong` where something happened that must not. It removes what it made on purpose.
"""

import contextlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fuzz.samples import CODE, MODEL, OBJECT_CODE, network_of_python

Reader = Callable[[Path, Path], None]


class Wrong(Exception):
    """Something happened that must not, whatever the file holds."""


class Refused(Exception):
    """The command line refused the file; the text is its sentence."""


def command(*words: Any) -> tuple[int, str]:
    """Exit code (0 or 1) and standard output of a command.

    Raises:
        Refused: it ended with 2 and one sentence.
        Wrong: it ended in any other way, or said more.
    """
    from fallline.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in words])
    said = [line for line in err.getvalue().splitlines() if not line.startswith(("note: ", "warning: "))]
    called = f"fallline {' '.join(map(str, words))}"
    if code == 2 and len(said) == 1 and said[0].startswith("error: "):
        if out.getvalue():
            raise Wrong(f"{called} refused the file after writing {out.getvalue()[:200]!r}")
        raise Refused(said[0].removeprefix("error: "))
    told = [line for line in said if not line.endswith(" written to out.csv")]
    if code not in (0, 1) or told:
        raise Wrong(f"{called} ended with {code} and said {err.getvalue()[-1500:]!r}")
    out.getvalue().encode()  # what no terminal or file could take would fail here
    return code, out.getvalue()


def decide(path: Path, good: Path) -> None:
    """Read a table and take every decision before training."""
    from fallline.data.sources import read_table
    from fallline.tables.columns import guess_target
    from fallline.tables.prepare import TableOptions, prepare
    from fallline.tables.train import require_settings

    table = read_table(path)
    lengths = {len(values) for values in table.columns.values()}
    if lengths != {len(table)} or not len(table):
        raise Wrong(f"the table has columns of {lengths} rows")
    target = "kind" if "kind" in table else guess_target(table)[0]
    options = TableOptions(hidden=(4,), epochs=1)
    prepared = prepare(table, target, options)
    require_settings(prepared, options)
    for matrix, targets in prepared.matrices.values():
        if not np.isfinite(matrix).all() or not np.isfinite(targets).all():
            raise Wrong("an encoded table holds NaN or an infinite value")


def train(path: Path, good: Path) -> None:
    """`fallline train`, with a tiny network, and what it says for a program."""
    try:
        code, out = command("train", path, "--target", "last", "--hidden", 2, "--epochs", 1, "--json", "--out", "run")
        summary = json.loads(out)
        if code or not Path(summary["model"]).is_file() or not Path(summary["report"]).is_file():
            raise Wrong(f"train ended with {code} and {out!r}")
        command("predict", "run", path)
        command("runs", ".")
    finally:
        shutil.rmtree("run", ignore_errors=True)


def predict(path: Path, good: Path) -> None:
    """`fallline predict` of a damaged table with a good model."""
    _predict(good / MODEL, path)


def evaluate(path: Path, good: Path) -> None:
    """`fallline evaluate` of a damaged table with a good model."""
    code, out = command("evaluate", good / MODEL, path, "--json")
    if code or json.loads(out)["rows"] < 1:
        raise Wrong(f"evaluate ended with {code} and {out!r}")


def check(path: Path, good: Path) -> None:
    """`fallline check` of a damaged table with a good model."""
    command("check", good / MODEL, path)


def arrays(path: Path, good: Path) -> None:
    """`fl.read_arrays`."""
    from fallline.data.arrays import read_arrays

    for name, values in read_arrays(path).items():
        if not isinstance(values, np.ndarray) or not isinstance(name, str):
            raise Wrong(f"read_arrays gave {name!r}: {type(values).__name__}")


def load_and_predict(path: Path, good: Path) -> None:
    """`fl.load`, and a prediction with what it gives."""
    import fallline as fl
    from fallline.tables.model import TableModel

    model = fl.load(path)
    if isinstance(model, TableModel):
        labels = model.predict(good / "shop.csv")
        if labels.shape != (40,):
            raise Wrong(f"40 rows gave predictions {labels.shape}")
        repr(model), model.about, model.plan.describe()
    else:
        shape = (3, *model.input_shape)
        if len(found := model.predict(np.ones(shape, dtype=model.input_dtype.value))) != 3:
            raise Wrong(f"3 rows gave outputs {found.shape}")
        repr(model)


def load_into(path: Path, good: Path) -> None:
    """`fl.load` into a network made in Python: all weights are set, or none."""
    import fallline as fl

    network = network_of_python()
    before = network.parameters()
    try:
        fl.load(path, into=network)
    except fl.FalllineError:
        after = network.parameters()
        if any(not np.array_equal(before[name], after[name]) for name in before):
            raise Wrong("a file was refused after some of its weights had been set") from None
        raise


def predict_by(path: Path, good: Path) -> None:
    """`fallline predict` of a good table with a damaged model."""
    _predict(path, good / "shop.csv")


def evaluate_by(path: Path, good: Path) -> None:
    """`fallline evaluate` of a good table with a damaged model."""
    json.loads(command("evaluate", path, good / "shop.csv", "--json")[1])


def check_by(path: Path, good: Path) -> None:
    """`fallline check` of a good table with a damaged model."""
    command("check", path, good / "shop.csv")


def train_from(path: Path, good: Path) -> None:
    """`fallline train --init` with a damaged model."""
    try:
        command(
            "train", good / "shop.csv", "--target", "kind", "--init", path, "--epochs", 1, "--quiet", "--out", "run"
        )
    finally:
        shutil.rmtree("run", ignore_errors=True)


def runs(path: Path, good: Path) -> None:
    """`fallline runs` of a folder with one good and one damaged run."""
    folder = Path("listed")
    try:
        shutil.copytree(good / "run", folder / "good")
        shutil.copytree(good / "run", folder / "damaged")
        shutil.copyfile(path, folder / "damaged" / path.name)
        code, out = command("runs", folder)
        if code or len(out.splitlines()) != 3:
            raise Wrong(f"two runs were listed as {out!r}")
        code, out = command("runs", folder, "--json")
        listed = [_strict_json(line) for line in out.splitlines()]
        if code or sorted(run["run"] for run in listed) != ["listed/damaged", "listed/good"]:
            raise Wrong(f"two runs were listed as {out!r}")
        if any(run["stopped"] == "run.json is damaged" for run in listed):
            raise Refused("listed as damaged")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def object_code(path: Path, good: Path) -> None:
    """A look-up in the cache of compiled programs: the very code that was stored, or none."""
    from fallline.engine.object_cache import ObjectCache

    folder = Path("cache")
    folder.mkdir(mode=0o700)
    try:
        shutil.copyfile(path, folder / CODE)
        cache = ObjectCache(folder)
        found = cache.load("a")
        if found is not None and found != OBJECT_CODE:
            raise Wrong("the cache gave code that it was not given")
        if (folder / CODE).read_bytes() != path.read_bytes():
            raise Wrong("a look-up changed the file")
        cache.store("a", OBJECT_CODE)
        if ObjectCache(folder).load("a") != OBJECT_CODE:
            raise Wrong("a damaged program was not replaced")
        if found is None:
            raise Refused("compiled anew")
    finally:
        shutil.rmtree(folder)


def _predict(model: Path, data: Path) -> None:
    """Predictions to a file, which is whole or not there."""
    out = Path("out.csv")
    command("predict", model, data, "--out", out)
    lines = out.read_bytes().count(b"\n")
    out.unlink()
    if lines < 2:
        raise Wrong(f"predict wrote {lines} lines")


def _strict_json(line: str) -> Any:
    """JSON without Python's own NaN and Infinity."""

    def refuse(word: str) -> None:
        raise Wrong(f"`--json` printed {word}, which is no JSON")

    return json.loads(line, parse_constant=refuse)
