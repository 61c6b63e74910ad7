"""How exported files are opened: by onnxruntime alone, without anything of Fallline."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
from numpy.typing import NDArray

Array = NDArray[Any]


@pytest.fixture
def run_file() -> Callable[[Path, Mapping[str, Array]], dict[str, Array]]:
    """`run_file(path, {"x": rows})`: the outputs by name."""

    def run(path: Path, feeds: Mapping[str, Array]) -> dict[str, Array]:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, dict(feeds)), strict=True))

    return run
