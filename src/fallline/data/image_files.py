"""Which files are images: a file, several, a pattern, a folder of them, or a folder with a folder for each class."""

import glob
import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fallline.errors import DataError

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")


@dataclass(frozen=True)
class ImageFiles:
    """Images by name.

    Attributes:
        source: what messages call them all.
        names: of the files, in order: as given, or within the folder.
        paths: of the same.
        classes: the folder that each lies in, where there is one for each class; else empty.
        named: whether each file was given by its name, and not found in a folder.
        notices: what a person should be told.
    """

    source: str
    names: tuple[str, ...]
    paths: tuple[Path, ...]
    classes: tuple[str, ...] = ()
    named: bool = False
    notices: list[str] = field(default_factory=list)

    def hash(self) -> str:
        """Of names and contents."""
        digest = hashlib.blake2b(digest_size=16)
        for name, path in zip(self.names, self.paths, strict=True):
            content = path.read_bytes()
            digest.update(f"{name}\0{len(content)}\0".encode("utf-8", "surrogateescape"))
            digest.update(content)
        return digest.hexdigest()


def find_images(source: Any) -> ImageFiles | None:
    """The images that a path, a pattern such as new/*.png, or a list of paths names; None where it names none.

    Raises:
        DataError: a folder's images are not all in it, nor all in folders of classes.
    """
    if isinstance(source, str | os.PathLike):
        path, text = Path(source), str(source)
        if path.is_dir():
            return _in_folder(path, text)
        if path.is_file():
            return ImageFiles(text, (text,), (path,), named=True) if is_image(path) else None
        matches = sorted(glob.glob(text)) if glob.has_magic(text) else []
        return _of_paths(matches, text)
    if isinstance(source, Sequence) and all(isinstance(each, str | os.PathLike) for each in source):
        return _of_paths(source, "the list of files" if len(source) > 1 else str(source[0]) if source else "")
    return None


def is_image(path: Path) -> bool:
    """Whether a file's name ends as an image's does."""
    return path.suffix.lower() in ENDINGS and not path.name.startswith(".")


def _of_paths(paths: Sequence[Any], source: str) -> ImageFiles | None:
    if not paths or not all(is_image(Path(path)) for path in paths):
        return None
    absent = next((path for path in paths if not Path(path).is_file()), None)
    if absent is not None:
        raise DataError(f"{absent} is not there, or is no file. Correct its name.")
    return ImageFiles(source, tuple(map(str, paths)), tuple(map(Path, paths)), named=True)


def _in_folder(folder: Path, source: str) -> ImageFiles | None:
    files, folders = _listed(folder, source)
    inside = {each.name: _listed(each, str(each)) for each in folders}
    here = [path for path in files if is_image(path)]
    by_class = {name: [path for path in found if is_image(path)] for name, (found, _) in inside.items()}
    deeper = [each for _, below in inside.values() for each in below if any(map(is_image, _listed(each, str(each))[0]))]
    if deeper:
        _refuse_nested(source, deeper, any(by_class.values()))
    if not here and not any(by_class.values()):
        return None
    if here and any(by_class.values()):
        raise DataError(
            f"{source} holds {_counted(here)}, such as {here[0].name}, beside folders of images, such as "
            f"{next(name for name, found in by_class.items() if found)}. Put each image into the folder of its class, "
            "or all of them into one folder."
        )
    paths = here or [path for found in by_class.values() for path in found]
    listed = files if here else [*files, *(path for found, _ in inside.values() for path in found)]
    others = [path for path in listed if not is_image(path)]
    empty = [] if here else [name for name, found in by_class.items() if not found]
    named = sorted((path.relative_to(folder).as_posix(), path) for path in paths)
    return ImageFiles(
        source,
        tuple(name for name, _ in named),
        tuple(path for _, path in named),
        () if here else tuple(path.parent.name for _, path in named),
        notices=_told(source, empty, others),
    )


def _told(source: str, empty: list[str], others: list[Path]) -> list[str]:
    notices = []
    if empty:
        named = ", ".join(map(repr, empty[:5])) + (", …" if len(empty) > 5 else "")
        hold = f"the folder {named} holds" if len(empty) == 1 else f"the folders {named} hold"
        notices.append(f"{source}: {hold} no image, so there is no such class.")
    if others:
        count = "1 file is no image by its name and was" if len(others) == 1 else f"{len(others):,} files are no images"
        count += "" if len(others) == 1 else " by their names and were"
        notices.append(f"{source}: {count} left out, such as {others[0].name}.")
    return notices


def _refuse_nested(source: str, deeper: list[Path], mixed: bool) -> None:
    """Raise that a folder's images lie deeper than in folders of classes."""
    parents = sorted({each.parent for each in deeper})
    test = next((path for path in parents if path.name.lower() in ("test", "val", "valid", "validation")), None)
    first = next((path for path in parents if path != test), parents[0])
    beside = f", and test on another one with --test {test}" if test is not None and test != first else ""
    found = "also in" if mixed else "only in"
    raise DataError(
        f"{source} has images {found} folders of folders, such as {deeper[0]}; expected a folder for each class with "
        f"the images in it. Give the folder that holds those of the classes, such as {first}{beside}."
    )


def _listed(folder: Path, source: str) -> tuple[list[Path], list[Path]]:
    """(the files, the folders) in a folder, in order, but for hidden ones."""
    try:
        entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as problem:
        raise DataError(f"{source} cannot be read: {problem.strerror}. Change its permissions, or copy it.") from None
    return [path for path in entries if path.is_file()], [path for path in entries if path.is_dir()]


def _counted(paths: Iterable[Path]) -> str:
    number = len(list(paths))
    return "1 image" if number == 1 else f"{number:,} images"
