"""The project's virtual environment: made once, reused while it fits, renewed when `pyproject.toml` changes.

A stamp inside `.venv`, written last, says what was installed and for which `pyproject.toml`. A marker that lies
there during the installation tells, when it is still there later, that the installation was cut short.
"""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import browser

ROOT = Path(__file__).resolve().parent.parent
LEVELS = ("core", "dev")  # what `make demo` needs; what `make test` needs besides
PROBE = "import sys; from importlib.util import find_spec; sys.exit(not all(map(find_spec, sys.argv[1:])))"
PROBED = {"core": ["fallline", "numpy", "click"], "dev": ["fallline", "numpy", "click", "pytest", "mypy"]}
QUIET = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PIP_USER": "0"}


class SetupError(Exception):
    """The environment cannot be made; the message is the one sentence the user sees."""


class Environment:
    """The virtual environment of the checkout at `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / ".venv"
        self.python = self.folder / "bin" / "python"
        self.stamp = self.folder / "fallline-stamp.json"
        self.marker = self.folder / "fallline-installing"

    def wanted(self, level: str) -> dict[str, str]:
        """What the stamp must say: the level, the hash of `pyproject.toml` and the place of the checkout."""
        digest = hashlib.sha256((self.root / "pyproject.toml").read_bytes()).hexdigest()
        # The place counts, because an editable installation breaks when the checkout moves.
        return {"level": level, "pyproject": digest, "root": str(self.root)}

    def found(self) -> dict[str, str]:
        """What the stamp says; nothing where there is none or it is damaged."""
        try:
            stamp = json.loads(self.stamp.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return stamp if isinstance(stamp, dict) else {}

    def is_ready(self, level: str) -> bool:
        """Whether everything of `level` is installed for this `pyproject.toml`, and the interpreter runs."""
        fitting = [self.wanted(name) for name in LEVELS[LEVELS.index(level) :]]
        return self.found() in fitting and self.runs(PROBE, *PROBED[level])

    def runs(self, code: str, *arguments: str) -> bool:
        """Whether the environment's Python runs `code` without failing."""
        try:
            return subprocess.run([self.python, "-c", code, *arguments], capture_output=True).returncode == 0
        except OSError:
            return False

    def is_usable(self) -> bool:
        """Whether what is there can be installed into: finished, of a Python new enough."""
        return not self.marker.exists() and self.runs("import sys; sys.exit(sys.version_info < (3, 11))")

    def make_ready(self, level: str) -> None:
        """Makes or renews the environment, so that `is_ready(level)` holds."""
        if "dev" in (level, self.found().get("level")):
            level = "dev"  # an environment never loses what it had
        self.announce()
        uv = shutil.which("uv")
        renewed = self.is_usable()
        if not renewed:
            self.create(uv)
        self.stamp.unlink(missing_ok=True)
        self.marker.touch()
        try:
            install(self.python, self.root, requirements(self.root) if level == "dev" else [], uv)
        except SetupError:
            if renewed:  # no network, perhaps: what the user has stays, and the next attempt starts from it
                self.marker.unlink()
            raise
        self.marker.unlink()
        self.stamp.write_text(json.dumps(self.wanted(level)), encoding="utf-8")

    def announce(self) -> None:
        """Says in one line what is about to happen and why."""
        if not self.folder.exists():
            reason = "Setting up .venv (first time: about a minute) …"
        elif not self.is_usable():
            reason = "Setting up .venv anew, because it is incomplete or broken (about a minute) …"
        else:
            reason = "Bringing .venv up to date …"
        print(reason, flush=True)

    def create(self, uv: str | None) -> None:
        """An empty environment with the Python that runs this, in place of what was there."""
        if not uv and not all(map(importlib.util.find_spec, ("venv", "ensurepip"))):
            version = f"{sys.version_info.major}.{sys.version_info.minor}"
            raise SetupError(
                f"{sys.executable} lacks the module venv or ensurepip: install it (on Debian or Ubuntu: "
                f"sudo apt install python{version}-venv), or name another Python, as in `make PYTHON=python3.12 test`."
            )
        remove(self.folder)
        if uv:
            command = [uv, "venv", "--quiet", "--seed", "--python", sys.executable, str(self.folder)]
            if run(command).returncode == 0:
                return
            remove(self.folder)
        self.folder.mkdir()
        self.marker.touch()
        if run([sys.executable, "-m", "venv", str(self.folder)]).returncode != 0:
            raise SetupError(f"Making a virtual environment in {self.folder} failed, for the reason above.")


def remove(path: Path) -> None:
    """Deletes a folder, a file or a link, if there is one."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


def requirements(root: Path, group: str = "dev") -> list[str]:
    """The requirements of a dependency group (PEP 735), read here because pip before 25.1 has no `--group`."""
    groups = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8")).get("dependency-groups", {})
    found: list[str] = []
    for entry in groups.get(group, []):
        found += [entry] if isinstance(entry, str) else requirements(root, entry["include-group"])
    return found


def run(command: list[str]) -> "subprocess.CompletedProcess[bytes]":
    """Runs a command, its complaints visible, what it says about progress not."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    return subprocess.run(command, env=environment | QUIET, stdin=subprocess.DEVNULL)


def install(python: Path, root: Path, extra: list[str], uv: str | None) -> None:
    """Installs the checkout at `root` (editable) and `extra` into the environment of `python`."""
    what = ["--editable", str(root), *extra]
    if uv:
        if run([uv, "pip", "install", "--quiet", "--python", str(python), *what]).returncode == 0:
            return
        print("uv could not install everything (see above); trying pip …", flush=True)
    pip = [str(python), "-m", "pip"]
    if subprocess.run([*pip, "--version"], capture_output=True).returncode != 0:
        run([str(python), "-m", "ensurepip", "--upgrade"])
    status = run([*pip, "install", "-qq", *what]).returncode
    if status != 0:
        raise SetupError(
            f"Installing Fallline's dependencies failed (pip's exit code {status}, its reason above): check the "
            "connection to the package index and the free disk space, then run the same command again."
        )


def main(arguments: list[str]) -> int:
    """`setup.py core|dev`: 0 when the environment is ready, 1 after a sentence that says why it is not."""
    level = arguments[0] if arguments else "dev"
    if level not in LEVELS:
        print(f"setup.py: {level!r} is no level; choose one of: {', '.join(LEVELS)}", file=sys.stderr)
        return 2
    environment = Environment(ROOT)
    try:
        if not environment.is_ready(level):
            environment.make_ready(level)
            if level == "dev":
                browser.offer()
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"Setting up {environment.folder} failed: {error}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; the next `make` starts .venv anew.", file=sys.stderr)
        return 130
    return 0
