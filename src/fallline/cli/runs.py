"""`fallline runs`: what was trained here."""

import json
from pathlib import Path
from typing import Any

import click


@click.command(short_help="List the runs in a folder.")
@click.argument("folder", type=click.Path(path_type=Path), default="runs")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON per run.")
def runs(folder: Path, as_json: bool) -> int:
    """List the runs in FOLDER (runs by default), the latest last."""
    from rich.table import Table as Grid

    from fallline.cli import show

    found = _found(folder)
    if as_json:
        for run in found:
            click.echo(json.dumps(run))
        return 0
    if not found:
        click.echo(f"no runs in {folder}; make one: {show.command('train', 'penguins', '--target', 'species')}")
        return 0
    grid = Grid(box=None, pad_edge=False, header_style="bold")
    for heading in ("run", "data", "target", "score", "epochs", "stopped", "made"):
        grid.add_column(heading, overflow="fold")
    for run in found:
        score = "" if run["score"] is None else f"{run['metric']} {show.metric_value(run['metric'], run['score'])}"
        grid.add_row(run["run"], run["data"], run["target"], score, str(run["epochs"]), run["stopped"], run["created"])
    show.console().print(grid)
    return 0


def _found(folder: Path) -> list[dict[str, Any]]:
    """What each run.json tells, in order of creation; damaged ones say so."""
    listed = []
    for path in folder.glob("*/run.json"):
        entry: dict[str, Any] = {"run": str(path.parent)}
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(content, dict):
                content = {}
                entry["stopped"] = "run.json is damaged"
        except (OSError, ValueError):
            content = {}
            entry["stopped"] = "run.json is damaged"
        for key, default in (("data", ""), ("target", ""), ("created", ""), ("stopped", "")):
            entry.setdefault(key, str(content.get(key, default)))
        for key in ("metric", "score", "epochs"):
            entry[key] = content.get(key)
        if not isinstance(entry["score"], int | float) or not isinstance(entry["metric"], str):
            entry["score"] = None
        listed.append(entry)
    return sorted(listed, key=lambda run: (run["created"], run["run"]))
