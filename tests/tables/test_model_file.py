"""A damaged model file, or one that a stranger made up, is refused when it is opened, never by a Python error."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import fallline as fl
from fallline.errors import ModelFileError
from fallline.tables.model import TableModel
from fallline.tables.train import TableRun

WRONG = [None, "x", -3, 1e400, [], {}, [1], {"a": 1}, True]


@pytest.fixture(scope="module")
def saved(fruit: TableRun, harvest: TableRun, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The arrays and metadata of both models."""
    folder = tmp_path_factory.mktemp("saved")
    found = {}
    for name, run in (("fruit", fruit), ("harvest", harvest)):
        run.model.save(folder / name)
        with safe_open(folder / name, framework="numpy") as file:
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            found[name] = (arrays, json.loads(file.metadata()["fallline"]))
    return found


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values inside a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inside:
        yield (*path, key)
        yield from places(item, (*path, key))


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def opened(path: Path, arrays: dict[str, Any], metadata: Any) -> Any:
    """What `load` makes of it: the model, or None where it refuses; anything else is an error of this test."""
    save_file(arrays, path, metadata={"fallline": json.dumps(metadata)})
    try:
        return fl.load(path)
    except ModelFileError:
        return None


def damages(table: Any) -> Iterator[tuple[str, Any]]:
    """What was done to the table's metadata, and the result: one value gone, or of another kind."""
    for path in list(places(table)):
        if path[:1] == ("about",) and len(path) > 1:
            continue
        for wrong in ["gone", *WRONG]:
            copy = json.loads(json.dumps(table))
            parent = at(copy, path[:-1])
            if wrong == "gone":
                del parent[path[-1]]
            elif type(parent[path[-1]]) is type(wrong):
                continue
            else:
                parent[path[-1]] = wrong
            yield f"{'.'.join(map(str, path))} {wrong!r}", copy


@pytest.mark.parametrize("name", ["fruit", "harvest"])
def test_every_damage_of_encoders_target_and_plan(
    saved: dict[str, Any], columns: dict[str, list[Any]], tmp_path: Path, name: str
) -> None:
    arrays, metadata = saved[name]
    refused = 0
    for what, table in damages(metadata["table"]):
        model = opened(tmp_path / "m", arrays, {**metadata, "table": table})
        if model is None:
            refused += 1
            continue
        assert isinstance(model, TableModel), what  # harmless, such as another class's name: then it predicts
        assert len(model.predict(columns)) == 160, what
    assert refused > 200


@pytest.mark.parametrize("key", ["format", "graph", "buffers", "table"])
@pytest.mark.parametrize("wrong", ["gone", *WRONG])
def test_damage_at_the_top(saved: dict[str, Any], tmp_path: Path, key: str, wrong: Any) -> None:
    arrays, metadata = saved["fruit"]
    damaged = {**metadata, key: wrong}
    if wrong == "gone":
        del damaged[key]
    found = opened(tmp_path / "m", arrays, damaged)
    if (key, wrong) == ("format", True):
        assert isinstance(found, TableModel)  # to Python, True is 1
    elif (key, wrong) == ("table", "gone"):
        assert found is not None  # a network without encoders
    elif key == "buffers":
        assert found is None or isinstance(found, TableModel)  # the network has none
    else:
        assert found is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "7", '"x"', "[" * 100_000])
def test_metadata_that_are_none(saved: dict[str, Any], tmp_path: Path, text: str) -> None:
    save_file(saved["fruit"][0], tmp_path / "m", metadata={"fallline": text})
    with pytest.raises(ModelFileError):
        fl.load(tmp_path / "m")


def test_tensors_that_are_missing_or_of_another_shape(saved: dict[str, Any], tmp_path: Path) -> None:
    arrays, metadata = saved["fruit"]
    for name in arrays:
        assert opened(tmp_path / "m", {k: v for k, v in arrays.items() if k != name}, metadata) is None
        for wrong in (np.zeros((2, 2, 2), np.float32), arrays[name][:-1]):
            assert opened(tmp_path / "m", {**arrays, name: wrong}, metadata) is None, (name, wrong.shape, wrong.dtype)


def test_encoders_of_another_model(saved: dict[str, Any], tmp_path: Path) -> None:
    arrays, metadata = saved["fruit"]
    save_file(
        arrays, tmp_path / "m", metadata={"fallline": json.dumps({**metadata, "table": saved["harvest"][1]["table"]})}
    )
    with pytest.raises(ModelFileError, match="its network gives"):
        fl.load(tmp_path / "m")
    other = json.loads(json.dumps(metadata))
    other["table"]["encoder"]["columns"].pop()
    save_file(arrays, tmp_path / "m", metadata={"fallline": json.dumps(other)})
    with pytest.raises(ModelFileError, match=r"its network is planned for .* but its columns make"):
        fl.load(tmp_path / "m")
