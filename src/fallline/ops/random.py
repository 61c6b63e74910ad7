"""Random numbers inside a graph: functions of what they are for, never of call order."""

from typing import Any

import numpy as np

from fallline.ir.emitter import Emitter, Value
from fallline.ir.kernel import Random
from fallline.ir.op import Op, Sample, register
from fallline.ir.types import DType, Shape, TensorType
from fallline.ops import philox
from fallline.ops.tensor import Array


def _reference(seed: Array, step: Array, purpose: str, stream: str, shape: tuple[int, ...], dtype: DType) -> Array:
    """Row r, element i of the stream (seed, purpose, stream) at `step`: the position is that in the whole batch."""
    elements = int(np.prod(shape[1:], dtype=np.int64))
    key = philox.key(int(seed), purpose, stream)
    values = philox.uniform(key, np.arange(shape[0]), elements, int(step))
    return values.reshape(shape).astype(dtype.value)


def _type(seed: TensorType, step: TensorType, purpose: str, stream: str, shape: Shape, dtype: DType) -> TensorType:
    return TensorType(shape, dtype)


def _body(e: Emitter, word: Value, dtype: DType) -> Value:
    """24 bits of the word as a number in [0, 1), exact in every float type."""
    return e.multiply(e.cast(e.shift_right(word, 8), dtype), e.constant(2.0**-24, dtype))


def _samples() -> list[Sample]:
    def sample(shape: tuple[int, ...], dtype: Any) -> Sample:
        return Sample((np.int64(3), np.int64(5)), {"purpose": "test", "stream": "a", "shape": shape, "dtype": dtype})

    return [sample(shape, dtype) for shape in [(1, 1), (3, 70), (2, 3, 5)] for dtype in (DType.FLOAT32, DType.FLOAT64)]


RANDOM_UNIFORM = register(
    Op(
        "random_uniform",
        infer=_type,
        reference=_reference,
        gradient=None,
        kernel=Random(_body),
        samples=_samples,
        why_no_gradient="a random number depends on the seed and its place alone",
    )
)
