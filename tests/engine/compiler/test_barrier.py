"""Threads meet at the barrier and none gets ahead; arithmetic inside a program is what the contract asks for."""

import ctypes
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from fallline.engine.compiler.barrier import BARRIER_BYTES, barrier_ir, floating_point_ir
from fallline.engine.native import NativeModule, compile_module
from fallline.engine.target import Target, host_target, restricted
from fallline.engine.threads import run_on

ROUNDS, FAULTS, SLOTS = 0, 1, 16  # places in units of 8 bytes, behind the barrier's own memory; a slot each 64 bytes

# Round i: slot[thread] = i + 1; barrier; every slot must be i + 1, or i + 2 where its thread is a round further.
CHECK = f"""
define void @check(ptr %b, i64 %thread, i64 %threads) {{
entry:
  %base = getelementptr i8, ptr %b, i64 {BARRIER_BYTES}
  %faults = getelementptr i64, ptr %base, i64 {FAULTS}
  %slots = getelementptr i64, ptr %base, i64 {SLOTS}
  %rounds = load i64, ptr %base, align 8
  %place = mul i64 %thread, 8
  %mine = getelementptr i64, ptr %slots, i64 %place
  br label %round
round:
  %i = phi i64 [ 0, %entry ], [ %i1, %next ]
  %i1 = add i64 %i, 1
  store i64 %i1, ptr %mine, align 8
  call void @barrier(ptr %b, i64 %threads)
  br label %look
look:
  %k = phi i64 [ 0, %round ], [ %k1, %seen ]
  %there = mul i64 %k, 8
  %other = getelementptr i64, ptr %slots, i64 %there
  %value = load i64, ptr %other, align 8
  %ahead = sub i64 %value, %i1
  %wrong = icmp ugt i64 %ahead, 1
  br i1 %wrong, label %fault, label %seen
fault:
  %count = atomicrmw add ptr %faults, i64 1 seq_cst, align 8
  br label %seen
seen:
  %k1 = add i64 %k, 1
  %all = icmp eq i64 %k1, %threads
  br i1 %all, label %next, label %look
next:
  %last = icmp eq i64 %i1, %rounds
  br i1 %last, label %out, label %round
out:
  ret void
}}
"""
NO_BARRIER = "define internal void @barrier(ptr %b, i64 %threads) noinline {\n ret void\n}\n"


def targets() -> list[Target]:
    machine = host_target()
    return [machine, restricted(machine, "avx2")] if machine.is_x86 and machine.vector_bytes >= 32 else [machine]


@pytest.fixture(autouse=True)
def _without_a_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FALLLINE_CACHE", "off")


@pytest.fixture(params=targets(), ids=lambda target: target.cpu)
def target(request: pytest.FixtureRequest) -> Target:
    found: Target = request.param
    return found


@pytest.fixture
def busy_neighbour() -> Iterator[None]:
    """A process that wants a core all the time."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        yield
        process.kill()


def memory_of(rounds: int) -> np.ndarray:
    bytes_ = np.zeros(BARRIER_BYTES + 8 * (SLOTS + 8 * 64) + 64, dtype=np.uint8)
    memory = bytes_[-bytes_.ctypes.data % 64 :]
    behind(memory)[ROUNDS] = rounds
    return memory


def behind(memory: np.ndarray) -> np.ndarray:
    found: np.ndarray = memory[BARRIER_BYTES:][: 8 * (SLOTS + 8 * 64)].view(np.int64)
    return found


def faults_of(module: NativeModule, threads: int, rounds: int, calls: int = 1) -> int:
    """How often a thread saw another that had not arrived, or was further than the next round."""
    memory = memory_of(rounds)
    for _ in range(calls):
        behind(memory)[SLOTS:] = 0
        run_on(threads, module.address("check"), memory.ctypes.data)
        assert set(behind(memory)[SLOTS : SLOTS + 8 * threads : 8]) == {rounds}
    return int(behind(memory)[FAULTS])


def checker(target: Target) -> NativeModule:
    return compile_module(barrier_ir(target) + CHECK, target)


@pytest.mark.parametrize(("threads", "rounds"), [(1, 1000), (2, 20_000), (3, 1000), (4, 1500), (8, 500)])
def test_no_thread_gets_ahead(threads: int, rounds: int) -> None:
    assert faults_of(checker(host_target()), threads, rounds) == 0


def test_a_barrier_serves_again_and_again_and_other_numbers_of_threads(target: Target) -> None:
    module = checker(target)
    memory = memory_of(20)
    for threads in [2, 3, 1, 4, 2] * 4:
        behind(memory)[SLOTS:] = 0
        run_on(threads, module.address("check"), memory.ctypes.data)
    assert behind(memory)[FAULTS] == 0
    assert faults_of(module, 2, 30, calls=50) == 0


@pytest.mark.usefixtures("busy_neighbour")
@pytest.mark.parametrize(("threads", "rounds"), [(2, 2000), (4, 300), (8, 100)])
def test_a_busy_neighbour_delays_but_stops_nobody(threads: int, rounds: int) -> None:
    assert faults_of(checker(host_target()), threads, rounds) == 0


def test_the_check_finds_a_barrier_that_holds_nobody() -> None:
    memory = memory_of(10)
    module = compile_module(NO_BARRIER + CHECK)
    module.function("check", None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(memory.ctypes.data, 0, 2)
    assert behind(memory)[FAULTS] == 10, "the second thread never came"


def test_one_thread_waits_for_nobody_and_touches_nothing() -> None:
    memory = memory_of(5)
    run_on(1, checker(host_target()).address("check"), memory.ctypes.data)
    assert not memory[:BARRIER_BYTES].any()


def test_arrivals_and_generation_are_on_cache_lines_of_their_own() -> None:
    memory = memory_of(7)
    run_on(2, checker(host_target()).address("check"), memory.ctypes.data)
    places = np.flatnonzero(memory[:BARRIER_BYTES].view(np.int64)) * 8
    assert places.tolist() == [128], "the generation has changed, and the count of arrivals is 0 again"
    assert memory.view(np.int64)[16] == 7
    assert memory.ctypes.data % 64 == 0


# MXCSR: flush to zero 0x8000, denormals are zero 0x40, rounding toward zero 0x6000, division by zero unmasked: 0x1F80
# less 0x200.
ARITHMETIC = """
define internal void @set(i32 %value) noinline {
  %place = alloca i32, align 4
  store i32 %value, ptr %place, align 4
  call void @llvm.x86.sse.ldmxcsr(ptr %place)
  ret void
}
define internal i32 @get() noinline {
  %place = alloca i32, align 4
  call void @llvm.x86.sse.stmxcsr(ptr %place)
  %value = load i32, ptr %place, align 4
  ret i32 %value
}
define internal void @quotients(ptr %x) noinline {
  %a = load double, ptr %x, align 8
  %y = getelementptr double, ptr %x, i64 1
  %b = load double, ptr %y, align 8
  %q = fdiv double %a, %b
  %r = getelementptr double, ptr %x, i64 2
  store double %q, ptr %r, align 8
  ret void
}
define i32 @outside(ptr %x, i32 %state) {
  %before = call i32 @get()
  call void @set(i32 %state)
  call void @quotients(ptr %x)
  %after = call i32 @get()
  call void @set(i32 %before)
  ret i32 %after
}
define i32 @inside(ptr %x, i32 %state) {
  %before = call i32 @get()
  call void @set(i32 %state)
  %found = call i64 @enter_floating_point()
  call void @quotients(ptr %x)
  call void @leave_floating_point(i64 %found)
  %after = call i32 @get()
  call void @set(i32 %before)
  ret i32 %after
}
"""
FLUSH, ZERO, CHOP, TRAP = 0x1F80 | 0x8000, 0x1F80 | 0x40, 0x1F80 | 0x6000, 0x1F80 & ~0x200
x86 = pytest.mark.skipif(not host_target().is_x86, reason="sets the x86-64 processor's control register")


def quotient(target: Target, name: str, a: float, b: float, state: int) -> tuple[float, int]:
    """a / b computed by a function of ARITHMETIC under a control word, and the control word found afterwards."""
    module = compile_module(floating_point_ir(target) + ARITHMETIC, target)
    values = (ctypes.c_double * 3)(a, b, 0.0)
    after = module.function(name, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_uint32)(ctypes.addressof(values), state)
    return values[2], after & ~0x3F  # without the flags of what has happened


@x86
@pytest.mark.parametrize(
    ("a", "b", "state", "plain", "ours"),
    [
        (2.0**-1000, 2.0**60, FLUSH, 0.0, 2.0**-1060),
        (2.0**-1060, 2.0**-60, ZERO, 0.0, 2.0**-1000),
        (1.0, 10.0, CHOP, 0.09999999999999999, 0.1),
    ],
    ids=["flush to zero", "denormals are zero", "rounding to zero"],
)
def test_a_program_computes_by_the_contract_whatever_its_thread_did_before(
    target: Target, a: float, b: float, state: int, plain: float, ours: float
) -> None:
    assert quotient(target, "outside", a, b, state) == (plain, state)
    assert quotient(target, "inside", a, b, state) == (ours, state)


@x86
def test_a_division_by_zero_inside_is_infinite_and_stops_nobody(target: Target) -> None:
    assert quotient(target, "inside", 1.0, 0.0, TRAP) == (float("inf"), TRAP)


def test_the_text_for_other_machines_is_code_there() -> None:
    import llvmlite.binding as llvm

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    arm = Target("aarch64-unknown-linux-gnu", "generic", "", 16, 32)
    windows = replace(arm, triple="x86_64-pc-windows-msvc", cpu="x86-64-v3")
    for target, wanted in (
        (
            arm,
            ("ldaxr", "stlr", "ldar", "yield", "bl\tsched_yield", "mrs\tx0, FPCR", "msr\tFPCR, xzr", "msr\tFPCR, x0"),
        ),
        (windows, ("lock", "pause", "SwitchToThread", "vldmxcsr", "vstmxcsr")),
    ):
        try:
            family = llvm.Target.from_triple(target.triple)
        except RuntimeError:
            pytest.skip(f"this LLVM makes no code for {target.triple}")
        use = """
define void @f(ptr %b, i64 %threads) {
  %found = call i64 @enter_floating_point()
  call void @barrier(ptr %b, i64 %threads)
  call void @leave_floating_point(i64 %found)
  ret void
}
"""
        with llvm.create_context() as context:
            text = barrier_ir(target) + floating_point_ir(target) + use
            with llvm.parse_assembly(text, context) as module:
                module.triple = target.triple
                module.verify()
                found = family.create_target_machine(cpu=target.cpu, opt=2).emit_assembly(module)
        assert [word for word in wanted if not re.search(re.escape(word) + r"\b", found)] == []
