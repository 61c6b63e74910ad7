"""`fallline runs`: what was trained here."""

import json
from pathlib import Path
from typing import Any

import click

HEADINGS = ("run", "data", "target", "score", "epochs", "stopped", "made")


@click.command(short_help="List the runs in a folder.")
@click.argument("folder", type=click.Path(path_type=Path), default="runs")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON per run.")
def runs(folder: Path, as_json: bool) -> int:
    """List the runs in FOLDER (runs by default), the latest last."""
    from fallline.cli import show

    found = _found(folder)
    if as_json:
        for run in found:
            click.echo(json.dumps(run))
        return 0
    if not found:
        click.echo(f"no runs in {folder}; make one: {show.command('train', 'penguins', '--target', 'species')}")
        return 0
    show.print_grid(show.console(), HEADINGS, [_cells(run) for run in found])
    return 0


def _cells(run: dict[str, Any]) -> list[str]:
    """One line of the list."""
    from fallline.cli import show

    score = "" if run["score"] is None else f"{run['metric']} {show.metric_value(run['metric'], run['score'])}"
    epochs = "" if run["epochs"] is None else str(run["epochs"])
    made = run["created"].replace("T", " ")[:16]
    return [run["run"], Path(run["data"]).name, run["target"], score, epochs, run["stopped"], made]


def _found(folder: Path) -> list[dict[str, Any]]:
    """What each run.json tells, in order of creation; damaged ones say so."""
    listed = []
    for path in folder.glob("*/run.json"):
        entry: dict[str, Any] = {"run": str(path.parent)}
        content = _content(path)
        if content is None:
            content = {"stopped": "run.json is damaged"}
        for key in ("data", "target", "created", "stopped"):
            entry[key] = str(content.get(key, ""))
        for key in ("metric", "score", "epochs"):
            entry[key] = content.get(key)
        if not isinstance(entry["score"], int | float) or not isinstance(entry["metric"], str):
            entry["score"] = None
        listed.append(entry)
    return sorted(listed, key=lambda run: (run["created"], run["run"]))


def _content(path: Path) -> dict[str, Any] | None:
    """A run.json; None where it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
