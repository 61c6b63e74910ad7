"""What `fallline train` decides by itself about a table, measured: on validation parts, never on the test parts.

Of each table a fifth is set aside and never looked at: the part on which others measure. Of the rest, a fifth judges
the choices below, a fifth of what is left chooses the epoch, and the others are trained on, with the defaults.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline.data.sources import read_table
from fallline.data.split import random_words
from fallline.data.table import Table
from fallline.tables.prepare import TableOptions, prepare
from fallline.tables.target_scale import skewness
from fallline.tables.train import TableRun, train_table

NAME = "decisions"
DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "tabular"
PATIENCE = (10, 6, 5, 4, 3)
Array = NDArray[Any]


@dataclass(frozen=True)
class Case:
    """One table: its file, its target, and how many seeds it is trained with."""

    file: str
    target: str
    seeds: int = 3


NUMBERS = (
    Case("insurance.csv", "charges"),
    Case("abalone.csv", "last"),
    Case("mpg.csv", "mpg"),
    Case("california_housing.csv", "median_house_value", 1),
    Case("diamonds.csv.gz", "price", 1),
)
CLASSES = (
    Case("titanic.csv", "Survived"),
    Case("german.csv", "last"),
    Case("pima_indians_diabetes.csv", "last"),
    Case("heart_cleveland.csv", "num"),
    Case("sonar.csv", "last"),
    Case("penguins.csv", "species"),
    Case("bank_additional.csv", "y", 1),
)


def run() -> str:
    """Every decision with a table of its own."""
    if not DATA.is_dir():
        raise FileNotFoundError(f"the tables are not in {DATA}")
    return "\n".join([*scales(), "", *epochs(), "", *patience(), "", *rates()])


def scales() -> Iterator[str]:
    """A logarithmic scale for the target; and predictions held to the training range."""
    yield "## The target's scale\n"
    yield "Root mean squared error in the target's units; means over seeds. `within` holds the predictions of the scale"
    yield "as it is to the range of the training rows.\n"
    yield "| target | skewness | as it is | within | logarithmic | mean absolute error: as it is | logarithmic |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    tables: list[tuple[str, Table, str, int]] = [
        (case.file, read_table(DATA / case.file), case.target, case.seeds) for case in NUMBERS
    ]
    tables += [(f"made: σ = {s:g}, noise {n:g}", made(s, n), "y", 3) for s in (0.5, 1.0, 1.5) for n in (0.3, 1.0)]
    for name, table, target, seeds in tables:
        found = np.mean([_both_scales(inner(table, seed), target, seed) for seed in range(seeds)], axis=0)
        values = table.column(table.resolve_column(target)).astype(np.float64)
        numbers = " | ".join(f"{value:.5g}" for value in found)
        yield f"| {name} | {skewness(values[np.isfinite(values)]):.2f} | {numbers} |"
    yield "\nThe made tables: y = exp(σ·f(x) + noise), 2,000 rows, f of variance 1 in 6 columns of which 4 matter."


def _both_scales(table: Table, target: str, seed: int) -> list[float]:
    linear, log = (trained(table, target, seed, target_scale=scale) for scale in ("linear", "log"))
    true = linear.prepared.parts["test"].column(linear.prepared.target).astype(np.float64)
    training = linear.prepared.parts["training"].column(linear.prepared.target).astype(np.float64)
    held = np.clip(linear.model.decode(linear.outputs), training.min(), training.max())
    within = float(np.sqrt(np.mean((held - true) ** 2)))
    return [linear.scores["rmse"], within, log.scores["rmse"], linear.scores["mae"], log.scores["mae"]]


def epochs() -> Iterator[str]:
    """Which epoch's weights to keep."""
    yield "## The epoch whose weights are kept\n"
    yield "Accuracy (log loss) on the judging rows of the epoch with the lowest validation loss, of the first and the"
    yield "last with the highest validation accuracy, and of the last of all.\n"
    yield "| table | lowest loss | first highest accuracy | last highest accuracy | last epoch |"
    yield "| --- | --- | --- | --- | --- |"
    means = []
    for case in CLASSES:
        table = read_table(DATA / case.file)
        found = [_kept(inner(table, seed), case.target, seed) for seed in range(case.seeds)]
        means.append(np.mean(found, axis=0))
        yield f"| {case.file} | {_accuracies(means[-1])} |"
    yield f"| mean | {_accuracies(np.mean(means, axis=0))} |"


def _accuracies(found: Array) -> str:
    return " | ".join(f"{accuracy:.4f} ({loss:.3f})" for accuracy, loss in found)


def _kept(table: Table, target: str, seed: int) -> list[tuple[float, float]]:
    seen: list[tuple[float, float]] = []
    options = TableOptions(seed=seed, patience=10_000)
    prepared = prepare(table, target, options)
    x, y = prepared.matrices["test"]

    def look(run: Any, epoch: int) -> None:
        z = run.network.predict(x).astype(np.float64)
        z -= z.max(axis=1, keepdims=True)
        losses = np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(y)), y]
        seen.append((float(np.mean(z.argmax(axis=1) == y)), float(losses.mean())))

    history = train_table(prepared, options, progress=False, callbacks=(look,)).run.history  # type: ignore[arg-type]
    loss, accuracy = np.array(history["validation_loss"]), np.array(history["validation_accuracy"])
    last = len(accuracy) - 1 - int(accuracy[::-1].argmax())
    return [seen[int(loss.argmin())], seen[int(accuracy.argmax())], seen[last], seen[-1]]


def patience() -> Iterator[str]:
    """How long to wait for a lower validation loss."""
    yield "## Patience\n"
    yield "Of the runs that had a higher validation loss for stopping after a part of their epochs (at least 10)"
    yield "without a lower one: how many, the worst of it, and the mean share of the epochs that were spared.\n"
    yield "| patience | runs | stopped too early | at worst | epochs spared |"
    yield "| --- | --- | --- | --- | --- |"
    histories = []
    for case in (*CLASSES, *(case for case in NUMBERS if case.seeds > 1)):
        table = read_table(DATA / case.file)
        for seed in range(case.seeds):
            run = trained(inner(table, seed), case.target, seed, patience=10_000).run
            histories.append(run.history["validation_loss"])
    for part in PATIENCE:
        found = [_stopped(losses, max(10, -(-len(losses) // part))) for losses in histories]
        costs, spared = np.array(found).T
        yield (
            f"| epochs / {part} | {len(found)} | {int((costs > 0).sum())} | +{100 * costs.max():.1f} % | "
            f"{100 * spared.mean():.0f} % |"
        )


def _stopped(losses: list[float], most: int) -> tuple[float, float]:
    """(what the lowest loss is higher for stopping, the share of epochs that are spared)."""
    best, stale = np.inf, 0
    for epoch, loss in enumerate(losses, start=1):
        best, stale = (loss, 0) if loss < best else (best, stale + 1)
        if stale >= most:
            return best / min(losses) - 1, 1 - epoch / len(losses)
    return 0.0, 0.0


def rates() -> Iterator[str]:
    """What `--lr auto` finds."""
    yield "## `--lr auto`\n"
    yield "The recipe's own learning rate, and the one that trials found; the loss is log loss or RMSE on the"
    yield "judging rows.\n"
    yield "| table | found, by seed | loss: the recipe's | found | runs in which the found one was better |"
    yield "| --- | --- | --- | --- | --- |"
    for case in (*CLASSES, *(case for case in NUMBERS if case.seeds > 1)):
        table, found, losses = read_table(DATA / case.file), [], []
        for seed in range(case.seeds):
            part = inner(table, seed)
            usual, trial = trained(part, case.target, seed), trained(part, case.target, seed, learning_rate="auto")
            name = "log_loss" if "log_loss" in usual.scores else "rmse"
            found.append(f"{trial.prepared.recipe.learning_rate:g}")
            losses.append((usual.scores[name], trial.scores[name]))
        means, better = np.mean(losses, axis=0), sum(auto < own for own, auto in losses)
        told = f"{means[0]:.5g} | {means[1]:.5g} | {better} of {len(losses)}"
        yield f"| {case.file} | {', '.join(found)} | {told} |"


def inner(table: Table, seed: int) -> Table:
    """The table without the fifth that is never looked at."""
    order = np.argsort(random_words(len(table), seed, "decisions"), kind="stable")
    return table.select(np.sort(order[len(table) // 5 :]))


def trained(table: Table, target: str, seed: int, **options: Any) -> TableRun:
    """Trained with the defaults but for some options."""
    wishes = TableOptions(seed=seed, **options)
    return train_table(prepare(table, target, wishes), wishes, progress=False)


def made(spread: float, noise: float) -> Table:
    """A table whose target is positive and skewed."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 6))
    f = np.sin(2 * x[:, 0]) + 0.7 * x[:, 1] + 0.5 * x[:, 2] * x[:, 3]
    y = np.exp(spread * f / f.std() + noise * rng.normal(size=len(x)))
    return read_table({**{f"x{i}": x[:, i] for i in range(6)}, "y": y})
