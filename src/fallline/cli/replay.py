"""`fallline replay`: any past step of a run, with all its tensors."""

import json
from typing import Any

import click
from numpy.typing import NDArray

HEADINGS = ("tensor", "shape", "smallest", "largest", "mean")
ROWS_SHOWN = 8


@click.command(short_help="Show a past step of a run.")
@click.argument("run")
@click.option("--step", type=click.IntRange(min=0), required=True, help="The step's number, from 0.")
@click.option("--tensor", metavar="NAME", help="Print this tensor's numbers.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON and nothing else.")
def replay(run: str, step: int, tensor: str | None, as_json: bool) -> int:
    """Compute a past step of RUN (a run folder) again, with the bits of then, and show its tensors.

    Nothing needs to have been logged: the steps are taken again from the checkpoint before, on the data that the run
    names, and the weights are compared with the next hash that it recorded.
    """
    from fallline.tables.again import data_of_run
    from fallline.training.replay import replayer_of
    from fallline.training.run_reader import StoredRun

    found = replayer_of(run, data_of_run(StoredRun(run, "replay"))).step(step)
    if tensor is not None:
        array = found[tensor]
        click.echo(json.dumps({"tensor": tensor, "values": _plain(array)}) if as_json else _text(array))
    elif as_json:
        click.echo(json.dumps(_summary(found)))
    else:
        _show(found)
    return 0


def _plain(array: NDArray[Any]) -> Any:
    """Numbers as JSON has them: NaN and infinity become null."""
    from fallline.training.run_folder import plain

    return plain(array.tolist())


def _text(array: NDArray[Any]) -> str:
    import numpy as np

    return np.array2string(array, threshold=1000, max_line_width=100)


def _summary(found: Any) -> dict[str, Any]:
    """The step in numbers that JSON can hold."""
    from fallline.training.run_folder import plain

    summary: dict[str, Any] = plain(
        {
            "step": found.step,
            "epoch": found.epoch,
            "rows": found.rows.tolist(),
            "loss": found.loss,
            "learning_rate": found.learning_rate,
            "verified_at": found.verified_at,
            "tensors": [dict(zip(HEADINGS, _numbers(name, a), strict=True)) for name, a in found.tensors.items()],
        }
    )
    return summary


def _show(found: Any) -> None:
    from fallline.cli import show

    rows = [str(row) for row in found.rows[:ROWS_SHOWN].tolist()]
    more = f", … ({len(found.rows):,} rows)" if len(found.rows) > ROWS_SHOWN else ""
    verified = "no hash was recorded from here on, so that nothing could be compared"
    if found.verified_at is not None:
        verified = f"the weights after step {found.verified_at:,} have the hash that the run recorded"
    show.print_listing(
        show.console(),
        [
            ("step", f"{found.step:,} (from 0), of epoch {found.epoch + 1:,}"),
            ("rows", ", ".join(rows) + more),
            ("loss", f"{found.loss:.9g}"),
            ("rate", f"{found.learning_rate:.9g}"),
            ("verified", verified),
        ],
    )
    cells = [_cells(_numbers(name, array)) for name, array in found.tensors.items()]
    show.print_grid(show.console(), HEADINGS, cells)


def _numbers(name: str, array: NDArray[Any]) -> tuple[str, list[int], Any, Any, Any]:
    """Name, shape, smallest, largest and mean."""
    import numpy as np

    if not array.size:
        return name, list(array.shape), None, None, None
    with np.errstate(all="ignore"):
        mean = float(np.mean(array, dtype=np.float64))
    return name, list(array.shape), array.min().item(), array.max().item(), mean


def _cells(numbers: tuple[str, list[int], Any, Any, Any]) -> list[str]:
    name, shape, *values = numbers
    sides = " × ".join(map(str, shape)) or "one number"
    return [name, sides, *("" if value is None else _digits(value) for value in values)]


def _digits(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
