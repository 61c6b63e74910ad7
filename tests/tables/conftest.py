"""A table of every kind of column, and tiny models of it."""

import math
from typing import Any

import pytest

from fallline.data.sources import read_table
from fallline.data.table import Table
from fallline.tables.prepare import TableOptions, prepare
from fallline.tables.train import TableRun, train_table


def garden_columns(count: int = 160) -> dict[str, list[Any]]:
    """height (with gaps), soil, shade, planted, plant (20 kinds), fruit (0 or 1), yield."""
    return {
        "height": [None if i % 11 == 5 else round(math.sin(i) * 3 + 5, 3) for i in range(count)],
        "soil": [("clay", "sand", "peat")[i * i % 3] for i in range(count)],
        "shade": [i % 3 == 0 for i in range(count)],
        "planted": [f"20{10 + i % 9}-0{1 + i % 7}-15" for i in range(count)],
        "plant": [f"plant {i % 20}" for i in range(count)],
        "fruit": ["ripe" if math.sin(i) > 0.2 else "unripe" for i in range(count)],
        "yield": [round(math.sin(i) * 40 + i % 3, 3) for i in range(count)],
    }


def garden_run(target: str, other: str, **options: Any) -> TableRun:
    wishes = TableOptions(drop=(other,), hidden=(4,), epochs=2, **options)
    return train_table(prepare(read_table(garden_columns()), target, wishes), wishes)


@pytest.fixture
def garden() -> Table:
    return read_table(garden_columns())


@pytest.fixture
def columns() -> dict[str, list[Any]]:
    return garden_columns()


@pytest.fixture(scope="session")
def fruit() -> TableRun:
    """Classes."""
    return garden_run("fruit", "yield")


@pytest.fixture(scope="session")
def harvest() -> TableRun:
    """Numbers."""
    return garden_run("yield", "fruit")
