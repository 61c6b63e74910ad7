"""`import fallline`: nothing heavy is loaded, and every public name is where it says."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import fallline as fl
from fallline import nn

SOURCE = Path(fl.__file__)
HEAVY = ("numpy", "duckdb", "rich", "safetensors", "click", "pandas", "scipy", "importlib.metadata", "asyncio")


def loaded_by(code: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after `code`."""
    code = f"import sys; sys.path.insert(0, {str(SOURCE.parents[1])!r})\n{code}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_importing_loads_nothing_heavy() -> None:
    found = loaded_by("import fallline")
    assert "fallline" in found
    assert not found & set(HEAVY)
    assert not {name for name in found if name.startswith("fallline.")}


def test_looking_around_loads_nothing_heavy() -> None:
    found = loaded_by("import fallline; dir(fallline); fallline.ArgumentError")
    assert "fallline.errors" in found
    assert not found & set(HEAVY)


def test_layers_load_no_tables() -> None:
    assert not loaded_by("from fallline import nn, optim; nn.Linear(2, 2)") & {"duckdb", "rich", "click", "pandas"}


@pytest.mark.parametrize("name", fl.__all__)
def test_every_public_name_resolves(name: str) -> None:
    value = getattr(fl, name)
    assert value is not None
    assert name in dir(fl)
    if name in fl._HOME:
        assert value is getattr(import_module(f"fallline.{fl._HOME[name]}"), name)


def test_the_list_the_rooms_and_the_block_for_type_checkers_agree() -> None:
    block = next(
        node
        for node in ast.parse(SOURCE.read_text(encoding="utf-8")).body
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
    )
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    told = {alias.name: node.module for node in imports for alias in node.names}
    assert {name: f"fallline.{room}" for name, room in fl._HOME.items()} | dict.fromkeys(
        fl._SUBPACKAGES, "fallline"
    ) == told
    assert sorted(fl.__all__) == sorted(told)
    assert len(set(fl.__all__)) == len(fl.__all__)


def test_unknown_names_are_unknown() -> None:
    with pytest.raises(AttributeError, match="module 'fallline' has no attribute 'fitt'"):
        _ = fl.fitt
    assert not hasattr(fl, "_nothing")


def test_star_import_gives_the_public_names() -> None:
    names: dict[str, object] = {}
    exec("from fallline import *", names)
    assert set(fl.__all__) <= set(names)


def test_the_version_is_that_of_the_package() -> None:
    assert fl.__version__.count(".") == 2


def test_trace_prints_the_graph_and_marks_backpropagation() -> None:
    net = nn.Sequential(nn.Linear(3, 2), nn.Tanh())
    forward = str(fl.trace(net, np.zeros((1, 3))))
    assert "matmul(@x, 0.weight)" in forward
    assert "tanh(" in forward
    assert "→ outputs" in forward
    assert "backpropagation" not in forward
    step = str(fl.trace(net, np.zeros((1, 3)), np.zeros((1, 2)), loss="mse"))
    assert "→ gradient of 0.weight" in step
    assert "[backpropagation]" in step
    assert "(n, 2)" in step
    assert "learning" not in step, "backpropagation knows no learning rate"


def test_trace_refuses_what_is_no_network() -> None:
    with pytest.raises(fl.KindError, match=r"trace: net must be an object of fallline.nn.Module, found 3"):
        fl.trace(3, np.zeros((1, 3)))
