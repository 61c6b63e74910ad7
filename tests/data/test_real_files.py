"""Every public data set is read with exactly the rows, columns and gaps that its description states."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from fallline.data.samples import load_sample, sample_names, sample_target
from fallline.data.sources import read_table
from fallline.data.spelling import is_missing
from fallline.errors import ArgumentError

DATA = Path(__file__).parents[3] / "shared" / "data"
FILES = {  # name: rows, columns, whether it has a header
    "tabular/california_housing.csv": (20640, 10, True),
    "tabular/adult_train.csv.gz": (32561, 15, False),
    "tabular/adult_test.csv.gz": (16281, 15, False),
    "tabular/bank_additional.csv": (4119, 20, True),
    "tabular/titanic.csv": (891, 12, True),
    "tabular/heart_cleveland.csv": (303, 14, True),
    "tabular/diamonds.csv.gz": (53940, 10, True),
    "tabular/penguins.csv": (344, 7, True),
    "tabular/mpg.csv": (398, 9, True),
    "tabular/abalone.csv": (4177, 9, False),
    "tabular/german.csv": (1000, 21, False),
    "tabular/pima_indians_diabetes.csv": (768, 9, False),
    "tabular/sonar.csv": (208, 61, False),
    "tabular/winequality_red.csv": (1599, 12, False),
    "tabular/winequality_white.csv": (4898, 12, False),
    "tabular/insurance.csv": (1338, 7, True),
    "tabular/mushrooms.csv": (8124, 23, True),
    "tabular/higgs_7k_train.tsv.gz": (7000, 29, False),
    "tabular/higgs_7k_test.tsv.gz": (500, 29, False),
    "text/sms_spam.tsv": (5574, 2, False),
    "text/names.txt": (32033, 1, False),
    "timeseries/airline_passengers.csv": (144, 2, True),
    "timeseries/daily_min_temperatures.csv": (3650, 2, True),
    "timeseries/beijing_pm25.csv.gz": (43824, 13, True),
}
GAPS = {  # file, column: missing values
    ("tabular/california_housing.csv", "total_bedrooms"): 207,
    ("tabular/adult_train.csv.gz", "column_2"): 1836,
    ("tabular/adult_test.csv.gz", "column_14"): 274,
    ("tabular/titanic.csv", "Cabin"): 687,
    ("tabular/heart_cleveland.csv", "ca"): 4,
    ("tabular/mpg.csv", "horsepower"): 6,
    ("tabular/mushrooms.csv", "stalk_root"): 2480,
    ("timeseries/beijing_pm25.csv.gz", "pm2.5"): 2067,
}
CLASSES = {
    ("tabular/adult_train.csv.gz", "column_15"): {"<=50K": 24720, ">50K": 7841},
    ("tabular/bank_additional.csv", "y"): {"no": 3668, "yes": 451},
    ("text/sms_spam.tsv", "column_1"): {"ham": 4827, "spam": 747},
    ("tabular/winequality_red.csv", "column_12"): {3: 10, 4: 53, 5: 681, 6: 638, 7: 199, 8: 18},
}


def present(name: str) -> Path:
    if not (DATA / name).exists():
        pytest.skip(f"{DATA / name} is not here")
    return DATA / name


@pytest.mark.parametrize("name", FILES)
def test_rows_columns_and_header(name: str) -> None:
    rows, columns, header = FILES[name]
    table = read_table(present(name))
    assert (len(table), len(table.columns)) == (rows, columns)
    assert (table.names[0] != "column_1") == header
    assert table.lines is not None
    assert table.lines[0] == 1 + header


@pytest.mark.parametrize(("name", "column"), GAPS)
def test_missing_values(name: str, column: str) -> None:
    assert int(is_missing(read_table(present(name)).column(column)).sum()) == GAPS[name, column]


@pytest.mark.parametrize(("name", "column"), CLASSES)
def test_classes(name: str, column: str) -> None:
    assert dict(Counter(read_table(present(name)).column(column).tolist())) == CLASSES[name, column]


def test_mnist() -> None:
    table = read_table(present("mnist/t10k-images-idx3-ubyte.gz"))
    assert (len(table), len(table.columns)) == (10000, 785)
    counts = np.bincount(table.column("y"))
    assert (counts.min(), counts.max()) == (892, 1135)


SAMPLES = {"digits": (1797, 65), "iris": (150, 5), "wine": (178, 14), "breast_cancer": (569, 31), "diabetes": (442, 11),
           "penguins": (344, 7)}  # fmt: skip
SAMPLE_CLASSES = {
    "iris": {"setosa": 50, "versicolor": 50, "virginica": 50},
    "wine": {1: 59, 2: 71, 3: 48},
    "breast_cancer": {"malignant": 212, "benign": 357},
    "penguins": {"Adelie": 152, "Gentoo": 124, "Chinstrap": 68},
}


@pytest.mark.parametrize("name", sample_names())
def test_bundled_sets(name: str) -> None:
    table = load_sample(name)
    assert (len(table), len(table.columns)) == SAMPLES[name]
    assert read_table(name).names == table.names
    assert table.default_target == sample_target(name)
    if name in SAMPLE_CLASSES:
        assert dict(Counter(table.column(sample_target(name)).tolist())) == SAMPLE_CLASSES[name]
    sources = (Path(__file__).parents[2] / "src/fallline/data/bundled/SOURCES.md").read_text(encoding="utf-8")
    assert f"`{name}.csv.gz`" in sources


def test_published_figures_of_the_bundled_sets() -> None:
    # Means as stated in the descriptions of the sets (UCI; Efron et al. 2004).
    assert load_sample("iris").column("petal_length_cm").mean() == pytest.approx(3.76, abs=0.005)
    assert load_sample("diabetes").column("progression").mean() == pytest.approx(152.13, abs=0.005)
    assert load_sample("wine").column("alcohol").mean() == pytest.approx(13.0, abs=0.05)
    assert load_sample("digits").column("pixel_0_2").max() == 16


def test_an_unknown_sample_is_told() -> None:
    with pytest.raises(ArgumentError, match=r"There is no bundled data set 'irys': did you mean 'iris'\?"):
        load_sample("irys")
