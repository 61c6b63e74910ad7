"""Object code on disk, so that a program is compiled once and later starts in milliseconds.

One file per program, named by a hash of everything that decides its code. A file is a header (magic, format, length and
SHA-256 of the code) and the code: a damaged one is noticed, left alone and written anew. Files appear by renaming, so
that processes never see half of one. Nothing that goes wrong here stops a training: it costs one warning.
"""

import hashlib
import logging
import os
import struct
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from stat import S_IWGRP, S_IWOTH

from fallline.engine.target import Target

FOLDER, LIMIT = "FALLLINE_CACHE", "FALLLINE_CACHE_LIMIT"
"""Environment variables: the folder, or "off"; the most that it may hold, in MB."""
DEFAULT_LIMIT = 256
MB = 1_000_000
FORMAT = 1
SUFFIX, UNFINISHED = ".code", ".part"
LOOK_EVERY = 32
"""Programs stored by this process between two looks through the folder, which other processes fill, too."""
_seen: dict[Path, tuple[int, int]] = {}
"""Folder → (programs that this process has stored there, bytes that lie there as far as it knows)."""
STALE_SECONDS = 3600.0
"""An unfinished file this old was left behind by a process that is no more."""

_MAGIC = b"FALLLINE"
_HEADER = struct.Struct("<8sIQ32s")
log = logging.getLogger("fallline")


@dataclass(frozen=True)
class Entry:
    """One stored program: its file, its size in bytes, and when it was last used (seconds since 1970)."""

    path: Path
    size: int
    used: float


class ObjectCache:
    """A folder of object code.

    Args:
        folder: where; made when something is stored.
        limit: the most that its files may take, in bytes; the least recently used go first.
    """

    def __init__(self, folder: Path, limit: int = DEFAULT_LIMIT * MB) -> None:
        self.folder = folder
        self.limit = limit
        self._usable = True
        self._known_safe = False

    def load(self, key: str) -> bytes | None:
        """The code of a program; None where there is none, or it is damaged, or the folder is not to be trusted."""
        if not self._may_use():
            return None
        path = self.folder / (key + SUFFIX)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as reason:
            self._give_up(f"cannot be read ({reason.strerror or reason})")
            return None
        code = _unpacked(content)
        if code is None:
            log.warning(f"the compiled program {path} is damaged; it is compiled anew")
            return None
        with suppress(OSError):  # gone meanwhile, or not ours to touch
            os.utime(path)
        return code

    def store(self, key: str, code: bytes) -> None:
        """Keep the code of a program, and remove the least recently used ones where the folder grows too large."""
        if not self._may_use():
            return
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._may_use():  # who made it, if not we?
                self._write(self.folder / (key + SUFFIX), _packed(code))
                self._trim_if_due(len(code))
        except OSError as reason:
            self._give_up(f"cannot be written ({reason.strerror or reason})")

    def entries(self) -> list[Entry]:
        """The stored programs, the least recently used first."""
        return self._files(SUFFIX)

    def clear(self) -> tuple[int, int]:
        """Remove all programs: (how many, their bytes). Files of others in the folder stay."""
        removed = [entry for entry in self.entries() if _remove(entry.path)]
        for left in self._files(UNFINISHED):
            _remove(left.path)
        return len(removed), sum(entry.size for entry in removed)

    def distrust(self) -> str | None:
        """Why the folder's code must not be run: None where it may be. A folder that is not there yet is no danger."""
        if not hasattr(os, "getuid"):
            return None  # Windows keeps other users out of a profile's folders by itself
        try:
            found = self.folder.stat()
        except OSError:
            return None
        if found.st_uid != os.getuid():
            return f"belongs to another user (number {found.st_uid})"
        if found.st_mode & (S_IWGRP | S_IWOTH):
            return "can be written by others (`chmod go-w` on it mends that)"
        return None

    def _may_use(self) -> bool:
        if self._usable and not self._known_safe:
            reason = self.distrust()
            if reason is not None:
                self._give_up(reason)
            self._known_safe = self.folder.exists()
        return self._usable

    def _give_up(self, reason: str) -> None:
        """Say once why programs are not kept, and leave the folder alone from then on."""
        if self._usable:
            self._usable = False
            log.warning(
                f"the folder of compiled programs {self.folder} {reason}; every program is compiled anew. "
                f"Name another folder in the environment variable {FOLDER}, or set it to off"
            )

    def _write(self, path: Path, content: bytes) -> None:
        unfinished = self.folder / f"{os.urandom(12).hex()}{UNFINISHED}"
        try:
            number = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
            with open(number, "wb") as file:
                file.write(content)
            os.replace(unfinished, path)
        except BaseException:
            _remove(unfinished)
            raise

    def _trim_if_due(self, added: int) -> None:
        """Looking through the folder takes milliseconds, so it is done at first, when it is full, and now and then."""
        stores, size = _seen.get(self.folder, (0, 0))
        if stores % LOOK_EVERY == 0 or size + added > self.limit:
            size = self._trim() - added
        _seen[self.folder] = (stores + 1, size + added)
        for left in self._files(UNFINISHED):
            if left.used < time.time() - STALE_SECONDS:
                _remove(left.path)

    def _trim(self) -> int:
        """Remove the least recently used programs beyond the limit; the bytes that are left."""
        entries = self.entries()
        total = sum(entry.size for entry in entries)
        for entry in entries:
            if total <= self.limit:
                break
            _remove(entry.path)
            total -= entry.size
        return total

    def _files(self, suffix: str) -> list[Entry]:
        found = []
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(self.folder) as files:
            for file in files:
                if file.name.endswith(suffix):
                    with suppress(OSError):  # another process has just removed it
                        status = file.stat(follow_symlinks=False)
                        found.append(Entry(Path(file.path), status.st_size, status.st_mtime))
        return sorted(found, key=lambda entry: (entry.used, entry.path))


def key(text: str, target: Target, compiler: str) -> str:
    """The name of a program: a hash of all that decides its code.

    Args:
        text: the program in LLVM's language.
        target: the processor.
        compiler: versions and settings of LLVM.
    """
    parts = (str(FORMAT), compiler, target.triple, target.cpu, target.features, text)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def from_environment() -> ObjectCache | None:
    """The cache that the environment names, the same object for the same environment; None where it is off."""
    return _cache(os.environ.get(FOLDER), os.environ.get("XDG_CACHE_HOME"), os.environ.get(LIMIT))


@lru_cache(maxsize=8)
def _cache(named: str | None, home: str | None, limit: str | None) -> ObjectCache | None:
    if named is not None and named.strip().lower() in ("", "0", "off"):
        return None
    try:
        folder = Path(named).expanduser() if named else _default_folder(home)
    except RuntimeError:  # a user without a home
        return None
    return ObjectCache(folder.absolute(), _limit(limit))


def _default_folder(home: str | None) -> Path:
    if home and Path(home).is_absolute():  # the XDG specification: a relative path is to be ignored
        return Path(home) / "fallline"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "fallline"
    return Path.home() / ".cache" / "fallline"


def _limit(given: str | None) -> int:
    """Bytes."""
    if not given:
        return DEFAULT_LIMIT * MB
    try:
        megabytes = float(given)
        if 0 <= megabytes < float("inf"):
            return int(megabytes * MB)
    except ValueError:
        pass
    log.warning(f"the environment variable {LIMIT} must be a number of MB, found {given!r}; {DEFAULT_LIMIT} is used")
    return DEFAULT_LIMIT * MB


def _packed(code: bytes) -> bytes:
    return _HEADER.pack(_MAGIC, FORMAT, len(code), hashlib.sha256(code).digest()) + code


def _unpacked(content: bytes) -> bytes | None:
    """The code; None where the file is not what was written."""
    code = content[_HEADER.size :]
    return code if content == _packed(code) else None


def _remove(path: Path) -> bool:
    """Whether the file was there and ours to remove."""
    try:
        path.unlink()
    except OSError:
        return False
    return True
