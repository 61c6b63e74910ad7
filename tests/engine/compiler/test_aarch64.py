"""Programs for AArch64, made on any machine: what LLVM makes of them there. That the bits are those of x86-64 is the
matter of `make soak JOB=aarch64`, which runs them."""

import re
from typing import Any

import numpy as np
import pytest

import fallline.ops  # noqa: F401 – registers every op
from fallline.engine.compiler.program import Leaves, write_program
from fallline.engine.target import Target
from fallline.ir.graph import Graph, Node
from fallline.ir.kernel import Leaf
from fallline.ir.op import REGISTRY, Op, lookup
from fallline.ops.leaf import make_input

OURS = {"barrier", "step", "enter_floating_point", "leave_floating_point"}
OPS = [op for op in REGISTRY.values() if not isinstance(op.kernel, Leaf)]


def arm(cpu: str) -> Target:
    return Target("aarch64-unknown-linux-gnu", cpu, "", 16, 32)


def text_of(ops: list[Op], dtype: str, target: Target) -> str:
    """The profiled program of some ops on all of their samples."""
    inputs: dict[str, Node] = {}
    outputs: dict[str, Node] = {}
    for op in ops:
        for number, sample in enumerate(op.samples() if op.samples else []):
            arrays = [np.asarray(array) for array in sample.inputs]
            types = [dtype if array.dtype.kind == "f" else str(array.dtype) for array in arrays]
            names = [f"{op.name} {number} {k}" for k in range(len(arrays))]
            if op.name == "random_uniform":  # a program has one seed and one step
                names = ["seed", "step"]
            for name, array, type_ in zip(names, arrays, types, strict=True):
                inputs.setdefault(name, make_input(name, array.shape, type_).node)
            outputs[f"{op.name} {number}"] = Node(op, tuple(inputs[name] for name in names), sample.attributes)
    state = tuple(name for name in inputs if name not in ("seed", "step"))
    seed, step = (name if name in inputs else None for name in ("seed", "step"))
    leaves = Leaves(rows=(), state=state, step=step, seed=seed)
    return write_program(Graph(inputs, outputs), {}, leaves, target, profile=True).text


def assembly(text: str, target: Target) -> str:
    """What LLVM makes of a program for a machine that need not be this one; object code, too."""
    import llvmlite.binding as llvm

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    try:
        family = llvm.Target.from_triple(target.triple)
    except RuntimeError:
        pytest.skip(f"this LLVM makes no code for {target.triple}")
    machine: Any = family.create_target_machine(cpu=target.cpu, features=target.features, opt=2, jit=True)
    with llvm.create_context() as context, llvm.parse_assembly(text, context) as module:
        module.triple, module.data_layout = target.triple, str(machine.target_data)
        module.verify()
        assert machine.emit_object(module)[:4] == b"\x7fELF"
        return str(machine.emit_assembly(module))


def called(code: str) -> set[str]:
    """The functions that code calls."""
    return set(re.findall(r"^\s+bl\s+(\S+)", code, re.MULTILINE))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cpu", ["generic", "neoverse-v2"])  # NEON alone, and SVE besides
def test_every_op_is_code_without_another_machines_instructions_or_a_librarys_functions(cpu: str, dtype: str) -> None:
    text = text_of(OPS, dtype, arm(cpu))
    assert "llvm.x86" not in text
    found = {
        name
        for name in called(assembly(text, arm(cpu))) - OURS
        if not name.startswith(("kernel", "philox_word", "turn_"))
    }
    assert found <= {"sched_yield", "memcpy", "memset"}, "a function of the C library has bits of its own"


def test_the_check_sees_a_function_of_the_library() -> None:
    text = """
declare double @llvm.exp.f64(double)
define double @f(double %x) {
  %y = call double @llvm.exp.f64(double %x)
  %z = fadd double %y, 1.0
  ret double %z
}
"""
    assert called(assembly(text, arm("generic"))) == {"exp"}


@pytest.mark.parametrize("cpu", ["generic", "neoverse-v2"])
def test_a_product_is_fused_and_a_sum_of_products_is_not(cpu: str) -> None:
    """AArch64's fused instructions are always there, so nothing but the text keeps LLVM from using them."""
    fused = re.compile(r"\bfn?m(la|ls|add|sub)\b")
    product = text_of([lookup("matmul")], "float32", arm(cpu))
    assert fused.search(assembly(product, arm(cpu)))
    x = [make_input(name, (37,), "float32").node for name in "abc"]
    total = Node(lookup("add"), (Node(lookup("multiply"), (x[0], x[1]), {}), x[2]), {})
    leaves = Leaves(rows=(), state=("a", "b", "c"), step=None, seed=None)
    apart = write_program(Graph(dict(zip("abc", x, strict=True)), {"y": total}), {}, leaves, arm(cpu)).text
    code = assembly(apart, arm(cpu))
    assert re.search(r"\bfmul\b", code)
    assert not fused.search(code)
