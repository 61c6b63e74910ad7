"""What is published holds the library and nothing else. (`make wheel` also installs it, and trains with it.)"""

import importlib.util
import sys
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def module() -> ModuleType:
    sys.path.insert(0, str(ROOT / "scripts"))  # as make has it
    try:
        spec = importlib.util.spec_from_file_location("wheel_script", ROOT / "scripts" / "wheel.py")
        assert spec is not None
        assert spec.loader is not None
        loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
    finally:
        sys.path.pop(0)
    return loaded


@pytest.fixture(scope="module")
def built(module: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    wheel, source = module.build(tmp_path_factory.mktemp("dist"))
    return wheel, source


def test_the_wheel_holds_the_library_and_nothing_else(module: ModuleType, built: tuple[Path, Path]) -> None:
    assert module.faults_in_wheel(built[0], module.package_files()) == []
    names = set(zipfile.ZipFile(built[0]).namelist())
    assert {
        "fallline/py.typed", "fallline/lab/static/index.html", "fallline/lab/static/vendor/uplot.js",
        "fallline/lab/tour/pages/01-neuron.md", "fallline/report/report.css", "fallline/data/bundled/penguins.csv.gz",
        "fallline/data/bundled/SOURCES.md",
    } <= names  # fmt: skip
    assert not [name for name in names if "test" in name.partition("/")[0] or "__pycache__" in name]


def test_the_source_distribution_holds_what_the_wheel_is_built_from(
    module: ModuleType, built: tuple[Path, Path]
) -> None:
    assert module.faults_in_source(built[1], module.package_files()) == []


def test_planted_faults_are_found(module: ModuleType, built: tuple[Path, Path], tmp_path: Path) -> None:
    wheel, source = tmp_path / "planted.whl", tmp_path / "planted.tar.gz"
    left_out = ("fallline/py.typed", "uplot.LICENSE.txt")
    with zipfile.ZipFile(built[0]) as old, zipfile.ZipFile(wheel, "w") as new:
        for name in old.namelist():
            if not (name in left_out or (".dist-info" in name and name.endswith(left_out))):
                new.writestr(name, old.read(name))
        new.writestr("tests/test_wheel.py", "")
    assert module.faults_in_wheel(wheel, module.package_files()) == [
        "fallline/py.typed is not in it",
        "tests/test_wheel.py should not be in it",
        "licenses/src/fallline/lab/static/vendor/uplot.LICENSE.txt is not in its own folder",
    ]
    with tarfile.open(source, "w:gz") as archive:
        archive.add(ROOT / "Makefile", "fallline-0.1.0/Makefile")
    faults = module.faults_in_source(source, module.package_files())
    assert "src/fallline/py.typed is not in it" in faults
    assert "Makefile should not be in it" in faults


def test_a_command_that_fails_is_told_with_what_it_said(module: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(module.WheelError, match=r"ends with 3:\nsaid so"):
        module.run([sys.executable, "-c", "print('said so'); raise SystemExit(3)"], tmp_path)
