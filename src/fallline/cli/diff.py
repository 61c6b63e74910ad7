"""`fallline diff`: the first step and the first tensor in which two runs differ, and why."""

import json

import click


@click.command(short_help="Find where two runs part, and why.")
@click.argument("a", metavar="RUN")
@click.argument("b", metavar="RUN")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON and nothing else.")
def diff(a: str, b: str, as_json: bool) -> int:
    """Find the first step and the first tensor in which two RUN folders differ, and why.

    Both runs are taken again on the data that they name. The cause is a row of the data, a setting, a fault of memory
    or disk, another version, or a defect of the compiler. The exit code is 0 whether they differ or not.
    """
    from fallline.insight.diff import compare_runs
    from fallline.tables.again import data_of_run
    from fallline.training.run_reader import StoredRun

    given = [data_of_run(StoredRun(run, "diff")) for run in (a, b)]
    found = compare_runs(a, b, given[0], given[1])
    if not as_json:
        click.echo(str(found))
        return 0
    change = found.change
    content = {
        "equal": found.equal,
        "kind": found.kind,
        "step": found.step,
        "before": found.before,
        "since": found.since,
        "tensor": found.tensor,
        "place": None if change is None or change.place is None else list(change.place),
        "cause": found.cause,
        "settings": [setting.name for setting in found.settings],
        "rows": [row.number for row in found.rows],
        "steps": found.steps,
    }
    click.echo(json.dumps(content))
    return 0
