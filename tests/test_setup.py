"""`scripts/setup.py`: the environment is made once, reused, renewed, and its absence explained in a sentence."""

import ast
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
OLD = """
import runpy, sys
sys.version_info, sys.version = (3, 8, 0), "3.8.0 (old)"
runpy.run_path({!r}, run_name="__main__")
"""


@pytest.fixture
def module() -> ModuleType:
    sys.path.insert(0, str(ROOT / "scripts"))  # as setup.py has it
    spec = importlib.util.spec_from_file_location("environment", ROOT / "scripts" / "environment.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(loaded)
    finally:
        sys.path.pop(0)
    return loaded


@pytest.fixture
def checkout(tmp_path: Path, module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in a path with a space, whose installation installs nothing and whose parts are of the library."""
    root = tmp_path / "my checkout"
    root.mkdir()
    (root / "pyproject.toml").write_text('[dependency-groups]\ndev = ["pytest>=8"]\n')
    monkeypatch.setattr(module, "PROBED", {"core": ["json"], "dev": ["json", "tomllib"]})
    monkeypatch.setattr(module, "install", lambda *arguments: None)
    monkeypatch.setattr(module.Environment, "create", make_empty)
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    return root


def make_empty(environment: Any, uv: str | None) -> None:
    """An environment that is a link to this Python."""
    environment.python.parent.mkdir(parents=True)
    environment.python.symlink_to(sys.executable)


def test_setup_parses_on_python_3_6() -> None:
    ast.parse((ROOT / "scripts" / "setup.py").read_text(encoding="utf-8"), feature_version=(3, 6))


def test_an_old_python_gets_a_sentence(tmp_path: Path) -> None:
    script = tmp_path / "scripts" / "setup.py"
    script.parent.mkdir()
    script.write_bytes((ROOT / "scripts" / "setup.py").read_bytes())
    done = subprocess.run(
        [sys.executable, "-c", OLD.format(str(script)), "dev"],
        env={"PATH": str(tmp_path)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == (
        f"Fallline needs Python 3.11 or newer, and {sys.executable} is Python 3.8.0: install a newer one, "
        "or name it, as in `make PYTHON=python3.12 test`.\n"
    )


def test_a_python_without_venv_gets_a_sentence(
    module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ensurepip" else object())
    with pytest.raises(module.SetupError, match=r"lacks the module venv or ensurepip.*apt install python3\.\d+-venv"):
        module.Environment(tmp_path).create(None)
    assert not (tmp_path / ".venv").exists()


def test_the_environment_is_made_once_and_reused(module: ModuleType, checkout: Path) -> None:
    environment = module.Environment(checkout)
    assert not environment.is_ready("core")
    environment.make_ready("core")
    assert environment.is_ready("core")
    assert not environment.is_ready("dev")
    environment.make_ready("dev")
    assert environment.is_ready("dev")
    assert environment.is_ready("core")
    environment.make_ready("core")
    assert environment.is_ready("dev"), "what is installed for the tests is not lost to the demo"


def test_a_changed_project_renews_the_environment(module: ModuleType, checkout: Path) -> None:
    environment = module.Environment(checkout)
    environment.make_ready("dev")
    (checkout / "pyproject.toml").write_text('[dependency-groups]\ndev = ["pytest>=9"]\n')
    assert not environment.is_ready("dev")
    environment.make_ready("dev")
    assert environment.is_ready("dev")


def test_a_moved_checkout_is_not_ready(module: ModuleType, checkout: Path) -> None:
    module.Environment(checkout).make_ready("dev")
    assert not module.Environment(checkout.rename(checkout.parent / "moved")).is_ready("dev")


@pytest.mark.parametrize("damage", ["python", "stamp", "package"])
def test_a_broken_environment_is_not_ready(
    module: ModuleType, checkout: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    environment = module.Environment(checkout)
    environment.make_ready("dev")
    if damage == "python":
        environment.python.unlink()
        environment.python.symlink_to(checkout / "gone")
    elif damage == "stamp":
        environment.stamp.write_text(environment.stamp.read_text()[:-5])
    else:
        monkeypatch.setitem(module.PROBED, "dev", ["json", "no_such_package"])
    assert not environment.is_ready("dev")


def test_an_interrupted_installation_starts_anew(
    module: ModuleType, checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = module.Environment(checkout)

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "install", interrupted)
        with pytest.raises(KeyboardInterrupt):
            environment.make_ready("dev")
    assert not environment.is_ready("dev")
    assert not environment.is_usable()

    def anew(self: object, uv: str | None) -> None:
        module.remove(environment.folder)
        make_empty(environment, uv)

    monkeypatch.setattr(module.Environment, "create", anew)
    environment.make_ready("dev")
    assert environment.is_ready("dev")
    assert "Setting up .venv anew, because it is incomplete or broken" in capsys.readouterr().out


def test_a_failed_renewal_keeps_what_was_there(
    module: ModuleType, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = module.Environment(checkout)
    environment.make_ready("dev")
    (checkout / "pyproject.toml").write_text("[dependency-groups]\ndev = []\n")

    def offline(*arguments: object) -> None:
        raise module.SetupError("no connection")

    monkeypatch.setattr(module, "install", offline)
    with pytest.raises(module.SetupError, match="no connection"):
        environment.make_ready("dev")
    assert not environment.is_ready("dev")
    assert environment.is_usable()


def test_a_failing_installer_is_reported(module: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pip = tmp_path / "python"
    pip.write_text('#!/bin/sh\n[ "$3" = --version ] && exit 0\necho "No matching distribution" >&2\nexit 3\n')
    pip.chmod(0o755)
    with pytest.raises(module.SetupError, match=r"pip's exit code 3, its reason above.*run the same command again"):
        module.install(pip, tmp_path, ["nothing"], None)
    assert "No matching distribution" in capfd.readouterr().err


def test_the_dev_group_is_read_from_the_project(module: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[dependency-groups]\nlint = ["ruff>=0.6"]\ndev = ["pytest>=8", {include-group = "lint"}]\n'
    )
    assert module.requirements(tmp_path) == ["pytest>=8", "ruff>=0.6"]


@pytest.fixture
def browser(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of the browser, on a machine with apt-get alone; it remembers what would have been run."""
    found: Any = module.browser
    found.ran = []
    monkeypatch.setattr(found.shutil, "which", {"apt-get": "/usr/bin/apt-get"}.get)
    monkeypatch.setattr(found.os, "geteuid", lambda: 0)
    monkeypatch.setattr(found, "_run", lambda command: found.ran.append(command[1]))
    return found


def test_a_browser_that_is_there_is_not_installed(browser: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser.shutil, "which", {"chromium": "/usr/bin/chromium"}.get)
    assert browser.offer()
    assert browser.ran == []


def test_who_is_not_root_installs_no_browser(browser: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser.os, "geteuid", lambda: 1000)
    assert not browser.offer()
    assert browser.ran == []


def test_a_browser_that_cannot_be_installed_fails_nothing(browser: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert not browser.offer()
    assert browser.ran == ["install", "update"]
    assert capsys.readouterr().out == (
        "Installing Chromium for the tests that open pages …\nIt cannot be installed here; those tests will skip.\n"
    )


def test_an_unknown_level_is_refused(module: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert module.main(["docs"]) == 2
    assert capsys.readouterr().err == "setup.py: 'docs' is no level; choose one of: core, dev\n"


def test_the_stamp_names_the_project_it_is_for(module: ModuleType, checkout: Path) -> None:
    environment = module.Environment(checkout)
    environment.make_ready("core")
    stamp = json.loads(environment.stamp.read_text())
    assert stamp["root"] == str(checkout)
    assert len(stamp["pyproject"]) == 64
