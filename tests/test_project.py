"""The project keeps its own rules: lint, format and types pass, and each of those checks bites when it should."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=ROOT, input=stdin, capture_output=True, text=True)


@pytest.mark.parametrize(
    "arguments", [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]], ids=" ".join
)
def test_the_check_passes(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 0, f"`python -m {' '.join(arguments)}` says:\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        ('"""A module."""\n\nimport os\n', "F401"),
        ('"""A module."""\n\n\ndef public() -> None:\n    pass\n', "D103"),
        ('"""A module."""\n\nprint([1] == [2] for _ in range(3) if 1 is 1)\n', "F632"),
        ('"""A module."""\n\nx = "' + "x" * 120 + '"\n', "E501"),
    ],
)
def test_lint_rejects_a_planted_fault(code: str, rule: str) -> None:
    done = run("ruff", "check", "--no-cache", "--stdin-filename", "src/fallline/planted.py", "-", stdin=code)
    assert done.returncode == 1
    assert rule in done.stdout


def test_the_format_check_rejects_a_planted_fault() -> None:
    done = run(
        "ruff", "format", "--no-cache", "--check", "--stdin-filename", "src/fallline/planted.py", "-", stdin="x=1\n"
    )
    assert done.returncode == 1


def test_the_type_check_rejects_a_planted_fault(tmp_path: Path) -> None:
    planted = tmp_path / "planted.py"
    planted.write_text("def f(x):\n    return x\n\n\ny: int = 'text'\n")
    done = run("mypy", "--cache-dir", str(tmp_path / "cache"), str(planted))
    assert done.returncode == 1
    assert "[no-untyped-def]" in done.stdout
    assert "[assignment]" in done.stdout


def test_warnings_fail_tests(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.getini("filterwarnings") == ["error"]
    with pytest.raises(UserWarning, match="planted"):
        __import__("warnings").warn("planted", stacklevel=1)


def test_the_version_has_an_entry_in_the_changelog() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## \[{re.escape(PROJECT['project']['version'])}\]", changelog, re.MULTILINE)
    assert re.search(r"^## \[Unreleased\]", changelog, re.MULTILINE)


def test_the_licence_is_the_one_declared() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert PROJECT["project"]["license"] == "Apache-2.0"
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_continuous_integration_runs_the_one_test_command() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert re.search(r"^make .*\btest\b", script.read_text(encoding="utf-8"), re.MULTILINE)


def test_every_target_the_makefile_tells_of_exists() -> None:
    help_text = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True).stdout
    told = set(re.findall(r"\bmake ([a-z]+)", help_text))
    assert {"demo", "test", "soak", "bench", "clean"} <= told
    for target in told:
        planned = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
        assert planned.returncode == 0, planned.stderr
