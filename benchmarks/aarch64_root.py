"""A small AArch64 system in a cache folder: Debian's Python and wheels, run by qemu's user-mode emulation.

apt is given a configuration, lists and a status of its own, so the machine's packages stay as they are and nobody has
to be root.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.jobs import ROOT, JobError
from benchmarks.machine import version_of

VARIABLE = "FALLLINE_AARCH64"
"""The environment variable that names the folder, in place of ~/.cache/fallline-aarch64."""
EMULATORS = ("qemu-aarch64-static", "qemu-aarch64")
SOURCES = ("/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list")
DEBIAN = ("python3-minimal", "libpython3-stdlib", "libstdc++6")
WHEELS = ("numpy", "llvmlite", "safetensors", "rich")
"""What importing the training needs, in the versions of this environment; their own needs come with them."""
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux2014_aarch64", "manylinux_2_17_aarch64")
SECONDS = 1800
"""The longest that a command may take: far more than any needs, so that what hangs is noticed."""


@dataclass(frozen=True)
class Emulated:
    """An AArch64 system in a folder, and the emulator that runs its programs."""

    folder: Path
    emulator: str

    @property
    def python(self) -> list[str]:
        """The command that starts its Python."""
        return [self.emulator, "-L", str(self.folder / "root"), str(self.folder / "root/usr/bin/python3"), "-s"]

    @property
    def environment(self) -> dict[str, str]:
        """What its Python needs to find the wheels and this checkout."""
        paths = [self.folder / "wheels", ROOT / "src", ROOT]
        cache = {"PYTHONPYCACHEPREFIX": str(self.folder / "pycache"), "FALLLINE_CACHE": "off"}
        return {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": os.pathsep.join(map(str, paths)), **cache}

    def describe(self) -> str:
        """Emulator, Python and packages with their versions."""
        emulator = completed([self.emulator, "--version"]).splitlines()[0]
        ours = "import sys, numpy, llvmlite; print(sys.version.split()[0], numpy.__version__, llvmlite.__version__)"
        versions = completed([*self.python, "-c", ours], self.environment).split()
        return f"{emulator}; Python {versions[0]}, numpy {versions[1]}, llvmlite {versions[2]} for AArch64"


def prepared() -> Emulated:
    """The system, made first where it is absent or has other versions: about 40 MB from Debian and 75 MB from PyPI.

    Raises:
        JobError: something that this needs is missing, or could not be fetched; the message says what.
    """
    emulator = next((found for name in EMULATORS if (found := shutil.which(name))), None)
    if emulator is None:
        raise JobError(
            f"No emulator of AArch64 was found ({' or '.join(EMULATORS)}); on Debian, install qemu-user-static."
        )
    folder = Path(os.environ.get(VARIABLE) or Path.home() / ".cache" / "fallline-aarch64").expanduser().absolute()
    wanted = "\n".join([*DEBIAN, *requirements()])
    made = folder / "made"
    if not made.exists() or made.read_text(encoding="utf-8") != wanted:
        _make(folder)
        made.write_text(wanted, encoding="utf-8")
    return Emulated(folder, emulator)


def requirements() -> list[str]:
    """The wheels, as pip asks for them."""
    return [f"{name}=={version_of(name)}" for name in WHEELS]


def completed(command: Sequence[str], environment: dict[str, str] | None = None, folder: Path | None = None) -> str:
    """The standard output of a command, run in a folder.

    Raises:
        JobError: it failed, or took far too long.
    """
    try:
        done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise JobError(f"`{' '.join(command)}` was not done after {SECONDS} s.") from None
    if done.returncode:
        raise JobError(f"`{' '.join(command)}` ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
    return done.stdout


def _make(folder: Path) -> None:
    """Fetch Debian's packages and the wheels, and unpack them."""
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise JobError(f"There is no {tool} here; the AArch64 system is made of Debian's packages, on Debian only.")
    sources = next((path for path in SOURCES if Path(path).exists() and "debian" in Path(path).read_text()), None)
    if sources is None:
        raise JobError(f"None of {' and '.join(SOURCES)} names a Debian archive to take AArch64's packages from.")
    for part in ("root", "wheels", "apt", "pycache", "made"):
        _remove(folder / part)
    _unpack_debian(folder, sources)
    _install_wheels(folder)


def _unpack_debian(folder: Path, sources: str) -> None:
    """Python and all that it depends on, as on a machine where nothing is installed, unpacked below `root`."""
    apt = folder / "apt"
    for part in ("state/lists/partial", "cache/archives/partial"):
        (apt / part).mkdir(parents=True)
    (apt / "status").touch()
    settings = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "APT::Sandbox::User": "",
        "Dir::State": apt / "state",
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt / "cache",
        "Dir::Etc::SourceList": sources,
        "Dir::Etc::SourceParts": "-",
        "Debug::NoLocking": "true",
    }
    (apt / "apt.conf").write_text("".join(f'{name} "{value}";\n' for name, value in settings.items()))
    ours = {**os.environ, "APT_CONFIG": str(apt / "apt.conf")}
    completed(["apt-get", "-qq", "update"], ours)
    completed(["apt-get", "-qq", "--yes", "--download-only", "--no-install-recommends", "install", *DEBIAN], ours)
    for package in sorted((apt / "cache/archives").glob("*.deb")):
        completed(["dpkg", "-x", str(package), str(folder / "root")])
    _remove(apt)


def _install_wheels(folder: Path) -> None:
    """The wheels for the Python that was unpacked."""
    version = (folder / "root/usr/bin/python3").readlink().name.removeprefix("python")
    platforms = [f"--platform={name}" for name in PLATFORMS]
    where = ["--target", str(folder / "wheels"), "--only-binary=:all:", "--python-version", version, *platforms]
    completed([sys.executable, "-m", "pip", "install", "--quiet", *where, *requirements()])


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
