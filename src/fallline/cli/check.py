"""`fallline check`: are a model's gradients right on this data?"""

import click

ROWS = 64


@click.command(short_help="Check a model's gradients against finite differences.")
@click.argument("model")
@click.argument("data")
@click.option("--no-header", is_flag=True, help="The first row of DATA is data.")
def check(model: str, data: str, no_header: bool) -> int:
    """Compare backpropagation with finite differences in float64, for every weight tensor of MODEL on DATA.

    Up to 64 rows of DATA are used; it must hold the target column. Exit code 1 where they disagree.
    """
    from fallline.cli.predict import open_model
    from fallline.data.sources import read_table
    from fallline.data.targets import drop_missing_targets
    from fallline.training.gradient_check import check_gradients

    opened = open_model(model)
    table = drop_missing_targets(read_table(data, False if no_header else None), opened.target.name)
    table = table.select(list(range(min(len(table), ROWS))))
    matrix = opened.encoder.transform(table)
    targets = opened.target.encode(table.column(opened.target.name), table.place)
    opened.outputs(table)  # refuses a model that gives no numbers
    report = check_gradients(opened.network, matrix, targets, loss=opened.loss)
    click.echo(f"{opened.loss} of {len(table)} rows: {report.loss:.6g}")
    click.echo(str(report))
    return 0 if report.ok else 1
