"""Programs by either engine, falling back with a warning; forward programs for any number of rows."""

import logging
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fallline as fl
from fallline import nn
from fallline.engine import compiled, programs
from fallline.engine.compiled import CompiledProgram, compile_graph
from fallline.engine.compiler.program import Leaves
from fallline.engine.programs import ForwardProgram, make_program, multiply_adds, rows_are_independent
from fallline.engine.reference import ReferenceProgram
from fallline.errors import ArgumentError, CompileError
from fallline.ir.graph import Graph, Node
from fallline.ir.op import REGISTRY, Op
from fallline.ir.types import BATCH
from fallline.ops import make_input
from fallline.ops.rules import same_type
from fallline.ops.tensor import Tensor
from fallline.tables.members import MemberHeads, MemberScales

Array = NDArray[Any]


@dataclass(frozen=True)
class Folded:
    """A kernel form that no schedule knows."""


UNKNOWN = Op(
    "fold",
    same_type("fold"),
    reference=lambda x: x[::-1] * 2.0,
    gradient=None,
    kernel=Folded(),
    samples=None,  # type: ignore[arg-type]
    why_no_gradient="only a test uses it",
)


@pytest.fixture
def _fold_is_an_op(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REGISTRY, "fold", UNKNOWN)


def unknown_graph() -> tuple[Graph, dict[str, Array]]:
    x = make_input("x", (BATCH, 2), "float32")
    folded = Tensor(Node(UNKNOWN, (x.node,), {}))
    return Graph({"x": x.node}, {"y": (folded + 1.0).node}), {"x": np.arange(6, dtype=np.float32).reshape(3, 2)}


@pytest.mark.usefixtures("_fold_is_an_op")
def test_what_has_no_schedule_is_an_error_that_says_so() -> None:
    graph, _ = unknown_graph()
    with pytest.raises(CompileError, match=r"^the compiled engine has no schedule for the kernel form Folded$"):
        CompiledProgram(graph, {"n": 3})


@pytest.mark.usefixtures("_fold_is_an_op")
def test_what_cannot_be_compiled_is_computed_by_the_reference_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    graph, given = unknown_graph()
    program = make_program(graph, {"n": 3})
    assert isinstance(program, ReferenceProgram)
    np.testing.assert_array_equal(program(given)["y"], [[9.0, 11.0], [5.0, 7.0], [1.0, 3.0]])
    assert [(record.name, record.levelno) for record in caplog.records] == [("fallline", logging.WARNING)]
    assert caplog.messages == [
        "The compiled engine could not be used (the compiled engine has no schedule for the kernel form Folded); "
        "the reference engine computes instead: slower, and not with the same bits."
    ]


def test_any_failure_to_write_a_program_is_a_compile_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any) -> None:
        raise KeyError("a group")

    monkeypatch.setattr("fallline.engine.compiler.program.Grouping", broken)
    x = make_input("x", (BATCH, 2), "float32")
    with pytest.raises(CompileError, match=r"^the compiled engine failed on this graph \(KeyError: 'a group'\)$"):
        CompiledProgram(Graph({"x": x.node}, {"y": (x * 41.5).node}), {"n": 3})


@pytest.mark.usefixtures("fresh_programs")
def test_code_that_llvm_refuses_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    write = compiled.write_program

    def spoiled(*arguments: Any) -> Any:
        text = write(*arguments)
        text.text = text.text.replace(" fmul ", " fmull ")
        return text

    monkeypatch.setattr(compiled, "write_program", spoiled)
    x = make_input("x", (BATCH, 2), "float32")
    graph = Graph({"x": x.node}, {"y": (x * 3.0).node})
    with pytest.raises(
        CompileError, match=r"^LLVM refuses the compiled program: (.|\n)*fmull(.|\n)*a defect of Fallline"
    ):
        CompiledProgram(graph, {"n": 3})
    assert isinstance(make_program(graph, {"n": 3}), ReferenceProgram)


def test_a_missing_llvmlite_leaves_the_reference(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "fallline.engine.compiled", None)
    x = make_input("x", (BATCH, 2), "float32")
    program = make_program(Graph({"x": x.node}, {"y": (x * 3.0).node}), {"n": 3})
    assert isinstance(program, ReferenceProgram)
    assert "The compiled engine could not be used" in caplog.text


def test_the_reference_engine_is_taken_where_it_is_wanted() -> None:
    x = make_input("x", (BATCH, 2), "float32")
    graph = Graph({"x": x.node}, {"y": (x * 3.0).node})
    assert isinstance(make_program(graph, {"n": 3}, engine="reference"), ReferenceProgram)
    assert isinstance(make_program(graph, {"n": 3}), CompiledProgram)


# --- programs that are made once


def small(scale: float, table: Any = (1.0, 2.0)) -> Graph:
    x = make_input("x", (BATCH, 2), "float32")
    return Graph({"x": x.node}, {"y": (x * scale + np.array(table)).node})


def test_equal_graphs_share_a_program_and_others_do_not() -> None:
    leaves = Leaves(rows=("x",))
    first = compile_graph(small(2.0), {"n": 3}, leaves)
    assert compile_graph(small(2.0), {"n": 3}, leaves) is first
    others = [
        compile_graph(small(-2.0), {"n": 3}, leaves),
        compile_graph(small(2.0, (1.0, 2.5)), {"n": 3}, leaves),
        compile_graph(small(2.0), {"n": 4}, leaves),
        compile_graph(small(2.0), {"n": 3}, Leaves(state=("x",))),
        compile_graph(small(2.0), {"n": 3}, leaves, 2),
        compile_graph(small(2.0), {"n": 3}, leaves, 1, True),
    ]
    assert len({id(program) for program in [first, *others]}) == 7
    for zero in (0.0, -0.0):
        found = CompiledProgram(small(1.0, (zero, zero)), {"n": 1})({"x": np.full((1, 2), -0.0, np.float32)})["y"]
        assert np.signbit(found).all() == np.signbit(zero)


@pytest.mark.usefixtures("fresh_programs")
def test_few_programs_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "MOST_KEPT", 2)
    leaves = Leaves(rows=("x",))
    first, second = (compile_graph(small(scale), {"n": 3}, leaves) for scale in (1.0, 2.0))
    assert compile_graph(small(1.0), {"n": 3}, leaves) is first
    compile_graph(small(3.0), {"n": 3}, leaves)
    assert compile_graph(small(1.0), {"n": 3}, leaves) is first
    assert compile_graph(small(2.0), {"n": 3}, leaves) is not second


# --- any number of rows


def forward(norm: nn.Module) -> tuple[Graph, dict[str, Array]]:
    net = nn.Sequential(nn.Linear(3, 17), norm, nn.Tanh(), nn.Linear(17, 2), seed=4)
    x = make_input("x", (BATCH, 3), "float32")
    outputs = net(x)
    leaves = {**net.named_parameters(), **net.named_buffers()}
    values = {**net.parameters(), **net.buffers()}
    inputs = {"x": x.node, **{name: leaf.node for name, leaf in leaves.items()}}
    return Graph(inputs, {"y": outputs.node, "p": fl.softmax(outputs).node, "x": x.node}), values


class Members(nn.Module):
    """Rows lie along the second axis in its middle."""

    def __init__(self) -> None:
        self.scales, self.heads = MemberScales(3, 17), MemberHeads(3, 17, 17)

    def __call__(self, x: Any) -> Any:
        return self.heads(self.scales(x)).mean(1)


@pytest.mark.parametrize("engine", ["compiled", "reference"])
@pytest.mark.parametrize("middle", [nn.LayerNorm(17), Members()], ids=["layers", "members"])
def test_forward_programs_serve_any_number_of_rows(oracle: SimpleNamespace, engine: str, middle: nn.Module) -> None:
    graph, values = forward(middle)
    x = np.random.default_rng(0).normal(size=(2500, 3)).astype(np.float32)
    program = ForwardProgram(graph, engine)
    wanted = program({"x": x, **values})
    if engine == "compiled":
        oracle.all_same_bits(CompiledProgram(graph, {"n": 2500})({"x": x, **values}), wanted)
        contract = oracle.contract(graph, {"n": 40}, {"x": x[:40], **values})
        oracle.all_same_bits({name: value[:40] for name, value in wanted.items()}, contract)
    for rows in (0, 1, 2, 15, 16, 17, 128, 129, 1024, 1025):
        found = program({"x": x[:rows], **values})
        for name, value in wanted.items():
            assert found[name].shape == (rows, *value.shape[1:])
            if engine == "compiled":
                oracle.same_bits(found[name], value[:rows], f"{name} of {rows} rows")
            else:
                np.testing.assert_allclose(found[name], value[:rows], rtol=1e-5, atol=1e-6)
    assert len(program._programs) <= len(programs.CAPACITIES) + 1 or engine == "reference"


def test_forward_programs_whose_rows_meet_are_made_for_each_number_of_rows(oracle: SimpleNamespace) -> None:
    graph, values = forward(nn.LayerNorm(17))
    y = Tensor(graph.outputs["y"])
    graph = Graph(graph.inputs, {"y": (y - y.mean(0, True)).node})
    assert not rows_are_independent(graph)
    program = ForwardProgram(graph)
    x = np.random.default_rng(1).normal(size=(40, 3)).astype(np.float32)
    for rows in (40, 17, 1):
        given = {"x": x[:rows], **values}
        oracle.all_same_bits(program(given), oracle.contract(graph, {"n": rows}, given))


@pytest.mark.usefixtures("_fold_is_an_op")
def test_forward_programs_fall_back_too(caplog: pytest.LogCaptureFixture) -> None:
    graph, given = unknown_graph()
    program = ForwardProgram(graph)
    np.testing.assert_array_equal(program(given)["y"], [[9.0, 11.0], [5.0, 7.0], [1.0, 3.0]])
    assert "Folded" in caplog.text


def test_a_forward_program_needs_a_row_for_each_row() -> None:
    x = make_input("x", (BATCH, 3), "float32")
    with pytest.raises(
        ArgumentError, match=r"^a forward program needs outputs with a row per row of the batch, 'y' has none$"
    ):
        ForwardProgram(Graph({"x": x.node}, {"y": x.sum(0).node}))


def stacked(w: Any) -> Any:
    """Three matrices, one upon the other."""
    return w[:, :, None] * w[:, None, :]


@pytest.mark.parametrize(
    ("make", "apart"),
    [
        (lambda x, w: x @ w, True),
        (lambda x, w: fl.softmax(x @ w, 1), True),
        (lambda x, w: x.reshape((BATCH, 3, 1)) @ w[:1], True),
        (lambda x, w: fl.concatenate([x, x[:, :1]], 1), True),
        (lambda x, w: fl.take(w, fl.cast(x, "int64")), True),
        (lambda x, w: x.transpose() @ x, False),
        (lambda x, w: x @ (x.transpose() @ x), False),
        (lambda x, w: fl.softmax(x, 0), False),
        (lambda x, w: fl.take(x, fl.cast(x[:, 0], "int64")), False),
        (lambda x, w: ((x[:, None, :] * w).transpose(1, 0, 2) @ stacked(w)).transpose(1, 0, 2).sum(1), True),
        (lambda x, w: (x[:, None, :] * w).transpose(1, 0, 2) @ w, False),  # one product of n·3 rows, in another order
        (lambda x, w: (x[:, None, :] * w).transpose(1, 0, 2).reshape((3, BATCH, 1, 3)).transpose(1, 2, 3, 0), True),
        (lambda x, w: (x[:, None, :] * w).transpose(1, 2, 0).sum(2), False),
        (lambda x, w: fl.softmax((x[:, None, :] * w).transpose(1, 2, 0), 2), False),
        (lambda x, w: x / x.mean(), False),
        (lambda x, w: x * x.max(0), False),
    ],
)
def test_rows_are_independent_where_they_do_not_meet(make: Any, apart: bool) -> None:
    x, w = make_input("x", (BATCH, 3), "float32"), make_input("w", (3, 3), "float32")
    assert rows_are_independent(Graph({"x": x.node, "w": w.node}, {"y": make(x, w).node})) is apart


def test_multiply_adds_are_counted() -> None:
    x, w = make_input("x", (BATCH, 3), "float32"), make_input("w", (3, 7), "float32")
    z = make_input("z", (BATCH, 2, 3), "float32")
    y = x @ w
    graph = Graph({"x": x.node, "w": w.node, "z": z.node}, {"g": (x.T @ y).node, "s": (z @ w).node})
    assert multiply_adds(graph, 10) == 10 * 3 * 7 + 3 * 10 * 7 + 10 * 2 * 3 * 7
