"""The errors of the compiled transcendental functions, measured in extended precision by the checker of `tests/ops`."""

from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fallline.engine.compiled import CompiledProgram
from fallline.ir.op import lookup

Array = NDArray[Any]
NAMES = ["exp", "log", "expm1", "log1p", "tanh", "sigmoid", "softplus", "erf"]
ROWS = 4096
"""Numbers are computed so many at a time, so that one program serves for each function and dtype."""

EXTENDED = np.finfo(np.longdouble).nmant >= 63
needs_extended = pytest.mark.skipif(not EXTENDED, reason="needs a long double of at least 64 bits as reference")


@pytest.fixture(scope="module")
def special(oracle: SimpleNamespace) -> ModuleType:
    """The measuring of `tests/ops/test_special.py`, shown native code instead of the NumPy emitter."""
    module: ModuleType = oracle.load("ops/test_special.py")
    programs: dict[tuple[str, Any], CompiledProgram] = {}

    def evaluate(name: str, *arguments: Any, dtype: Any = np.float64, emitter: Any = None) -> Array:
        arrays = [np.asarray(argument, dtype=dtype) for argument in arguments]
        if (name, dtype) not in programs:
            graph = oracle.apply_op(lookup(name), [array[:ROWS] for array in arrays], {}, rows=True)
            programs[name, dtype] = CompiledProgram(graph, {"n": ROWS})
        found = programs[name, dtype].chunked({str(i): array for i, array in enumerate(arrays)}, len(arrays[0]))
        return found["y"]

    module.evaluate = evaluate  # type: ignore[attr-defined]
    return module


@needs_extended
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NAMES)
def test_error_is_within_the_stated_bound(special: ModuleType, name: str, dtype: Any) -> None:
    special.test_error_is_within_the_stated_bound(name, dtype)


@needs_extended
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_error_of_power_is_within_the_stated_bound(special: ModuleType, dtype: Any) -> None:
    special.test_error_of_power_is_within_the_stated_bound(dtype)


def test_the_stated_bounds_are_those_that_were_promised(special: ModuleType) -> None:
    """exp, log and tanh: at most 2 units in the last place."""
    assert all(special.BOUND[name] <= 2.0 for name in ("exp", "log", "tanh"))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", [*NAMES, "power"])
def test_the_bits_are_those_of_the_kernel_form(
    oracle: SimpleNamespace, special: ModuleType, name: str, dtype: Any
) -> None:
    with np.errstate(all="ignore"):
        arrays = special.power_points(dtype, 6000) if name == "power" else [special.points(name, dtype, 8000)]
    arrays = [values[::9] for values in arrays]
    found = special.evaluate(name, *arrays, dtype=dtype)
    graph = oracle.apply_op(lookup(name), arrays, {}, rows=True)
    wanted = oracle.contract(graph, {"n": len(arrays[0])}, {str(i): array for i, array in enumerate(arrays)})
    oracle.same_bits(found, wanted["y"])
