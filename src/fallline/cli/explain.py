"""`fallline explain`: a weight at a step of a run: its gradient in parts, the chain rule, the update."""

import json

import click


@click.command(short_help="Explain a weight at a step of a run.")
@click.argument("run")
@click.option("--step", type=click.IntRange(min=0), help="The step's number, from 0.")
@click.option("--weight", metavar="NAME[I,J]", help="Which weight: '2.weight[5,3]', '0.bias[7]'.")
@click.option("--row", type=click.IntRange(min=0), help="A row of the step: show its share first, open its delta.")
@click.option(
    "--shown", type=click.IntRange(min=1), default=5, show_default=True, help="Parts of a sum that are shown."
)
@click.option("--markdown", is_flag=True, help="Print Markdown.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON and nothing else.")
def explain(
    run: str, step: int | None, weight: str | None, row: int | None, shown: int, markdown: bool, as_json: bool
) -> int:
    """Explain a weight of RUN (a run folder) at any step: where its gradient comes from, and what it does.

    The step is computed again with the bits of then. dL/dw is told as the sum of its rows' shares, the largest delta is
    opened one layer at a time down to the loss, finite differences measure the same, and the update is told term by
    term. Shares, others and rounding add up to the stored number to the last bit.
    """
    from fallline.insight.explain import explain as explained

    missing = [name for name, value in (("--step", step), ("--weight", weight)) if value is None]
    if missing:
        raise click.UsageError(f"Missing option {' and '.join(missing)}")
    found = explained(run, str(weight), step=step, row=row, shown=shown)
    if as_json:
        click.echo(json.dumps(found.to_json()))
    else:
        click.echo(found.to_markdown() if markdown else str(found), nl=not markdown)
    return 0
