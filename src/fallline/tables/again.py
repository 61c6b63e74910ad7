"""From the folder of a run that `fallline train` made back to its data: the same files, split and encoded as then."""

import hashlib
from collections.abc import Iterable, Mapping
from glob import has_magic
from pathlib import Path
from typing import Any

from fallline.data.encoded import Told
from fallline.data.encoders import TableEncoder
from fallline.data.image_files import find_images
from fallline.data.many_files import files_of
from fallline.data.sources import read_table
from fallline.data.table import Table
from fallline.data.targets import target_from_json
from fallline.errors import ArgumentError, DataError, RunFolderError
from fallline.tables.images import plan_from_json
from fallline.tables.model import KEY, TableModel
from fallline.tables.prepare import Prepared, TableOptions, prepare
from fallline.training.recording import Given
from fallline.training.run_folder import COLUMNS, SELECTION
from fallline.training.run_reader import StoredRun

NAMES = {"lr": "learning_rate", "batch": "batch_size"}
"""Options of the command line that `TableOptions` calls otherwise."""
PLAIN = (
    "task", "hidden", "activation", "dropout", "optimizer", "lr", "schedule", "batch", "epochs", "patience",
    "class_weight", "weight_column", "time_column", "target_scale", "recipe", "refit", "seed", "threads", "shards",
)  # fmt: skip
MORE_DATA = ("validation", "test_file")
FILES = (*MORE_DATA, "init_model")
STORED = ("target", "drop", "no_header", "image_size", "mapped", *PLAIN, *FILES)


def table_options(given: Mapping[str, Any], init: TableModel | None, table: Table) -> TableOptions:
    """The options of `fallline train`, with the files that they name read.

    Args:
        given: option → value, as the command line has them.
        init: the model that training starts from.
        table: the rows; images in further files are brought to the same form.
    """
    header, validation, test = header_of(given), given["validation"], given["test_file"]
    form = None if table.layout is None else table.layout.form
    return TableOptions(
        **{NAMES.get(name, name): given[name] for name in PLAIN},
        validation=read_table(validation, header, form) if isinstance(validation, str) else validation,
        test=None if test is None else read_table(test, header, form),
        drop=tuple(given["drop"]),
        init=init,
    )


def header_of(given: Mapping[str, Any]) -> bool | None:
    """Whether the first row is a header; None leaves it to the reader."""
    return False if given["no_header"] else None


def to_store(data: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What run.json must say for the run to find its data again: options, places and hashes of the files."""
    options = {name: given[name] for name in STORED}
    data_files = [data, *(value for name in MORE_DATA if isinstance(value := given[name], str))]
    files = {name: _data_files(name) for name in data_files}
    if (init := given["init_model"]) is not None:  # of a run's folder nothing is kept: the run began with its weights
        files[init] = _file(Path(init)) if Path(init).is_file() else None
    return {"options": options, "files": files}


def given_of_run(stored: StoredRun) -> tuple[str, dict[str, Any]]:
    """(the data, the options) of a run, its files found again and unchanged.

    Raises:
        RunFolderError: `fallline train` did not make the run.
        DataError: a file is not there any more, or has changed.
    """
    about = stored.made_by
    options, files, data = about.get("options"), about.get("files"), about.get("data")
    if KEY not in stored.model_extra or not (
        isinstance(options, dict) and isinstance(files, dict) and isinstance(data, str)
    ):
        raise RunFolderError(
            f"{stored.call}: {str(stored.path)!r} was not made by `fallline train`, so it does not say where its data "
            "are; in Python, fl.resume and fl.replay take x and y"
        )
    try:
        options = {"refit": False, "image_size": None, "mapped": None, "recipe": "auto", **options}  # runs of before
        found = {name: _found_all(stored, name, known) for name, known in files.items()}
        missing = [name for name in STORED if name not in options]
        if missing:
            raise KeyError(missing[0])
        pairs = {name: None if options[name] is None else tuple(options[name]) for name in ("hidden", "image_size")}
        changed = {**pairs, "drop": tuple(options["drop"])}
        places = {name: found.get(options[name], options[name]) for name in FILES if isinstance(options[name], str)}
    except (KeyError, TypeError, AttributeError) as error:
        raise RunFolderError(f"{stored.call}: run.json of {str(stored.path)!r} is damaged ({error!r})") from None
    return found.get(data, data), {**options, **changed, **places}


def prepared_again(stored: StoredRun) -> tuple[Prepared, TableOptions]:
    """The table of a run, split and encoded as then.

    Raises:
        RunFolderError, DataError: see `given_of_run`.
    """
    data, given = given_of_run(stored)
    init = None if given["init_model"] is None else began_with(stored)
    table = table_of_run(stored.path, data, given, init)
    options = table_options(given, init, table)
    prepared = prepare(table, stored.made_by["target"], options)
    if prepared.encoder.to_json() != stored.model_extra[KEY]["encoder"]:
        raise DataError(
            f"{stored.call}: the data {data!r} are read or encoded otherwise than when the run {str(stored.path)!r} "
            "began; use the version of Fallline that made it"
        )
    return prepared, options


def table_of_run(
    run: Path, data: str, given: Mapping[str, Any], init: TableModel | None, told: Told = lambda done, whole: None
) -> Table:
    """The data of a run; images as the option says, or as the model takes them that training starts from.

    Args:
        run: its folder; where columns are mapped, they are in it, or are put there.
        data: a file, a folder, a pattern or a bundled set's name.
        given: its options.
        init: the model that training starts from.
        told: receives how far reading is.

    Raises:
        ArgumentError: a size is given for what are no images, or that the model does not take.
    """
    folder = (run.parent if run.name == SELECTION else run) / COLUMNS
    size, form = given["image_size"], None if init is None else init.encoder.images
    table = read_table(
        data, header_of(given), form or size, mapped=given["mapped"], folder=folder, drop=given["drop"], told=told
    )
    read = None if table.layout is None else table.layout.form
    if size is not None and read is None:
        raise ArgumentError(f"--image-size is for images in files, and {data!r} holds none; leave it away")
    if size is not None and read is not None and (read.width, read.height) != tuple(size):
        raise ArgumentError(f"the model that training starts from takes images of {read}; leave --image-size away")
    return table


def data_of_run(stored: StoredRun) -> Given:
    """The rows that a run was trained and validated on.

    Raises:
        RunFolderError, DataError: see `given_of_run`.
    """
    prepared, _ = prepared_again(stored)
    x, y = prepared.matrices["training"]
    return Given(x, y, prepared.weights, prepared.validation)


def began_with(stored: StoredRun) -> TableModel:
    """The model that a run with --init began with: its network at the start, its encoders."""
    saved: dict[str, Any] = stored.model_extra[KEY]
    return TableModel(
        stored.network(),
        TableEncoder.from_json(saved["encoder"]),
        target_from_json(saved["target"]),
        plan_from_json(saved["plan"]),
    )


def _data_files(name: str) -> Any:
    """Where data are and what their content is called; of several files, the same of each; None for a set's name."""
    path = Path(name)
    if (known := _file(path)) is not None:
        return known
    return [_file(path) for path in files_of(name)] if path.is_dir() or has_magic(name) else None


def _file(path: Path) -> dict[str, str] | None:
    """Where a file, or a folder of images, is and what its content is called; None for anything else."""
    content = _hash(path)
    return None if content is None else {"path": str(path.resolve()), "hash": content}


def _hash(path: Path) -> str | None:
    """Of a file's content, or of all images in a folder; None for anything else."""
    if not path.is_file():
        images = find_images(path)
        return None if images is None else images.hash()
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        for part in _parts(file):
            digest.update(part)
    return digest.hexdigest()


def _parts(file: Any) -> Iterable[bytes]:
    while part := file.read(1 << 20):
        yield part


def _found_all(stored: StoredRun, name: str, known: Any) -> str:
    """Where the file, or the folder or the files of a pattern, of the run are now.

    Raises:
        DataError: nowhere, or they have changed.
    """
    if not isinstance(known, list):
        return _found(stored, name, known)
    files = [path.name for path in files_of(name)]
    if files != (then := [Path(each["path"]).name for each in known]):
        shown = sorted(set(files) ^ set(then))
        raise DataError(
            f"{stored.call}: {name!r} no longer means the files of the run {str(stored.path)!r} (the difference: "
            f"{', '.join(shown[:5])}{', …' if len(shown) > 5 else ''}); put them back, or train anew"
        )
    for path, each in zip(files_of(name), known, strict=True):
        _found(stored, str(path), each)
    return name


def _found(stored: StoredRun, name: str, known: Mapping[str, str] | None) -> str:
    """Where a file of the run is now.

    Raises:
        DataError: nowhere, or it has changed.
    """
    if known is None:
        return name
    place = next((path for path in (Path(name), Path(known["path"])) if path.exists()), None)
    if place is None:
        raise DataError(
            f"{stored.call}: the file {name!r} of the run {str(stored.path)!r} is no longer there, nor at "
            f"{known['path']!r}; put it back"
        )
    if _hash(place) != known["hash"]:
        raise DataError(
            f"{stored.call}: the file {str(place)!r} has changed since the run {str(stored.path)!r} began; put the old "
            "one back, or train anew"
        )
    return str(place)
