"""`fallline explain`: a weight at a step of a run; the rows that the network finds hardest; a run without a row."""

import json
from typing import Any

import click

SUSPECTS = "suspects"


@click.command(short_help="Explain a weight at a step of a run, or its hardest rows.")
@click.argument("run")
@click.option("--step", type=click.IntRange(min=0), help="The step's number, from 0.")
@click.option("--weight", metavar="NAME[I,J]", help="Which weight: '2.weight[5,3]', '0.bias[7]'.")
@click.option("--row", type=click.IntRange(min=0), help="A row of the step: show its share first, open its delta.")
@click.option(
    "--shown", type=click.IntRange(min=1), default=5, show_default=True, help="Parts of a sum that are shown."
)
@click.option("--suspects", type=click.IntRange(min=1), help="Name so many rows whose labels may be wrong.")
@click.option("--leave-out", metavar="ROW", help="Train again without this row; 'suspects': without each suspect.")
@click.option("--markdown", is_flag=True, help="Print Markdown.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON and nothing else.")
def explain(run: str, as_json: bool, **options: Any) -> int:
    """Explain a weight of RUN (a run folder) at any step: where its gradient comes from, and what it does.

    The step is computed again with the bits of then. dL/dw is told as the sum of its rows' shares, the largest delta is
    opened one layer at a time down to the loss, finite differences measure the same, and the update is told term by
    term. Shares, others and rounding add up to the stored number to the last bit.

    With --suspects the training rows that the network finds hardest are named; with --leave-out the steps are taken
    again without a row, from --step or from the first.
    """
    found = _found(run, **options)
    if as_json:
        click.echo(json.dumps(found.to_json()))
    elif options["markdown"] and options["weight"] is not None:
        click.echo(found.to_markdown(), nl=False)
    else:
        click.echo(str(found))
    return 0


def _found(
    run: str,
    step: int | None,
    weight: str | None,
    row: int | None,
    shown: int,
    suspects: int | None,
    leave_out: str | None,
    markdown: bool,
) -> Any:
    """What was asked for."""
    if weight is not None and (suspects is not None or leave_out is not None):
        raise click.UsageError("--weight explains a step; --suspects and --leave-out are asked for without it")
    if suspects is not None:
        if leave_out not in (None, SUSPECTS):
            raise click.UsageError("beside --suspects, --leave-out takes 'suspects'; a row is left out without it")
        from fallline.insight.suspects import suspects as suspected

        return suspected(run, count=suspects, leave_out=0 if leave_out is None else suspects)
    if leave_out is not None:
        if not leave_out.isdecimal():
            raise click.UsageError(f"--leave-out takes a training row's number, from 0; found {leave_out!r}")
        from fallline.insight.leave_out import leave_out as left_out

        return left_out(run, int(leave_out), step=step or 0)
    missing = [name for name, value in (("--step", step), ("--weight", weight)) if value is None]
    if missing:
        raise click.UsageError(f"Missing option {' and '.join(missing)} (or --suspects, or --leave-out)")
    from fallline.insight.explain import explain as explained

    return explained(run, str(weight), step=step, row=row, shown=shown)
