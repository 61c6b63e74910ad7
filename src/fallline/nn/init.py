"""Initial weights: from the seed and the parameter's dotted name, in stated arithmetic, to float64 bits.

fan_in and fan_out are the first and the second dimension of a weight (in_features, out_features).
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.errors import ArgumentError, KindError, nearest
from fallline.ops import exact, philox

Float64Array = NDArray[np.float64]


class Initializer:
    """Draws one parameter's values."""

    def __call__(self, key: philox.Key, shape: tuple[int, ...]) -> Float64Array:
        """An array of `shape`, a function of the key alone."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"


class Constant(Initializer):
    """Every entry the same."""

    def __init__(self, value: float = 0.0) -> None:
        self.value = value

    def __call__(self, key: philox.Key, shape: tuple[int, ...]) -> Float64Array:
        return np.full(shape, self.value, dtype=np.float64)


class Uniform(Initializer):
    """Uniform in [−limit, limit)."""

    def __init__(self, limit: float = 0.05) -> None:
        self.limit = limit

    def __call__(self, key: philox.Key, shape: tuple[int, ...]) -> Float64Array:
        return (philox.uniform53(key, math.prod(shape)) * 2.0 - 1.0).reshape(shape) * self.limit


class Normal(Initializer):
    """Normal with mean 0 and the given standard deviation."""

    def __init__(self, deviation: float = 0.05) -> None:
        self.deviation = deviation

    def __call__(self, key: philox.Key, shape: tuple[int, ...]) -> Float64Array:
        return philox.normal(key, math.prod(shape)).reshape(shape) * self.deviation


class VarianceScaling(Initializer):
    """Variance scale/fan, so that signals keep their size from layer to layer.

    Args:
        scale: 1 for Glorot and LeCun, 2 for He.
        fan: "in", "out" or "average".
        normal: a normal distribution, else a uniform one in ±√(3·scale/fan).
    """

    def __init__(self, scale: float, fan: str, normal: bool) -> None:
        self.scale, self.fan, self.normal = scale, fan, normal

    def __call__(self, key: philox.Key, shape: tuple[int, ...]) -> Float64Array:
        fan_in, fan_out = fans(shape)
        fan = {"in": float(fan_in), "out": float(fan_out), "average": (fan_in + fan_out) / 2.0}[self.fan]
        variance = self.scale / max(fan, 1.0)
        if self.normal:
            return Normal(math.sqrt(variance))(key, shape)
        return Uniform(math.sqrt(3.0 * variance))(key, shape)


class Orthogonal(Initializer):
    """Orthonormal columns (or rows, whichever are fewer), times `gain`.

    Gram–Schmidt on a normal matrix, each vector orthogonalised twice, all sums by halving: no LAPACK,
    so the bits are the same everywhere. Source: Saxe, McClelland & Ganguli 2014, arXiv:1312.6120;
    "twice is enough": Giraud, Langou & Rozložník 2005.
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, key: philox.Key, shape: tuple[int, ...]) -> Float64Array:
        if len(shape) < 2:
            raise ArgumentError(f"init.Orthogonal: needs a matrix, found shape {shape}; use 'normal' for vectors")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        long, short = max(rows, columns), min(rows, columns)
        vectors = philox.normal(key, rows * columns).reshape(short, long)
        for i in range(short):
            for _ in range(2):
                if i:
                    shares = exact.tree_sum(vectors[:i] * vectors[i], axis=1)  # (i,)
                    vectors[i] -= exact.tree_sum(vectors[:i] * shares[:, None], axis=0)
                vectors[i] /= np.sqrt(exact.tree_sum(vectors[i] * vectors[i]))
        matrix = vectors if rows == short else vectors.T
        return np.ascontiguousarray(matrix.reshape(shape)) * self.gain


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight; a vector has both equal to its length."""
    if len(shape) < 2:
        size = shape[0] if shape else 1
        return size, size
    return math.prod(shape[:-1]), shape[-1]


INITIALIZERS: dict[str, Initializer] = {
    "zeros": Constant(0.0),
    "ones": Constant(1.0),
    "uniform": Uniform(),
    "normal": Normal(),
    "glorot_uniform": VarianceScaling(1.0, "average", normal=False),  # Glorot & Bengio, AISTATS 2010, eq. 16
    "glorot_normal": VarianceScaling(1.0, "average", normal=True),  # Glorot & Bengio, AISTATS 2010, eq. 12
    "he_uniform": VarianceScaling(2.0, "in", normal=False),  # He, Zhang, Ren & Sun 2015, arXiv:1502.01852, eq. 10
    "he_normal": VarianceScaling(2.0, "in", normal=True),
    "lecun_uniform": VarianceScaling(1.0, "in", normal=False),  # LeCun, Bottou, Orr & Müller 1998, eq. 16
    "lecun_normal": VarianceScaling(1.0, "in", normal=True),
    "orthogonal": Orthogonal(),
}


def get(initializer: Any) -> Initializer:
    """An initialiser by name, or itself.

    Raises:
        ArgumentError: no initialiser has that name.
        KindError: it is neither.
    """
    if isinstance(initializer, Initializer):
        return initializer
    if not isinstance(initializer, str):
        raise KindError(f"an initializer must be a name or an object of nn.init, found {initializer!r}")
    if initializer not in INITIALIZERS:
        raise ArgumentError(f"no initializer is named {initializer!r}: {nearest(initializer, INITIALIZERS)}")
    return INITIALIZERS[initializer]
