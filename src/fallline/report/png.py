"""SVG to PNG, by resvg: the one place that knows that library."""

from functools import cache
from typing import Any

from fallline.errors import ArgumentError, MissingExtraError

FONTS = (
    "Helvetica Neue", "Segoe UI", "Roboto", "Arial", "Liberation Sans", "DejaVu Sans", "Noto Sans", "Inter",
    "Ubuntu", "Cantarell", "Verdana", "FreeSans",
)  # fmt: skip
"""Families that most machines have one of, in the order in which a picture takes them."""
LARGEST = 10.0
_LETTER = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20">'
    '<text x="2" y="16" font-size="16" font-family="sans-serif">m</text></svg>'
)


def to_png(svg: str, scale: float = 2.0) -> bytes:
    """A picture as PNG, in its light colours.

    Args:
        svg: an SVG document.
        scale: how many pixels of the PNG make one of the picture.

    Raises:
        ArgumentError: scale is no number above 0 and at most 10.
        MissingExtraError: resvg, or any font, is not installed.
    """
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0.0 < scale <= LARGEST:
        raise ArgumentError(f"save: scale must be a number above 0 and at most {LARGEST:g}, found {scale!r}")
    try:
        import resvg_py
    except ImportError:
        raise MissingExtraError(
            "save: a PNG is drawn by resvg-py, which is not installed; install it with pip install 'fallline[png]', "
            "or save the figure as .svg"
        ) from None
    return _drawn(resvg_py, svg, _font(resvg_py), scale)


def _drawn(resvg: Any, svg: str, family: str, scale: float) -> bytes:
    drawn = resvg.svg_to_bytes(svg_string=svg, zoom=float(scale), sans_serif_family=family, serif_family=family)
    return bytes(drawn)


@cache
def _font(resvg: Any) -> str:
    """A family of letters that this machine has: resvg leaves text out, without a word, where it finds none."""
    blank = _drawn(resvg, _LETTER.replace(">m<", "> <"), FONTS[0], 1.0)
    for family in FONTS:
        if _drawn(resvg, _LETTER, family, 1.0) != blank:
            return family
    raise MissingExtraError(
        "save: no font was found to write a PNG's words with; install one (on Debian: apt install fonts-dejavu-core), "
        "or save the figure as .svg"
    )
