"""`fallline train`: from a table to a model, a report and the command to type next."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource


def _numbers(context: Any, parameter: Any, text: str | None) -> tuple[int, ...] | None:
    """Layer widths: 256,256 → (256, 256); none → ()."""
    if text is None:
        return None
    if text.strip().lower() in ("none", "0", ""):
        return ()
    try:
        widths = tuple(int(part) for part in text.split(","))
    except ValueError:
        widths = (0,)
    if any(width < 1 for width in widths):
        raise click.BadParameter(f"need widths such as 128 or 256,256, or none for a linear model; found {text!r}")
    return widths


def _batch(context: Any, parameter: Any, text: str | None) -> int | str | None:
    if text is None or text == "all":
        return text
    if not (text.isascii() and text.isdigit()) or int(text) < 1:
        raise click.BadParameter(f"need a whole number of at least 1, or all; found {text!r}")
    return int(text)


def _rate(context: Any, parameter: Any, text: str | None) -> float | str | None:
    if text is None or text == "auto":
        return text
    try:
        return float(text)
    except ValueError:
        raise click.BadParameter(f"need a number such as 0.001, or auto; found {text!r}") from None


def _size(context: Any, parameter: Any, text: str | None) -> tuple[int, int] | None:
    from fallline.data.image_form import size_of

    return None if text is None else size_of(text)


def _fraction_or_file(context: Any, parameter: Any, text: str) -> float | str:
    try:
        share = float(text)
    except ValueError:
        return text
    if not 0.0 < share < 1.0:
        raise click.BadParameter(f"need a share between 0 and 1, such as 0.2, or a file; found {text}")
    return share


WITH_RESUME = ("data", "resume", "branch", "step", "threads", "quiet", "as_json", "profile", "lab", "observe")
WITH_BRANCH = ("lr", "epochs", "schedule", "patience")


def _require_fitting(data: str | None, resume: str | None, branch: Path | None, step: int | None) -> None:
    """Refuse, beside --resume, what the run decides itself; without it, what is of a run."""
    if resume is None:
        if branch is not None or step is not None:
            name = "--step" if branch is None else "--branch"
            raise click.UsageError(f"{name} is of a run that is gone on with; say which: --resume RUN")
        if data is None:
            raise click.UsageError("train needs DATA, a file or the name of a bundled set; or --resume RUN")
        return
    context = click.get_current_context()
    given = [
        parameter
        for parameter in context.command.params
        if context.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE
    ]
    allowed = WITH_RESUME if branch is None else (*WITH_RESUME, *WITH_BRANCH)
    names = [parameter.opts[0] for parameter in given if parameter.name not in allowed]
    if data is not None:
        names.insert(0, data)
    if names:
        raise click.UsageError(
            f"--resume takes data and settings from the run, so {names[0]} cannot be given beside it; only --threads, "
            "--quiet, --json, --profile, --lab and --observe can, and with --branch NEW also --step, --lr, --epochs, "
            "--schedule and --patience"
        )
    if step is not None and branch is None:
        raise click.UsageError("--step is where a new run branches off; give its folder, too: --branch NEW")
    if context.params["lr"] == "auto":
        raise click.UsageError("--lr auto tries a training from its beginning; a branch needs a number")


@click.command(short_help="Train a network on a table.")
@click.argument("data", required=False)
@click.option("--target", help="The column to predict: a name, a number from 1, or last.")
@click.option("--task", type=click.Choice(["auto", "classification", "regression"]), default="auto", show_default=True)
@click.option(
    "--validation", callback=_fraction_or_file, default="0.2", show_default=True,
    help="Share of the rows to choose the best epoch by, or a file.",
)  # fmt: skip
@click.option("--test", "test_file", help="A file to score on; without it 20 % of the rows are set aside.")
@click.option("--no-header", is_flag=True, help="The first row is data; columns are column_1, column_2, …")
@click.option(
    "--image-size", callback=_size, metavar="WxH", help="Points that images in files are resized to, such as 48x48."
)
@click.option("--drop", multiple=True, metavar="COLUMN", help="Leave a column out; may be given several times.")
@click.option("--hidden", callback=_numbers, help="Widths of the hidden layers, such as 256,256; none for none.")
@click.option("--activation", help="relu, leaky_relu, tanh, sigmoid, gelu, silu, selu, mish, softplus or identity.")
@click.option("--dropout", type=click.FloatRange(0.0, 1.0, max_open=True), help="Dropout after each hidden layer.")
@click.option("--init", "init_model", metavar="MODEL", help="Start from this model's weights.")
@click.option("--optimizer", help="sgd, adam, adamw, rmsprop, adagrad, adadelta, nadam, radam or lion.")
@click.option("--lr", callback=_rate, help="The learning rate; auto finds one by short trials.")
@click.option("--schedule", help="How the learning rate changes: constant, one_cycle, cosine, …")
@click.option("--batch", callback=_batch, help="Rows per step; 1 is stochastic, all is batch gradient descent.")
@click.option("--epochs", type=click.IntRange(min=1), help="Passes over the training rows.")
@click.option("--patience", type=click.IntRange(min=1), help="Stop after so many epochs without a better validation.")
@click.option(
    "--refit/--no-refit",
    default=None,
    help="Once the validation rows have told for how many epochs, train on all; by default with few rows.",
)
@click.option("--class-weight", type=click.Choice(["balanced"]), help="Give rare classes more weight.")
@click.option("--weight-column", metavar="COLUMN", help="A column with the weight of each row.")
@click.option("--time-column", metavar="COLUMN", help="Validate and test on the latest rows by this column.")
@click.option(
    "--target-scale", type=click.Choice(["auto", "linear", "log"]), default="auto", show_default=True,
    help="The scale on which numbers are learnt; scores and predictions keep the target's units.",
)  # fmt: skip
@click.option(
    "--recipe", type=click.Choice(["auto", "usual", "plain"]), default="auto", show_default=True,
    help="The network for a table: pieces of numbers in wide layers, or numbers as they are in narrow ones.",
)  # fmt: skip
@click.option(
    "--mapped/--in-memory",
    default=None,
    help="Whether the columns of CSV and Parquet files are kept in files of the run; by default of very large ones.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="Threads of each step; by default what its work is worth.")
@click.option("--shards", type=click.IntRange(min=1), default=1, show_default=True, help="Slices of a batch's sums.")
@click.option("--out", type=click.Path(path_type=Path), help="The run folder to make; runs/NAME-1, … by default.")
@click.option("--resume", metavar="RUN", help="Go on with the run in this folder, which needs nothing else.")
@click.option(
    "--branch", metavar="NEW", type=click.Path(path_type=Path),
    help="With --resume: leave that run as it is and go on in this new folder; takes another --lr, --epochs, …",
)  # fmt: skip
@click.option("--step", type=click.IntRange(min=0), help="With --branch: leave the run after so many steps.")
@click.option("--profile", is_flag=True, help="Show what each kernel of a step takes, after training.")
@click.option("--lab", is_flag=True, help="Show the training on a page, live; its address is printed.")
@click.option(
    "--observe", is_flag=True, help="Note norms and spreads for the lab, in 2 % of the time; --lab does, too."
)
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON and nothing else.")
def train(data: str | None, resume: str | None, branch: Path | None, step: int | None, **given: Any) -> int:
    """Train a network on DATA and write a model, a report and a run folder.

    Ctrl-C ends the training with a checkpoint; --resume goes on from there, with the same result.

    DATA is a CSV, TSV, JSON lines, Parquet or Arrow file (also .gz), a folder of CSV or Parquet files or a quoted
    pattern such as 'data/*.csv', .npz or idx arrays, a folder with a folder of images for each class, or the name of
    a bundled set: digits, iris, wine, breast_cancer, diabetes, penguins.
    """
    _require_fitting(data, resume, branch, step)
    if given["threads"] is not None and "numpy" not in sys.modules:  # NumPy's BLAS reads it when it is loaded
        os.environ["OPENBLAS_NUM_THREADS"] = str(given["threads"])
    from fallline.cli.train_job import TrainJob

    if resume is None:
        job = TrainJob(str(data), given)
    elif branch is None:
        job = TrainJob.resumed(resume, given)
    else:
        job = TrainJob.branched(resume, branch, step, given, [name for name in WITH_BRANCH if given[name] is not None])
    result = job.run_with_lab() if given["lab"] else job.run()
    if given["as_json"]:
        click.echo(json.dumps(job.summary(result)))
    return job.exit_code(result)
