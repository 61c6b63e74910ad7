"""A model of images answers to the bytes of a file."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("PIL", reason="images are decoded by Pillow: pip install 'fallline[images]'")

from PIL import Image

import fallline as fl
from fallline.tables.prepare import TableOptions, prepare
from fallline.tables.train import train_table


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The folder of images, dark and bright."""
    folder = tmp_path_factory.mktemp("pictures")
    for name, low in (("bright", 150), ("dark", 0)):
        (folder / name).mkdir()
        for k in range(20):
            points = np.random.default_rng(k).integers(low, low + 100, (9, 8, 3), dtype=np.uint8)
            Image.fromarray(points).save(folder / name / f"{k:02}.png")
    return folder


@pytest.fixture(scope="module")
def model(pictures: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    wishes = TableOptions(hidden=(4,), epochs=3)
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    train_table(prepare(fl.read_table(pictures), "class", wishes), wishes).model.save(path)
    return fl.load(path)


def test_an_image_is_sent_as_it_is(service: Callable[..., Any], model: Any, pictures: Any) -> None:
    file = pictures / "dark" / "03.png"
    sent = {"content": file.read_bytes(), "headers": {"content-type": "image/png"}}
    answer = service(model).ask("POST", "/predict?proba=1", **sent)
    assert answer.status_code == 200
    assert answer.json()["prediction"] == model.predict(file)[0]
    assert list(answer.json()["probabilities"].values()) == model.predict_proba(file)[0].tolist()
    large = io.BytesIO()
    Image.open(file).resize((80, 90), Image.Resampling.NEAREST).save(large, "BMP")
    answer = service(model).ask("POST", "/predict", content=large.getvalue(), headers={"content-type": "image/bmp"})
    assert answer.status_code == 200


def test_its_points_can_be_sent_too(service: Callable[..., Any], model: Any, pictures: Any) -> None:
    file = pictures / "bright" / "03.png"
    table = fl.read_table(file, images=model.encoder.images)
    row = {name: int(values[0]) for name, values in table.columns.items()}
    assert service(model).post(row, "?proba=1")[1]["prediction"] == model.predict(file)[0]


def test_what_is_no_image_is_refused(service: Callable[..., Any], model: Any, fruit: Any) -> None:
    sent = {"content": b"no image", "headers": {"content-type": "image/png"}}
    answer = service(model).ask("POST", "/predict", **sent)
    assert (answer.status_code, answer.json()["errors"]) == (
        422,
        ["the request cannot be read as an image: it is no image of a kind that Pillow knows. Replace or remove it."],
    )
    answer = service(fruit).ask("POST", "/predict", **sent)
    assert answer.status_code == 415
    assert answer.json()["errors"] == ["the model takes rows, and no images; send JSON or CSV"]


def test_the_pages_tell_how_to_send_one(service: Callable[..., Any], model: Any, fruit: Any) -> None:
    page = service(model).get("/").text
    assert "it is brought to 8 × 9 points, in colours" in page
    assert "--data-binary @IMAGE.png" in page
    content = service(model).get("/openapi.json").json()["paths"]["/predict"]["post"]["requestBody"]["content"]
    assert "image/*" in content
    assert "image" not in service(fruit).get("/").text
