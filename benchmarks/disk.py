"""How much disk an installed package takes, with everything that it requires."""

from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def requirements(name: str) -> dict[str, Distribution]:
    """A package and all that it requires, directly or not, by canonical name; extras are left out.

    Raises:
        PackageNotFoundError: it is not installed. What it requires and is not installed is passed over.
    """
    found: dict[str, Distribution] = {}
    wanted = [name]
    while wanted:
        this = canonicalize_name(wanted.pop())
        if this in found:
            continue
        try:
            found[this] = distribution(this)
        except PackageNotFoundError:
            if not found:
                raise
            continue
        for line in found[this].requires or []:
            required = Requirement(line)
            if required.marker is None or required.marker.evaluate({"extra": ""}):
                wanted.append(required.name)
    return found


def bytes_of(package: Distribution) -> int:
    """Bytes of a package's files, as its record lists them; links and files that are gone count nothing."""
    paths = [package.locate_file(file) for file in package.files or []]
    real = {str(path) for path in paths}
    return sum(_size(path) for path in real)


def _size(path: str) -> int:
    file = Path(path)
    return file.stat().st_size if file.is_file() and not file.is_symlink() else 0


def installed(name: str, without: str = "") -> dict[str, int]:
    """Package → bytes, the largest first, for a package and all that it requires.

    Args:
        name: the package.
        without: a package to leave out, such as the one asked about.
    """
    sizes = {key: bytes_of(package) for key, package in requirements(name).items() if key != without}
    return dict(sorted(sizes.items(), key=lambda item: -item[1]))
