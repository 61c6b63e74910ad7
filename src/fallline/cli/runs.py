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
            entry[key] = _text(content.get(key))
        entry["metric"] = _text(content.get("metric")) or None
        entry["score"] = _number(content.get("score")) if entry["metric"] else None
        entry["epochs"] = _number(content.get("epochs"))
        listed.append(entry)
    return sorted(listed, key=lambda run: (run["created"], run["run"]))


def _text(value: Any) -> str:
    """A text or number in one printable line; nothing for anything else."""
    from fallline.errors import told

    return told(value, 1000) if isinstance(value, str | int | float) else ""


def _number(value: Any) -> float | None:
    """A number that is finite; None for anything else."""
    known = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
    return value if known else None


def _content(path: Path) -> dict[str, Any] | None:
    """A run.json; None where it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        json.dumps(content, ensure_ascii=False).encode()  # an escape such as \ud800 alone is no letter
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
