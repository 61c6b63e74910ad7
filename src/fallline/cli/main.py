"""`fallline`: the commands, and what becomes of errors.

Exit codes: 0 done, 2 the user's mistake (one clear sentence), 1 our fault, 130 and 143 interrupted.
"""

import os
import sys
import traceback
from typing import Any

import click

# The products of a table's network are small: one thread is as fast as many, does not suffer from busy
# neighbours, and makes the result independent of the number of cores. NumPy reads this when it is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="fallline", message="fallline %(version)s")
def cli() -> None:
    """Train neural networks by backpropagation and stochastic gradient descent: from a table to a model."""


def _add_commands() -> None:
    from fallline.cli.check import check
    from fallline.cli.evaluate import evaluate
    from fallline.cli.predict import predict
    from fallline.cli.runs import runs
    from fallline.cli.train import train

    for command in (train, predict, evaluate, check, runs):
        cli.add_command(command)


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code; errors become sentences on standard error."""
    _add_commands()
    try:
        result: Any = cli.main(args=arguments, standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.Abort:
        return 130
    except click.ClickException as mistake:
        mistake.show()
        return mistake.exit_code
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        return 130
    except BrokenPipeError:  # `fallline predict … | head`: the reader has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        return _report(error)
    return result if isinstance(result, int) else 0


def _report(error: Exception) -> int:
    """Say what went wrong; whose fault it is decides the exit code."""
    from fallline.errors import FalllineError, GraphError

    if isinstance(error, FalllineError) and not isinstance(error, GraphError):
        click.echo(f"error: {error}", err=True)
        return 2
    if isinstance(error, MemoryError):
        click.echo("error: there is not enough memory for this data; use fewer rows or a smaller network", err=True)
        return 2
    if os.environ.get("FALLLINE_DEBUG"):
        traceback.print_exc()
    click.echo(
        f"fallline failed: {type(error).__name__}: {error}\n"
        "This is a defect of Fallline, not of your data. Run it again with FALLLINE_DEBUG=1 for the details to report.",
        err=True,
    )
    return 1


def run() -> None:
    """The console script."""
    sys.exit(main())
