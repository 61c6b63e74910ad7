"""`fallline` on idx files: labels are found beside the images, by every command."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Cli = Callable[..., Any]
TRAIN, TEST = "train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz"


def idx(array: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return gzip.compress(bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes())


def write(name: str, rows: int, labelled: bool = True) -> None:
    """Noise whose upper or lower half is bright."""
    labels = np.arange(rows) % 2
    images = np.random.default_rng(rows).integers(0, 100, (rows, 8, 10))
    images[np.arange(rows)[:, None], 4 * labels[:, None] + np.arange(4)] += 150
    Path(name).write_bytes(idx(images))
    if labelled:
        Path(name.replace("images-idx3", "labels-idx1")).write_bytes(idx(labels))


@pytest.fixture
def files(cli: Cli) -> Cli:
    write(TRAIN, 200)
    write(TEST, 40)
    return cli


def test_images_are_trained_on_with_the_labels_beside_them(files: Cli) -> None:
    answer = files("train", TRAIN, "--test", TEST, "--hidden", "8", "--epochs", "30", "--out", "run")
    assert answer.code == 0
    for line in (
        "target      y: 0 120, 1 120",
        "inputs      80 points of an image",
        "160 training, 40 validation, 40 test (from the test file)",
        "images of 8 × 10 points, moved by up to one point in training; hidden 8, gelu",
        "accuracy 100.0 %",
    ):
        assert " ".join(line.split()) in " ".join(answer.out.split())
    assert "left out" not in answer.out
    score = json.loads(files("evaluate", "run", TEST, "--json").out)
    assert (score["accuracy"], score["rows"]) == (1.0, 40)
    write("new-images-idx3-ubyte.gz", 6, labelled=False)
    predicted = files("predict", "run", "new-images-idx3-ubyte.gz")
    assert (predicted.code, predicted.out) == (0, "prediction\n0\n1\n0\n1\n0\n1\n")
    assert files("check", "run", TEST).code == 0
    replayed = json.loads(files("replay", "run", "--step", "7", "--json").out)
    assert (replayed["step"], replayed["verified_at"] is not None) == (7, True)


def test_missing_labels_are_asked_for(files: Cli) -> None:
    where = (
        "its labels belong beside it, and {}-labels-idx1-ubyte (or {}-labels-idx1-ubyte.gz) is not in .. "
        "Put that file there."
    )
    Path(TEST.replace("images-idx3", "labels-idx1")).unlink()
    answer = files("train", TRAIN, "--test", TEST)
    assert answer.code != 0
    assert answer.err.splitlines()[0] == f"error: {TEST} has no column 'y': {where.format('t10k', 't10k')}"
    Path(TRAIN.replace("images-idx3", "labels-idx1")).unlink()
    answer = files("train", TRAIN)
    assert answer.code != 0
    assert answer.err.splitlines()[0] == f"error: {TRAIN} has no column 'y': {where.format('train', 'train')}"


def test_a_run_on_images_goes_on_as_if_nothing_had_happened(files: Cli) -> None:
    words = ("train", TRAIN, "--hidden", "4", "--epochs", "3", "--json")
    whole = json.loads(files(*words, "--out", "whole").out)
    again = json.loads(files("train", "--resume", "whole", "--json").out)
    assert again["score"] == whole["score"]
    assert files("verify", "whole").code == 0


def test_rows_of_bytes_in_a_csv_file_are_images(files: Cli) -> None:
    images = np.random.default_rng(0).integers(0, 256, (60, 64))
    header = ",".join(["label", *(f"pixel{k}" for k in range(64))])
    table = np.column_stack([np.arange(60) % 2, images])
    np.savetxt("images.csv", table, fmt="%d", delimiter=",", header=header, comments="")
    answer = files("train", "images.csv", "--target", "label", "--hidden", "4", "--epochs", "1", "--out", "run")
    assert "images of 8 × 8 points" in answer.out
    images[0, 3] = 0
    table[0, 4] = 300
    np.savetxt("new.csv", table, fmt="%d", delimiter=",", header=header, comments="")
    said = files("predict", "run", "new.csv").err
    assert said.startswith(
        "error: new.csv, row 1 (line 2), column 'pixel3': expected a point of an image as in training"
    )
