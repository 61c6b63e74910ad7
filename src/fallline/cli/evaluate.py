"""`fallline evaluate`: the score of a model on data with known answers."""

import json
import math

import click


@click.command(short_help="Score a model on data.")
@click.argument("model")
@click.argument("data")
@click.option("--no-header", is_flag=True, help="The first row of DATA is data.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON and nothing else.")
def evaluate(model: str, data: str, no_header: bool, as_json: bool) -> int:
    """Score MODEL (a model file or a run folder) on DATA, which must hold the target column."""
    from fallline.cli import show
    from fallline.cli.predict import open_model
    from fallline.data.targets import drop_missing_targets

    opened = open_model(model)
    table = drop_missing_targets(opened.read(data, False if no_header else None), opened.target.name)
    notices: list[str] = [*table.notices]
    outputs = opened.outputs(table, notices)
    scores: dict[str, float] = opened.score(outputs, table, notices)
    if as_json:
        click.echo(json.dumps({"task": opened.task, "rows": len(table), **_finite(scores)}))
        return 0
    rows: list[tuple[str, str]] = [("data", f"{table.source}: {show.count(len(table), 'row')}")]
    known = {name: value for name, value in scores.items() if math.isfinite(value)}  # roc_auc of one class is not
    rows += [(name.replace("_", " "), show.metric_value(name, value)) for name, value in known.items()]
    rows += [("note", notice) for notice in notices]
    show.print_listing(show.console(), rows)
    return 0


def _finite(scores: dict[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in scores.items()}
