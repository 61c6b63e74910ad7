"""Tables of thousands of columns are read as narrow ones are, within seconds."""

import random
import time
from pathlib import Path

import numpy as np
import pytest

import fallline as fl
from fallline.data import delimited
from fallline.data.sources import read_table


def cells(chance: random.Random) -> list[str]:
    """Of one column: numbers, large ones, text, hardly any text, nothing."""
    kind = chance.randrange(6)
    if kind == 0:
        return [str(chance.gauss(0, 1)) for _ in range(12)]
    if kind == 1:
        return [str(chance.randrange(10**17)) for _ in range(12)]
    if kind == 2:
        return [chance.choice(("a", "", "b c", 'q"x', "é,", "NA")) for _ in range(12)]
    if kind == 3:
        return ["1"] * 11 + ["one"]
    return [""] * 12 if kind == 4 else [chance.choice((" 1", "2 ", "1e400", "1_000", "")) for _ in range(12)]


@pytest.mark.parametrize("named", [True, False])
def test_a_wide_table_is_read_like_a_narrow_one(named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(1)
    columns = [cells(chance) for _ in range(60)]
    rows = [[f"n{k % 50}" for k in range(60)]] * named + [list(row) for row in zip(*columns, strict=True)]
    text = "\n".join(",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows)
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    narrow = read_table(tmp_path / "t.csv")
    monkeypatch.setattr(delimited, "WIDE", 60)
    wide = read_table(tmp_path / "t.csv")
    assert list(wide.columns) == list(narrow.columns)
    assert wide.notices == narrow.notices
    assert any("is read as text because of 1 cell that is no number" in notice for notice in wide.notices)
    for name, expected in narrow.columns.items():
        found = wide.columns[name]
        assert found.dtype == expected.dtype
        if expected.dtype == object:
            assert list(found) == list(expected)
        else:
            assert np.array_equal(found, expected, equal_nan=expected.dtype.kind == "f")


def test_thirteen_thousand_columns(tmp_path: Path) -> None:
    """Longer lines than the sample that the dialect is found from; names that repeat."""
    lines = [["name"] * 13_000, *([f"{k}.25{row}" for k in range(13_000)] for row in range(3))]
    (tmp_path / "t.csv").write_text("\n".join(map(",".join, lines)), encoding="utf-8")
    started = time.process_time()
    table = read_table(tmp_path / "t.csv")
    assert time.process_time() - started < 6  # 19 s before, of which most for each column's own SQL
    assert list(table.columns)[:2] == ["name", "name_2"]
    assert list(table.columns)[-1] == "name_13000"
    assert [values[2] for values in table.columns.values()] == [float(f"{k}.252") for k in range(13_000)]


def test_a_ragged_line_of_a_wide_table_is_named(tmp_path: Path) -> None:
    lines = ["1," * 1999 + "1"] * 4 + ["1,2"]
    (tmp_path / "t.csv").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(fl.DataError, match=r"line 5: 2 cells separated by commas, where 2000 were expected"):
        read_table(tmp_path / "t.csv")
