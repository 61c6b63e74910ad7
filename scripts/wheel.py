"""`make wheel`: the files that are published, in dist/, checked inside and tried out where nothing else is.

The wheel is built from the source distribution, as an installer without a wheel would; it must hold the library's files
and no others. Then it is installed into a fresh environment in a temporary folder, which trains and predicts.
"""

import os
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from pathlib import Path

from environment import requirements

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "fallline"
SOURCES = {"pyproject.toml", "PKG-INFO", "README.md", "LICENSE", "CHANGELOG.md", ".gitignore"}
"""What a source distribution has beside src/ (.gitignore is the build backend's own habit)."""
LICENCES = {"licenses/LICENSE", "licenses/src/fallline/lab/static/vendor/uplot.LICENSE.txt"}
"""Below the wheel's own folder: our licence, and those of the libraries that come along."""
QUIET = ("--quiet", "--disable-pip-version-check", "--no-input")


class WheelError(Exception):
    """Something is wrong with what would be published; the message says what."""


def project() -> dict[str, object]:
    """The table `project` of pyproject.toml."""
    found: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return found


def package_files() -> set[str]:
    """The files of the library in this checkout, as a wheel names them."""
    files = (path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix not in (".pyc", ".pyo"))
    return {path.relative_to(PACKAGE.parent).as_posix() for path in files}


def build(into: Path) -> tuple[Path, Path]:
    """Build the distributions into a folder: (wheel, source distribution)."""
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", str(into), str(ROOT)], ROOT)
    name = f"fallline-{project()['version']}"
    return into / f"{name}-py3-none-any.whl", into / f"{name}.tar.gz"


def faults_in_wheel(wheel: Path, expected: set[str]) -> list[str]:
    """What is wrong with a wheel that should hold the files `expected`, in sentences."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
        about = {name for name in names if name.partition("/")[0].endswith(".dist-info")}
        metadata = next((archive.read(name).decode() for name in about if name.endswith("/METADATA")), "")
    own, told = names - about, {name.partition("/")[2] for name in about}
    faults = [f"{name} is not in it" for name in sorted(expected - own)]
    faults += [f"{name} should not be in it" for name in sorted(own - expected)]
    faults += [f"{name} is not in its own folder" for name in sorted(LICENCES - told)]
    if "Description-Content-Type: text/markdown" not in metadata:
        faults.append("its description is not said to be Markdown")
    return faults


def faults_in_source(source: Path, expected: set[str]) -> list[str]:
    """What is wrong with a source distribution, in sentences."""
    with tarfile.open(source) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    needed = {f"src/{name}" for name in expected} | (SOURCES - {".gitignore"})
    faults = [f"{name} is not in it" for name in sorted(needed - names)]
    return faults + [f"{name} should not be in it" for name in sorted(names - needed - SOURCES)]


def run(command: list[str], folder: Path) -> str:
    """Run a command in a folder, with nothing of this checkout on Python's path; what it prints."""
    hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    done = subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise WheelError(f"`{' '.join(command)}` ends with {done.returncode}:\n{done.stdout}{done.stderr}".rstrip())
    return done.stdout.strip()


def fresh(folder: Path) -> Path:
    """A new virtual environment; its folder of programs."""
    run([sys.executable, "-m", "venv", str(folder)], folder.parent)
    return folder / "bin"


def check_description(wheel: Path, source: Path, folder: Path) -> None:
    """Whether the package index will show the description."""
    programs = fresh(folder / "tools")
    run([str(programs / "pip"), "install", *QUIET, *requirements(ROOT, "release")], folder)
    run([str(programs / "twine"), "check", "--strict", str(wheel), str(source)], folder)


def try_out(wheel: Path, folder: Path) -> None:
    """Install the wheel where nothing else is; train a network, and predict with it."""
    programs = fresh(folder / "fresh")
    python, pip, fallline = (str(programs / name) for name in ("python", "pip", "fallline"))
    run([pip, "install", *QUIET, str(wheel)], folder)
    place = run([python, "-c", "import fallline; print(fallline.__file__)"], folder)
    if not Path(place).is_relative_to(folder):
        raise WheelError(f"`import fallline` took {place}, which is not what was installed")
    said = run([fallline, "--version"], folder)
    if said != f"fallline {project()['version']}":
        raise WheelError(f"`fallline --version` says {said!r}")
    run([fallline, "train", "penguins", "--target", "species", "--out", "run", "--quiet"], folder)
    run([fallline, "predict", "run", "penguins", "--out", "predictions.csv"], folder)
    rows = (folder / "predictions.csv").read_text(encoding="utf-8").splitlines()
    if len(rows) != 345 or rows[0] != "prediction":
        raise WheelError(f"`fallline predict` wrote {len(rows)} lines below {rows[0]!r} for the 344 penguins")
    print(f"installed: {megabytes(sum(size(path) for path in programs.parent.rglob('*')))} with Python's own pip")
    for extra in extras():
        run([pip, "install", *QUIET, "--dry-run", f"{wheel}[{extra}]"], folder)
        print(f"fallline[{extra}] can be installed")


def extras() -> list[str]:
    """The names of the extras."""
    found = project()["optional-dependencies"]
    return sorted(found) if isinstance(found, dict) else []


def size(path: Path) -> int:
    """A file's bytes; none of a folder or a link."""
    return path.stat().st_size if path.is_file() and not path.is_symlink() else 0


def megabytes(count: int) -> str:
    """1.2 MB."""
    return f"{count / 1e6:.1f} MB"


def check() -> None:
    """Build, look inside, try out."""
    wheel, source = build(ROOT / "dist")
    expected = package_files()
    for path, faults in ((wheel, faults_in_wheel(wheel, expected)), (source, faults_in_source(source, expected))):
        if faults:
            raise WheelError("\n".join([f"{path.name}:", *faults]))
        print(f"{path}: {megabytes(size(path))}", flush=True)
    with tempfile.TemporaryDirectory(prefix="fallline-wheel-") as folder:
        check_description(wheel, source, Path(folder))
        try_out(wheel, Path(folder))
    print("A fresh environment trained and predicted with it. Nothing was published.")


def main() -> int:
    """0 when the files may be published, 1 after a sentence that says why not."""
    try:
        check()
    except (WheelError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; what is in dist/ was not checked to its end.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
