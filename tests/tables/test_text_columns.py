"""Tables with free text, from their cells to predictions."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline.data.sources import read_table
from fallline.data.table import Table
from fallline.errors import ModelFileError
from fallline.tables.network import NetworkPlan, TableNetwork
from fallline.tables.prepare import TableOptions, prepare
from fallline.tables.stored import check_table
from fallline.tables.train import TableRun, train_table

GOOD = ("you made my day with this", "a lovely thing to own", "works well and looks fine", "glad that we have it")
BAD = ("it broke after one week", "never again from this shop", "sent it back at once", "a waste of my time")


def reviews(count: int = 240) -> Table:
    """Reviews that say by their words alone whether they are good, of 20 shops, on some day."""
    rng = np.random.default_rng(0)
    good = rng.random(count) < 0.5
    words = [" and ".join(rng.choice(GOOD if is_good else BAD, 2)) + f" {k}!" for k, is_good in enumerate(good)]
    return read_table(
        {
            "review": words,
            "shop": [f"shop {k % 20}" for k in range(count)],
            "stars": np.where(good, "good", "bad").tolist(),
            "day": [f"2024-{1 + k % 12:02}-{1 + k % 28:02}" for k in range(count)],
        }
    )


@pytest.fixture(scope="module")
def run() -> TableRun:
    options = TableOptions(hidden=(8,), epochs=30)
    return train_table(prepare(reviews(), "stars", options), options)


def test_words_are_learnt_from(run: TableRun) -> None:
    (info,) = [info for info in run.prepared.infos if info.name == "review"]
    assert (info.kind, info.used) == ("text", True)
    assert "'review' is read as free text (240" not in info.reason  # of the training rows alone
    assert "is read as free text" in info.reason
    assert "text of" in run.prepared.plan.describe()
    assert run.scores["accuracy"] >= 0.95  # the class of a row is in its words alone
    assert run.model.predict({"review": [GOOD[0], BAD[0]], "shop": ["shop 1"] * 2, "day": [None] * 2}).tolist() == [
        "good",
        "bad",
    ]


def test_training_is_compiled_and_threads_change_no_bit(run: TableRun) -> None:
    assert run.run.engine == "compiled"
    options = TableOptions(hidden=(8,), epochs=30, threads=2)
    again = train_table(prepare(reviews(), "stars", options), options)
    for name, weight in run.model.network.parameters().items():
        assert np.array_equal(weight, again.model.network.parameters()[name]), name


def test_the_model_file_predicts_the_same_in_any_order_of_columns(run: TableRun, tmp_path: Path) -> None:
    run.model.save(tmp_path / "m.safetensors")
    table = reviews()
    expected = run.model.outputs(table)
    turned = Table({name: table.column(name) for name in ("day", "stars", "shop", "review")})
    assert fl.load(tmp_path / "m.safetensors").outputs(turned).tobytes() == expected.tobytes()


def test_other_texts_predict_too(run: TableRun) -> None:
    strange = [None, "", "   ", "😀", "null\0byte", "never seen words", "x" * 1_000_000, "it broke " * 100_000]
    cells = np.empty(len(strange), dtype=object)
    cells[:] = strange
    rows = Table({"review": cells, "shop": np.array(["shop 1"] * 8, object), "day": np.array([None] * 8, object)})
    found = run.model.predict_proba(rows)
    assert np.isfinite(found).all()
    assert found[0].tolist() != found[7].tolist()


def test_the_plan_of_a_network_with_text() -> None:
    plan = NetworkPlan(2, ((17, 3),), (5,), 2, bags=((40, 4, 16), (7, 2, 32)))
    network = TableNetwork(plan)
    assert plan.parameters == sum(weight.size for weight in network.parameters().values())
    assert NetworkPlan.from_json(json.loads(json.dumps(plan.to_json()))) == plan
    assert "text of 40 n-grams→4, text of 7 n-grams→2" in plan.describe()
    x = np.zeros((3, 3 + 2 * 16 + 2 * 32), dtype=np.float32)
    base = network.predict(x)
    for column, value, same in ((3, 1.0, True), (3 + 16, 0.5, False), (3 + 32, 1.0, True), (3 + 64, 0.5, False)):
        changed = x.copy()
        changed[:, column] = value  # a number without a weight is nothing; a weight is something
        assert np.array_equal(network.predict(changed), base) == same, column


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("hashes", [3, 2], r"the column 'review' has 'hashes' \[3, 2\], which cannot be"),
        ("hashes", [1, 2**32], "'hashes'"),
        ("hashes", list(range(16_385)), "'hashes'"),
        ("hashes", [1], r"the column 'review' has 1 n-grams, but counts of \d+"),
        ("counts", [0], "'counts'"),
        ("counts", [True], "'counts'"),
        ("rows", 1, r"the column 'review' has an n-gram in \d+ rows, of 1"),
        ("rows", -1, "'rows'"),
        ("slots", 0, r"the column 'review' has \d+ n-grams, but 0 slots for them"),
        ("slots", 1e9, "'slots'"),
        ("slots", 513, "'slots'"),
        ("shape", {"characters": [0.0, 0.0]}, "'shape'"),
        ("shape", {"letters": [0.0, 1.0]}, "'shape'"),
        ("shape", {"signs": [0.0]}, "'shape'"),
        ("shape", [], "'shape'"),
        ("indicator", 1, "'indicator'"),
    ],
)
def test_damaged_text_encoders_are_refused(run: TableRun, key: str, value: Any, sentence: str) -> None:
    saved = json.loads(json.dumps(run.model.to_json()))
    check_table(saved)
    column = next(column for column in saved["encoder"]["columns"] if column["kind"] == "text")
    column[key] = value
    with pytest.raises(ModelFileError, match=sentence):
        check_table(saved)


def test_slots_of_another_network_are_refused(run: TableRun, tmp_path: Path) -> None:
    saved = json.loads(json.dumps(run.model.plan.to_json()))
    count, width, slots = saved["bags"][0]
    saved["bags"][0] = [count, width, slots + 16]
    before, run.model.plan = run.model.plan, NetworkPlan.from_json(saved)
    try:
        run.model.save(tmp_path / "m.safetensors")
    finally:
        run.model.plan = before
    with pytest.raises(ModelFileError, match=rf"n-grams and slots \[\({count}, {slots + 16}\)\] and 2 outputs, but"):
        fl.load(tmp_path / "m.safetensors")
