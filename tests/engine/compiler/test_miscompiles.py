"""Planted miscompiles: what the other tests compare with must see each of them."""

import re
from collections import OrderedDict
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fallline import nn
from fallline.engine import compiled
from fallline.engine.compiled import CompiledProgram
from fallline.engine.compiler.llvm_emitter import LlvmEmitter
from fallline.engine.compiler.program import ProgramText
from fallline.ir.graph import Graph
from fallline.nn.losses import get
from fallline.nn.trace import DENOMINATOR, SEED, STEP, X, Y, values_of
from fallline.training.step import build_graph, check_rows

Array = NDArray[Any]
ROWS = 24  # products compute rows up to a multiple of 8: a mistake in one that does not exist changes nothing
write_program = compiled.write_program


def step() -> tuple[Graph, dict[str, Any]]:
    """A training step with products, both kinds of reductions, functions and random numbers."""
    net = nn.Sequential(nn.Linear(9, 20), nn.LayerNorm(20), nn.GELU(), nn.Dropout(0.2), nn.Linear(20, 3), seed=0)
    rng = np.random.default_rng(1)  # biases of 0 could be subtracted as well as added
    net.load_parameters({name: w + rng.normal(size=w.shape).astype(np.float32) for name, w in net.parameters().items()})
    rows = check_rows(
        net, rng.normal(size=(ROWS, 9)), rng.integers(0, 3, ROWS), get("cross_entropy"), None, "float32", "t"
    )
    given = {**values_of(net), X: rows.x, Y: rows.y, DENOMINATOR: np.float32(ROWS)}
    given |= {SEED: np.int64(3), STEP: np.int64(5)}
    return build_graph(net, rows, get("cross_entropy"), training=True, backward=True), given


GRAPH, GIVEN = step()
KERNEL = re.compile(r"define internal void @kernel(\d+)\(.*?\n}\n", re.DOTALL)
FLIPS = {"fadd": "fsub", "fsub": "fadd", "fmul": "fadd", "fdiv": "fmul"}


def kernels() -> list[str]:
    """The text of each kernel of the step's program that computes anything; others move numbers only."""
    found = [match.group(0) for match in KERNEL.finditer(CompiledProgram(GRAPH, {"n": ROWS}).compiled.text.text)]
    return [kernel for kernel in found if re.search(r"= f(add|sub|mul|div) |@llvm\.fma", kernel)]


def flipped(kernel: str) -> str:
    """The kernel with one wrong instruction, the last of its arithmetic; of a bare product, the first factor's sign."""
    if places := list(re.finditer(r"= (fadd|fsub|fmul|fdiv) ", kernel)):
        start, end = places[-1].span(1)
        return kernel[:start] + FLIPS[places[-1].group(1)] + kernel[end:]
    line = re.findall(r"^ %\w+ = call <16 x float> @llvm\.fma.*\n", kernel, re.MULTILINE)[0]
    factor = re.findall(r"<16 x float> (%\w+)[,)]", line)[0]
    wrong = f" %planted = fneg <16 x float> {factor}\n" + line.replace(f"{factor},", "%planted,", 1)
    return kernel.replace(line, wrong)


def check(oracle: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the tests of networks do, on a program that is written anew."""
    monkeypatch.setattr(compiled, "_kept", OrderedDict())
    found = CompiledProgram(GRAPH, {"n": ROWS})(GIVEN)
    oracle.all_same_bits(found, oracle.contract(GRAPH, {"n": ROWS}, GIVEN))


def test_nothing_is_seen_where_nothing_is_planted(oracle: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    check(oracle, monkeypatch)


def test_one_wrong_instruction_in_any_kernel_is_seen(oracle: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    found = kernels()
    assert len(found) > 8
    for kernel in found:

        def planted(*arguments: Any, right: str = kernel, **options: Any) -> ProgramText:
            text = write_program(*arguments, **options)
            assert text.text.count(right) == 1
            text.text = text.text.replace(right, flipped(right))
            return text

        monkeypatch.setattr(compiled, "write_program", planted)
        with pytest.raises(AssertionError, match="differ, first at"):
            check(oracle, monkeypatch)


SUBTRACT, FMA, SHIFT = LlvmEmitter.subtract, LlvmEmitter.fma, LlvmEmitter.shift_right
MISTAKES: dict[str, tuple[str, Any]] = {
    "subtract the wrong way round": ("subtract", lambda e, a, b: SUBTRACT(e, b, a)),
    "a multiply-add rounded twice": ("fma", lambda e, a, b, c: e.add(e.multiply(a, b), c)),
    "a multiply-add of another sign": ("fma", lambda e, a, b, c: FMA(e, e.negate(a), b, c)),
    "random words shifted too far": ("shift_right", lambda e, a, bits: SHIFT(e, a, bits + (bits == 8))),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_instruction_of_the_emitter_is_seen(
    oracle: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, mistake: str
) -> None:
    name, wrong = MISTAKES[mistake]
    monkeypatch.setattr(LlvmEmitter, name, wrong)
    with pytest.raises(AssertionError, match="differ, first at"):
        check(oracle, monkeypatch)
