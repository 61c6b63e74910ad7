"""Reports on images: the worst ones shown, the parts of them that matter, the mean of each class."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.report.bitmap import bitmap
from fallline.report.importance import Importance
from fallline.report.judged import Judged
from fallline.report.markup import Section, paragraph, text
from fallline.report.words import count, metric_name, percent, plain
from fallline.tables.train import TableRun

Array = NDArray[Any]
TONES, PATCHES, WORST, MOST_CLASSES, COLOURS = 8, 8, 20, 30, 3
Shape = tuple[int, int]


def image_shape(result: TableRun) -> Shape | None:
    """(height, width) of the images where every column is a point of one; None for tables of other kinds."""
    shape = tuple(getattr(result.model.plan, "shape", ()))
    features = len(result.model.encoder.feature_names)
    return (shape[0], shape[1]) if len(shape) in (2, 3) and math.prod(shape) == features else None


def patches(shape: Shape, features: int) -> dict[str, Array]:
    """Square parts of an image, about eight along its longer side → which encoded features lie in each.

    A single point can nearly always be told from those around it, so that shuffling it alone would cost nothing.
    """
    side = -(-max(shape) // PATCHES)
    points = np.arange(features).reshape(*shape, -1)
    return {
        f"{row},{column}": points[row : row + side, column : column + side].reshape(-1)
        for row in range(0, shape[0], side)
        for column in range(0, shape[1], side)
    }


def drawn(values: Any, label: str, colour: str = "ink") -> str:
    """Numbers from 0 to 1 as the points of an SVG, in eight tones of a colour; equal ones of a line are one stroke."""
    tones = np.rint(np.clip(np.nan_to_num(np.asarray(values, dtype=np.float64)), 0, 1) * TONES).astype(np.int64)
    strokes: dict[int, list[str]] = {}
    for y, line in enumerate(tones):
        ends = np.append(np.flatnonzero(np.diff(line)), len(line) - 1).tolist()
        for x, end in zip([0, *(k + 1 for k in ends[:-1])], ends, strict=True):
            if line[x]:
                strokes.setdefault(int(line[x]), []).append(f"M{x} {y}h{end + 1 - x}v1H{x}z")
    paths = "".join(
        f'<path class="f-{colour}" fill-opacity="{tone / TONES:g}" d="{"".join(parts)}"/>'
        for tone, parts in sorted(strokes.items())
    )
    height, width = tones.shape
    return (
        f'<svg class="pixels" viewBox="0 0 {width} {height}" role="img" aria-label="{text(label)}" '
        f'shape-rendering="crispEdges">{paths}</svg>'
    )


def gallery(images: Sequence[tuple[str, str]], kind: str = "") -> str:
    """Images with words below them."""
    parts = "\n".join(f"<figure>{svg}<figcaption>{text(words)}</figcaption></figure>" for svg, words in images)
    return f'<div class="card gallery{f" {kind}" if kind else ""}">\n{parts}\n</div>'


def worst_images(judged: Judged, shape: Shape) -> Section:
    """The images on which the model is most wrong."""
    order = np.argsort(-judged.errors, kind="stable")[:WORST]
    images = [
        (_shown(judged.matrix[row], shape, judged.table.row_name(int(row))), _words(judged, int(row))) for row in order
    ]
    told = f"The {count(len(order), f'{judged.part} image')} on which it is most wrong, the worst first."
    return Section("worst", "Where it is most wrong", [paragraph(told), gallery(images)], "Worst images")


def _words(judged: Judged, row: int) -> str:
    place = judged.table.row_name(row)
    if judged.chances is None:
        return f"true {plain(float(judged.true[row]))}, predicted {plain(float(judged.predicted[row]))}, {place}"
    true, given = int(judged.true[row]), int(judged.predicted[row])
    sure = percent(float(judged.chances[row, given]))
    taken = f", taken for {judged.classes[given]}" if given != true else ""
    return f"{judged.classes[true]}{taken} ({sure}), {place}"


def importance_image(found: Importance | None, judged: Judged, shape: Shape) -> Section:
    """Where in the image the answer is read: how much the score falls when a part is shuffled."""
    if found is None:
        return Section("importance", "", [])
    loss = dict(zip(found.names, found.loss.tolist(), strict=True))
    most = max(*loss.values(), 1e-300)
    values = np.zeros(shape)
    for name, features in patches(shape, shape[0] * shape[1]).items():
        values.reshape(-1)[features] = loss.get(name, 0.0) / most
    unit = f"{percent(most)} of {metric_name(judged.metric)}" if judged.chances is not None else plain(most)
    told = (
        f"Square parts of the image are shuffled among {count(found.rows, 'row')} of the {judged.part} part, "
        f"{count(found.repeats, 'time')}. The darker a part, the more the {metric_name(judged.metric)} gets worse "
        f"without it; the darkest costs {unit}."
    )
    picture = drawn(values, "the parts of the image by importance", "blue")
    mean = _shown(judged.matrix.mean(axis=0, dtype=np.float64), shape, "the mean of all images")
    content = [
        paragraph(told),
        gallery([(picture, "importance"), (mean, "the mean of all images, to compare")], "large"),
    ]
    return Section("importance", "What the predictions go by", content, "Parts that matter")


def mean_images(result: TableRun, judged: Judged | None, shape: Shape) -> str:
    """The mean image of the training rows: of each class, where there are classes."""
    x, y = result.prepared.matrices["training"]
    classes = [] if judged is None else judged.classes[:MOST_CLASSES]
    groups: Mapping[str, Array] = {label: x[y == k] for k, label in enumerate(classes)} or {"all": x}
    means = {label: rows.mean(axis=0, dtype=np.float64) for label, rows in groups.items() if len(rows)}
    return gallery([(_shown(mean, shape, f"mean of {label}"), f"mean of {label}") for label, mean in means.items()])


def _shown(row: Array, shape: Shape, label: str) -> str:
    """An encoded row as a picture; in grey, its channels averaged, where they are not red, green and blue."""
    points = np.asarray(row, dtype=np.float64).reshape(*shape, -1)
    return bitmap(np.rint(points if points.shape[2] == COLOURS else points.mean(axis=2)), label)
