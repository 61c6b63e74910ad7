"""`fallline` on folders of images: one command trains, another predicts new files, and every fault is a sentence."""

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest

pytest.importorskip("PIL", reason="images are decoded by Pillow: pip install 'fallline[images]'")

from PIL import Image, ImageDraw

import fallline as fl

Cli = Callable[..., Any]
KINDS = ("cross", "disc", "square")
SIGN_DIGITS = Path(__file__).resolve().parents[3] / "shared" / "data" / "images" / "sign_digits_64.zip"
QUICK = ("--hidden", "16", "--epochs", "3")


def drawn(kind: str, chance: np.random.Generator, size: int = 14, mode: str = "L") -> Any:
    """A white cross, disc or square somewhere on dark noise."""
    image = Image.fromarray(chance.integers(0, 80, (size, size), dtype=np.uint8)).convert(mode)
    pen = ImageDraw.Draw(image)
    left, top = (int(place) for place in chance.integers(1, 4, 2))
    right, bottom = left + 8, top + 8
    if kind == "disc":
        pen.ellipse((left, top, right, bottom), fill="white")
    elif kind == "square":
        pen.rectangle((left, top, right, bottom), outline="white", width=2)
    else:
        pen.line((left, top, right, bottom), fill="white", width=2)
        pen.line((left, bottom, right, top), fill="white", width=2)
    return image


def write(folder: str, each: int, seed: int, **how: Any) -> Path:
    """A folder of each kind, with so many images in it."""
    chance = np.random.default_rng(seed)
    for kind in KINDS:
        (Path(folder) / kind).mkdir(parents=True)
        for number in range(each):
            drawn(kind, chance, **how).save(Path(folder) / kind / f"{number:02}.png")
    return Path(folder)


@pytest.fixture
def folder(cli: Cli) -> Cli:
    write("shapes", 30, 0)
    return cli


@pytest.fixture
def quick(folder: Cli) -> Cli:
    """With a run of a tiny network in "run"."""
    assert folder("train", "shapes", *QUICK, "--out", "run", "--quiet").code == 0
    return folder


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_folder_is_trained_on_and_new_files_are_predicted(cli: Cli) -> None:
    write("shapes", 60, 0)
    answer = cli("train", "shapes", "--epochs", "30", "--hidden", "32", "--out", "run")
    assert answer.code == 0
    told = " ".join(answer.out.split())
    for line in (
        "data shapes: 180 images, read as 14 × 14 points, grey; the target is the name of each one's folder",
        "target class: cross 60, disc 60, square 60",
        "inputs 196 points of an image",
        "images of 14 × 14 points",
    ):
        assert line in told
    write("new", 20, 1)
    shutil.copytree("new/disc", "flat")
    answer = cli("predict", "run", "new", "--proba")
    found = rows(answer.out)
    assert list(found[0]) == ["file", "prediction", *(f"probability_{kind}" for kind in KINDS)]
    assert [row["file"] for row in found] == [f"{kind}/{k:02}.png" for kind in KINDS for k in range(20)]
    right = [row["prediction"] == row["file"].split("/")[0] for row in found]
    assert np.mean(right) >= 0.95
    for row in found:
        chances = [float(row[f"probability_{kind}"]) for kind in KINDS]
        assert sum(chances) == pytest.approx(1.0, abs=1e-6)
        assert row["prediction"] == KINDS[int(np.argmax(chances))]
    score = json.loads(cli("evaluate", "run", "new", "--json").out)
    assert (score["accuracy"], score["rows"]) == (np.mean(right), 60)
    flat = rows(cli("predict", "run", "flat").out)
    assert [(row["file"], row["prediction"]) for row in flat] == [
        (row["file"].split("/")[1], row["prediction"]) for row in found if row["file"].startswith("disc")
    ]
    opened = fl.load("run/model.safetensors")
    assert opened.predict("new").tolist() == [row["prediction"] for row in found]


def test_files_a_pattern_and_a_table_of_predictions(quick: Cli) -> None:
    one, two = Path("shapes/disc/03.png"), Path("shapes/cross/01.png")
    several = rows(quick("predict", "run", one, two).out)
    assert [row["file"] for row in several] == [str(one), str(two)]
    assert rows(quick("predict", "run", one).out) == several[:1]
    assert len(rows(quick("predict", "run", "shapes/*/0[12].png").out)) == 6
    assert quick("predict", "run", "shapes", "--out", "found.parquet").code == 0
    assert fl.read_table("found.parquet").names == ["file", "prediction"]


def test_images_of_other_sizes_kinds_and_colours_are_brought_to_the_form_of_training(quick: Cli) -> None:
    Image.open("shapes/disc/00.png").resize((140, 140), Image.Resampling.NEAREST).save("large.png")
    Image.open("shapes/disc/00.png").convert("RGBA").save("colours.webp", lossless=True)
    found = rows(quick("predict", "run", "shapes/disc/00.png", "large.png", "colours.webp", "--proba").out)
    whole, large, colours = ({k: v for k, v in row.items() if k != "file"} for row in found)
    assert whole == colours
    assert float(large["probability_disc"]) == pytest.approx(float(whole["probability_disc"]), abs=0.05)


def test_colours_are_learnt(cli: Cli) -> None:
    for name, colour in (("blue", (0, 0, 255)), ("green", (0, 90, 0))):  # of about the same brightness
        Path("colours", name).mkdir(parents=True)
        for k in range(40):
            noise = np.random.default_rng(k).integers(0, 60, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(np.maximum(noise, np.asarray(colour, dtype=np.uint8))).save(f"colours/{name}/{k}.png")
    answer = cli("train", "colours", "--hidden", "8", "--epochs", "10", "--out", "run")
    assert "8 × 8 points, in colours" in " ".join(answer.out.split())
    assert "images of 8 × 8 × 3 points" in " ".join(answer.out.split())
    assert "accuracy 100.0 %" in answer.out


def test_a_size_can_be_asked_for(folder: Cli) -> None:
    answer = folder("train", "shapes", *QUICK, "--image-size", "7x9", "--out", "run")
    told = " ".join(answer.out.split())
    assert "read as 7 × 9 points, grey" in told
    assert "note 90 images were resized from 14 × 14 to 7 × 9 points" in told
    assert len(rows(folder("predict", "run", "shapes/disc").out)) == 30
    again = folder("train", "shapes", *QUICK, "--init", "run", "--out", "more")
    assert "read as 7 × 9 points" in " ".join(again.out.split())


def test_copies_of_an_image_stay_on_one_side_of_the_split(folder: Cli) -> None:
    for k in range(5):
        shutil.copy(f"shapes/disc/{k:02}.png", f"shapes/disc/copy{k}.png")
    told = " ".join(folder("train", "shapes", *QUICK).out.split())
    assert "5 rows have inputs of other rows; rows with the same inputs stay on one side of the split" in told


def test_a_run_on_images_is_resumed_verified_and_replayed(quick: Cli) -> None:
    assert quick("verify", "run").code == 0
    assert quick("replay", "run", "--step", "2", "--json").code == 0
    explained = quick("explain", "run", "--step", "2", "--weight", "layers.0.weight[3,5]")
    assert explained.code == 0
    assert "shapes, file " in explained.out
    assert quick("check", "run", "shapes").code == 0
    assert quick("train", "--resume", "run", "--quiet").code == 0
    drawn("disc", np.random.default_rng(5)).save("shapes/disc/00.png")
    answer = quick("verify", "run")
    assert answer.code == 2
    assert "'shapes' has changed since the run 'run' began; put the old one back, or train anew" in answer.err


def test_an_interrupted_run_goes_on_with_the_same_bits(
    folder: Cli, interrupted: Cli, bits: Callable[[str], dict[str, bytes]]
) -> None:
    words = ("shapes", *QUICK, "--quiet")
    assert folder("train", *words, "--out", "whole").code == 0
    assert interrupted(4, *words, "--out", "part").code == 130
    assert folder("train", "--resume", "part", "--quiet").code == 0
    assert bits("part") == bits("whole")


def test_validation_and_test_folders(folder: Cli) -> None:
    write("more", 4, 2, size=20, mode="RGB")
    words = ("--validation", "more", "--test", "more", "--out", "run")
    told = " ".join(folder("train", "shapes", *QUICK, *words).out.split())
    assert "90 training, 12 validation, 12 test (from the test file)" in told


def test_a_model_is_given_other_data(quick: Cli, refused: Callable[..., str]) -> None:
    Path("table.csv").write_text("a,b,c\n" + "1,2,x\n3,4,y\n" * 20)
    takes = "the model takes images of 14 × 14 points, grey: give a folder or files of them by name"
    assert refused("predict", "run", "table.csv").startswith(f"table.csv holds no images in files; {takes}")
    assert quick("train", "table.csv", "--target", "c", *QUICK, "--out", "other", "--quiet").code == 0
    said = refused("predict", "other", "shapes/disc")
    assert said.startswith("shapes/disc holds images, read as 14 × 14 points, grey; ")
    assert said.endswith("the model takes a table with the columns 'a', 'b'.")
    said = refused("predict", "run", "shapes/disc/00.png", "table.csv")
    assert said == "of several files all must be images, and table.csv is none by its name; give one at a time"
    said = refused("train", "table.csv", "--target", "c", "--image-size", "8")
    assert said == "--image-size is for images in files, and 'table.csv' holds none; leave it away"
    said = refused("train", "shapes", "--init", "run", "--image-size", "8")
    assert said == "the model that training starts from takes images of 14 × 14 points, grey; leave --image-size away"


def test_folders_that_cannot_be_trained_on(quick: Cli, refused: Callable[..., str]) -> None:
    flat = "has no column 'class': its images are not in folders of classes. Put those of each class into a folder"
    assert refused("train", "shapes/disc").startswith(f"shapes/disc {flat}")
    assert refused("evaluate", "run", "shapes/disc").startswith(f"shapes/disc {flat}")
    shutil.copytree("shapes/disc", "one/disc")
    assert refused("train", "one").startswith("The target 'class' has one class only, 'disc', in 30 rows; a classifier")
    shutil.move("one/disc", "one/oval")
    assert refused("evaluate", "run", "one").startswith(
        "one, file oval/00.png, target 'class': 'oval' is none of the classes of training: 'cross', 'disc', 'square'."
    )
    assert refused("predict", "run", "shapes/disc/99.png").startswith("shapes/disc/99.png is not there: did you mean")


def test_points_are_neither_targets_nor_left_out(folder: Cli, refused: Callable[..., str]) -> None:
    said = refused("train", "shapes", "--target", "column_3")
    assert said == "images are told apart by 'class', their folders' names; leave --target away"
    for option in ("--drop", "--weight-column", "--time-column"):
        said = refused("train", "shapes", option, "column_3")
        assert said.startswith("'column_3' is a point of images, and those are taken whole; --image-size takes fewer")
    assert folder("train", "shapes", "--target", "class", *QUICK).code == 0


def test_a_broken_file_is_named(quick: Cli, refused: Callable[..., str]) -> None:
    Path("shapes/disc/00.png").write_bytes(Path("shapes/disc/01.png").read_bytes()[:60])
    answer = quick("predict", "run", "shapes")
    assert answer.code == 0
    assert len(rows(answer.out)) == 89
    assert "note: shapes: 1 file that is no readable image left out: disc/00.png (it is damaged or cut" in answer.err
    said = refused("predict", "run", "shapes/disc/00.png")
    assert said.startswith("shapes/disc/00.png cannot be read as an image: it is damaged or cut short")


def test_the_report_shows_images_and_fetches_nothing(folder: Cli, whole_report: None) -> None:
    assert folder("train", "shapes", *QUICK, "--out", "run", "--quiet").code == 0
    page = Path("run/report.html").read_text(encoding="utf-8")
    assert page.count('src="data:image/png;base64,') == 18 + 1 + len(KINDS)  # of the test part, and means
    assert "img-src data:;" in page
    assert "http:" not in page.replace("http://www.w3.org", "")
    assert "predict run/model.safetensors shapes" in page
    assert "mean of disc" in page


def test_sign_digits_are_read_and_learnt(cli: Cli) -> None:
    """A tenth of the work of docs/results/images.md, and a bound far below what that reaches."""
    if not SIGN_DIGITS.is_file():
        pytest.skip(f"the photographs of digits are not in {SIGN_DIGITS.parent}")
    with ZipFile(SIGN_DIGITS) as packed:
        packed.extractall()
    answer = cli("train", "sign_digits_64", "--hidden", "64", "--epochs", "12", "--image-size", "16", "--json")
    found = json.loads(answer.out)
    assert found["rows"] == 2062
    assert found["score"] > 0.6
