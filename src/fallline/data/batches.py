"""The order in which an epoch takes the rows: a keyed bijection of (seed, epoch), never a stored list.

Row number `i` of the epoch is found from i alone, so a compiled program can compute its own rows, and
a million rows cost no visible time. An alternating Feistel network (Luby & Rackoff 1988) permutes the
smallest power of two that holds n rows (at least 64); numbers ≥ n are sent through it again until they
fall below n (cycle walking, Black & Rogaway 2002). These bits are frozen.
"""

from operator import index

import numpy as np
from numpy.typing import NDArray

from fallline.errors import ArgumentError, KindError
from fallline.ops import philox

ROUNDS = 8
SMALLEST_BITS = 6
_MIX = (np.uint32(0x9E3779B1), np.uint32(0x85EBCA77), np.uint32(0xC2B2AE3D))


def batch_order(n: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The permutation of 0 … n − 1 in which epoch `epoch` (from 0) takes the n training rows.

    Args:
        n: rows trained on (without those set aside for validation).
        seed: the run's seed.
        epoch: from 0.

    Returns:
        int64 array (n,); a batch of size b is the next b entries of it.

    Raises:
        ArgumentError: n or epoch is negative.
        KindError: one of them is no whole number.
    """
    return permutation(n, seed, "order", epoch)


def permutation(n: int, seed: int, purpose: str, number: int = 0) -> NDArray[np.int64]:
    """The keyed permutation of 0 … n − 1 for any purpose."""
    try:
        n, seed, number = (index(value) for value in (n, seed, number))
    except TypeError:
        raise KindError(
            f"batch_order: n, seed and epoch must be whole numbers, found n={n!r}, seed={seed!r}, epoch={number!r}"
        ) from None
    if n < 0 or number < 0:
        raise ArgumentError(f"batch_order: n and epoch must be 0 or more, found n={n}, epoch={number}")
    return permuted(0, n, n, seed, purpose, number)


def permuted(start: int, stop: int, n: int, seed: int, purpose: str, number: int = 0) -> NDArray[np.int64]:
    """Entries start … stop − 1 of `permutation(n, …)`, without the others."""
    bits = max(SMALLEST_BITS, (n - 1).bit_length())
    keys = philox.words(philox.key(seed, purpose), [0], ROUNDS, number)[0]
    values = _feistel(np.arange(start, stop, dtype=np.uint64), bits, keys)
    while True:
        outside = np.flatnonzero(values >= n)
        if not outside.size:
            return values.astype(np.int64)
        values[outside] = _feistel(values[outside], bits, keys)


def _feistel(values: NDArray[np.uint64], bits: int, keys: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """A bijection of 0 … 2^bits − 1: each round XORs one half with a hash of the other half and a key."""
    low_bits = bits // 2
    low_mask, high_mask = np.uint32((1 << low_bits) - 1), np.uint32((1 << (bits - low_bits)) - 1)
    low = (values & np.uint64(low_mask)).astype(np.uint32)
    high = (values >> np.uint64(low_bits)).astype(np.uint32)
    for number, key in enumerate(keys):
        if number % 2 == 0:
            high ^= _hash(low, key) & high_mask
        else:
            low ^= _hash(high, key) & low_mask
    return (high.astype(np.uint64) << np.uint64(low_bits)) | low


def _hash(x: NDArray[np.uint32], key: np.uint32) -> NDArray[np.uint32]:
    """A 32-bit mixer in the manner of MurmurHash3's finaliser (Appleby), keyed."""
    h: NDArray[np.uint32] = x * _MIX[0] + key
    h ^= h >> np.uint32(15)
    h *= _MIX[1]
    h ^= h >> np.uint32(13)
    h *= _MIX[2]
    h ^= h >> np.uint32(16)
    return h
