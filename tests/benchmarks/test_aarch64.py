"""The comparison with AArch64: what counts as equal, what is said where something is missing."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from benchmarks import aarch64_root
from benchmarks.aarch64_root import VARIABLE, completed, prepared, requirements
from benchmarks.bits_networks import NETWORKS
from benchmarks.bits_worker import Case, digest, products, random_bits, trained
from benchmarks.jobs import JobError
from benchmarks.soak_aarch64 import table


def case(name: str, *results: str, inputs: str = "i") -> Case:
    return Case("ops", name, inputs, list(results))


def test_equal_hashes_are_equal_and_any_other_is_not() -> None:
    here = [case("exp", "aaaaaaaaaa"), case("net", "bb", "bb"), case("log", "c"), case("tanh", "d"), case("erf", "e")]
    there = [case("exp", "aaaaaaaaaa"), case("net", "bb", "bx"), case("log", "y"), case("tanh", "d", inputs="j")]
    lines, different = table({"AVX2": here, "AArch64": there})
    assert lines == [
        "| ops: exp | aaaaaaaa | aaaaaaaa | yes |",
        "| ops: net | bb | bb / bx | **no** |",
        "| ops: log | c | y | **no** |",
        "| ops: tanh | d | d | the inputs differ |",
        "| ops: erf | e | absent | **no** |",
    ]
    assert different == ["ops: net", "ops: log", "ops: tanh", "ops: erf"]


def test_a_hash_sees_every_bit_but_those_of_nan() -> None:
    values = np.array([1.0, np.nan, 0.0], dtype=np.float32)
    other_nan = values.copy()
    other_nan.view(np.uint32)[1] = 0xFFC00123
    assert digest([values]) == digest([other_nan])
    assert digest([values]) != digest([np.array([1.0, np.nan, -0.0], dtype=np.float32)])
    assert digest([values]) != digest([np.nextafter(values, np.float32(2))])
    assert digest([values]) != digest([values[None]])
    assert other_nan.view(np.uint32)[1] == 0xFFC00123, "the array itself stays as it is"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_random_bits_have_every_kind_of_number(dtype: str) -> None:
    info, found = np.finfo(dtype), random_bits(0, np.dtype(dtype))
    assert np.isnan(found).any()
    assert ((found > 0) & (found < info.tiny)).any()
    assert ((found > 0.1) & (found < 8)).any()
    other = random_bits(1, np.dtype(dtype))
    for a in (np.inf, -np.inf, info.max):
        for b in (np.inf, -np.inf, info.max):
            assert ((found == a) & (other == b)).any(), (a, b)


def test_the_hash_of_a_training_is_that_of_its_kind() -> None:
    make = NETWORKS["all rows a step, Huber loss, Adadelta"]
    again, other = make(), make()
    other.options["seed"], other.options["epochs"] = 3, 4
    assert trained(make(), 1) == trained(again, 2)
    assert trained(make(), 1) != trained(other, 1)


def test_a_product_is_the_same_on_two_threads_and_whatever_its_thread_did_before() -> None:
    found = next(products())
    assert len(found.results) == 3
    assert len(set(found.results)) == 1


def test_the_wheels_are_those_of_this_environment() -> None:
    assert f"numpy=={np.__version__}" in requirements()


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "root"))
    there: dict[str, str] = {}
    monkeypatch.setattr(shutil, "which", there.get)
    with pytest.raises(
        JobError,
        match=r"^No emulator of AArch64 was found \(qemu-aarch64-static or qemu-aarch64\); on Debian, install "
        r"qemu-user-static\.$",
    ):
        prepared()
    there["qemu-aarch64"] = "/usr/bin/qemu-aarch64"
    with pytest.raises(JobError, match=r"^There is no apt-get here; the AArch64 system is made of Debian's packages"):
        prepared()
    there |= {"apt-get": "/usr/bin/apt-get", "dpkg": "/usr/bin/dpkg"}
    monkeypatch.setattr(aarch64_root, "SOURCES", ("/absent/a", "/absent/b"))
    with pytest.raises(JobError, match=r"^None of /absent/a and /absent/b names a Debian archive to take AArch64's"):
        prepared()
    assert not (tmp_path / "root").exists()


def test_a_command_that_fails_is_shown_with_its_words() -> None:
    with pytest.raises(JobError, match=r"^`sh -c echo oh no >&2; exit 3` ended with 3: oh no$"):
        completed(["sh", "-c", "echo oh no >&2; exit 3"])
