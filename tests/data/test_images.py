"""Images in files: every point as Pillow and the file have it, one form for all, and a sentence for each fault."""

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

pytest.importorskip("PIL", reason="images are decoded by Pillow: pip install 'fallline[images]'")

from PIL import Image, ImageOps

from fallline.data.image_files import find_images
from fallline.data.image_form import ImageForm, size_of
from fallline.data.sources import read_table
from fallline.data.table import Table
from fallline.errors import ArgumentError, DataError, MissingExtraError

Points = np.ndarray
SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([(), (3,), (4,)]))
POINTS = SHAPES.flatmap(lambda shape: arrays(np.uint8, (*shape[:2], *shape[2])))


def points(table: Table) -> Points:
    """The images of a table: (rows, height, width, …)."""
    assert table.layout is not None
    assert table.layout.form is not None
    columns = [table.column(f"column_{k}") for k in range(1, table.layout.form.points + 1)]
    return np.stack(columns, axis=1).reshape(len(table), *table.layout.shape)


def save(path: Path, array: Points, **how: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **how)
    return path


def noise(*shape: int, seed: int = 0) -> Points:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def on_white(array: Points) -> Points:
    """Red, green and blue of an image with a fourth channel of opacity."""
    colour, opacity = array[..., :3].astype(float), array[..., 3:] / 255.0
    return colour * opacity + 255.0 * (1.0 - opacity)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(array=POINTS)
def test_every_point_is_that_of_the_file(tmp_path_factory: pytest.TempPathFactory, array: Points) -> None:
    path = save(tmp_path_factory.mktemp("images") / "a.png", array)
    height, width = array.shape[:2]
    found = points(read_table(path, images=ImageForm(width, height, 3)))[0]
    if array.ndim == 2:
        np.testing.assert_array_equal(found, np.repeat(array[..., None], 3, axis=2))
        np.testing.assert_array_equal(points(read_table(path))[0], array)
    elif array.shape[2] == 3:
        np.testing.assert_array_equal(found, array)
    else:
        assert np.abs(found - on_white(array)).max() <= 1.0


@pytest.mark.parametrize("ending", ["png", "PNG", "bmp", "tif", "TIFF", "webp", "gif"])
def test_lossless_formats_keep_every_point(tmp_path: Path, ending: str) -> None:
    array = noise(7, 5) if ending == "gif" else noise(7, 5, 3)
    how = {"lossless": True} if ending == "webp" else {}
    found = points(read_table(save(tmp_path / f"a.{ending}", array, **how)))[0]
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("ending", ["jpg", "JPEG"])
def test_jpeg_is_as_pillow_decodes_it(tmp_path: Path, ending: str) -> None:
    path = save(tmp_path / f"a.{ending}", noise(8, 8, 3))
    with Image.open(path) as image:
        expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(points(read_table(path))[0], expected)


def test_palettes_and_their_transparency(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putdata([0, 1])
    image.save(tmp_path / "a.png", transparency=1)
    assert points(read_table(tmp_path / "a.png"))[0].tolist() == [[[255, 0, 0], [255, 255, 255]]]


def test_other_kinds_of_points(tmp_path: Path) -> None:
    deep = np.asarray([[0, 255, 256, 40_000, 65_535]], dtype=np.uint16)
    assert points(read_table(save(tmp_path / "deep.png", deep)))[0].tolist() == [[0, 0, 1, 156, 255]]
    assert points(read_table(save(tmp_path / "bits.png", np.asarray([[True, False]]))))[0].tolist() == [[255, 0]]
    Image.new("CMYK", (2, 2), (0, 255, 255, 0)).save(tmp_path / "cmyk.tif")
    assert points(read_table(tmp_path / "cmyk.tif"))[0][0, 0].tolist() == [255, 0, 0]
    save(tmp_path / "float.tif", np.ones((2, 2), dtype=np.float32))
    with pytest.raises(DataError, match="its points are numbers of 32 bits, for which black and white are not known"):
        read_table(tmp_path / "float.tif")


def turned(array: Points, orientation: int) -> Points:
    """How an image is to be seen whose rows and columns EXIF says begin elsewhere (CIPA DC-008, tag 274)."""
    left_right, up_down = array[:, ::-1], array[::-1]
    across = array.swapaxes(0, 1)
    return {
        1: array,
        2: left_right,
        3: array[::-1, ::-1],
        4: up_down,
        5: across,
        6: across[:, ::-1],
        7: across[::-1, ::-1],
        8: across[::-1],
    }[orientation]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_upright(tmp_path: Path, orientation: int) -> None:
    array, exif = noise(5, 3, 3), Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "a.png", array, exif=exif)
    found = points(read_table(path))[0]
    np.testing.assert_array_equal(found, turned(array, orientation))
    with Image.open(path) as image:
        np.testing.assert_array_equal(found, np.asarray(ImageOps.exif_transpose(image)))


def test_of_several_images_in_a_file_the_first_is_read(tmp_path: Path) -> None:
    frames = [Image.fromarray(noise(4, 4, seed=seed)) for seed in (1, 2)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(points(read_table(tmp_path / "a.gif"))[0], noise(4, 4, seed=1))


def test_sizes_are_brought_to_the_commonest_which_is_told(tmp_path: Path) -> None:
    for k in range(4):
        save(tmp_path / f"{k}.png", noise(8, 6, seed=k))
    save(tmp_path / "x.png", noise(9, 9))
    table = read_table(tmp_path)
    assert table.layout is not None
    assert str(table.layout.form) == "6 × 8 points, grey"
    assert table.notices == ["1 image was resized from 9 × 9 to 6 × 8 points; --image-size WxH takes another size."]
    expected = np.asarray(Image.fromarray(noise(9, 9)).resize((6, 8), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(points(table)[4], expected)
    assert read_table(tmp_path, images=(4, 3)).layout.shape == (3, 4)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("sizes", "seen"),
    [
        ([(64, 64)] * 3, (32, 32)),
        ([(64, 48)] * 3, (24, 32)),
        ([(200, 10)], (2, 32)),
        ([(9, 9), (7, 8), (5, 5)], (32, 32)),
    ],
)  # fmt: skip
def test_large_images_and_images_of_all_sizes_are_made_small(tmp_path: Path, sizes: Any, seen: Any) -> None:
    for k, (width, height) in enumerate(sizes):
        save(tmp_path / f"{k}.png", noise(height, width))
    found = read_table(tmp_path)
    assert found.layout is not None
    assert found.layout.shape == seen


def test_even_images_stay_even_at_any_size(tmp_path: Path) -> None:
    save(tmp_path / "a.png", np.full((50, 70, 3), (10, 200, 90), dtype=np.uint8))
    found = points(read_table(tmp_path / "a.png", images=(11, 13)))[0]
    assert (found == (10, 200, 90)).all()


def test_colours_are_kept_where_there_are_some(tmp_path: Path) -> None:
    grey = noise(8, 8)
    for k in range(30):
        save(tmp_path / f"{k}.png", np.stack([grey, grey, np.minimum(grey, 250) + 5], axis=2))  # nearly grey
    assert points(read_table(tmp_path)).shape == (30, 8, 8)
    save(tmp_path / "red.png", noise(8, 8, 3))
    assert points(read_table(tmp_path)).shape == (31, 8, 8)  # one in thirty is not enough
    save(tmp_path / "blue.png", noise(8, 8, 3))
    assert points(read_table(tmp_path)).shape == (32, 8, 8, 3)


def test_grey_is_brightness(tmp_path: Path) -> None:
    array = noise(6, 6, 3)
    save(tmp_path / "a.png", array)
    found = points(read_table(tmp_path / "a.png", images=ImageForm(6, 6, 1)))[0]
    assert np.abs(found - array @ np.asarray([0.299, 0.587, 0.114])).max() <= 0.51


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Folders "b" and "a" of two images each."""
    for name in ("b", "a"):
        for k in (1, 2):
            save(tmp_path / "set" / name / f"{k}.png", noise(4, 4, seed=ord(name) + k))
    return tmp_path / "set"


def test_folders_are_classes_and_files_are_rows_in_order(classes: Path) -> None:
    table = read_table(classes)
    assert table.column("class").tolist() == ["a", "a", "b", "b"]
    assert [table.file(row) for row in range(4)] == ["a/1.png", "a/2.png", "b/1.png", "b/2.png"]
    assert table.default_target == "class"
    part = table.select([2, 0])
    assert (part.file(0), part.place(1), part.row_name(1)) == ("b/1.png", f"{classes}, file a/1.png", "a/1.png")
    np.testing.assert_array_equal(points(part)[0], noise(4, 4, seed=ord("b") + 1))


def test_files_by_name_and_by_pattern(classes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(classes)
    one, pattern, several = read_table("a/1.png"), read_table("*/2.png"), read_table(["b/1.png", Path("a/1.png")])
    assert [one.file(0), pattern.file(0), pattern.file(1)] == ["a/1.png", "a/2.png", "b/2.png"]
    assert [several.file(0), several.file(1)] == ["b/1.png", "a/1.png"]  # as given
    assert one.place(0) == "a/1.png"
    assert "class" not in several
    with pytest.raises(DataError, match=r"c\.png is not there, or is no file\. Correct its name\."):
        read_table(["a/1.png", "c.png"])


def test_a_hash_is_of_names_and_contents(classes: Path) -> None:
    def hash_of() -> str:
        found = find_images(classes)
        assert found is not None
        return found.hash()

    first = hash_of()
    (classes / "notes.txt").write_text("no image")
    assert hash_of() == first
    (classes / "a" / "1.png").rename(classes / "a" / "3.png")
    renamed = hash_of()
    save(classes / "a" / "3.png", noise(4, 4, seed=9))
    assert len({first, renamed, hash_of()}) == 3


def test_what_is_left_out_is_told(classes: Path) -> None:
    (classes / "Empty").mkdir()
    (classes / ".hidden").write_text("x")
    (classes / "a" / "labels.csv").write_text("x")
    assert read_table(classes).notices == [
        f"{classes}: the folder 'Empty' holds no image, so there is no such class.",
        f"{classes}: 1 file is no image by its name and was left out, such as labels.csv.",
    ]


def broken(classes: Path, rows: int = 30) -> Path:
    for k in range(rows):
        save(classes / "a" / f"good{k}.png", noise(4, 4, seed=k))
    whole = (classes / "b" / "1.png").read_bytes()
    (classes / "a" / "cut.png").write_bytes(whole[:-30])
    (classes / "a" / "text.png").write_text("no image")
    return classes


def test_a_few_files_that_cannot_be_read_are_left_out_and_named(classes: Path) -> None:
    table = read_table(broken(classes))
    assert len(table) == 34
    (told,) = table.notices
    assert told.startswith(
        f"{classes}: 2 files that are no readable image left out: a/cut.png (it is damaged or cut sh"
    )
    assert "a/text.png (it is no image of a kind that Pillow knows)" in told
    assert "a/cut.png" not in {table.file(row) for row in range(34)}
    assert [table.column("class")[row] for row in range(34)] == ["a"] * 32 + ["b"] * 2


def test_many_of_them_are_refused_and_so_is_one_that_was_named(classes: Path) -> None:
    folder = broken(classes, 10)
    with pytest.raises(DataError, match=r"set, file a/cut\.png cannot be read .* Of 16 files, 2 cannot be read\."):
        read_table(folder)
    with pytest.raises(DataError, match=r"text\.png cannot be read as an image: it is no image of a kind that Pillow "):
        read_table(folder / "a" / "text.png")


def test_files_made_to_fill_the_memory_are_not_decoded(classes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 12)
    with pytest.raises(
        DataError, match="it has more than 12 points, Pillow's limit against files made to fill the mem"
    ):
        read_table(classes / "a" / "1.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 7)  # less than half of it: Pillow itself refuses
    with pytest.raises(
        DataError, match="it has more than 7 points, Pillow's limit against files made to fill the memo"
    ):
        read_table(classes)


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (
            ["x.png", "a/y.png"],
            "holds 1 image, such as x.png, beside folders of images, such as a. Put each image into",
        ),
        (
            ["train/a/x.png", "test/a/x.png"],
            "has images only in folders of folders, such as .*; expected a folder for ",
        ),
        (["a/x.png", "b/c/x.png"], "has images also in folders of folders, such as .*; expected a folder for each cla"),
        (["a.md", "b/c.txt"], "is a folder without images, CSV or Parquet files: give a file. It holds a.md."),
        ([], "is a folder without images, CSV or Parquet files: give a file. It is empty."),
    ],
)
def test_other_folders_are_refused(tmp_path: Path, files: list[str], sentence: str) -> None:
    (tmp_path / "set").mkdir()
    for name in files:
        if name.endswith("png"):
            save(tmp_path / "set" / name, noise(3, 3))
        else:
            (tmp_path / "set" / name).parent.mkdir(exist_ok=True)
            (tmp_path / "set" / name).write_text("x")
    with pytest.raises(DataError, match=sentence):
        read_table(tmp_path / "set")


def test_nested_folders_are_named_for_training_and_test(tmp_path: Path) -> None:
    for name in ("train/a/x.png", "test/a/x.png"):
        save(tmp_path / name, noise(3, 3))
    with pytest.raises(DataError) as refused:
        read_table(tmp_path)
    assert f"such as {tmp_path / 'train'}, and test on another one with --test {tmp_path / 'test'}." in str(
        refused.value
    )


def test_without_pillow_the_command_that_installs_it_is_named(classes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match=r"not installed; install it with pip install 'fallline\[images\]'"):
        read_table(classes)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    place=st.integers(0, 400), byte=st.integers(0, 255), cut=st.booleans(), kind=st.sampled_from(["PNG", "JPEG", "GIF"])
)
def test_damaged_files_are_read_or_refused_with_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, place: int, byte: int, cut: bool, kind: str
) -> None:
    buffer = io.BytesIO()
    Image.fromarray(noise(9, 9)).save(buffer, kind)
    data = bytearray(buffer.getvalue())
    place %= len(data)
    data[place] = byte
    path = tmp_path_factory.mktemp("damaged") / "a.png"
    path.write_bytes(data[:place] if cut else data)
    told = ""
    try:
        rows = len(read_table(path))
    except DataError as error:
        rows, told = 1, str(error)
    assert rows == 1
    assert not told or told.startswith(f"{path} cannot be read as an image: it ")


@pytest.mark.parametrize(("text", "size"), [("32x48", (32, 48)), (" 7 ", (7, 7)), ("5X6", (5, 6)), ("8×9", (8, 9))])
def test_sizes_as_text(text: str, size: tuple[int, int]) -> None:
    assert size_of(text) == size


@pytest.mark.parametrize("text", ["", "0x3", "3x", "-4", "257x2", "1e3", "4x4x3"])
def test_wrong_sizes_as_text(text: str) -> None:
    with pytest.raises(ArgumentError, match="an image's size is width x height in points, such as 32x32"):
        size_of(text)


def test_a_form_survives_json() -> None:
    form = ImageForm(4, 7, 3)
    assert ImageForm.from_json(form.to_json()) == form
    assert (form.shape, form.points, str(form)) == ((7, 4, 3), 84, "4 × 7 points, in colours")
