"""What kernels are said to do, against the textbook's numbers for one layer."""

import numpy as np
import pytest

from fallline import nn, optim
from fallline.engine.compiler.program import Kernel
from fallline.nn.losses import get
from fallline.training.plan import _program, step_graph
from fallline.training.step import Rows

ROWS, INPUTS, HIDDEN, OUTPUTS = 32, 64, 128, 3


def kernels(dtype: str = "float32") -> list[Kernel]:
    """Of a step of 32 rows with plain gradient descent."""
    net = nn.Sequential(nn.Linear(INPUTS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, OUTPUTS))
    sample = Rows(np.zeros((1, INPUTS), dtype=dtype), np.zeros((1, OUTPUTS), dtype=dtype))
    return _program(step_graph(net, sample, get("mse"), optim.SGD(lr=0.1), dtype, None, None), sample, ROWS, 1).kernels


@pytest.mark.parametrize(("dtype", "size"), [("float32", 4), ("float64", 8)])
def test_the_work_of_a_layer(dtype: str, size: int) -> None:
    found = {kernel.size: kernel for kernel in kernels(dtype)}
    forward = found["32×64×128"]
    assert forward.part == "forward"
    assert forward.multiply_adds == ROWS * INPUTS * HIDDEN
    assert forward.bytes == size * (ROWS * INPUTS + INPUTS * HIDDEN + HIDDEN + ROWS * HIDDEN)  # x, W, b, relu(x·W + b)
    vectors = ROWS * INPUTS * HIDDEN // 16 * size // 4  # a vector of sixteen doubles is two instructions
    assert vectors <= forward.instructions < 1.05 * vectors
    backward = found["64×32×128"]  # xᵀ·δ, and w ← w − η·dL/dw in its epilogue
    assert backward.part == "backpropagation + gradient descent"
    assert backward.multiply_adds == forward.multiply_adds


def test_lanes_that_lie_idle_count_as_instructions_but_not_as_multiply_adds() -> None:
    narrow = next(kernel for kernel in kernels() if kernel.size == "32×128×3")
    assert narrow.multiply_adds == ROWS * HIDDEN * OUTPUTS
    assert ROWS * HIDDEN <= narrow.instructions < ROWS * HIDDEN + 100


def test_rows_of_the_data_set_are_counted_where_they_are_fetched() -> None:
    found = kernels()
    copied = next(kernel for kernel in found if kernel.what.startswith("copy"))
    assert copied.rows == ROWS
    assert copied.bytes == 2 * 4 * ROWS * INPUTS  # read there, written here
    # the inputs are copied; the targets are read once or more, wherever they are needed
    assert sum(kernel.rows for kernel in found) >= 2 * ROWS


def test_the_sum_of_a_bias_gradient_is_as_large_as_the_bias() -> None:
    sizes = {kernel.size: kernel for kernel in kernels() if kernel.what.startswith("columns")}
    hidden = sizes[str(HIDDEN)]
    assert hidden.multiply_adds == 0
    assert hidden.instructions >= ROWS * HIDDEN // 16
    assert "gradient descent" in hidden.part
