"""`run.plot()`: how a training went, in one figure."""

from typing import TYPE_CHECKING

from fallline.errors import ArgumentError
from fallline.report.chart import WIDTH, Chart
from fallline.report.figure import Figure
from fallline.report.headline import STOPPED
from fallline.report.history_charts import history_charts, steps_chart
from fallline.report.svg import Picture, shortened
from fallline.report.words import count, duration

if TYPE_CHECKING:
    from fallline.training.run import Run

HEAD, EDGE = 66.0, 12.0


def run_figure(run: "Run") -> Figure:
    """Loss, validation, metrics, learning rate and the loss of each step of a training, side by side.

    Raises:
        ArgumentError: there is no epoch to draw.
    """
    charts = history_charts(run.history, run.best_epoch)
    steps = steps_chart(run.steps.get("loss", ()), run.epochs)
    charts += [] if steps is None else [steps]
    if not charts:
        raise ArgumentError("plot: the training has no finished epoch and no step to draw; train it a little longer")
    return Figure(_drawn(charts, _told(run)), "How the training went")


def _told(run: "Run") -> str:
    why = f", until {STOPPED.get(run.stopped, run.stopped)}" if run.stopped else ""
    kept = "" if run.best_epoch is None else f"; kept: the weights of epoch {run.best_epoch + 1}"
    return f"{count(run.epochs, 'epoch')} in {duration(run.seconds)}{why}{kept}."


def _drawn(charts: list[Chart], told: str) -> str:
    columns = min(len(charts), 2 if len(charts) == 4 else 3)
    rows = [charts[k : k + columns] for k in range(0, len(charts), columns)]
    heights = [max(chart.picture.height for chart in row) for row in rows]
    width = columns * WIDTH + 2 * EDGE
    described = " ".join(f"{chart.picture.title}: {chart.picture.description}" for chart in charts)
    picture = Picture("training", width, HEAD + sum(heights) + EDGE, "How the training went", f"{told} {described}")
    picture.rect(0, 0, picture.width, picture.height, fill="paper", radius=10)
    picture.text(EDGE + 16, 32, "How the training went", size=19, bold=True)
    picture.text(EDGE + 16, 53, shortened(told, width - 2 * EDGE - 32), colour="muted")
    for number, row in enumerate(rows):
        for place, chart in enumerate(row):
            picture.inset(chart.picture, EDGE + place * WIDTH, HEAD + sum(heights[:number]))
    return picture.svg()
