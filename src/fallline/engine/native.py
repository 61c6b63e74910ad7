"""LLVM in this process: text of LLVM's language in, functions of the machine out.

The text arrives explicitly vectorised, so no pass pipeline runs: LLVM selects instructions and allocates registers.
Finished modules are kept in memory, object code on disk (`object_cache.py`).
"""

import ctypes
import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import RLock
from typing import Any

from fallline.engine import object_cache
from fallline.engine.target import Target, host_target
from fallline.errors import CompileError

LEVEL = 2
"""Of code generation. 0 spills every value; 1 saves a tenth of the compile time, for code that 2 makes no slower."""
MOST_KEPT = 256
OUR_FAULT = 'this is a defect of Fallline, not of your network; engine="reference" trains without compiling'

_kept: "OrderedDict[str, NativeModule]" = OrderedDict()
_lock = RLock()


class NativeModule:
    """Native code in memory, for as long as this object or a function made by it lives."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._addresses: dict[str, int] = {}

    def address(self, name: str) -> int:
        """The address of a function; valid while the module lives.

        Raises:
            CompileError: the module defines no such function.
        """
        found = self._addresses.get(name)
        if found is None:
            with _lock:
                found = int(self._engine.get_function_address(name))
            if not found:
                raise CompileError(f"the compiled program has no function {name!r}; {OUR_FAULT}")
            self._addresses[name] = found
        return found

    def function(self, name: str, restype: Any, *argtypes: Any) -> Any:
        """A function as ctypes calls it, without the interpreter's lock; it keeps the module alive.

        Raises:
            CompileError: the module defines no such function.
        """
        function: Any = ctypes.CFUNCTYPE(restype, *argtypes)(self.address(name))
        function.module = self
        return function


def compile_module(text: str, target: Target | None = None) -> NativeModule:
    """Native code of a module in LLVM's language; the same text and target give the same module again.

    Safe to call from several threads; they take turns.

    Args:
        text: the module, without data layout and triple.
        target: the processor, `host_target()` by default. This machine must understand its instructions.

    Raises:
        CompileError: LLVM refuses the text, the text calls a function that the system lacks, or the system
            lets no process make code.
    """
    target = target or host_target()
    llvm = _llvm()
    key = object_cache.key(text, target, _compiler())
    with _lock:
        module = _kept.get(key)
        if module is None:
            try:
                module = _kept[key] = NativeModule(_engine(llvm, text, target, key))
            except RuntimeError as reason:
                raise CompileError(f"LLVM refuses the compiled program: {str(reason).strip()}; {OUR_FAULT}") from None
            if len(_kept) > MOST_KEPT:
                _kept.popitem(last=False)
        _kept.move_to_end(key)
        return module


def assembly(text: str, target: Target | None = None) -> str:
    """The module in assembly language, for tests and for the curious."""
    llvm = _llvm()
    with _lock:
        machine = _machine(llvm, target or host_target())
        with _parsed(llvm, text, machine) as module:
            return str(machine.emit_assembly(module))


def _engine(llvm: Any, text: str, target: Target, key: str) -> Any:
    """An execution engine that holds the module's code, from the object cache where that has it."""
    machine = _machine(llvm, target)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    kept = object_cache.from_environment()
    code = None if kept is None else kept.load(key)
    if code is None:
        with _parsed(llvm, text, machine) as module:
            _refuse_missing_functions(llvm, module)
            with _without_strength_reduction(llvm):
                code = machine.emit_object(module)
        if kept is not None:
            kept.store(key, code)
    # The code takes the same way into memory whether it was kept or is new: what the tests run is what users run.
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine


@contextmanager
def _parsed(llvm: Any, text: str, machine: Any) -> Iterator[Any]:
    """The verified module, in a context of its own.

    Both are closed here, in this order: the garbage collector, where it finds them in a cycle, knows no order.
    """
    with llvm.create_context() as context, llvm.parse_assembly(text, context) as module:
        module.triple = machine.triple
        module.data_layout = str(machine.target_data)
        module.verify()
        yield module


@contextmanager
def _without_strength_reduction(llvm: Any) -> Iterator[None]:
    """LLVM's loop strength reduction takes a third of the time and makes this code no faster.

    The option is the process's, and so it is on only while our own code is generated.
    """
    llvm.set_option("fallline", "-disable-lsr")
    try:
        yield
    finally:
        llvm.set_option("fallline", "-disable-lsr=false")


def _refuse_missing_functions(llvm: Any, module: Any) -> None:
    """Look for the functions the module calls: where one is missing, LLVM ends the whole process.

    LLVM knows the system's functions only once an engine exists.
    """
    for function in module.functions:
        name = function.name
        if function.is_declaration and not name.startswith("llvm.") and not llvm.address_of_symbol(name):
            raise CompileError(f"the compiled program calls {name!r}, which this system lacks; {OUR_FAULT}")


def _machine(llvm: Any, target: Target) -> Any:
    """LLVM's code generator for a target; an engine takes it over, so each gets its own."""
    family = llvm.Target.from_triple(target.triple)
    return family.create_target_machine(cpu=target.cpu, features=target.features, opt=LEVEL, jit=True)


@cache
def _compiler() -> str:
    """The versions and settings that decide the code of a text."""
    import llvmlite

    version = ".".join(map(str, _llvm().llvm_version_info))
    return f"llvmlite {llvmlite.__version__}, LLVM {version}, level {LEVEL}, no LSR"


@cache
def _llvm() -> Any:
    """LLVM's binding, made ready for this machine."""
    import llvmlite.binding as llvm

    with _lock:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        try:
            llvm.check_jit_execution()
        except OSError as reason:
            raise CompileError(
                f"this system lets no process make code for itself ({reason.strerror or reason}), so networks cannot "
                'be compiled here; engine="reference" trains without compiling'
            ) from None
    return llvm


if hasattr(os, "register_at_fork"):  # a child born in the middle of a compilation would wait for its end for ever
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)
