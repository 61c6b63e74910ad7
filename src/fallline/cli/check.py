"""`fallline check`: are a model's gradients right on this data, and how many of their digits?"""

import json
import math
from dataclasses import asdict
from typing import Any

import click

ROWS = 64


@click.command(short_help="Check a model's gradients, and how many digits they keep.")
@click.argument("model")
@click.argument("data")
@click.option(
    "--entries", type=click.IntRange(min=1),
    help="Entries of each weight tensor that are compared with finite differences, at most.  "
    "[default: 50; fewer of very deep networks]",
)  # fmt: skip
@click.option("--no-header", is_flag=True, help="The first row of DATA is data.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON and nothing else.")
def check(model: str, data: str, entries: int | None, no_header: bool, as_json: bool) -> int:
    """Compare backpropagation with finite differences, and float32 with float64, for every weight tensor.

    MODEL is a model file or a run folder. Up to 64 rows of DATA are used; it must hold the target column. Exit code 1
    where backpropagation and finite differences disagree.
    """
    from fallline.cli.predict import open_model
    from fallline.data.targets import drop_missing_targets
    from fallline.training.gradient_check import check_gradients

    opened = open_model(model)
    table = drop_missing_targets(opened.read(data, False if no_header else None), opened.target.name)
    table = table.select(list(range(min(len(table), ROWS))))
    matrix = opened.encoder.transform(table)
    targets = opened.target.encode(table.column(opened.target.name), table.place)
    opened.outputs(table)  # refuses a model that gives no numbers
    report = check_gradients(opened.network, matrix, targets, loss=opened.loss, entries=entries)
    if as_json:
        told = ("ok", "max_error", "tolerance", "loss", "float32_digits", "difference_digits")
        found = {"rows": len(table), **{name: getattr(report, name) for name in told}}
        click.echo(json.dumps(_finite(found | {"checks": [asdict(check) for check in report.checks]})))
    else:
        click.echo(f"{opened.loss} of {len(table)} rows: {report.loss:.6g}")
        click.echo(str(report))
    return 0 if report.ok else 1


def _finite(value: Any) -> Any:
    """What JSON can hold: null for numbers that are not finite."""
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
