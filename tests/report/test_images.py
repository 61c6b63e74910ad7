"""Images in a report: the right points in the right place."""

import io
import re

import numpy as np
import pytest

from fallline.report.bitmap import bitmap, png_of
from fallline.report.images import drawn, patches


def test_an_image_is_drawn_point_by_point() -> None:
    values = np.random.default_rng(0).integers(0, 9, (5, 7)) / 8
    svg = drawn(values, 'a "label"')
    found = np.zeros((5, 7))
    for opacity, data in re.findall(r'fill-opacity="([^"]+)" d="([^"]+)"', svg):
        for x, y, wide in re.findall(r"M(\d+) (\d+)h(\d+)v1H\d+z", data):
            found[int(y), int(x) : int(x) + int(wide)] += float(opacity)
    assert (found == values).all()
    assert "a &quot;label&quot;" in svg


def test_what_is_no_number_is_empty() -> None:
    assert "<path" not in drawn(np.full((2, 2), np.nan), "nothing")


def test_parts_cover_an_image_once_with_all_channels() -> None:
    parts = patches((28, 20), 28 * 20 * 3)
    assert len(parts) == 7 * 5
    assert sorted(np.concatenate(list(parts.values()))) == list(range(28 * 20 * 3))
    assert parts["4,8"][:3].tolist() == [(4 * 20 + 8) * 3 + channel for channel in range(3)]


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (1, 1), (64, 3)])
def test_a_bitmap_is_what_pillow_reads_of_it(shape: tuple[int, ...]) -> None:
    image = pytest.importorskip("PIL.Image", reason="reads the PNG again")
    points = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    with image.open(io.BytesIO(png_of(points))) as read:
        read.verify()
    with image.open(io.BytesIO(png_of(points))) as read:
        np.testing.assert_array_equal(np.asarray(read), points)
    assert 'alt="&lt;a&gt;"' in bitmap(points, "<a>")
