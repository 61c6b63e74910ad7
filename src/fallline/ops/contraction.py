"""The matrix product."""

import numpy as np

from fallline.errors import KindError, ShapeError
from fallline.ir.kernel import Contraction
from fallline.ir.op import Op, Sample, register
from fallline.ir.types import TensorType, format_shape
from fallline.ops.rules import generator
from fallline.ops.tensor import Tensor, apply


def _matmul_type(a: TensorType, b: TensorType) -> TensorType:
    fits = a.rank >= 2 and a.rank == b.rank and a.shape[:-2] == b.shape[:-2] and a.shape[-1] == b.shape[-2]
    if not fits:
        raise ShapeError(f"matmul: need (…, n, k) @ (…, k, m), got {format_shape(a.shape)} @ {format_shape(b.shape)}")
    if a.dtype != b.dtype or not a.dtype.is_float:
        raise KindError(f"matmul: need two float tensors of one dtype, found {a} and {b}")
    return TensorType((*a.shape[:-1], b.shape[-1]), a.dtype)


def swap_last(x: Tensor) -> Tensor:
    """The transpose of each matrix."""
    axes = tuple(range(x.ndim))
    return apply("transpose", x, axes=(*axes[:-2], axes[-1], axes[-2]))


def _matmul_samples() -> list[Sample]:
    rng = generator("matmul")
    shapes = [((3, 4), (4, 5)), ((1, 1), (1, 1)), ((2, 17), (17, 3)), ((2, 3, 4), (2, 4, 2)), ((5, 1), (1, 7))]
    found = [Sample((rng.normal(size=a), rng.normal(size=b))) for a, b in shapes]
    return [*found, Sample((np.array([[0.0, np.inf], [1.0, np.nan]]), np.ones((2, 2))), generic=False)]


MATMUL = register(
    Op(
        "matmul",
        infer=_matmul_type,
        reference=np.matmul,
        # y = a·b: dL/da = dL/dy · bᵀ and dL/db = aᵀ · dL/dy
        gradient=lambda g, y, a, b: (apply("matmul", g, swap_last(b)), apply("matmul", swap_last(a), g)),
        kernel=Contraction(),
        samples=_matmul_samples,
    )
)
