"""What each choice of the recipe for tables is worth: taken away, one at a time.

Judged on validation parts alone: the training rows of each table's first fold, or official part, are cut into five
inner folds, and no row of a test part is read. A choice's effect is how much worse its absence makes the score.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.table_sets import CASES, DATA, Case, folds, parts
from fallline.data.table import Table
from fallline.data.targets import drop_missing_targets
from fallline.tables.prepare import Prepared, TableOptions, prepare
from fallline.tables.recipe import LARGEST_RATE, USUAL, Recipe, network_plan
from fallline.tables.selection import WHOLE, on_all_rows, selects
from fallline.tables.train import train_table

NAME = "ablation"
Scores = dict[str, float]
"""By name."""
INNER = 3
"""Of the five inner folds so many are judged; of a table with more than `ONE_ABOVE` rows the first alone."""
ONE_ABOVE = 2_000
LEFT_OUT = ("mushrooms", "penguins", "diamonds", "adult_train")
"""Two whose accuracy is 1 whatever is taken away, and two whose trainings take too long for a dozen of them."""


@dataclass(frozen=True)
class Without:
    """A choice that is taken away.

    Attributes:
        name: what it is called on the page.
        recipe: the recipe without it.
        twice: whether small tables are still trained on twice.
        plain: whether the plain recipe is still tried.
    """

    name: str
    recipe: Callable[[Recipe], Recipe] = lambda recipe: recipe
    twice: bool = True
    plain: bool = True


CHOICES = (
    Without("nothing: the recipe"),
    Without("sixteen members (one instead)", lambda recipe: replace(recipe, members=1)),
    Without("numbers in pieces", lambda recipe: replace(recipe, pieces=0)),
    Without("dropout", lambda recipe: replace(recipe, dropout=0.0)),
    Without("weight decay", lambda recipe: replace(recipe, weight_decay=0.0)),
    Without("β₂ = 0.99 (0.999 instead)", lambda recipe: replace(recipe, beta2=0.999)),
    Without("its learning rate (0.004 instead)", lambda recipe: replace(recipe, learning_rate=LARGEST_RATE)),
    Without("one cycle (a constant rate)", lambda recipe: replace(recipe, schedule="constant")),
    Without("hidden layers", lambda recipe: replace(recipe, hidden=())),
    Without("the plain recipe", plain=False),
    Without("the second training, on all rows", twice=False),
)


def run() -> str:
    """Each table with each choice taken away."""
    if not DATA.is_dir():
        raise FileNotFoundError(f"the tables are not in {DATA}")
    wanted = os.environ.get("FALLLINE_BENCH_TABLES", "").split()
    cases = [case for case in CASES if (case.name in wanted if wanted else case.name not in LEFT_OUT)]
    found: dict[str, dict[str, Scores]] = {}
    for case in cases:
        found[case.name] = {choice.name: scores(case, choice) for choice in CHOICES}
        print(case.name, {name: round(of[case.metric], 4) for name, of in found[case.name].items()}, flush=True)
    return page(cases, found)


def scores(case: Case, choice: Without) -> Scores:
    """Each score, the mean of the inner folds."""
    training, _ = next(iter(parts(case)))
    target = training.resolve_column(case.target)
    training = drop_missing_targets(training, target)
    count = 1 if len(training) > ONE_ABOVE else INNER
    inner = [pair for number, pair in enumerate(folds(training, 5, "inner")) if number < count]
    each = [scores_of(choice, *pair, target) for pair in inner]
    return {name: float(np.mean([fold[name] for fold in each])) for name in each[0]}


def scores_of(choice: Without, training: Table, judged: Table, target: str) -> Scores:
    """The scores on the rows of one inner fold."""
    options = TableOptions(test=judged, recipe="auto" if choice.plain else USUAL)
    prepared = changed(prepare(training, target, options), choice)
    result = train_table(prepared, options, progress=False)
    if choice.twice and selects(prepared, options) and result.run.stopped in WHOLE:
        again, options = on_all_rows(result, options)
        result = train_table(changed(again, choice), options, progress=False)
    return result.scores


def changed(prepared: Prepared, choice: Without) -> Prepared:
    """With another recipe, and the network that it asks for."""
    prepared.recipe = choice.recipe(prepared.recipe)
    training = prepared.matrices["training"][0]
    prepared.plan = network_plan(prepared.encoder, prepared.plan.outputs, prepared.recipe, training)
    return prepared


def page(cases: list[Case], found: dict[str, dict[str, Scores]]) -> str:
    """What is lost without each choice, by the score that counts, and of classes by the log loss, too."""
    classes = [case for case in cases if case.metric == "accuracy"]
    return "\n".join(
        [
            *rows(cases, found, {case.name: case.metric for case in cases}),
            "",
            "The first row is the score (accuracy, or root mean squared error) of the whole recipe; the others are how",
            "much worse it becomes: more of the error, or percentage points of accuracy less; below 0 the score is",
            f"better without. Means of {INNER} of five inner folds (of the first, above {ONE_ABOVE:,} rows), seed 0;",
            "differences of a percent are noise on the small tables.",
            "",
            "The same by log loss, which tells settings apart sooner than accuracy, and how much larger it becomes:",
            "",
            *rows(classes, found, {case.name: "log_loss" for case in classes}),
        ]
    )


def rows(cases: list[Case], found: dict[str, dict[str, Scores]], by: dict[str, str]) -> list[str]:
    """A table: of each choice, how much is lost without it on each of the cases, and on how many any is."""
    names = [case.name for case in cases]
    first = CHOICES[0].name
    lines = [f"| without | {' | '.join(names)} | worse on |", f"| --- |{' --- |' * len(names)} --- |"]
    shown = [f"{found[name][first][by[name]]:.4g}" for name in names]
    lines.append(f"| {first} | {' | '.join(shown)} | |")
    for choice in CHOICES[1:]:
        lost = [loss(by[name], *(found[name][which][by[name]] for which in (first, choice.name))) for name in names]
        worse = sum(value > 0 for value in lost)
        lines.append(f"| {choice.name} | {' | '.join(f'{value:+.1f} %' for value in lost)} | {worse} of {len(lost)} |")
    return lines


def loss(score: str, whole: float, without: float) -> float:
    """Percent by which the error grows, or points of accuracy lost."""
    return 100.0 * (whole - without if score == "accuracy" else without / whole - 1.0)
