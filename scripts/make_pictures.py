"""Draws the pictures of docs/images anew, from real runs: `.venv/bin/python scripts/make_pictures.py`.

The network, its data (the bundled iris flowers) and its seed are fixed, so the pictures are, too;
tests/report/test_pictures.py draws them again and compares them with the files.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline import nn
from fallline.data.samples import load_sample
from fallline.report.backward_flow import backward_picture
from fallline.report.descent import descent_picture

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"


def flowers() -> tuple[NDArray[Any], NDArray[Any]]:
    """The iris flowers: four measures, each with mean 0 and deviation 1, and the species as 0, 1 or 2."""
    *measures, species = load_sample("iris").columns.values()
    x = np.stack(measures, axis=1).astype(np.float64)  # (150, 4)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    return x, np.unique(species.astype(str), return_inverse=True)[1]


def pictures() -> dict[str, str]:
    """File name → SVG."""
    x, y = flowers()
    net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3), seed=0)
    return {
        "backpropagation.svg": backward_picture(net, x, y),
        "gradient-descent.svg": descent_picture(net, x, y),
    }


def main() -> int:
    """Write every picture and say where it is."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name, svg in pictures().items():
        (IMAGES / name).write_text(svg, encoding="utf-8")
        print(f"wrote {(IMAGES / name).relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
