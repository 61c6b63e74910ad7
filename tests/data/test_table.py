import numpy as np
import pytest

from fallline.data.table import Table
from fallline.errors import DataError


@pytest.fixture
def table() -> Table:
    columns = {"bill": np.array([1.0, 2.0, 3.0]), "2": np.array([4, 5, 6]), "sex": np.array(["f", None, "m"], object)}
    return Table(columns, "birds.csv", lines=np.array([2, 3, 5]), default_target="sex")


def test_a_column_is_found_by_name_number_or_last(table: Table) -> None:
    assert table.resolve_column("bill") == "bill"
    assert table.resolve_column(1) == "bill"
    assert table.resolve_column("3") == "sex"
    assert table.resolve_column("last") == "sex"


def test_a_name_wins_over_its_reading_as_a_number(table: Table) -> None:
    assert table.resolve_column("2") == "2"
    assert Table({"a": np.zeros(1), "last": np.zeros(1), "c": np.zeros(1)}).resolve_column("last") == "last"


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("bil", "birds.csv has no column 'bil': did you mean 'bill'?"),
        ("7", "birds.csv has no column number 7: it has 3 columns, counted from 1."),
        ("0", "birds.csv has no column number 0: it has 3 columns, counted from 1."),
    ],
)
def test_an_unknown_column_is_told_with_the_nearest(table: Table, spec: str, sentence: str) -> None:
    with pytest.raises(DataError) as problem:
        table.resolve_column(spec)
    assert str(problem.value) == sentence


def test_selected_rows_keep_their_places(table: Table) -> None:
    part = table.select([2, 0])
    assert part.column("bill").tolist() == [3.0, 1.0]
    assert part.place(0) == "birds.csv, row 3 (line 5)"
    assert part.select([True, False]).drop(["bill"]).place(0) == "birds.csv, row 3 (line 5)"
    assert len(table.select([])) == 0
    assert len(table.select(np.array([True, False, True]))) == 2


def test_dropping_the_default_target_forgets_it(table: Table) -> None:
    assert table.drop(["bill"]).names == ["2", "sex"]
    assert table.drop(["bill"]).default_target == "sex"
    assert table.drop(["3"]).default_target is None


def test_unequal_columns_are_refused() -> None:
    with pytest.raises(DataError, match="every column needs the same number of rows; 'a' has 1, 'b' has 2"):
        Table({"a": np.zeros(1), "b": np.zeros(2)}, "x")
