"""`fallline cache`: what is kept, and how it goes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fallline.engine.object_cache import ObjectCache


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectCache:
    monkeypatch.setenv("FALLLINE_CACHE", str(tmp_path / "kept"))
    monkeypatch.setenv("FALLLINE_CACHE_LIMIT", "2.5")
    return ObjectCache(tmp_path / "kept")


def test_an_empty_cache(cli: Callable[..., Any], kept: ObjectCache) -> None:
    text = f"folder      {kept.folder}\nprograms    0\nsize        0 bytes\nlimit       2.5 MB\n"
    assert cli("cache") == (0, text, "")
    assert not kept.folder.exists(), "looking makes nothing"
    assert cli("cache", "--clear") == (0, f"removed 0 programs (0 bytes) from {kept.folder}\n", "")


def test_programs_are_counted_and_cleared(cli: Callable[..., Any], kept: ObjectCache) -> None:
    for name in "abc":
        kept.store(name * 64, bytes(100_000))
    (kept.folder / "notes.txt").write_text("mine")
    code, out, err = cli("cache")
    assert (code, err) == (0, "")
    assert out.splitlines()[:4] == [
        f"folder      {kept.folder}",
        "programs    3",
        "size        300 kB",
        "limit       2.5 MB",
    ]
    assert out.splitlines()[4].split() == ["to", "empty", "fallline", "cache", "--clear"]
    assert cli("cache", "--clear") == (0, f"removed 3 programs (300 kB) from {kept.folder}\n", "")
    assert [file.name for file in kept.folder.iterdir()] == ["notes.txt"]
    kept.store("a" * 64, b"")
    assert cli("cache", "--clear").out.startswith("removed 1 program (5")


def test_a_cache_that_is_off(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FALLLINE_CACHE", "off")
    text = "compiled programs are not kept: the environment variable FALLLINE_CACHE is off\n"
    assert cli("cache") == cli("cache", "--clear") == (0, text, "")


def test_a_folder_that_is_not_trusted_is_told(cli: Callable[..., Any], kept: ObjectCache) -> None:
    kept.store("a" * 64, b"code")
    kept.folder.chmod(0o777)
    code, out, err = cli("cache")
    assert (code, err) == (0, "")
    note = "note the folder can be written by others (`chmod go-w` on it mends that), so nothing in it is used"
    assert " ".join(" ".join(out.splitlines()[4:6]).split()) == note


def test_what_a_wrong_limit_means_is_said(
    cli: Callable[..., Any], kept: ObjectCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FALLLINE_CACHE_LIMIT", "lots")
    code, out, err = cli("cache")
    assert (code, out.splitlines()[3]) == (0, "limit       256 MB")
    assert err == (
        "warning: the environment variable FALLLINE_CACHE_LIMIT must be a number of MB, found 'lots'; 256 is used\n"
    )


def test_the_cache_takes_no_other_words(cli: Callable[..., Any], kept: ObjectCache) -> None:
    assert cli("cache", "clear").code == 2
    assert cli("cache", "--help").out.startswith("Usage: fallline cache [OPTIONS]")
