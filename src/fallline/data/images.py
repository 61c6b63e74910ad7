"""Images in files as a table: decoded by Pillow, turned upright, brought to one form, a byte for each point."""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fallline.data.arrays import matrix_columns
from fallline.data.image_files import ImageFiles
from fallline.data.image_form import ImageForm
from fallline.data.table import CLASS, Layout, Table
from fallline.engine.threads import usable_cores
from fallline.errors import DataError, MissingExtraError, told

Size = tuple[int, int]
Bytes = NDArray[np.uint8]
Result = TypeVar("Result")

LONGEST = 32
"""Points of the longer side, at most, where no size is asked for: see docs/decisions/0017-images.md."""
COLOURED = 16
"""By how much the channels of a point differ, at least, where it has a colour; compression makes small differences."""
FEW_POINTS, FEW_IMAGES = 0.01, 0.05
"""Shares: an image with fewer coloured points is grey, and images of which fewer have colours are read as grey."""
FEW_BROKEN = 0.1
"""The share of unreadable files in a folder up to which they are left out."""


class _Broken(Exception):
    """Why a file cannot be read as an image."""


def read_images(files: ImageFiles, wanted: ImageForm | Size | None = None) -> Table:
    """The table of images: a row for each file, columns column_1 … column_n, and `class` where folders name it.

    Every image is decoded (of several in a file, the first), turned as its EXIF orientation says, laid on white where
    it is transparent, and resized to one size, without keeping its sides' ratio.

    Args:
        files: which.
        wanted: the form that a model needs; or the size (width, height); or None: the size of most images, its longer
            side cut to 32 points, and grey where hardly any image has colours.

    Raises:
        DataError: no file can be read; one that was given by name cannot; or more than a tenth of a folder's.
        MissingExtraError: Pillow is not installed.
    """
    _require_pillow()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of damaged EXIF data, odd palettes …: what can be decoded is
        readable, broken = _readable(files, _upright_size)
        size = wanted if isinstance(wanted, tuple) else _usual_size([found for _, found in readable])
        if isinstance(wanted, ImageForm):
            size = wanted.width, wanted.height
        decoded, late = _readable(files, lambda path: _decoded(path, size), [row for row, _ in readable])
    broken |= late
    _judge(files, broken)
    kept = [row for row, _ in decoded]
    images = np.stack([image for _, image in decoded])  # (rows, height, width, 3)
    form = wanted if isinstance(wanted, ImageForm) else ImageForm(*size, 3 if _has_colours(images) else 1)
    columns = matrix_columns(images if form.channels == 3 else _grey(images), files.source)
    if files.classes:
        columns[CLASS] = np.asarray([files.classes[row] for row in kept], dtype=object)
    notices = [*files.notices, *_left_out(files, broken)]
    if not isinstance(wanted, ImageForm):
        notices.append(_resized([found for row, found in readable if row not in late], size))
    layout = Layout(form.shape, _no_classes(files), CLASS, form, tuple(files.names[row] for row in kept))
    return Table(
        columns,
        files.source,
        [notice for notice in notices if notice],
        default_target=CLASS if files.classes else None,
        layout=layout,
    )


def _require_pillow() -> None:
    try:
        import PIL  # noqa: F401
    except ImportError:
        raise MissingExtraError(
            "images are decoded by Pillow, which is not installed; install it with pip install 'fallline[images]'"
        ) from None


def _readable(
    files: ImageFiles, read: Callable[[Path], Result], rows: Sequence[int] | None = None
) -> tuple[list[tuple[int, Result]], dict[int, str]]:
    """What `read` gives of each file, by its number; and why it cannot for others. Files are read side by side."""
    wanted = range(len(files.paths)) if rows is None else rows

    def trial(row: int) -> Result | _Broken:
        try:
            return read(files.paths[row])
        except _Broken as problem:
            return problem
        except Exception as problem:  # Pillow's decoders fail in a dozen ways, also with a SyntaxError
            return _Broken(_plainly(problem))

    pool = ThreadPoolExecutor(usable_cores())
    try:
        found = list(zip(wanted, pool.map(trial, wanted), strict=True))
    finally:
        pool.shutdown(cancel_futures=True)
    good = [(row, result) for row, result in found if not isinstance(result, _Broken)]
    return good, {row: str(result) for row, result in found if isinstance(result, _Broken)}


def _plainly(problem: Exception) -> str:
    from PIL import Image, UnidentifiedImageError

    if isinstance(problem, UnidentifiedImageError):
        return "it is no image of a kind that Pillow knows"
    if isinstance(problem, Image.DecompressionBombError):
        return _too_large()
    if isinstance(problem, PermissionError):
        return "it may not be read"
    return f"it is damaged or cut short: {told(problem, 100)}"


def _too_large() -> str:
    from PIL import Image

    return f"it has more than {Image.MAX_IMAGE_PIXELS:,} points, Pillow's limit against files made to fill the memory"


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """An image whose points are not decoded yet."""
    from PIL import Image

    with path.open("rb") as file, Image.open(file) as image:
        if Image.MAX_IMAGE_PIXELS is not None and image.width * image.height > Image.MAX_IMAGE_PIXELS:
            raise _Broken(_too_large())
        yield image


def _upright_size(path: Path) -> Size:
    """(width, height) once it is turned as its EXIF orientation says."""
    with _opened(path) as image:
        turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
        return (image.height, image.width) if turned else (image.width, image.height)


def _decoded(path: Path, size: Size) -> Bytes:
    """An image in red, green and blue: (height, width, 3)."""
    from PIL import Image, ImageOps

    with _opened(path) as image:
        image.draft(None, (2 * max(size), 2 * max(size)))  # a large JPEG is decoded at half its size or less
        plain = _in_colours(ImageOps.exif_transpose(image))
    if plain.size != size:
        plain = plain.resize(size, Image.Resampling.BILINEAR)
    return np.asarray(plain)


def _in_colours(image: Any) -> Any:
    """An image in red, green and blue, on white where it is transparent."""
    from PIL import Image

    if image.mode in ("I", "F"):
        raise _Broken("its points are numbers of 32 bits, for which black and white are not known")
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _usual_size(sizes: Sequence[Size]) -> Size:
    """The size that at least half of the images have, or else a square; smaller where it is too large."""
    if not sizes:
        return LONGEST, LONGEST
    (width, height), images = Counter(sizes).most_common(1)[0]
    if 2 * images < len(sizes):
        return LONGEST, LONGEST
    scale = min(1.0, LONGEST / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _has_colours(images: Bytes) -> bool:
    few = FEW_POINTS * images[0, :, :, 0].size
    coloured = [np.count_nonzero(np.ptp(image, axis=2) >= COLOURED) > few for image in images]
    return bool(sum(coloured) >= FEW_IMAGES * len(images))


def _grey(images: Bytes) -> Bytes:
    """The brightness of each point, as Pillow has it: (0.299 red + 0.587 green + 0.114 blue), rounded."""
    from PIL import Image

    return np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in images])


def _judge(files: ImageFiles, broken: dict[int, str]) -> None:
    """Raise where too many files are broken, or one that was given by name is."""
    if not broken or (not files.named and len(broken) <= FEW_BROKEN * len(files.names)):
        return
    row, why = next(iter(sorted(broken.items())))
    place = files.names[row] if files.named else f"{files.source}, file {files.names[row]}"
    many = f" Of {len(files.names):,} files, {len(broken):,} cannot be read." if len(broken) > 1 else ""
    raise DataError(f"{place} cannot be read as an image: {why}. Replace or remove it.{many}")


def _left_out(files: ImageFiles, broken: dict[int, str]) -> list[str]:
    told_of = [f"{files.names[row]} ({why})" for row, why in sorted(broken.items())[:3]]
    count = "1 file that is" if len(broken) == 1 else f"{len(broken):,} files that are"
    more = "; …" if len(broken) > 3 else ""
    return [f"{files.source}: {count} no readable image left out: {'; '.join(told_of)}{more}."] if broken else []


def _resized(sizes: Sequence[Size], size: Size) -> str:
    """What was done to the images' sizes; nothing to tell where they have it."""
    others = Counter(found for found in sizes if found != size)
    if not others:
        return ""
    width, height = others.most_common(1)[0][0]
    rest = "" if len(others) == 1 else f" and {len(others) - 1:,} other sizes"
    count = "1 image was" if others.total() == 1 else f"{others.total():,} images were"
    return (
        f"{count} resized from {width} × {height}{rest} to {size[0]} × {size[1]} points; --image-size WxH takes "
        "another size."
    )


def _no_classes(files: ImageFiles) -> str:
    if files.classes:
        return ""
    return "its images are not in folders of classes. Put those of each class into a folder that is named like it."
