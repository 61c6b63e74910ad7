"""Random numbers as functions of what they are for, never of call order.

Philox4x32-10 (Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011)
turns a 64-bit key and a 128-bit counter into four random 32-bit words. Here the key is a hash of
(seed, purpose, name) and the counter holds (element, row, step):

    counter = (16·g + lane,  row,  step mod 2³²,  step ÷ 2³²),   word w   ↔   element 64·g + 16·w + lane

so that sixteen neighbouring counters fill sixty-four neighbouring elements without any shuffle.
These bits are frozen: changing them changes every trained network (see `docs/decisions`).
"""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fallline.ops import exact

UInt32Array = NDArray[np.uint32]
Key = tuple[int, int]

LANES = 16
WORDS = 4
BLOCK = LANES * WORDS  # elements served by sixteen counters

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_MASK = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)


def key(seed: int, purpose: str, name: str = "") -> Key:
    """The Philox key (low, high) of a stream: BLAKE2b of "seed/purpose/name", 64 bits of it."""
    digest = hashlib.blake2b(f"{int(seed)}/{purpose}/{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")


def philox4x32(counter: tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike], key: Key) -> list[UInt32Array]:
    """Ten rounds of Philox4x32: four counter words (broadcast together) → four random words."""
    c0, c1, c2, c3 = np.broadcast_arrays(*(np.asarray(word, dtype=np.uint64) for word in counter))
    k0, k1 = key
    for _ in range(10):
        product0, product1 = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2
        c0 = (product1 >> _SHIFT) ^ c1 ^ np.uint64(k0)
        c2 = (product0 >> _SHIFT) ^ c3 ^ np.uint64(k1)
        c1, c3 = product1 & _MASK, product0 & _MASK
        k0, k1 = (k0 + _WEYL[0]) & 0xFFFFFFFF, (k1 + _WEYL[1]) & 0xFFFFFFFF
    return [word.astype(np.uint32) for word in (c0, c1, c2, c3)]


def words(key: Key, rows: ArrayLike, elements: int, step: int = 0, start: int = 0) -> UInt32Array:
    """Random 32-bit words, one for each of `elements` elements of each of `rows`.

    Args:
        key: the stream, from `key(seed, purpose, name)`.
        rows: positions in the whole batch, shape (r,).
        elements: how many words a row needs.
        step: the training step, 0 ≤ step < 2⁶⁴.
        start: the number of the first of them, a multiple of 64.

    Returns:
        uint32 array (r, elements).
    """
    groups = -(-elements // BLOCK)
    position = np.asarray(rows, dtype=np.uint64)[:, None]  # (r, 1)
    first = start // BLOCK * LANES
    blocks = np.arange(first, first + groups * LANES, dtype=np.uint64)[None, :]  # (1, 16·groups)
    four = philox4x32((blocks, position, step & 0xFFFFFFFF, step >> 32), key)
    shape = (position.shape[0], groups, LANES)
    laid = np.stack([word.reshape(shape) for word in four], axis=2)  # (r, groups, word, lane)
    return laid.reshape(position.shape[0], groups * BLOCK)[:, :elements]


def uniform(key: Key, rows: ArrayLike, elements: int, step: int = 0) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1) with 24 bits, exact in float32 and float64 alike: (r, elements)."""
    return (words(key, rows, elements, step) >> np.uint32(8)).astype(np.float64) * 2.0**-24


def uniform53(key: Key, count: int) -> NDArray[np.float64]:
    """`count` uniform numbers in [0, 1) with 53 bits, for initial weights: element i of row 0 and of row 1."""
    high, low = words(key, [0, 1], count).astype(np.float64)
    bits: NDArray[np.float64] = np.floor(high / 32.0) * 2.0**26 + np.floor(low / 64.0)
    return bits * 2.0**-53


def normal(key: Key, count: int) -> NDArray[np.float64]:
    """`count` standard normal numbers: the inverse distribution function of `uniform53` + 2⁻⁵⁴, below 1."""
    return inverse_normal(np.minimum(uniform53(key, count) + 2.0**-54, 1.0 - 2.0**-53))


# Wichura, "Algorithm AS 241: The percentage points of the normal distribution", Applied Statistics
# 37 (1988) 477–484, PPND16: rational approximations with a relative error near 1e-16, low order first.
_CENTRE = (
    (3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
     4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3),
    (1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
     2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3),
)  # fmt: skip
_MIDDLE = (
    (1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
     1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4),
    (1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
     1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9),
)  # fmt: skip
_TAIL = (
    (6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0, 2.96560571828504891230e-1,
     2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7),
    (1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
     7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15),
)  # fmt: skip


def inverse_normal(p: ArrayLike) -> NDArray[np.float64]:
    """Φ⁻¹(p) for 0 < p < 1, after AS 241, with the logarithm of `exact`."""
    probability = np.asarray(p, dtype=np.float64)
    q = probability - 0.5
    centre = np.abs(q) <= 0.425
    r = np.where(centre, 0.180625 - q * q, 0.0)
    inner = q * _ratio(_CENTRE, r)
    smaller = np.where(centre, 0.25, np.where(q < 0.0, probability, 1.0 - probability))
    r = np.sqrt(-exact.log(smaller))
    outer = np.where(r <= 5.0, _ratio(_MIDDLE, r - 1.6), _ratio(_TAIL, r - 5.0))
    return np.asarray(np.where(centre, inner, np.where(q < 0.0, -outer, outer)), dtype=np.float64)


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], r: Any) -> Any:
    numerator, denominator = (np.zeros_like(r), np.zeros_like(r))
    for a, b in zip(reversed(coefficients[0]), reversed(coefficients[1]), strict=True):
        numerator, denominator = numerator * r + a, denominator * r + b
    return numerator / denominator
