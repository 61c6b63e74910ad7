"""`fallline verify`: a run, trained again, and whether it is what it says."""

import json

import click


@click.command(short_help="Train a run again and compare every bit.")
@click.argument("run")
@click.option("--intervals", type=click.IntRange(min=1), help="Check so many random intervals only, instead of all.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Of their choice.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of each step; they never change a bit.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON and nothing else.")
def verify(run: str, intervals: int | None, seed: int, threads: int | None, as_json: bool) -> int:
    """Train RUN (a run folder) again on the data that it names, and compare all that it recorded.

    Each loss, each recorded hash of the weights, each checkpoint and the model file must be reproduced, bit for bit.
    The exit code is 0 if they are, and 1 if not.
    """
    from dataclasses import asdict, replace

    from fallline.insight.verify import verify_run
    from fallline.tables.again import data_of_run
    from fallline.training.run_reader import StoredRun

    given = replace(data_of_run(StoredRun(run, "verify")), threads=threads)
    receipt = verify_run(run, given, intervals, seed)
    click.echo(json.dumps({"ok": receipt.ok, **asdict(receipt)}) if as_json else str(receipt))
    return 0 if receipt.ok else 1
