"""A figure that Python code asked for: a picture that can be shown in a notebook and saved as a file."""

import base64
from html import escape
from pathlib import Path
from typing import Any

from fallline.errors import ArgumentError
from fallline.nn.model_file import write_whole
from fallline.report.png import to_png

KINDS = (".svg", ".png")


class Figure:
    """A drawn picture.

    Jupyter shows it by itself; `str(figure)` is its SVG, light or dark as the reader's screen.

    Attributes:
        svg: the picture as an SVG document.
        title: what it is, in a line.

    Args:
        svg: the picture as an SVG document.
        title: what it is, in a line.
    """

    def __init__(self, svg: str, title: str) -> None:
        self.svg, self.title = svg, title

    def save(self, path: Any, scale: float = 2.0) -> Path:
        """Write the picture to a file, whose ending says how: .svg, or .png (which needs `fallline[png]`).

        Args:
            path: the file; one that exists is replaced.
            scale: of a PNG: how many of its pixels make one of the picture's.

        Returns:
            The path of the file.

        Raises:
            ArgumentError: another ending, or a scale that is no number above 0 and at most 10.
            MissingExtraError: the package that draws PNG is not installed.
            ModelFileError: the file cannot be written; nothing is left behind.
        """
        file = Path(path)
        kind = file.suffix.lower()
        if kind not in KINDS:
            raise ArgumentError(f"save: a figure is saved as {' or '.join(KINDS)}, found {str(path)!r}")
        write_whole(file, self.svg.encode() if kind == ".svg" else to_png(self.svg, scale))
        return file

    def __str__(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return f"<Figure: {self.title}>"

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_html_(self) -> str:
        # as an image of its own: the ids and styles of several figures on one page cannot meet
        data = base64.b64encode(self.svg.encode()).decode()
        return f'<img alt="{escape(self.title)}" src="data:image/svg+xml;base64,{data}">'
