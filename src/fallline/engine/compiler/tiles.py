"""Which tile of the output a matrix product keeps in registers: a small cost model, never a search by running.

The choice decides how fast a product is and how long it compiles; no bit of the result depends on it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from fallline.engine.target import Target
from fallline.ir.kernel import LANES
from fallline.ir.types import DType

ROWS_OF_UNIT = 16
"""Rows of a unit where a product is split by rows: the same for every kernel that splits the batch."""

# The estimate counts slots of one multiply-add of a register.
_LATENCY = 8  # multiply-adds that must be under way for none to wait: four cycles of latency times two a cycle
_STEP = 0.25  # a step of k: counting, and the pages that it touches
_NEAR_LOAD, _FAR_LOAD = 0.15, 0.5  # a load of B from the first cache, or from one further away, though it is hidden
_TILE_START = 16  # a tile's beginning and end: zeroing, pointers, a mispredicted branch in part
_CODE = 0.002  # what part of the time another vector of sums in the code must save, for it is compiled, too

_FIRST_CACHE = 32 * 1024
_SECOND_CACHE = 256 * 1024  # the part of it that a copied panel of B may fill
_SPREAD = 64 * 1024  # of one that is not copied, and one vector wide: its lines share their places with others
_THIRD_CACHE = 8 * 1024 * 1024  # the part of it for the rows of A that pass by all columns of B
_COPY_PAYS = 64  # rows that a copied panel of B must serve
_FEWEST_ROWS, _MOST_ROWS = 256, 1024  # of a chunk: each copies B once more; where k is cut, as many sums wait
_TALLEST = 16
_BYTES = {DType.FLOAT32: 4, DType.FLOAT64: 8}


@dataclass(frozen=True)
class Tiling:
    """How an (m, n) output is cut: full tiles, and smaller ones at the lower and right edges.

    Attributes:
        m: rows of the output.
        n: its columns.
        height: rows of a full tile.
        width: vectors of `LANES` columns of a full tile.
        k_block: terms that are summed before the next tile's turn; all k of them where B's panel is small.
        packed: a panel of B is copied, so that its rows lie closely.
        chunk: rows that go through all columns before the next ones do, a multiple of the height.
    """

    m: int
    n: int
    height: int
    width: int
    k_block: int
    packed: bool
    chunk: int

    @property
    def heights(self) -> list[int]:
        """The heights that occur: of full tiles, and of the last one where it is less."""
        full, rest = divmod(self.m, self.height)
        return [self.height] * (full > 0) + [rest] * (rest > 0)

    @property
    def column_sections(self) -> list[tuple[int, int, list[int]]]:
        """Runs of equal column tiles: the first column, how many tiles, and the live lanes of each vector of a tile."""
        columns = LANES * self.width
        full, rest = divmod(self.n, columns)
        sections = [(0, full, [LANES] * self.width)] if full else []
        if rest:
            whole, part = divmod(rest, LANES)
            sections.append((full * columns, 1, [LANES] * whole + [part] * (part > 0)))
        return sections

    @property
    def tile_rows(self) -> int:
        """Tiles from top to bottom."""
        return -(-self.m // self.height)

    @property
    def tile_columns(self) -> int:
        """Tiles from left to right."""
        return -(-self.n // (LANES * self.width))

    @property
    def sums_in_code(self) -> int:
        """Vectors of sums in all variants of the tile."""
        return sum(self.heights) * sum(len(live) for _, _, live in self.column_sections)


@cache
def choose_tiling(m: int, n: int, k: int, dtype: DType, split: str, target: Target) -> Tiling:
    """The tiling with the least estimated time on one, two and four threads together.

    Args:
        m: rows of the output.
        n: its columns.
        k: terms of each sum.
        dtype: of the elements, a float.
        split: "rows" (units of `ROWS_OF_UNIT` rows, so that a tile's height divides it) or "tiles".
        target: its vectors' size and number.
    """
    vector = -(-LANES * _BYTES[dtype] // target.vector_bytes)
    shape = _Shape(m, n, k, _BYTES[dtype], split, vector, target.vector_registers)
    candidates = [
        shape.tiling(height, width)
        for height in shape.heights()
        for width in range(1, -(-n // LANES) + 1)
        if shape.registers(height, width) <= target.vector_registers or height == width == 1
    ]
    return min(candidates, key=shape.score)


@dataclass(frozen=True)
class _Shape:
    """What the choice depends on; `vector` is how many registers one vector of `LANES` takes, `room` how many exist."""

    m: int
    n: int
    k: int
    size: int
    split: str
    vector: int
    room: int

    def heights(self) -> Iterable[int]:
        if self.split == "tiles":
            return range(1, min(self.m, _TALLEST) + 1)
        return sorted({height for height in (1, 2, 4, 8, 16, self.m) if height <= min(self.m, _TALLEST)})

    def registers(self, height: int, width: int) -> int:
        """What a step of k needs: sums, B's vectors (read straight from memory where one row uses them), A's."""
        return (height * width + (width if height > 1 else 0)) * self.vector + 1

    def tiling(self, height: int, width: int) -> Tiling:
        """The tiling of a tile, and what is done about a panel of B that is far away.

        With many registers, tiles are so tall that reading B from the second cache keeps pace, as long as it fits.
        Where a vector takes several, they are lower; then B at least must not be spread over too many pages.
        """
        vector = LANES * self.size
        whole = self.k * vector * -(-self.n // LANES)
        spread, near = (_SPREAD, _SECOND_CACHE) if self.room >= 32 else (_FIRST_CACHE, _FIRST_CACHE)
        far = self.k * vector > spread and whole > 2 * spread
        packed = self.m >= _COPY_PAYS and (far or (self.vector > 1 and whole > 2 * _FIRST_CACHE))
        k_block = _part(self.k, near // (vector * width)) if packed and far else self.k
        most = min(max(_THIRD_CACHE // (self.k * self.size), _FEWEST_ROWS), _MOST_ROWS) if packed else self.m
        chunk = -(-_part(self.m, most) // height) * height
        return Tiling(self.m, self.n, height, width, k_block, packed, chunk)

    def score(self, tiling: Tiling) -> tuple[float, int]:
        """The estimated time on one, two and four threads; between equals, the taller tile reads B less often."""
        far = not tiling.packed and self.k * tiling.width * LANES * self.size > _FIRST_CACHE

        def tile(height: int, width: int) -> float:
            sums, row = height * width * self.vector, width * self.vector
            step = max(sums, row + height, _LATENCY) + row * (_FAR_LOAD if far else _NEAR_LOAD) + _STEP
            return self.k * step + _TILE_START

        def strip(full: int, rest: int) -> float:
            return sum(
                count * (full * tile(tiling.height, len(live)) + (tile(rest, len(live)) if rest else 0))
                for _, count, live in tiling.column_sections
            )

        whole = strip(*divmod(self.m, tiling.height))
        if self.split == "rows":
            units, unit = -(-self.m // ROWS_OF_UNIT), strip(*divmod(min(self.m, ROWS_OF_UNIT), tiling.height))
        else:
            units, unit = tiling.tile_rows * tiling.tile_columns, tile(tiling.height, tiling.width)
        time = sum(max(whole / threads, -(-units // threads) * unit) for threads in (2, 4)) + whole
        return time * (1 + _CODE * tiling.sums_in_code), -tiling.height


def _part(length: int, most: int) -> int:
    """The size of equal parts of a length, each at most so long."""
    return -(-length // -(-length // most))
