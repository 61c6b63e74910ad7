"""Options that cannot be: refused before anything is shown or written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TINY = ("--hidden", "4", "--epochs", "1")
Refused = Callable[..., str]
Make = Callable[..., Path]


def training(data: Any, target: Any, *words: Any) -> tuple[Any, ...]:
    return ("train", data, "--target", target, *TINY, *words)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--lr 0", "optim.AdamW(lr=0.0): lr must be greater than 0, found 0.0."),
        ("--lr -1", "optim.AdamW(lr=-1.0): lr must be greater than 0, found -1.0."),
        ("--lr nan", "optim.AdamW(lr=nan): lr must be a finite number, found nan."),
        (
            "--lr x",
            "Invalid value for '--lr': need a number such as 0.001, or auto; found 'x'; `fallline train --help`",
        ),
        ("--optimizer adm", "optim.by_name('adm'): no optimizer is named so: did you mean 'adam'?"),
        ("--activation rel", "no activation is named 'rel': did you mean 'relu'?"),
        ("--schedule cosin", "schedules.by_name('cosin'): no schedule is named so: did you mean 'cosine'?"),
        ("--dropout nan", "nn.Dropout: p must be at least 0 and less than 1, found nan"),
        ("--dropout 1", "Invalid value for '--dropout': 1.0 is not in the range 0.0<=x<1.0"),
        ("--validation 2", "Invalid value for '--validation': need a share between 0 and 1, such as 0.2, or a file"),
        ("--validation nan", "Invalid value for '--validation': need a share between 0 and 1, such as 0.2, or a file"),
        ("--validation shp.csv", "shp.csv is not there: did you mean 'shop.csv'?"),
        ("--test shp.csv", "shp.csv is not there: did you mean 'shop.csv'?"),
        ("--batch 0", "Invalid value for '--batch': need a whole number of at least 1, or all; found '0'"),
        ("--batch ²", "Invalid value for '--batch': need a whole number of at least 1, or all; found '²'"),
        (
            "--hidden 8,0",
            "Invalid value for '--hidden': need widths such as 128 or 256,256, or none for a linear model",
        ),
        ("--hidden 900000,900000", "a network with hidden layers of 900000, 900000 has 810,2"),
        ("--epochs 0", "Invalid value for '--epochs': 0 is not in the range x>=1"),
        ("--patience 0", "Invalid value for '--patience': 0 is not in the range x>=1"),
        ("--shards 0", "Invalid value for '--shards': 0 is not in the range x>=1"),
        ("--seed -1", "Invalid value for '--seed': -1 is not in the range 0<=x<="),
        (f"--seed {2**63}", f"Invalid value for '--seed': {2**63} is not in the range 0<=x<={2**63 - 1}"),
        ("--task clustering", "Invalid value for '--task': 'clustering' is not one of 'auto', 'classification', 'regr"),
        ("--class-weight rare", "Invalid value for '--class-weight': 'rare' is not 'balanced'"),
        ("--target-scale sqrt", "Invalid value for '--target-scale': 'sqrt' is not one of 'auto', 'linear', 'log'"),
        ("--time-column wen", "shop.csv has no column 'wen': choose one of: size, weight"),
        ("--time-column kind", "the target 'kind' cannot be dropped, or be the weight or time column as well"),
        ("--time-column weight", "shop.csv, row 1 (line 2), time column 'weight': the time is missing."),
        ("--time-column colour", "the time column 'colour' holds text that is no date, such as"),
        ("--branch new", "--branch is of a run that is gone on with; say which: --resume RUN"),
        ("--step 3", "--step is of a run that is gone on with; say which: --resume RUN"),
        ("--bogus", "No such option '--bogus'"),
    ],
)
def test_options_that_cannot_be(refused: Refused, shop: Path, words: str, sentence: str) -> None:
    assert refused(*training(shop, "kind"), *words.split()).startswith(sentence)


def test_class_weights_are_for_classes(refused: Refused, shop: Path) -> None:
    assert refused(*training(shop, "price", "--class-weight", "balanced")) == (
        "class weights are for classes, and 'price' is predicted as a number; leave --class-weight away, or ask for "
        "--task classification"
    )


def test_a_run_folder_is_never_written_over(refused: Refused, shop: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("precious")
    assert refused(*training(shop, "kind", "--out", "mine")) == (
        "the run folder 'mine' exists already and is not empty; choose another name with --out, or remove it"
    )
    assert refused(*training(shop, "kind", "--out", "shop.csv")) == (
        "the run folder 'shop.csv' is a file; choose another name with --out, or remove it"
    )
    assert refused(*training(shop, "kind", "--out", "shop.csv/run")) == (
        f"cannot make the run folder 'shop.csv/run': {tmp_path / 'shop.csv'} is a file; choose another with --out"
    )
    assert "File name too long" in refused(*training(shop, "kind", "--out", "x" * 300))


@pytest.mark.parametrize("option", ["--test", "--validation"])
def test_further_files_are_looked_at_before_training(refused: Refused, shop: Path, table: Make, option: str) -> None:
    names = ["size", "weight", "colour", "fresh", "day", "kind", "price"]
    row = [1.5, 2.5, "red", "true", "2024-01-02", "big", 3.5]
    new = table("new.csv", names, [row, [*row[:5], "huge", 3.5]])
    assert refused(*training(shop, "kind", option, new)) == (
        "new.csv, row 2 (line 3), target 'kind': 'huge' is none of the classes of training: 'big', 'small'."
    )
    less = table("less.csv", names[1:], [row[1:], row[1:]])
    assert refused(*training(shop, "kind", option, less)).startswith("less.csv lacks the column 'size' of training")
    none = table("none.csv", ["size", "colour"], [[1, "red"], [2, "red"]])
    assert refused(*training(shop, "kind", option, none)) == (
        "none.csv has no column 'kind', the target; it cannot be used to judge a model."
    )


def test_a_model_to_go_on_from_must_fit(refused: Refused, shop: Path, models: dict[str, Path]) -> None:
    init = ("--init", models["kind"])
    words = ("train", shop, "--target")
    assert refused(*words, "price", *init) == (
        "the model that training starts from predicts 'kind' (classification), not 'price' (classification); name the "
        "same target or leave --init away"
    )
    assert refused(*words, "kind", *init, "--hidden", "8,8") == (
        "the model that training starts from has hidden (4,); it cannot become (8, 8)"
    )
    assert refused(*words, "kind", *init, "--activation", "tanh") == (
        "the model that training starts from has activation relu; it cannot become tanh"
    )
    assert refused(*words, "kind", *init, "--drop", "size").startswith(
        "the model that training starts from uses the column 'size'; it cannot be left out."
    )
    assert refused(*words, "kind", "--init", "nowhere").startswith("there is no model file 'nowhere'")
