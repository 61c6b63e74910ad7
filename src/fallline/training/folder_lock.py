"""One writer at a time in a folder: a lock that the system frees, however the process ends."""

import os
from pathlib import Path

from fallline.errors import RunFolderError

try:
    import fcntl
except ImportError:  # not on this system: nobody is kept out
    fcntl = None  # type: ignore[assignment]


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
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
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
