"""The rooms of the house: who may import whom, and that the check notices when somebody does not keep to it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LINT = "from importlinter.cli import lint_imports_command as lint; lint(['--no-cache', '--no-logo'])"
ROOMS = ["cli", "lab", "report", "serving", "export", "cluster", "sklearn", "insight", "tables", "training"]
ROOMS += ["data", "nn", "optim", "backprop", "engine", "ops", "ir"]


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(folder / "src"), "COLUMNS": "200", "NO_COLOR": "1"}
    command = [sys.executable, "-c", LINT]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def skeleton(folder: Path) -> Path:
    """A package with every room, each of them empty, under the project's own contracts."""
    shutil.copy(ROOT / "pyproject.toml", folder)
    package = folder / "src" / "fallline"
    for room in ROOMS:
        (package / room).mkdir(parents=True)
        (package / room / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "errors.py").touch()
    return package


def test_the_imports_keep_to_the_rooms() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_downward_imports_are_allowed(tmp_path: Path) -> None:
    package = skeleton(tmp_path)
    for above, below in zip(ROOMS, ["report", *["errors"] * 5, *["engine"] * 8, "ops", "ir", "errors"], strict=True):
        (package / above / "part.py").write_text(f"from fallline import {below}\n")
    (package / "engine" / "compiler.py").write_text("import llvmlite.binding\n")
    (package / "training" / "compiled.py").write_text("from fallline.engine import compiler\n")
    done = lint_imports(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("where", "statement", "complaint"),
    [
        ("optim/sgd.py", "import fallline.backprop", "fallline.optim is not allowed to import fallline.backprop"),
        ("nn/linear.py", "from fallline import data", "fallline.nn is not allowed to import fallline.data"),
        ("ops/exact.py", "from fallline.engine import x", "fallline.ops is not allowed to import fallline.engine"),
        ("ir/graph.py", "from ..ops import x", "fallline.ir is not allowed to import fallline.ops"),
        ("errors.py", "def f():\n    import fallline.ir", "fallline.errors is not allowed to import fallline.ir"),
        ("training/run.py", "import fallline.report", "fallline.training is not allowed to import fallline.report"),
        ("nn/fast.py", "import llvmlite.ir", "fallline is not allowed to import llvmlite"),
        ("training/save.py", "from pickle import dumps", "fallline is not allowed to import pickle"),
        ("misc/__init__.py", "", "misc"),
    ],
)
def test_a_planted_import_is_rejected(tmp_path: Path, where: str, statement: str, complaint: str) -> None:
    planted = skeleton(tmp_path) / where
    planted.parent.mkdir(exist_ok=True)
    planted.write_text(statement + "\n")
    done = lint_imports(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert complaint in done.stdout
