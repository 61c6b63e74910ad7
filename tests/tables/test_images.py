"""The network of images: bytes in, each image moved in training, shapes found or guessed."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline.data.encoders import TableEncoder
from fallline.data.image_form import ImageForm
from fallline.data.sources import read_table
from fallline.errors import ArgumentError, ModelFileError
from fallline.nn.losses import get
from fallline.tables.image_recipe import image_recipe
from fallline.tables.images import ImageNetwork, ImagePlan, Moved, plan_from_json
from fallline.tables.network import NetworkPlan
from fallline.tables.prepare import TableOptions, prepare
from fallline.tables.stored import check_table, check_widths
from fallline.tables.train import train_table
from fallline.training.step import OUTPUTS, StepProgram, check_rows

OPTIONS = TableOptions(hidden=(4,), epochs=1)


def images(rows: int = 60, shape: tuple[int, ...] = (8, 9)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (rows, *shape), dtype=np.uint8)


def prepared(array: np.ndarray, options: TableOptions = OPTIONS) -> Any:
    table = read_table(array)
    table.columns["y"] = np.arange(len(array)) % 2
    return prepare(table, "y", options)


@pytest.mark.parametrize(
    ("shape", "seen"),
    [
        ((8, 9), (8, 9)),
        ((8, 8, 3), (8, 8, 3)),
        ((1, 8, 9), (8, 9)),
        ((64,), (8, 8)),
        ((65,), (65,)),
    ],
)
def test_the_shape_of_images(shape: tuple[int, ...], seen: tuple[int, ...]) -> None:
    found = prepared(images(shape=shape))
    assert found.plan.shape == seen
    assert {info.kind for info in found.infos} == {"pixel"}
    assert found.matrices["training"][0].dtype == np.uint8


def test_grades_are_no_images() -> None:
    assert not isinstance(prepared(images() // 8).plan, ImagePlan)


class Shown(fl.nn.Module):
    """Gives an image, moved, and has a weight to learn."""

    def __init__(self, shape: tuple[int, ...], most: int) -> None:
        super().__init__(0)
        self.moved = Moved(shape, most)
        self.one = fl.nn.Parameter((1,), "ones")

    def __call__(self, x: Any) -> Any:
        return self.moved(x.astype("float32")) * self.one


def shown(x: np.ndarray, shape: tuple[int, ...], training: bool, engine: str = "compiled", most: int = 1) -> np.ndarray:
    net = Shown(shape, most)
    rows = check_rows(net, x, x.astype(np.float32), get("mse"), None, "float32", "test")
    program = StepProgram(net, rows, get("mse"), training=training, backward=False, engine=engine)
    given = program.inputs(rows, net.parameters(), 1.0, 3, 5)
    found: np.ndarray = program.program(len(x))(given)[OUTPUTS]
    return found


@pytest.mark.parametrize("shape", [(8, 9), (4, 5, 3), (1, 7)])
def test_images_are_moved_by_at_most_one_point_and_edges_repeated(shape: tuple[int, ...]) -> None:
    x = images(900, shape)
    flat = x.reshape(len(x), -1)
    np.testing.assert_array_equal(shown(flat, shape, training=False), flat)
    found = shown(flat, shape, training=True).reshape(x.shape)
    np.testing.assert_array_equal(found, shown(flat, shape, True, "reference").reshape(x.shape))
    height, width = shape[:2]
    seen: dict[tuple[int, int], int] = {}
    for image, moved in zip(x, found, strict=True):
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                rows = np.clip(np.arange(height) - down, 0, height - 1)
                columns = np.clip(np.arange(width) - right, 0, width - 1)
                if np.array_equal(image[rows][:, columns], moved):
                    seen[down, right] = seen.get((down, right), 0) + 1
    if height > 1:
        assert sum(seen.values()) == len(x)
        assert len(seen) == 9
        assert all(abs(count - 100) < 4 * math.sqrt(100) for count in seen.values())
    else:  # of one row, up and down are the same
        assert len(seen) == 9
        assert min(seen.values()) > 200


def test_images_are_moved_further_with_the_same_chance_for_all_ways() -> None:
    x = np.repeat(images(1, (12, 12)), 2000, axis=0)
    found = shown(x.reshape(len(x), -1), (12, 12), training=True, most=2).reshape(x.shape)
    counts = np.zeros((5, 5))
    for down in range(-2, 3):
        for right in range(-2, 3):
            seen = found[:, 3 + down : 9 + down, 3 + right : 9 + right]
            counts[down + 2, right + 2] = (seen == x[0, 3:9, 3:9]).all(axis=(1, 2)).sum()
    assert counts.sum() == len(x)
    assert ((counts - 80) ** 2 / 80).sum() < 51  # χ² of 24 degrees: 0.1 % lie above 51


def test_images_are_standardised() -> None:
    x = images(5).reshape(5, -1)
    x[1] = 77
    plan = ImagePlan(72, (), (), 72, shape=(8, 9), standardised=True)
    net = ImageNetwork(plan)
    net.load_parameters({"layers.0.weight": np.eye(72), "layers.0.bias": np.zeros(72)})
    z = x / 255.0
    z = (z - z.mean(axis=1, keepdims=True)) / np.sqrt(z.var(axis=1, keepdims=True) + 1e-3)
    np.testing.assert_allclose(net.predict(x), z, atol=2e-5)
    assert "each standardised" in plan.describe()
    assert plan_from_json(plan.to_json()) == plan


def test_a_network_of_unknown_shape_moves_nothing() -> None:
    assert "moved" not in ImagePlan(65, (), (4,), 2, shape=(65,)).describe()
    x = images(5, (65,))
    np.testing.assert_array_equal(shown(x, (65,), training=True), x)


def test_the_plan_is_stored_and_checked() -> None:
    plan = ImagePlan(72, (), (4, 3), 2, "gelu", 0.2, shape=(8, 9))
    assert plan_from_json(plan.to_json()) == plan
    assert plan.parameters == sum(p.size for p in ImageNetwork(plan).parameters().values()) == 73 * 4 + 5 * 3 + 4 * 2
    assert isinstance(plan_from_json(NetworkPlan(3, (), (4,), 2).to_json()), NetworkPlan)
    for shape in ([], [1, 2, 3, 4], [0, 8]):
        with pytest.raises(ModelFileError, match="the network's plan in the file is damaged: images of the shape"):
            plan_from_json({**plan.to_json(), "shape": shape})
    with pytest.raises(ModelFileError, match="the network's plan in the file is damaged"):
        plan_from_json({"shape": [8, 8]})


def test_a_stored_model_predicts_and_trains_on(tmp_path: Any) -> None:
    found = prepared(images())
    run = train_table(found, OPTIONS, progress=False)
    run.model.save(tmp_path / "m.safetensors")
    opened = fl.load(tmp_path / "m.safetensors")
    test = found.parts["test"]
    np.testing.assert_array_equal(opened.predict_proba(test), run.model.predict_proba(test))
    wishes = TableOptions(init=opened, epochs=1)
    again = train_table(prepare(found.parts["training"], "y", wishes), wishes, progress=False)
    assert isinstance(again.model.plan, ImagePlan)
    assert again.model.plan == opened.plan


@pytest.mark.parametrize(("rows", "batch", "epochs"), [(500, 32, 200), (5_000, 128, 100), (60_000, 128, 25)])
def test_few_images_are_seen_more_often(rows: int, batch: int, epochs: int) -> None:
    recipe = image_recipe(rows)
    assert (recipe.batch_size, recipe.epochs) == (batch, epochs)


def test_images_have_one_recipe_whose_rate_is_that_of_any_number_of_epochs() -> None:
    assert prepared(images()).recipe.learning_rate == image_recipe(39).learning_rate
    with pytest.raises(ArgumentError, match="there is one recipe for images, auto; found 'plain'"):
        prepared(images(), replace(OPTIONS, recipe="plain"))


def stored(saved: Any) -> Any:
    """The encoder that a file with this form of images would give."""
    columns = [{"kind": "pixel", "name": f"column_{k}"} for k in range(1, 65)]
    target = {"task": "classification", "name": "class", "classes": ["a", "b"]}
    check_table({"encoder": {"columns": columns, "images": saved}, "target": target, "plan": {}, "about": {}})
    encoder = TableEncoder.from_json({"columns": columns, "images": saved})
    check_widths(encoder, 2, ImagePlan(64, (), (), 2, shape=(8, 8)))
    return encoder


@pytest.mark.parametrize("saved", [None, [], [8, 8], [8, 8, 2], [0, 8, 1], [8.0, 8, 1], "8x8", [9, 8, 1], [8, 8, 3]])
def test_a_damaged_form_of_images_is_refused(saved: Any) -> None:
    with pytest.raises(
        ModelFileError, match=r"the encoder has 'images' .*, which cannot be|its images have \d+ points"
    ):
        stored(saved)


def test_the_form_of_images_is_stored() -> None:
    encoder = stored([8, 8, 1])
    assert encoder.images == ImageForm(8, 8, 1)
    assert encoder.to_json()["images"] == [8, 8, 1]
    assert "images" not in prepared(images()).encoder.to_json()
