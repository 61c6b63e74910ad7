"""Where large arrays lie that are needed for a while: in memory, or in files without a name that are mapped.

Pages of a mapped file are the system's to write out and take back, so that such an array takes no memory of its own.
Files are used once a table was opened that is mapped itself; until then all arrays are ordinary ones.
"""

import errno
import math
import mmap
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fallline.engine.memory import in_units
from fallline.errors import DataError

SMALL = 1 << 20
"""Arrays up to so many bytes are always in memory."""
_place: dict[str, Path | None] = {"folder": None}


def use(folder: Path | None) -> None:
    """From now on, `empty` puts large arrays into files of that folder, while it is there; of None, into memory."""
    _place["folder"] = folder


def empty(shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """An array with any content, which is gone when nobody refers to it.

    Raises:
        DataError: the disk has no room for it.
    """
    folder, kind = _place["folder"], np.dtype(dtype)
    size = math.prod((shape,) if isinstance(shape, int) else shape) * kind.itemsize
    if size <= SMALL or kind.hasobject or folder is None or not folder.is_dir():
        return np.empty(shape, dtype=kind)
    with tempfile.TemporaryFile(dir=folder) as file:
        reserve(file.fileno(), size, folder)
        return np.frombuffer(mmap.mmap(file.fileno(), size), dtype=kind).reshape(shape)


def reserve(file: int, size: int, folder: Path) -> None:
    """Give an open file its size, and its place on the disk: a mapped page without one would end the process.

    Raises:
        DataError: there is none.
    """
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file, 0, size)
        else:
            os.truncate(file, size)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise too_little_room(size, folder) from None


def too_little_room(size: int, folder: Path) -> DataError:
    """What to say where a disk is full."""
    free = shutil.disk_usage(folder).free
    return DataError(
        f"the disk of {str(folder)!r} has too little room: {in_units(size)} more are needed, {in_units(free)} are "
        "free. Make room, or choose a folder on another disk with --out."
    )
