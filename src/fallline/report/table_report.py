"""The report of a training on a table: what `report.html` says."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from fallline.errors import FalllineError
from fallline.report.backward_flow import backward_picture
from fallline.report.classes import class_section
from fallline.report.columns import data_section
from fallline.report.course import again_section, network_section, training_section
from fallline.report.descent import descent_picture
from fallline.report.headline import headline
from fallline.report.html import write_page
from fallline.report.images import image_shape, importance_image, mean_images, patches, worst_images
from fallline.report.judged import Judged, judge
from fallline.report.markup import Section, figure, paragraph
from fallline.report.reasons import find_importance, importance_section, worst_section
from fallline.report.values import value_section
from fallline.tables.train import TableRun, make_optimizer, training_loss, unlogged
from fallline.training.plan import Plan

PICTURED_ROWS = 512
SECONDS = 1.2
"""About how long looking for the importance of columns may take."""
FOOTER = "Made by Fallline: backpropagation computes dL/dw, gradient descent uses it, w ← w − η·dL/dw."


def write_table_report(
    path: Path, result: TableRun, commands: Mapping[str, str] | None = None, planned: Plan | None = None
) -> Path:
    """Write the report of a finished training on a table.

    Args:
        path: the file, usually `report.html` in the run folder.
        result: the training with its scores.
        commands: what to do next or again → the command line that does it.
        planned: what the training was going to cost, if it was planned.
    """
    with unlogged(), np.errstate(all="ignore"):  # which engine draws reaches no weight; huge numbers leave gaps
        header, sections = _content(result, commands or {}, planned)
    prepared = result.prepared
    title = f"{prepared.target} from {Path(prepared.parts['training'].source).name}"
    write_page(path, title=title, header=header, sections=sections, footer=FOOTER)
    return path


def _content(result: TableRun, commands: Mapping[str, str], planned: Plan | None) -> tuple[str, list[Section]]:
    """The head of the page, and its sections in reading order: what is asked first stands first."""
    prepared, judged, shape = result.prepared, judge(result), image_shape(result)
    sections: list[Section] = []
    if judged is not None:
        if judged.sample:
            sections.append(Section("sample", "", [paragraph(judged.sample)]))
        sections.append(class_section(judged) if judged.chances is not None else value_section(judged))
        sections += _reasons(result, judged, shape)
    notes = [*prepared.notices, *(info.reason for info in prepared.infos if info.reason)]
    sections.append(data_section(prepared, notes, "" if shape is None else mean_images(result, judged, shape)))
    sections += [training_section(result.run, result.prepared.selection), network_section(result, planned)]
    sections += [Section(key, heading, [content]) for key, heading, content in _pictures(result)]
    sections.append(again_section(result, commands))
    return headline(result, judged, alerts(result)), sections


def _reasons(result: TableRun, judged: Judged, shape: tuple[int, int] | None) -> list[Section]:
    """What the predictions go by, and where they are wrong."""
    encoder = result.model.encoder
    if shape is not None:
        parts = patches(shape, len(encoder.feature_names))
        found = find_importance(result, judged, parts, SECONDS)
        return [importance_image(found, judged, shape), worst_images(judged, shape)]
    found = find_importance(result, judged, encoder.places(), SECONDS)
    return [importance_section(found, judged), worst_section(result, judged, found)]


def alerts(result: TableRun) -> list[str]:
    """What one must know before trusting the score: how the training ended, and what one could do about the data."""
    run, told = result.run, []
    if run.stopped == "interrupted":
        told.append(
            f"The training was interrupted after {run.epochs} epochs; the scores are those of its best weights."
        )
    if run.stopped == "nan" and run.best_epoch is not None:
        told.append(f"{run.problem} The scores are those of the best weights before.")
    return told + [notice for notice in result.prepared.notices if " --" in notice]


def _pictures(result: TableRun) -> list[tuple[str, str, str]]:
    drawn = pictures(result)
    return [
        (f"picture-{number}", heading, figure(svg) if svg.startswith("<svg") else paragraph(svg))
        for number, (heading, svg) in enumerate(drawn.items())
    ]


def pictures(result: TableRun) -> dict[str, str]:
    """Backpropagation and gradient descent on this run's network and training rows."""
    x, y = (part[:PICTURED_ROWS] for part in result.prepared.matrices["training"])
    rule = make_optimizer(result.prepared.recipe)
    network, loss = result.model.network, training_loss(result.prepared)
    drawers: dict[str, Callable[[], str]] = {
        "Backpropagation at the final weights": partial(backward_picture, network, x, y, loss, optimizer=rule),
        "Gradient descent over two of the weights": partial(descent_picture, network, x, y, loss),
    }
    drawn = {}
    for heading, draw in drawers.items():
        try:
            drawn[heading] = draw()
        except FalllineError as error:  # a picture that cannot be drawn (no valley, say) must not cost the report
            drawn[heading] = f"There is no picture of this network: {error}"
    return drawn
