"""One writer at a time in a folder: a lock that the system frees, however the process ends."""

import os
import time
from pathlib import Path

from fallline.errors import RunFolderError

try:
    import fcntl
except ImportError:  # not on this system: nobody is kept out
    fcntl = None  # type: ignore[assignment]


TRIES, PAUSE = 10, 0.02
"""How often, and after how many seconds, a lock is tried again: somebody may just be looking whether it is held."""


class FolderLock:
    """Held from its making to `release`, or to the end of the process. It is no file: nothing is left behind.

    Args:
        path: a folder that exists.

    Raises:
        RunFolderError: somebody else holds it.
    """

    def __init__(self, path: Path) -> None:
        self._handle: int | None = None
        if fcntl is None:
            return
        try:
            self._handle = os.open(path, os.O_RDONLY)
            _take(self._handle)
        except BlockingIOError:
            self.release()
            raise RunFolderError(
                f"the run folder {str(path)!r} is in use: another training writes to it; wait for its end, or stop it "
                "first"
            ) from None
        except OSError:  # a file system without locks: nobody is kept out
            self.release()

    def release(self) -> None:
        """Let others in."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def __del__(self) -> None:
        self.release()


def _take(handle: int) -> None:
    """Hold the lock alone.

    Raises:
        BlockingIOError: somebody else holds it, not just for a moment.
    """
    for left in reversed(range(TRIES)):
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not left:
                raise
            time.sleep(PAUSE)


def in_use(path: Path) -> bool:
    """Whether somebody holds the lock of a folder; where the system cannot tell, that is taken for granted."""
    if fcntl is None:
        return True
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return True
    finally:
        os.close(handle)
    return False
