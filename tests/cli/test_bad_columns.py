"""Input columns that cannot be used, or only look so."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fallline as fl

TINY = ("--hidden", "4", "--epochs", "1")
Refused = Callable[..., str]
Make = Callable[..., Path]


def training(data: Any, target: Any, *words: Any) -> tuple[Any, ...]:
    return ("train", data, "--target", target, *TINY, *words)


def test_no_column_is_left(refused: Refused, table: Make, numbered: Any) -> None:
    data = table("t.csv", ["a", "b", "y"], [[1, 2, y] for _, _, y in numbered(30)])
    sentence = (
        "t.csv: no column is left to learn from: all are dropped or have one value only in the 19 training rows. "
        "Give a table with columns that vary."
    )
    assert refused(*training(data, "y")) == sentence
    assert refused(*training(data, "y", "--drop", "a", "--drop", "b")) == sentence
    only = table("one.csv", ["y"], [[y] for _, _, y in numbered(30)])
    assert "no column is left to learn from" in refused(*training(only, "y"))


def test_columns_that_are_not_there(refused: Refused, shop: Path) -> None:
    assert refused(*training(shop, "kind", "--drop", "pric")) == "shop.csv has no column 'pric': did you mean 'price'?"
    assert refused(*training(shop, "kind", "--drop", "kind")) == (
        "the target 'kind' cannot be dropped, or be the weight or time column as well"
    )
    assert refused(*training(shop, "kind", "--weight-column", "wight")) == (
        "shop.csv has no column 'wight': did you mean 'weight'?"
    )


def test_weights_that_cannot_be(refused: Refused, shop: Path, table: Make, numbered: Any) -> None:
    need = "the weight column {!r} must hold a finite number of 0 or more in every row"
    assert refused(*training(shop, "kind", "--weight-column", "colour")) == (
        need.format("colour") + "; it holds text. Choose another column."
    )
    sentence = refused(*training(shop, "kind", "--weight-column", "weight"))
    assert sentence.startswith("shop.csv, row ")
    assert need.format("weight") + ", found " in sentence
    zero = table("t.csv", ["a", "w", "y"], [[a, 0, y] for a, _, y in numbered(30)])
    assert refused(*training(zero, "y", "--weight-column", "w")) == (
        need.format("w") + "; all of them are 0, so that no row counts. Choose another column."
    )


def test_the_same_name_twice_is_told(train: Callable[..., Any], table: Make, numbered: Any) -> None:
    data = table("t.csv", ["a", "a", "y"], numbered(30))
    told = " ".join(train(data, "y").out.split())
    assert "note t.csv: Columns 1 and 2 are both named 'a': the later one is called 'a_2'." in told


def test_odd_names_are_names(cli: Callable[..., Any], train: Callable[..., Any], table: Make, numbered: Any) -> None:
    names = ["two words", 'say "no"', "größe €", "a\nb", "it's, that", "[bold]", "zu messen"]
    rows = [[a, a + i % 3, -a, i % 4, i % 5, i % 7, y] for i, (a, _, y) in enumerate(numbered(40))]
    data = table("t.csv", names, rows)
    code, out, err = train(data, "zu messen")
    assert (code, err) == (0, "")
    assert "größe €" in out
    assert "[bold]" in out
    assert fl.load("runs/t-1/model.safetensors").encoder.source_columns == names[:-1]
    assert cli("predict", "runs/t-1", data).out.count("\n") == 41


def test_numbers_that_are_huge_or_infinite_do_no_harm(
    cli: Callable[..., Any], train: Callable[..., Any], table: Make, numbered: Any
) -> None:
    rows = [[a * 1e300, "inf" if i % 9 == 0 else a, "-inf", 1e-310 * i, y] for i, (a, _, y) in enumerate(numbered(40))]
    data = table("t.csv", ["huge", "some", "all", "tiny", "y"], rows)
    code, out, err = train(data, "y")
    assert (code, err) == (0, "")
    assert "infinite values, taken as missing." in out
    assert cli("predict", "runs/t-1", data).out.count("\n") == 41


@pytest.mark.parametrize("scale", [1e300, 1e-300, 1e30])
def test_targets_of_any_size_are_learnt(
    cli: Callable[..., Any], train: Callable[..., Any], table: Make, numbered: Any, scale: float
) -> None:
    data = table("t.csv", ["a", "b", "y"], [[a, b, (a + 1) * scale] for a, b, _ in numbered(40)])
    code, out, err = train(data, "y", "--json")
    assert (code, err) == (0, ""), err
    assert 0.01 < json.loads(out)["score"] / scale < 100
    assert train(data, "y").err == ""


def test_long_cells_and_many_columns(train: Callable[..., Any], table: Make, numbered: Any) -> None:
    long = table("long.csv", ["a", "text", "y"], [[a, b * 300_000, y] for a, b, y in numbered(30)])
    assert train(long, "y", "--quiet") == (0, "", "")
    wide = table("wide.csv", [*(f"c{i}" for i in range(1000)), "y"], [[*(a * i % 7 for i in range(1000)), y]
                                                                      for a, _, y in numbered(30)])  # fmt: skip
    code, out, _ = train(wide, "y")
    assert code == 0
    assert "(c1, c2, c3, c4, c5, c6, c7, c8, …)" in " ".join(out.split())
    assert len(out.splitlines()) < 30
