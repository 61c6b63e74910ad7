"""An image's points as a PNG inside a page."""

import base64
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.report.markup import text

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, COLOURS = 0, 2
"""Kinds of a PNG's points."""


def bitmap(points: Any, label: str) -> str:
    """An image as markup.

    Args:
        points: bytes, (height, width) or (height, width, 3).
        label: what it shows, for those who do not see it.
    """
    data = base64.b64encode(png_of(np.asarray(points, dtype=np.uint8))).decode()
    return f'<img class="pixels" src="data:image/png;base64,{data}" alt="{text(label)}">'


def png_of(points: NDArray[np.uint8]) -> bytes:
    """A PNG file of an image: (height, width) or (height, width, 3). ISO/IEC 15948."""
    height, width = points.shape[:2]
    kind = GREY if points.ndim == 2 else COLOURS
    lines = np.ascontiguousarray(points).reshape(height, -1)
    unfiltered = np.concatenate([np.zeros((height, 1), np.uint8), lines], axis=1).tobytes()
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(unfiltered, 9)), (b"IEND", b""))
    return SIGNATURE + b"".join(map(_chunk, *zip(*parts, strict=True)))


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
