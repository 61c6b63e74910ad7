"""The pictures of docs/images are those that scripts/make_pictures.py draws."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
NUMBER = re.compile(r"\d+(?:\.\d+)?")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_pictures", ROOT / "scripts" / "make_pictures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pictures_are_up_to_date(script: ModuleType) -> None:
    drawn = script.pictures()
    kept = {path.name: path.read_text(encoding="utf-8") for path in script.IMAGES.glob("*.svg")}
    assert kept.keys() >= drawn.keys()
    for name, svg in drawn.items():
        again = "scripts/make_pictures.py draws it anew"
        # The last digit of a coordinate may differ between machines, whose matrix products round differently.
        assert NUMBER.sub("0", svg) == NUMBER.sub("0", kept[name]), f"docs/images/{name} is out of date; {again}"
        found, expected = (list(map(float, NUMBER.findall(text))) for text in (svg, kept[name]))
        assert found == pytest.approx(expected, rel=2e-3, abs=0.05), f"docs/images/{name} is out of date; {again}"
