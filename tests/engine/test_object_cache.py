"""Object code on disk: found again, never believed when damaged, and never the reason why something fails."""

import json
import logging
import multiprocessing
import os
import stat
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from fallline.engine import object_cache
from fallline.engine.object_cache import Entry, ObjectCache, from_environment, key
from fallline.engine.target import Target

CODE = bytes(range(256)) * 8
NAME = "a" * 64
TARGET = Target("x86_64-unknown-linux-gnu", "znver4", "+avx2", 64, 32)
windows = pytest.mark.skipif(sys.platform == "win32", reason="folders have no such permissions there")


@pytest.fixture
def cache(tmp_path: Path) -> ObjectCache:
    return ObjectCache(tmp_path / "deep" / "kept")


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "fallline"]


def test_what_is_stored_is_found_again(cache: ObjectCache, caplog: pytest.LogCaptureFixture) -> None:
    assert cache.load(NAME) is None
    assert cache.entries() == []
    assert cache.clear() == (0, 0)
    cache.store(NAME, CODE)
    cache.store("b" * 64, b"")
    assert cache.load(NAME) == CODE
    assert cache.load("b" * 64) == b""
    assert ObjectCache(cache.folder).load(NAME) == CODE
    cache.store(NAME, b"other")
    assert cache.load(NAME) == b"other"
    assert said(caplog) == []


@windows
def test_only_the_user_can_enter_the_folder(cache: ObjectCache) -> None:
    cache.store(NAME, CODE)
    assert stat.S_IMODE(cache.folder.stat().st_mode) == 0o700
    (file,) = cache.folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def damages() -> list[tuple[str, bytes]]:
    content = object_cache._packed(CODE)
    header = len(content) - len(CODE)
    cut = [(f"cut to {n}", content[:n]) for n in (0, 7, header - 1, header, header + 1, len(content) - 1)]
    flipped = [
        (f"bit {bit} of byte {place}", content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :])
        for place, bit in [*((place, place % 8) for place in range(header)), (header, 0), (header + 999, 7), (-1, 3)]
        if place >= 0
    ]
    return [*cut, *flipped, ("longer", content + b"\0"), ("foreign", b"\x7fELF" + bytes(100))]


@pytest.mark.parametrize("content", [content for _, content in damages()], ids=[name for name, _ in damages()])
def test_a_damaged_file_is_left_alone_and_written_anew(
    cache: ObjectCache, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    cache.store(NAME, CODE)
    file = cache.folder / f"{NAME}.code"
    file.write_bytes(content)
    assert cache.load(NAME) is None
    assert said(caplog) == [f"the compiled program {file} is damaged; it is compiled anew"]
    cache.store(NAME, CODE)
    assert cache.load(NAME) == CODE
    assert len(said(caplog)) == 1


def test_a_file_in_place_of_the_folder_costs_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "kept").write_text("mine")
    cache = ObjectCache(tmp_path / "kept")
    for _ in range(3):
        assert cache.load(NAME) is None
        cache.store(NAME, CODE)
    (warning,) = said(caplog)
    assert warning == (
        f"the folder of compiled programs {tmp_path / 'kept'} cannot be read (Not a directory); every program is "
        "compiled anew. Name another folder in the environment variable FALLLINE_CACHE, or set it to off"
    )
    assert (tmp_path / "kept").read_text() == "mine"
    assert cache.entries() == []
    assert cache.clear() == (0, 0)


def test_a_file_in_place_of_a_parent_costs_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "home").write_text("mine")
    cache = ObjectCache(tmp_path / "home" / "kept")
    for _ in range(3):
        cache.store(NAME, CODE)
        assert cache.load(NAME) is None
    assert len(said(caplog)) == 1
    assert "cannot be written (Not a directory)" in said(caplog)[0]


@windows
@pytest.mark.skipif(hasattr(os, "getuid") and os.getuid() == 0, reason="root can write everywhere")
def test_a_folder_that_cannot_be_written_costs_one_warning(
    cache: ObjectCache, caplog: pytest.LogCaptureFixture
) -> None:
    cache.store(NAME, CODE)
    cache.folder.chmod(0o500)
    try:
        for name in ("b", "c"):
            cache.store(name * 64, CODE)
    finally:
        cache.folder.chmod(0o700)
    assert len(said(caplog)) == 1
    assert "cannot be written (Permission denied)" in said(caplog)[0]


def test_a_full_disk_leaves_nothing_unfinished(
    cache: ObjectCache, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    cache.store(NAME, CODE)
    monkeypatch.setattr(os, "replace", full)
    cache.store("b" * 64, CODE)
    assert [file.name for file in cache.folder.iterdir()] == [f"{NAME}.code"]
    assert "cannot be written (No space left on device)" in said(caplog)[0]


@windows
def test_a_folder_of_another_user_is_refused(
    cache: ObjectCache, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.store(NAME, CODE)
    owner = cache.folder.stat().st_uid
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    other = ObjectCache(cache.folder)
    assert other.load(NAME) is None
    other.store("b" * 64, CODE)
    assert len(other.entries()) == 1
    (warning,) = said(caplog)
    assert f"belongs to another user (number {owner}); every program is compiled anew" in warning


@windows
@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_folder_that_others_can_write_is_refused(
    cache: ObjectCache, caplog: pytest.LogCaptureFixture, mode: int
) -> None:
    cache.store(NAME, CODE)
    cache.folder.chmod(mode)
    other = ObjectCache(cache.folder)
    other.store("b" * 64, CODE)
    assert other.load(NAME) is None
    assert len(other.entries()) == 1
    (warning,) = said(caplog)
    assert "can be written by others (`chmod go-w` on it mends that); every program" in warning
    cache.folder.chmod(0o755)
    assert ObjectCache(cache.folder).load(NAME) == CODE


def test_the_least_recently_used_go_first(cache: ObjectCache) -> None:
    size = len(object_cache._packed(CODE))
    cache.limit = 3 * size
    for age, name in enumerate("abc"):
        cache.store(name * 64, CODE)
        os.utime(cache.folder / f"{name * 64}.code", (1000 + age, 1000 + age))
    assert [entry.path.name[0] for entry in cache.entries()] == ["a", "b", "c"]
    assert cache.load("a" * 64) == CODE
    assert [entry.path.name[0] for entry in cache.entries()] == ["b", "c", "a"]
    assert sum(entry.size for entry in cache.entries()) == 3 * size
    cache.store("d" * 64, CODE)
    assert [entry.path.name[0] for entry in cache.entries()] == ["c", "a", "d"]
    cache.limit = size - 1
    cache.store("e" * 64, CODE)
    assert cache.entries() == []


def test_files_that_another_process_removes_are_no_error(
    cache: ObjectCache, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.store(NAME, CODE)
    gone = Entry(cache.folder / ("f" * 64 + ".code"), 10**9, 0.0)
    monkeypatch.setattr(cache, "entries", lambda: [gone])
    cache.store("b" * 64, CODE)
    assert cache.clear() == (0, 0)
    monkeypatch.undo()
    assert len(cache.entries()) == 2
    assert said(caplog) == []


def test_clearing_removes_programs_and_nothing_else(cache: ObjectCache) -> None:
    cache.store(NAME, CODE)
    cache.store("b" * 64, CODE)
    (cache.folder / "notes.txt").write_text("mine")
    (cache.folder / "half.part").write_bytes(b"left behind")
    assert cache.clear() == (2, 2 * len(object_cache._packed(CODE)))
    assert [file.name for file in cache.folder.iterdir()] == ["notes.txt"]


def test_what_a_killed_process_left_behind_goes_with_time(cache: ObjectCache) -> None:
    cache.store(NAME, CODE)
    old, new = cache.folder / "old.part", cache.folder / "new.part"
    for file in (old, new):
        file.write_bytes(b"unfinished")
    long_ago = time.time() - 2 * object_cache.STALE_SECONDS
    os.utime(old, (long_ago, long_ago))
    cache.store("b" * 64, CODE)
    assert not old.exists()
    assert new.exists()


def code_of(number: int) -> bytes:
    return bytes([number]) * (5000 + number)


def write_and_read(folder: str, seed: int, rounds: int) -> None:
    """In a process of its own: every load is nothing or the right code."""
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("fallline").addHandler(handler)
    cache = ObjectCache(Path(folder), limit=25_000)  # room for four or five of the eight
    wrong = hits = 0
    for step in range(rounds):
        number = (step * (2 * seed + 3) + seed) % 8
        found = cache.load(f"{number:064x}")
        hits += found is not None
        wrong += found not in (None, code_of(number))
        cache.store(f"{number:064x}", code_of(number))
    Path(folder).with_name(f"result-{seed}").write_text(json.dumps({"wrong": wrong, "hits": hits, "said": said}))


def test_many_processes_share_a_folder(tmp_path: Path) -> None:
    start = multiprocessing.get_context("spawn")
    processes = [
        start.Process(target=write_and_read, args=(str(tmp_path / "kept"), seed, 150), daemon=True) for seed in range(3)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    results = [json.loads((tmp_path / f"result-{seed}").read_text()) for seed in range(3)]
    assert [(result["wrong"], result["said"]) for result in results] == [(0, [])] * 3
    left = ObjectCache(tmp_path / "kept")
    assert 0 < sum(entry.size for entry in left.entries()) <= 25_000
    for entry in left.entries():
        assert left.load(entry.path.stem) == code_of(int(entry.path.stem, 16))
    assert not list((tmp_path / "kept").glob("*.part"))


def test_the_name_depends_on_everything_that_decides_the_code() -> None:
    names = {
        key("text", TARGET, "llvm 1"),
        key("text ", TARGET, "llvm 1"),
        key("text", TARGET, "llvm 2"),
        key("text", replace(TARGET, cpu="znver3"), "llvm 1"),
        key("text", replace(TARGET, features="+avx2,+fma"), "llvm 1"),
        key("text", replace(TARGET, triple="x86_64-apple-darwin"), "llvm 1"),
    }
    assert len(names) == 6
    assert all(len(name) == 64 for name in names)
    assert key("text", TARGET, "llvm 1") in names


@pytest.mark.parametrize("value", ["off", "OFF", "0", "", " "])
def test_the_environment_switches_it_off(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FALLLINE_CACHE", value)
    assert from_environment() is None


def test_the_environment_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def folder() -> Path:
        found = from_environment()
        assert found is not None
        assert from_environment() is found
        return found.folder

    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FALLLINE_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert folder() == tmp_path / "own"
    monkeypatch.setenv("FALLLINE_CACHE", "~/own")
    assert folder() == tmp_path / "home" / "own"
    monkeypatch.setenv("FALLLINE_CACHE", "own-here")
    assert folder() == Path.cwd() / "own-here"
    monkeypatch.delenv("FALLLINE_CACHE")
    assert folder() == tmp_path / "xdg" / "fallline"
    monkeypatch.setattr(object_cache.sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert folder() == tmp_path / "home" / ".cache" / "fallline"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert folder() == tmp_path / "home" / ".cache" / "fallline"
    object_cache._cache.cache_clear()
    monkeypatch.setattr(object_cache.sys, "platform", "darwin")
    assert folder() == tmp_path / "home" / "Library" / "Caches" / "fallline"
    object_cache._cache.cache_clear()


@pytest.mark.parametrize(("given", "limit"), [(None, 256e6), ("", 256e6), ("10", 10e6), ("0.5", 5e5), ("0", 0)])
def test_the_environment_sets_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str | None, limit: float
) -> None:
    monkeypatch.setenv("FALLLINE_CACHE", str(tmp_path))
    if given is None:
        monkeypatch.delenv("FALLLINE_CACHE_LIMIT", raising=False)
    else:
        monkeypatch.setenv("FALLLINE_CACHE_LIMIT", given)
    found = from_environment()
    assert found is not None
    assert found.limit == limit


@pytest.mark.parametrize("given", ["much", "-1", "nan", "inf"])
def test_a_wrong_limit_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, given: str
) -> None:
    monkeypatch.setenv("FALLLINE_CACHE", str(tmp_path))
    monkeypatch.setenv("FALLLINE_CACHE_LIMIT", given)
    for _ in range(2):
        found = from_environment()
        assert found is not None
        assert found.limit == 256e6
    assert said(caplog) == [
        f"the environment variable FALLLINE_CACHE_LIMIT must be a number of MB, found '{given}'; 256 is used"
    ]
