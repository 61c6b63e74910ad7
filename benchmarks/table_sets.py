"""The tables that the recipe is measured on, and how they are split."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fallline.data.sources import read_table
from fallline.data.split import random_words
from fallline.data.table import Table

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "tabular"
FOLDS, SINGLE_SPLIT_ABOVE = 5, 5000


@dataclass(frozen=True)
class Case:
    """One table.

    Attributes:
        file: its name.
        target: what is predicted.
        metric: which score is compared.
        test: an official test file.
        note: what else to know.
        binary: whether the target is "more than 0" instead of what the file has.
        logarithm: whether the target is the logarithm of what the file has.
    """

    file: str
    target: str
    metric: str
    test: str | None = None
    note: str = ""
    binary: bool = False
    logarithm: bool = False

    @property
    def name(self) -> str:
        """The file's name without its endings."""
        return self.file.split(".")[0]


CASES = (
    Case("california_housing.csv", "median_house_value", "rmse"),
    Case("adult_train.csv.gz", "last", "accuracy", test="adult_test.csv.gz", note="official test part"),
    Case("diamonds.csv.gz", "price", "rmse", note="ln(price)", logarithm=True),
    Case("higgs_7k_train.tsv.gz", "1", "accuracy", test="higgs_7k_test.tsv.gz", note="official test part"),
    Case("mushrooms.csv", "type", "accuracy"),
    Case("winequality_white.csv", "last", "rmse"),
    Case("abalone.csv", "last", "rmse"),
    Case("bank_additional.csv", "y", "accuracy"),
    Case("winequality_red.csv", "last", "rmse"),
    Case("insurance.csv", "charges", "rmse"),
    Case("german.csv", "last", "accuracy"),
    Case("titanic.csv", "Survived", "accuracy"),
    Case("pima_indians_diabetes.csv", "last", "accuracy"),
    Case("mpg.csv", "mpg", "rmse"),
    Case("penguins.csv", "species", "accuracy"),
    Case("heart_cleveland.csv", "num", "accuracy", note="num > 0", binary=True),
    Case("sonar.csv", "last", "accuracy"),
)


def read(case: Case) -> Table:
    """The whole table, or the training part of one that has an official split."""
    table = read_table(DATA / case.file)
    if case.binary:
        name = table.resolve_column(case.target)
        table.columns[name] = (table.columns[name] > 0).astype(np.int64)
    if case.logarithm:
        name = table.resolve_column(case.target)
        table.columns[name] = np.log(table.columns[name].astype(np.float64))
    return table


def folds(table: Table, count: int = FOLDS, purpose: str = "folds") -> Iterator[tuple[Table, Table]]:
    """(training, test) of each fold; the rows' folds are drawn from seed 0."""
    words = random_words(len(table), 0, purpose)
    fold = np.argsort(np.argsort(words, kind="stable"), kind="stable") % count
    for k in range(count):
        yield table.select(fold != k), table.select(fold == k)


def parts(case: Case) -> Iterator[tuple[Table, Table]]:
    """(training, test): the official split, or the first fold of five above 5,000 rows, or all five."""
    table = read(case)
    if case.test is not None:
        yield table, read_table(DATA / case.test)
        return
    for number, (training, test) in enumerate(folds(table)):
        if number == 0 or len(table) <= SINGLE_SPLIT_ABOVE:
            yield training, test
