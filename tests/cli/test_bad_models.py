"""Models and rows that do not fit: one sentence, exit code 2."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from fallline import nn
from fallline.nn.model_file import read_tensors, write_tensors

TINY = ("--hidden", "4", "--epochs", "1")
Refused = Callable[..., str]
Make = Callable[..., Path]


def training(data: Any, target: Any, *words: Any) -> tuple[Any, ...]:
    return ("train", data, "--target", target, *TINY, *words)


def changed(models: dict[str, Path], tmp_path: Path, **metadata: Any) -> Path:
    """The model of kinds with other metadata."""
    with safe_open(models["kind"] / "model.safetensors", framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        stored = {**json.loads(file.metadata()["fallline"]), **metadata}
    save_file(arrays, tmp_path / "changed.safetensors", metadata={"fallline": json.dumps(stored)})
    return Path("changed.safetensors")


def test_model_files_that_are_none(refused: Refused, shop: Path, models: dict[str, Path], tmp_path: Path) -> None:
    assert refused("predict", "nowhere", shop).startswith("there is no model file 'nowhere'")
    assert refused("predict", shop, shop).startswith("'shop.csv' is not a whole safetensors file (")
    (tmp_path / "empty").mkdir()
    assert refused("predict", "empty", shop).startswith("there is no model file 'empty/model.safetensors'")
    data = (models["kind"] / "model.safetensors").read_bytes()
    for length in (0, 7, 100, len(data) // 2, len(data) - 1):
        (tmp_path / "cut.safetensors").write_bytes(data[:length])
        assert refused("predict", "cut.safetensors", shop).endswith("it may be truncated: save or copy it again")
    save_file({"x": np.zeros(3)}, tmp_path / "foreign.safetensors")
    assert refused("predict", "foreign.safetensors", shop) == (
        "'foreign.safetensors' holds tensors, but was not written by Fallline: it has no prediction graph"
    )
    assert refused("predict", changed(models, tmp_path, format=99), shop).startswith(
        "'changed.safetensors' has model format 99; this Fallline reads format 1: use the version that wrote it"
    )


def test_a_network_of_python_has_no_encoders(refused: Refused, shop: Path, tmp_path: Path) -> None:
    nn.Sequential(nn.Linear(2, 2)).save(tmp_path / "net.safetensors")
    for command in ("predict", "evaluate", "check"):
        assert refused(command, "net.safetensors", shop).startswith(
            "'net.safetensors' is a network without encoders, made in Python: open it there with fl.load"
        )
    assert refused(*training(shop, "kind", "--init", "net.safetensors")).startswith(
        "'net.safetensors' is a network without encoders; --init needs a model made by `fallline train`"
    )


def test_rows_that_do_not_fit_the_model(
    refused: Refused, cli: Callable[..., Any], table: Make, models: dict[str, Path]
) -> None:
    names = ["size", "weight", "colour", "fresh", "day"]
    row = [1.5, 2.5, "red", "true", "2024-01-02"]
    less = table("less.csv", names[:-1], [row[:-1], row[:-1]])
    assert refused("predict", models["kind"], less).startswith("less.csv lacks the column 'day' of training: ")
    words = table("words.csv", names, [row, ["large", *row[1:]]])
    assert refused("predict", models["kind"], words, "--out", "out.csv") == (
        "words.csv, row 2 (line 3), column 'size': expected a number as in training, found 'large'. Correct that cell, "
        "or leave it empty."
    )
    never = table("never.csv", names, [row, [*row[:4], "someday"]])
    assert refused("predict", models["kind"], never).startswith(
        "never.csv, row 2 (line 3), column 'day': expected a date as in training (YYYY-MM-DD), found 'someday'."
    )
    assert refused("predict", models["price"], "--proba", less) == (
        "this model predicts numbers ('price'); it has no classes"
    )
    new = table("new.csv", names, [row, [1.5, 2.5, "violet", "true", "2024-01-02"]])
    code, out, err = cli("predict", models["kind"], new)
    assert (code, out.count("\n")) == (0, 3)
    assert err == "note: Column 'colour' holds categories that training did not see: 'violet'.\n"


def test_labels_that_training_did_not_see(refused: Refused, table: Make, models: dict[str, Path]) -> None:
    names = ["size", "weight", "colour", "fresh", "day", "kind"]
    row = [1.5, 2.5, "red", "true", "2024-01-02", "big"]
    data = table("new.csv", names, [row, [*row[:5], "medium"]])
    assert refused("evaluate", models["kind"], data) == (
        "new.csv, row 2 (line 3), target 'kind': 'medium' is none of the classes of training: 'big', 'small'."
    )
    less = table("less.csv", names[:-1], [row[:-1], row[:-1]])
    assert refused("evaluate", models["kind"], less).startswith("less.csv has no column 'kind'")


def test_predictions_go_nowhere_but_where_they_can(refused: Refused, shop: Path, models: dict[str, Path]) -> None:
    assert refused("predict", models["kind"], shop, "--out", "no/such/file.csv") == (
        "cannot write 'no/such/file.csv': No such file or directory; choose a folder that exists, is writable and has "
        "1 MB free"
    )


def with_weights(models: dict[str, Path], tmp_path: Path, value: float) -> Path:
    """The model of kinds with all its weights alike."""
    arrays, metadata = read_tensors(models["kind"] / "model.safetensors")
    write_tensors(tmp_path / "odd.safetensors", {k: np.full_like(v, value) for k, v in arrays.items()}, metadata)
    return Path("odd.safetensors")


def test_a_model_that_gives_no_numbers(refused: Refused, shop: Path, models: dict[str, Path], tmp_path: Path) -> None:
    """Its largest output would be a class, and no better than any."""
    for value in (np.nan, np.inf, -3e38):
        odd = with_weights(models, tmp_path, value)
        for command in ("predict", "evaluate", "check"):
            assert refused(command, odd, shop) == (
                "the model gives no number for shop.csv, row 1 (line 2): its weights are not finite or far too large, "
                "because its training diverged or its file is damaged; train again with a smaller learning rate"
            )


def test_numbers_of_encoders_that_no_float_holds(
    refused: Refused, shop: Path, models: dict[str, Path], tmp_path: Path
) -> None:
    _, metadata = read_tensors(models["kind"] / "model.safetensors")
    table = metadata["table"]
    table["encoder"]["columns"][0]["mean"] = 10**400
    said = refused("predict", changed(models, tmp_path, table=table), shop)
    assert "has 'mean' 1000000000000000000000000000000000000000, which cannot be" in said
    table["encoder"]["columns"][0] = {**table["encoder"]["columns"][0], "mean": 1.5, "name": "\ud800"}
    assert "its metadata are damaged" in refused("predict", changed(models, tmp_path, table=table), shop)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("log", 1, "the target has 'log' 1, which cannot be"),
        ("low", "0", "the target has 'low' '0', which cannot be"),
        ("low", 10.0**9, "the target's values end at 1.0, below 1000000000.0, their beginning"),
        ("scale", "log", "the target has 'scale', which this version does not know"),
    ],
)
def test_a_scale_that_cannot_be(
    refused: Refused, shop: Path, models: dict[str, Path], tmp_path: Path, key: str, value: Any, said: str
) -> None:
    arrays, metadata = read_tensors(models["price"] / "model.safetensors")
    table = metadata["table"]
    table["target"] |= {"high": 1.0} | {key: value}
    write_tensors(tmp_path / "odd.safetensors", arrays, metadata)
    assert said in refused("predict", "odd.safetensors", shop)


def test_training_from_weights_that_overflow(
    cli: Callable[..., Any], shop: Path, models: dict[str, Path], tmp_path: Path, recwarn: Any
) -> None:
    odd = with_weights(models, tmp_path, -3e38)
    code, _, err = cli(*training(shop, "kind", "--drop", "price", "--init", odd, "--quiet", "--out", "run"))
    assert code == 2
    assert err.startswith("error: the loss became nan at step 0")
    assert err.count("\n") == 1
    assert not recwarn.list
