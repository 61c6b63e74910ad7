"""LLVM in this process: text becomes functions, or an error that says whose fault it is."""

import ctypes
import gc
import itertools
import logging
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import fallline
from fallline.engine import native
from fallline.engine.native import assembly, compile_module
from fallline.engine.target import Target, host_target, restricted
from fallline.errors import CompileError

OURS = 'this is a defect of Fallline, not of your network; engine="reference" trains without compiling'
numbers = itertools.count()


def targets() -> list[Target]:
    machine = host_target()
    return [machine, restricted(machine, "avx2")] if machine.is_x86 and machine.vector_bytes >= 32 else [machine]


def adder(amount: int) -> str:
    """A text that no other test has compiled."""
    return f"""
; {next(numbers)}
define i64 @add(i64 %x) {{
  %y = add i64 %x, {amount}
  ret i64 %y
}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FALLLINE_CACHE", str(tmp_path / "kept"))
    return tmp_path / "kept"


@pytest.fixture(autouse=True)
def _without_a_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FALLLINE_CACHE", "off")


def forget() -> None:
    """What a new process knows."""
    native._kept.clear()


def result_of(text: str, x: int, target: Target | None = None) -> int:
    return int(compile_module(text, target).function("add", ctypes.c_int64, ctypes.c_int64)(x))


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.cpu)
def test_text_becomes_a_function(target: Target) -> None:
    assert result_of(adder(40), 2, target) == 42


def test_the_same_text_and_target_are_the_same_module() -> None:
    text = adder(1)
    module = compile_module(text)
    assert compile_module(text, host_target()) is module
    assert compile_module(text + " ") is not module
    for target in targets()[1:]:
        assert compile_module(text, target) is not module


def exactly(value: float) -> Fraction:
    return Fraction(value)


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.cpu)
def test_products_and_sums_are_rounded_once_where_the_text_says_fma_and_twice_where_not(target: Target) -> None:
    text = """
declare double @llvm.fma.f64(double, double, double)
declare <16 x float> @llvm.fma.v16f32(<16 x float>, <16 x float>, <16 x float>)
define double @once(double %a, double %b, double %c) {
  %r = call double @llvm.fma.f64(double %a, double %b, double %c)
  ret double %r
}
define double @twice(double %a, double %b, double %c) {
  %p = fmul double %a, %b
  %r = fadd double %p, %c
  ret double %r
}
define void @many(ptr %p) {
  %q = getelementptr i8, ptr %p, i64 64
  %s = getelementptr i8, ptr %p, i64 128
  %a = load <16 x float>, ptr %p, align 4
  %b = load <16 x float>, ptr %q, align 4
  %c = load <16 x float>, ptr %s, align 4
  %f = call <16 x float> @llvm.fma.v16f32(<16 x float> %a, <16 x float> %b, <16 x float> %c)
  %t = fmul <16 x float> %a, %b
  %u = fadd <16 x float> %t, %c
  store <16 x float> %f, ptr %p, align 4
  store <16 x float> %u, ptr %q, align 4
  ret void
}
"""
    module = compile_module(text, target)
    a, b, c = 1 + 2.0**-30, 1 - 2.0**-30, -1.0
    double = ctypes.c_double
    once = module.function("once", double, double, double, double)(a, b, c)
    twice = module.function("twice", double, double, double, double)(a, b, c)
    assert once == float(exactly(a) * exactly(b) + exactly(c)) == -(2.0**-60)
    assert twice == float(exactly(float(exactly(a) * exactly(b))) + exactly(c)) == 0.0
    values = (ctypes.c_float * 48)(*[1 + 2.0**-13] * 16, *[1 - 2.0**-13] * 16, *[-1.0] * 16)
    module.function("many", None, ctypes.c_void_p)(ctypes.addressof(values))
    assert set(values[:16]) == {-(2.0**-26)}
    assert set(values[16:32]) == {0.0}


def test_subnormal_numbers_nan_and_infinity_are_computed_with() -> None:
    text = "define double @half(double %a) {\n %r = fmul double %a, 5.0e-01\n ret double %r\n}"
    half = compile_module(text).function("half", ctypes.c_double, ctypes.c_double)
    assert half(2.0**-1073) == 2.0**-1074
    assert half(float("inf")) == float("inf")
    assert struct.pack("<d", half(-0.0)) == struct.pack("<d", -0.0)


def test_text_that_is_no_program_is_told() -> None:
    with pytest.raises(
        CompileError, match=r"(?s)^LLVM refuses the compiled program: .*expected.*; this is a defect of"
    ):
        compile_module("define i64 @f( {")
    with pytest.raises(CompileError) as raised:
        compile_module("define i64 @f() {\nentry:\n br label %a\na:\n %x = phi i64 [ 0, %a ]\n ret i64 %x\n}")
    assert "PHI node entries do not match predecessors!" in str(raised.value)
    assert str(raised.value).endswith(OURS)


def test_a_call_of_a_function_that_is_not_there_is_told() -> None:
    text = "declare i64 @no_such_thing(i64)\ndefine i64 @f() {\n %x = call i64 @no_such_thing(i64 1)\n ret i64 %x\n}"
    with pytest.raises(CompileError) as raised:
        compile_module(text)
    assert str(raised.value) == f"the compiled program calls 'no_such_thing', which this system lacks; {OURS}"


def test_what_a_refused_text_leaves_behind_can_be_collected() -> None:
    for text in (
        "define i64 @f( {",
        "declare i64 @nowhere(i64)",
        "define i64 @f() {\n %x = add i64 0, %x\n ret i64 %x\n}",
    ):
        with pytest.raises(CompileError) as raised:
            compile_module(text)
        raised.value.args += (raised,)  # a cycle through all frames, with what LLVM made
    del raised
    gc.collect()
    assert result_of(adder(2), 2) == 4


def test_a_function_that_the_module_lacks_is_told() -> None:
    module = compile_module(adder(3))
    for _ in range(2):
        with pytest.raises(CompileError) as raised:
            module.function("subtract", None)
        assert str(raised.value) == f"the compiled program has no function 'subtract'; {OURS}"
    assert module.address("add") == module.address("add") != 0


def test_a_system_that_forbids_making_code_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import llvmlite.binding as llvm

    def forbidden() -> None:
        raise OSError(13, "Permission denied")

    monkeypatch.setattr(llvm, "check_jit_execution", forbidden)
    native._llvm.cache_clear()
    try:
        with pytest.raises(
            CompileError,
            match=r"^this system lets no process make code for itself \(Permission denied\), so .* without",
        ):
            compile_module(adder(4))
    finally:
        monkeypatch.undo()
        native._llvm.cache_clear()


def test_few_modules_are_kept_and_those_in_use_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "MOST_KEPT", 2)
    forget()
    texts = [adder(n) for n in range(4)]
    functions = [compile_module(text).function("add", ctypes.c_int64, ctypes.c_int64) for text in texts]
    assert len(native._kept) == 2
    gc.collect()
    assert [function(10) for function in functions] == [10, 11, 12, 13]
    kept = compile_module(texts[2])
    compile_module(texts[0])  # pushes out texts[3], which was used before texts[2]
    assert compile_module(texts[2]) is kept


def test_kept_code_is_neither_parsed_nor_compiled_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FALLLINE_CACHE", str(folder))
    text = adder(5)
    assert result_of(text, 1) == 6
    assert len(list(folder.iterdir())) == 1
    forget()
    with monkeypatch.context() as patch:
        patch.setattr(native, "_parsed", None)
        assert result_of(text, 2) == 7
        with pytest.raises(TypeError):
            compile_module(adder(5))
    for target in targets()[1:]:
        assert result_of(text, 3, target) == 8
        assert len(list(folder.iterdir())) == 2


def test_damaged_code_is_compiled_anew(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("FALLLINE_CACHE", str(folder))
    text = adder(6)
    compile_module(text)
    (file,) = folder.iterdir()
    content = file.read_bytes()
    file.write_bytes(content[:-20])
    forget()
    with caplog.at_level(logging.WARNING, "fallline"):
        assert result_of(text, 1) == 7
    assert caplog.messages == [f"the compiled program {file} is damaged; it is compiled anew"]
    assert file.read_bytes() == content


def test_the_code_of_a_text_is_always_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = adder(7)
    contents = []
    for name in ("one", "two"):
        monkeypatch.setenv("FALLLINE_CACHE", str(folder / name))
        forget()
        compile_module(text)
        contents.append([(file.name, file.read_bytes()) for file in (folder / name).iterdir()])
    assert contents[0] == contents[1]


def test_many_threads_compile_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FALLLINE_CACHE", str(folder))
    texts = [adder(n) for n in range(6)]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda n: (compile_module(texts[n % 6]), result_of(texts[n % 6], 100)), range(36)))
    assert [value for _, value in found] == [100 + n % 6 for n in range(36)]
    assert len({id(module) for module, _ in found}) == 6


def test_the_interpreter_runs_on_meanwhile() -> None:
    text = """
define void @wait(ptr %flag) {
  br label %again
again:
  %seen = load atomic i64, ptr %flag seq_cst, align 8
  %same = icmp eq i64 %seen, 0
  br i1 %same, label %again, label %out
out:
  ret void
}
"""
    flag = ctypes.c_int64(0)
    wait = compile_module(text).function("wait", None, ctypes.c_void_p)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wait, ctypes.addressof(flag))
        flag.value = 1  # would never come if the waiting call held the interpreter's lock
        waiting.result()


def test_assembly_is_of_the_target() -> None:
    assert "add" in assembly(adder(8))
    with pytest.raises(RuntimeError):
        assembly("nonsense")


def test_importing_the_library_loads_no_llvm() -> None:
    source = str(Path(fallline.__file__).parents[1])
    code = (
        f"import sys; sys.path.insert(0, {source!r})\n"
        "import fallline, fallline.engine.native, fallline.engine.threads, fallline.engine.compiler.barrier\n"
        "from fallline import nn, optim; print('llvmlite' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_everything_that_decides_the_code_is_in_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from fallline.engine import object_cache

    seen: list[Any] = []
    real = object_cache.key
    monkeypatch.setattr(object_cache, "key", lambda *parts: seen.append(parts) or real(*parts))
    text = adder(9)
    compile_module(text)
    import llvmlite
    import llvmlite.binding as llvm

    version = ".".join(map(str, llvm.llvm_version_info))
    assert seen == [
        (text, host_target(), f"llvmlite {llvmlite.__version__}, LLVM {version}, level {native.LEVEL}, no LSR")
    ]
