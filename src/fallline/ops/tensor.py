"""The symbolic `Tensor`: a handle on a node of a graph, with Python's operators.

Operators insert the casts and the `broadcast` nodes, so that every op sees equal shapes and dtypes,
and no gradient rule ever has to undo a broadcast.
"""

from typing import Any, Union

import numpy as np
from numpy.typing import NDArray

from fallline.errors import KindError, ShapeError
from fallline.ir.graph import Node
from fallline.ir.op import Op, lookup
from fallline.ir.types import Dim, DType, Shape, SymbolicDim, TensorType, bind, format_shape

Array = NDArray[Any]
Operand = Union["Tensor", Array, float, int, bool]

_PROMOTION = [DType.BOOL, DType.UINT8, DType.INT32, DType.INT64, DType.FLOAT32, DType.FLOAT64]


class Tensor:
    """A value of a graph that is being built: it has a shape and a dtype, but no numbers yet."""

    __slots__ = ("node",)

    def __init__(self, node: Node) -> None:
        self.node = node

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> "Tensor":
        """`array * tensor` asks the tensor; `np.exp(tensor)` is refused with a sentence."""
        from fallline.ops.numpy_protocol import apply_ufunc

        result: Tensor = apply_ufunc(Tensor, ufunc.__name__, method, inputs)
        return result

    def __array_function__(self, function: Any, types: Any, arguments: Any, options: Any) -> Any:
        """`np.mean(tensor)` and the like are refused with a sentence; `np.shape` and `np.ndim` answer."""
        from fallline.ops.numpy_protocol import refuse

        if function in (np.shape, np.ndim):
            return getattr(arguments[0], function.__name__)
        refuse(function.__name__)

    @property
    def type(self) -> TensorType:
        """Shape and dtype."""
        return self.node.type

    @property
    def shape(self) -> Shape:
        """The sizes of the axes; `n` stands for the rows."""
        return self.node.type.shape

    @property
    def dtype(self) -> DType:
        """What an element is."""
        return self.node.type.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def T(self) -> "Tensor":  # noqa: N802 – the name everybody knows
        """The axes in reverse order."""
        return self.transpose()

    def __repr__(self) -> str:
        return f"Tensor({self.node.op.name}: {self.type})"

    def __add__(self, other: Operand) -> "Tensor":
        return binary("add", self, other)

    def __radd__(self, other: Operand) -> "Tensor":
        return binary("add", other, self)

    def __sub__(self, other: Operand) -> "Tensor":
        return binary("subtract", self, other)

    def __rsub__(self, other: Operand) -> "Tensor":
        return binary("subtract", other, self)

    def __mul__(self, other: Operand) -> "Tensor":
        return binary("multiply", self, other)

    def __rmul__(self, other: Operand) -> "Tensor":
        return binary("multiply", other, self)

    def __truediv__(self, other: Operand) -> "Tensor":
        return binary("divide", self, other)

    def __rtruediv__(self, other: Operand) -> "Tensor":
        return binary("divide", other, self)

    def __neg__(self) -> "Tensor":
        return apply("negate", self)

    def __abs__(self) -> "Tensor":
        return apply("absolute", self)

    def __pow__(self, exponent: Operand) -> "Tensor":
        """x**y; small whole exponents become products and ½ a square root, which are exact where xʸ is not."""
        if isinstance(exponent, int | float) and not isinstance(exponent, bool):
            if exponent == 0.5 and self.dtype.is_float:
                return apply("sqrt", self)
            if float(exponent).is_integer() and 1 <= exponent <= 4:
                square = self if exponent == 1 else self * self
                return square if exponent <= 2 else square * (self if exponent == 3 else square)
        return binary("power", self, exponent)

    def __rpow__(self, base: Operand) -> "Tensor":
        return binary("power", base, self)

    def __matmul__(self, other: Operand) -> "Tensor":
        return matmul(self, other)

    def __rmatmul__(self, other: Operand) -> "Tensor":
        return matmul(other, self)

    def __eq__(self, other: object) -> "Tensor":  # type: ignore[override]
        return binary("equal", self, other)  # type: ignore[arg-type]

    def __ne__(self, other: object) -> "Tensor":  # type: ignore[override]
        return apply("logical_not", binary("equal", self, other))  # type: ignore[arg-type]

    __hash__ = None  # type: ignore[assignment]

    # mypy: NumPy's arrays declare reflected comparisons of their own; `__array_ufunc__` hands those to us

    def __lt__(self, other: Operand) -> "Tensor":  # type: ignore[misc]
        return binary("less", self, other)

    def __le__(self, other: Operand) -> "Tensor":  # type: ignore[misc]
        return binary("less_equal", self, other)

    def __gt__(self, other: Operand) -> "Tensor":  # type: ignore[misc]
        return binary("less", other, self)

    def __ge__(self, other: Operand) -> "Tensor":  # type: ignore[misc]
        return binary("less_equal", other, self)

    def __and__(self, other: Operand) -> "Tensor":
        return binary("logical_and", self, other)

    def __or__(self, other: Operand) -> "Tensor":
        return binary("logical_or", self, other)

    def __invert__(self) -> "Tensor":
        return apply("logical_not", self)

    def __bool__(self) -> bool:
        raise KindError(
            f"a symbolic tensor ({self.type}) has no truth value while a network is traced: "
            "use fl.where(condition, a, b) instead of `if`"
        )

    def __float__(self) -> float:
        raise KindError(f"a symbolic tensor ({self.type}) has no number yet: the network is being traced, not run")

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise KindError(
            f"a symbolic tensor ({self.type}) has no numbers yet, so NumPy cannot use it: "
            "write fl.exp, fl.sum, … instead of NumPy's functions"
        )

    def __len__(self) -> int:
        if not self.shape:
            raise KindError(f"a tensor of one number ({self.type}) has no length and cannot be unpacked")
        first = self.shape[0]
        if isinstance(first, SymbolicDim):
            raise KindError(f"len() of a tensor {self.type}: the rows of a batch are not known while tracing")
        return first

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> "Tensor":
        from fallline.ops.subscript import index_tensor  # layout builds on this module

        return index_tensor(self, index)

    def reshape(self, *shape: Any) -> "Tensor":
        """The same elements in row-major order under another shape; one dimension may be −1."""
        from fallline.ops.layout import reshape

        return reshape(self, shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape)

    def transpose(self, *axes: int) -> "Tensor":
        """Axes in another order, counted from the end where negative; without arguments, reversed."""
        order = tuple(axis + self.ndim if axis < 0 else axis for axis in axes)
        return apply("transpose", self, axes=order or tuple(reversed(range(self.ndim))))

    def sum(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> "Tensor":
        """The sum over `axis` (all axes by default)."""
        return reduce("sum", self, axis, keepdims)

    def max(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> "Tensor":
        """The maximum over `axis`; NaN propagates."""
        return reduce("max", self, axis, keepdims)

    def mean(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> "Tensor":
        """The mean over `axis`."""
        total = reduce("sum", self, axis, keepdims)
        result: Tensor = total / count(self, axis)
        return result

    def astype(self, dtype: str | DType) -> "Tensor":
        """Converted to another dtype."""
        target = DType(str(dtype))
        return self if target is self.dtype else apply("cast", self, dtype=target)


def apply(name: str, /, *inputs: Tensor, **attributes: Any) -> Tensor:
    """Add the node `name(*inputs, **attributes)` to the graph."""
    return Tensor(Node(lookup(name), tuple(tensor.node for tensor in inputs), attributes))


def is_symbolic(*values: Any) -> bool:
    """Whether any of the values is a tensor of a graph (rather than numbers)."""
    return any(isinstance(value, Tensor) for value in values)


def evaluate(op: Op, /, *arrays: Any, **attributes: Any) -> Any:
    """What an op makes of numbers: its reference, on NumPy arrays."""
    return op.reference(*(np.asarray(array) for array in arrays), **bind_all(attributes, {}))


def bind_all(attributes: dict[str, Any], sizes: dict[str, int]) -> dict[str, Any]:
    """Attributes with symbolic dimensions replaced by sizes."""
    return {key: bind(value, sizes) for key, value in attributes.items()}


def constant(value: Any, dtype: DType) -> Tensor:
    """A constant of the graph: a number, or an array (stored in the graph)."""
    array = np.asarray(value)
    # a number is kept as it was written, so that the same graph in float64 has it to float64 precision
    stored: Any = array.item() if array.ndim == 0 else array.astype(dtype.value)
    return apply("constant", value=stored, dtype=dtype)


def as_tensor(value: Operand, like: Tensor | None = None) -> Tensor:
    """`value` as a tensor; numbers and float arrays take the float dtype of `like`."""
    if isinstance(value, Tensor):
        return value
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise KindError(f"cannot use a value of type {type(value).__name__} in a graph: need numbers, found {value!r}")
    dtype = {"f": DType.FLOAT32, "i": DType.INT64, "u": DType.INT64, "b": DType.BOOL}[array.dtype.kind]
    if like is not None:
        both_float = dtype.is_float and like.dtype.is_float
        whole_number = dtype.is_integer and array.ndim == 0 and _holds(like.dtype, int(array))
        if both_float or whole_number:
            dtype = like.dtype
    return constant(array, dtype)


def _holds(dtype: DType, number: int) -> bool:
    """Whether a whole number of the user's can be taken as of that dtype."""
    if dtype.is_integer:
        limits = np.iinfo(dtype.value)
        return bool(limits.min <= number <= limits.max)
    return dtype.is_float


def promoted(*tensors: Tensor) -> DType:
    """The widest of the tensors' dtypes, floats above whole numbers: what a common operation works in."""
    return max((tensor.dtype for tensor in tensors), key=_PROMOTION.index)


def binary(name: str, a: Operand, b: Operand) -> Tensor:
    """A two-operand elementwise op, after promotion to one dtype and broadcasting to one shape."""
    first = as_tensor(a, like=b if isinstance(b, Tensor) else None)
    second = as_tensor(b, like=first)
    dtype = promoted(first, second)
    if name in ("divide", "power") and not dtype.is_float:
        dtype = DType.FLOAT32
    shape = broadcast_shapes(name, first.shape, second.shape)
    return apply(name, *(broadcast_to(tensor.astype(dtype), shape) for tensor in (first, second)))


def broadcast_shapes(name: str, *shapes: Shape) -> Shape:
    """The common shape, by NumPy's rule: aligned at the end, 1 stretches.

    Raises:
        ShapeError: with the op and both shapes.
    """
    rank = max(len(shape) for shape in shapes)
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    result: list[Dim] = []
    for dims in zip(*padded, strict=True):
        wide = {dim for dim in dims if dim != 1}
        if len(wide) > 1:
            *first, last = (format_shape(shape) for shape in shapes)
            raise ShapeError(
                f"{name}: shapes {', '.join(first)} and {last} do not broadcast: "
                "sizes must be equal, or 1, counted from the last axis"
            )
        result.append(wide.pop() if wide else 1)
    return tuple(result)


def broadcast_to(x: Tensor, shape: Shape) -> Tensor:
    """x stretched to `shape`, by a node of its own; x itself when nothing is to do."""
    return x if x.shape == shape else apply("broadcast", x, shape=shape)


def filled_like(x: Tensor, value: float) -> Tensor:
    """A tensor of x's type that holds one value everywhere (not x·0 + value, which would carry NaN along)."""
    return broadcast_to(constant(value, x.dtype), x.shape)


def normal_axes(x: Tensor, axis: int | tuple[int, ...] | None, name: str) -> tuple[int, ...]:
    """Axes as ascending non-negative numbers."""
    axes = tuple(range(x.ndim)) if axis is None else (int(axis),) if isinstance(axis, int | np.integer) else tuple(axis)
    for item in axes:
        if not -x.ndim <= item < x.ndim:
            raise ShapeError(f"{name}: axis {item} is out of range for a tensor of shape {format_shape(x.shape)}")
    return tuple(sorted({item % x.ndim for item in axes}))


def reduce(name: str, x: Tensor, axis: int | tuple[int, ...] | None, keepdims: bool) -> Tensor:
    """A reduction; kept dimensions are put back by a reshape."""
    axes = normal_axes(x, axis, name)
    if name == "sum" and not x.dtype.is_float:
        x = x.astype(DType.INT64)
    reduced = apply(name, x, axes=axes) if axes else x
    if not keepdims:
        return reduced
    return reduced.reshape(tuple(1 if i in axes else dim for i, dim in enumerate(x.shape)))


def count(x: Tensor, axis: int | tuple[int, ...] | None = None) -> Tensor:
    """How many elements the axes hold, as a float scalar of x's dtype (float32 for integers)."""
    dtype = x.dtype if x.dtype.is_float else DType.FLOAT32
    number = 1
    symbolic: Tensor | None = None
    for i in normal_axes(x, axis, "count"):
        dim = x.shape[i]
        if isinstance(dim, SymbolicDim):
            size = apply("dim_size", dim=dim, dtype=dtype)
            symbolic = size if symbolic is None else symbolic * size
        else:
            number *= dim
    return constant(number, dtype) if symbolic is None else symbolic if number == 1 else symbolic * number


def matmul(a: Operand, b: Operand) -> Tensor:
    """The matrix product over the last axis of a and the last but one of b; leading axes broadcast.

    A one-dimensional operand is a row (left) or a column (right), as in NumPy.
    """
    left = as_tensor(a, like=b if isinstance(b, Tensor) else None)
    right = as_tensor(b, like=left)
    if right.ndim == 1:
        product = matmul(left, right.reshape(*right.shape, 1))
        return product.reshape(product.shape[:-1])
    if left.ndim == 1:
        product = matmul(left.reshape(1, *left.shape), right)
        return product.reshape(product.shape[:-2] + product.shape[-1:])
    dtype = max(left.dtype, right.dtype, DType.FLOAT32, key=_PROMOTION.index)
    left, right = left.astype(dtype), right.astype(dtype)
    if left.ndim < 2 or right.ndim < 2 or left.shape[-1] != right.shape[-2]:
        raise ShapeError(
            f"matmul: need (…, n, k) @ (…, k, m), got {format_shape(left.shape)} @ {format_shape(right.shape)}"
        )
    if right.ndim == 2 and left.ndim > 2:  # many rows against one matrix: one product
        rows = left.reshape((-1, left.shape[-1]))
        return apply("matmul", rows, right).reshape((*left.shape[:-1], right.shape[-1]))
    lead = broadcast_shapes("matmul", left.shape[:-2], right.shape[:-2])
    return apply("matmul", broadcast_to(left, lead + left.shape[-2:]), broadcast_to(right, lead + right.shape[-2:]))
