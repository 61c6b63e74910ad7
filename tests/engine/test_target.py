"""The processor that programs are for, and what restricting it means for the code."""

import platform
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from fallline.engine import target as module
from fallline.engine.native import assembly
from fallline.engine.target import Target, host_target, restricted, using_target, vectors
from fallline.errors import ArgumentError

V = "<16 x float>"
BEYOND_AVX2 = re.compile(r"zmm|[xy]mm(1[6-9]|2\d|3[01])|%k\d|vpternlog|vpmullq|vpermt2|vpermi2|vscalef|vreduce")

x86 = pytest.mark.skipif(
    not host_target().is_x86 or host_target().vector_bytes < 32, reason="needs an x86-64 processor with AVX2"
)


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The variable is read once in a process; here, once in a test."""
    monkeypatch.delenv(module.VARIABLE, raising=False)
    module._of_process.cache_clear()
    yield
    module._of_process.cache_clear()


def tempting_text() -> str:
    """Thirty-six long vectors alive at once, masks, 64-bit products, three-way logic: all that AVX-512 does better."""
    lines = [f"%x{i} = load {V}, ptr %p{i}, align 4" for i in range(36)]
    places = [f"%p{i} = getelementptr i8, ptr %p, i64 {64 * i}" for i in range(36)]
    body = [line for pair in zip(places, lines, strict=True) for line in pair]
    for i in range(36):
        body.append(f"%y{i} = call {V} @llvm.fma.v16f32({V} %x{i}, {V} %x{(i + 1) % 36}, {V} %x{(i + 18) % 36})")
        body.append(f"store {V} %y{i}, ptr %p{i}, align 4")
    return f"""
declare {V} @llvm.fma.v16f32({V}, {V}, {V})
declare {V} @llvm.masked.load.v16f32.p0(ptr, i32, <16 x i1>, {V})
define void @f(ptr %p, <8 x i64> %a, <8 x i64> %b, <8 x i64> %c, <16 x i32> %d) {{
{chr(10).join(body)}
%m = icmp sgt <16 x i32> %d, zeroinitializer
%l = call {V} @llvm.masked.load.v16f32.p0(ptr %p, i32 4, <16 x i1> %m, {V} %x0)
store {V} %l, ptr %p, align 4
%n = mul <8 x i64> %a, %b
%o = xor <8 x i64> %n, %c
%q = and <8 x i64> %o, %a
store <8 x i64> %q, ptr %p1, align 8
ret void
}}
"""


def test_this_machine_is_known(fresh: None) -> None:
    target = host_target()
    assert target is host_target()
    assert target.cpu
    assert (target.vector_bytes, target.vector_registers) in {(64, 32), (32, 16), (16, 32), (16, 16)}
    assert target.is_x86 == (platform.machine() in ("x86_64", "AMD64"))


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="the system tells the processor's features elsewhere")
@x86
def test_the_width_is_what_the_system_says_of_the_processor(fresh: None) -> None:
    flags = set(re.findall(r"^flags\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)[0].split())
    wide = {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= flags
    assert host_target().vector_bytes == (64 if wide else 32)


@pytest.mark.parametrize(
    ("triple", "features", "found"),
    [
        ("x86_64-unknown-linux-gnu", "+avx512f,+avx512bw,+avx512dq,+avx512vl,+fma,+avx2", (64, 32)),
        ("x86_64-unknown-linux-gnu", "+avx512f,-avx512bw,-avx512dq,-avx512vl,+fma,+avx2", (32, 16)),
        ("x86_64-apple-darwin", "+avx2,+fma", (32, 16)),
        ("x86_64-pc-windows-msvc", "-avx2,-fma,+sse4.2", (16, 16)),
        ("aarch64-unknown-linux-gnu", "+neon", (16, 32)),
        ("arm64-apple-darwin", "", (16, 32)),
    ],
)
def test_the_vectors_of_other_processors(triple: str, features: str, found: tuple[int, int]) -> None:
    assert vectors(triple, features) == found


@x86
def test_nothing_of_avx512_is_left_when_restricted_to_avx2(fresh: None) -> None:
    target = host_target()
    narrow = restricted(target, "avx2")
    assert (narrow.triple, narrow.vector_bytes, narrow.vector_registers) == (target.triple, 32, 16)
    found = assembly(tempting_text(), narrow)
    assert "ymm15" in found
    assert "vfmadd" in found
    assert not BEYOND_AVX2.findall(found)
    if target.vector_bytes == 64:
        assert {"zmm", "%k1"} <= set(re.findall(r"zmm|%k1", assembly(tempting_text(), target)))


def test_only_what_exists_can_be_restricted() -> None:
    target = Target("aarch64-unknown-linux-gnu", "neoverse-n1", "", 16, 32)
    with pytest.raises(ArgumentError, match=r"^only an x86-64 processor with AVX2 can be restricted to it, found neov"):
        restricted(target, "avx2")
    with pytest.raises(ArgumentError, match=r"^only an x86-64 processor with AVX2 can be restricted to it, found old"):
        restricted(Target("x86_64-unknown-linux-gnu", "old", "", 16, 16), "avx2")
    with pytest.raises(ArgumentError, match=r"^a target can be restricted to avx2, found 'sse9'$"):
        restricted(target, "sse9")


@x86
def test_the_environment_restricts_a_process(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FALLLINE_TARGET", " AVX2 ")
    assert host_target() == restricted(module._machine(), "avx2")


def test_a_wrong_environment_is_told(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FALLLINE_TARGET", "sse2")
    with pytest.raises(
        ArgumentError,
        match=r"^the environment variable FALLLINE_TARGET can be avx2, found 'sse2'; correct or unset it$",
    ):
        host_target()
    old = Target("x86_64-unknown-linux-gnu", "core2", "", 16, 16)
    monkeypatch.setattr(module, "_machine", lambda: old)
    monkeypatch.setenv("FALLLINE_TARGET", "avx2")
    with pytest.raises(
        ArgumentError, match=r"^the environment variable FALLLINE_TARGET is 'avx2', but only .* found core2; unset it$"
    ):
        host_target()


def test_a_block_uses_another_target_in_its_own_thread() -> None:
    machine = host_target()
    other = replace(machine, cpu="generic")
    with using_target(other) as given:
        assert given is other
        assert host_target() is other
        with using_target(machine):
            assert host_target() is machine
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(host_target).result() == machine
        assert host_target() is other
    assert host_target() == machine
