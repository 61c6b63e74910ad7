"""Models of tables with their encoders, exported: raw columns in, labels and values out."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline.data.sources import read_table
from fallline.export import onnx_inputs
from fallline.tables.model import TableModel
from fallline.tables.prepare import TableOptions, prepare
from fallline.tables.train import train_table

Run = Callable[..., dict[str, Any]]
SENTENCES = (
    "you made my day with this", "a lovely thing to own", "works well and looks fine", "glad that we have it",
    "it broke after one week", "never again from this shop", "sent it back at once", "a waste of my time",
)  # fmt: skip


def garden(count: int = 240) -> dict[str, list[Any]]:
    """Columns of every kind, missing cells in most of them, and targets of every kind."""
    return {
        "height": [None if i % 11 == 5 else round(math.sin(i) * 3 + 5, 3) for i in range(count)],
        "year": [1990 + i % 30 for i in range(count)],
        "soil": [("clay", "sand", None)[i * i % 3] for i in range(count)],
        "grade": [("1", "2b", "3.0")[i % 3] for i in range(count)],
        "shade": [(True, False, None)[i % 3] for i in range(count)],
        "watered": [i % 5 < 2 for i in range(count)],
        "label": [f"plant {i % 20}" for i in range(count)],
        "planted": [None if i % 13 == 0 else f"20{10 + i % 9}-0{1 + i % 7}-15" for i in range(count)],
        "review": [f"{SENTENCES[i % 8]} and {SENTENCES[i * 3 % 8]} {i}!" for i in range(count)],
        "fruit": ["ripe" if math.sin(i) > 0.2 else "unripe" for i in range(count)],
        "size": [1 + int(2 + 2 * math.sin(i)) for i in range(count)],
        "sweet": [math.sin(i) > 0 for i in range(count)],
        "yield": [round(math.sin(i) * 40 + i % 3, 3) for i in range(count)],
        "price": [math.exp(6 * math.sin(i) ** 9) for i in range(count)],
    }


TARGETS = ("fruit", "size", "sweet", "yield", "price")


def model_of(target: str, columns: dict[str, list[Any]] | None = None, **options: Any) -> TableModel:
    data = columns or garden()
    drop = tuple(other for other in TARGETS if other != target and other in data)
    wishes = TableOptions(**{"drop": drop, "hidden": (8,), "epochs": 3, **options})
    return train_table(prepare(read_table(data), target, wishes), wishes, progress=False).model


def unseen(count: int = 90) -> dict[str, list[Any]]:
    """Rows such as training did not see: unknown categories, numbers far away, odd words."""
    data = {name: values[::-1] for name, values in garden(count).items() if name not in TARGETS}
    data["height"] = [(1e9, -1e9, None, math.inf, 4.25)[i % 5] for i in range(count)]
    data["soil"] = [("clay", "moon dust", None, "Clay")[i % 4] for i in range(count)]
    data["shade"] = [("yes", "F", None, "perhaps", "TRUE", "0")[i % 6] for i in range(count)]
    data["label"] = [("plant 3", "a tree", None)[i % 3] for i in range(count)]
    return data


@pytest.fixture(scope="module")
def models() -> dict[str, TableModel]:
    wishes = {"size": {"task": "classification"}, "price": {"target_scale": "log"}}
    return {target: model_of(target, **wishes.get(target, {})) for target in TARGETS}


@pytest.mark.parametrize("target", ["fruit", "size", "sweet"])
def test_classes(target: str, models: dict[str, TableModel], tmp_path: Path, run_file: Run) -> None:
    model = models[target]
    done = fl.export_onnx(model, tmp_path / "model.onnx")
    assert done.difference <= 1e-5
    assert [port.name for port in done.outputs] == ["label", "probabilities"]
    for rows in (garden(), unseen(), unseen(1)):
        found = run_file(tmp_path / "model.onnx", onnx_inputs(model, rows))
        np.testing.assert_allclose(found["probabilities"], model.predict_proba(rows), rtol=1e-5, atol=1e-7)
        np.testing.assert_array_equal(found["label"], model.predict(rows))
    assert found["label"].dtype == model.predict(rows).dtype


@pytest.mark.parametrize("target", ["yield", "price"])
def test_values(target: str, models: dict[str, TableModel], tmp_path: Path, run_file: Run) -> None:
    model = models[target]
    assert model.target.to_json()["log"] == (target == "price")
    done = fl.export_onnx(model, tmp_path / "model.onnx")
    assert [str(port) for port in done.outputs] == ["prediction: float64 (rows,)"]
    for rows in (garden(), unseen(), unseen(1)):
        wanted = model.predict(rows)
        found = run_file(tmp_path / "model.onnx", onnx_inputs(model, rows))["prediction"]
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5 * np.abs(wanted).mean(), strict=True)


def test_every_kind_of_column_is_there(models: dict[str, TableModel]) -> None:
    kinds = {encoder.name: encoder.kind for encoder in models["fruit"].encoder.encoders}
    assert kinds == {
        "height": "number", "year": "number", "soil": "category", "grade": "category", "shade": "boolean",
        "watered": "boolean", "label": "category", "planted": "date", "review": "text",
    }  # fmt: skip
    assert models["fruit"].encoder.embedded
    assert models["fruit"].encoder.bags


def test_what_a_file_takes_is_told(models: dict[str, TableModel], tmp_path: Path) -> None:
    done = fl.export_onnx(models["fruit"], tmp_path / "model.onnx", garden())
    assert done.rows == 240
    inputs = {port.name: str(port) for port in done.inputs}
    assert inputs["height"] == "height: float64 (rows,)"
    assert inputs["soil"] == "soil: str (rows,)"
    assert inputs["label (column)"] == "label (column): str (rows,)"  # an output has that name
    assert inputs["planted"].startswith("planted: float32 (rows, ")
    assert done.encoded == ["planted", "review"]
    assert "differ by at most" in str(done)
    assert (
        "The columns 'planted', 'review' cannot be encoded by ONNX operators (dates and free text): they must be given "
        "encoded, by fallline.export.onnx_inputs(model, rows)." in str(done)
    )


def test_raw_values_need_nothing_of_fallline(tmp_path: Path, run_file: Run) -> None:
    """Numbers and words as a program in another language has them."""
    columns = {name: values for name, values in garden().items() if name not in ("planted", "review")}
    model = model_of("fruit", columns)
    done = fl.export_onnx(model, tmp_path / "model.onnx")
    assert (done.encoded, done.notices()) == ([], [])
    texts = {
        "soil": ["clay", "NA", "unknown"],
        "grade": ["1", "3.0", "2b"],
        "shade": ["True", "", "no"],
        "watered": ["TRUE", "0", "1.0"],
        "label (column)": ["plant 3", "?", "plant 19"],
    }
    numbers = {"height": [5.5, math.nan, math.inf], "year": [2000.0, math.nan, 2001.0]}
    feeds: dict[str, Any] = {name: np.array(words, dtype=object) for name, words in texts.items()}
    found = run_file(tmp_path / "model.onnx", feeds | {name: np.array(cells) for name, cells in numbers.items()})
    rows: dict[str, Any] = {name.removesuffix(" (column)"): words for name, words in texts.items()} | numbers
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(rows), rtol=1e-5)


def test_a_table_without_a_hidden_layer_or_one_column(tmp_path: Path, run_file: Run) -> None:
    columns = {"soil": garden()["soil"], "fruit": garden()["fruit"]}
    model = model_of("fruit", columns, hidden=())
    fl.export_onnx(model, tmp_path / "model.onnx")
    rows = {"soil": ["clay", None, "x"]}
    found = run_file(tmp_path / "model.onnx", onnx_inputs(model, rows))
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(rows), rtol=1e-6)


def test_images_are_one_input(tmp_path: Path, run_file: Run) -> None:
    rng = np.random.default_rng(0)
    points = {f"p{k}": rng.integers(0, 256, size=120).tolist() for k in range(64)}
    model = model_of("kind", points | {"kind": ["ab"[value > 127] for value in points["p7"]]})
    done = fl.export_onnx(model, tmp_path / "model.onnx")
    assert [str(port) for port in done.inputs] == ["points: uint8 (rows, 64)"]
    found = run_file(tmp_path / "model.onnx", onnx_inputs(model, points))
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(points), rtol=1e-5)


def test_the_file_says_what_it_is(models: dict[str, TableModel], tmp_path: Path) -> None:
    import onnx

    fl.export_onnx(models["size"], tmp_path / "model.onnx")
    file = onnx.load(tmp_path / "model.onnx")
    about = {entry.key: entry.value for entry in file.metadata_props}
    assert (about["task"], about["target"], about["classes"]) == ('"classification"', '"size"', "[1, 2, 3, 4]")
    assert file.graph.input[0].doc_string == "a number; NaN where it is missing"
    assert {entry.domain: entry.version for entry in file.opset_import} == {"": 17, "ai.onnx.ml": 3}


def test_inputs_are_made_for_models_of_tables_alone() -> None:
    with pytest.raises(fl.KindError, match=r"^onnx_inputs: model must be a model of a table, found Linear$"):
        onnx_inputs(fl.nn.Linear(2, 2), {"a": [1]})  # type: ignore[arg-type]


def test_a_missing_column_is_told(models: dict[str, TableModel]) -> None:
    rows = {name: values for name, values in unseen().items() if name != "soil"}
    with pytest.raises(fl.DataError, match=r"lacks the column 'soil' of training"):
        onnx_inputs(models["fruit"], rows)


REAL = {  # file → target; `make soak JOB=onnx` has them all, and all of their rows
    "adult_train.csv.gz": "last",
    "diamonds.csv.gz": "price",
    "penguins.csv": "species",
    "sonar.csv": "last",
    "titanic.csv": "Survived",
}


@pytest.mark.parametrize("name", REAL)
def test_a_real_table(name: str, shared_data: Callable[[str], Path], tmp_path: Path, run_file: Run) -> None:
    table = read_table(shared_data(f"tabular/{name}"))
    table = table.select(np.arange(len(table)) % max(1, len(table) // 1500) == 0)
    wishes = TableOptions(hidden=(16,), epochs=4)
    model = train_table(prepare(table, table.resolve_column(REAL[name]), wishes), wishes, progress=False).model
    done = fl.export_onnx(model, tmp_path / "model.onnx", table)
    found = run_file(tmp_path / "model.onnx", onnx_inputs(model, table))
    if model.task == "regression":
        wanted = model.predict(table)
        np.testing.assert_allclose(found["prediction"], wanted, rtol=1e-5, atol=1e-5 * np.abs(wanted).mean())
    else:
        np.testing.assert_allclose(found["probabilities"], model.predict_proba(table), rtol=1e-5, atol=1e-6)
    assert done.difference <= 1e-5


def test_images_in_files_are_decoded_for_the_file(tmp_path: Path, run_file: Run) -> None:
    image = pytest.importorskip("PIL.Image", reason="images are decoded by Pillow: pip install 'fallline[images]'")
    for name, low in (("bright", 150), ("dark", 0)):
        (tmp_path / "set" / name).mkdir(parents=True)
        for k in range(20):
            points = np.random.default_rng(k).integers(low, low + 100, (9, 8), dtype=np.uint8)
            image.fromarray(points).save(tmp_path / "set" / name / f"{k:02}.png")
    model = model_of("class", fl.read_table(tmp_path / "set"))
    fl.export_onnx(model, tmp_path / "model.onnx", sample=tmp_path / "set" / "dark")
    found = run_file(tmp_path / "model.onnx", onnx_inputs(model, tmp_path / "set"))
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(tmp_path / "set"), rtol=1e-5)
