"""`fallline`: the commands, and what becomes of errors.

Exit codes: 0 done, 2 the user's mistake (one clear sentence), 1 our fault, 130 and 143 interrupted.
"""

import io
import logging
import os
import signal
import sys
import traceback
from typing import Any

import click

from fallline.training.signals import interruptible

# The products of a table's network are small: one thread is as fast as many, does not suffer from busy
# neighbours, and makes the result independent of the number of cores. NumPy reads this when it is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


class _Commands(click.Group):
    """A group whose reader may go away: `fallline predict … | head` is no error."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; click itself would exit with 1 where the pipe is broken."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except BrokenPipeError:
            # What is still in the buffer would fail again when Python ends; it goes nowhere instead.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="fallline", message="fallline %(version)s")
def cli() -> None:
    """Train neural networks by backpropagation and stochastic gradient descent: from a table to a model."""


class _SaidAloud(logging.Handler):
    """What the library logs, as sentences on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        """One record, one line: "warning: …"."""
        click.echo(f"{record.levelname.lower()}: {record.getMessage()}", err=True)


def add_commands() -> None:
    """Import the commands and put them into `cli`."""
    from fallline.cli.cache import cache
    from fallline.cli.check import check
    from fallline.cli.diff import diff
    from fallline.cli.evaluate import evaluate
    from fallline.cli.explain import explain
    from fallline.cli.export import export
    from fallline.cli.lab import lab
    from fallline.cli.predict import predict
    from fallline.cli.replay import replay
    from fallline.cli.runs import runs
    from fallline.cli.serve import serve
    from fallline.cli.train import train
    from fallline.cli.verify import verify

    for command in (train, predict, evaluate, serve, check, export, runs, explain, replay, diff, verify, lab, cache):
        cli.add_command(command)


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code; errors become sentences on standard error."""
    words = sys.argv[1:] if arguments is None else arguments
    handler = _SaidAloud(logging.ERROR if {"--quiet", "--json"} & set(words) else logging.WARNING)
    logger = logging.getLogger("fallline")
    logger.addHandler(handler)
    try:
        return _run(arguments)
    finally:
        logger.removeHandler(handler)


def _run(arguments: list[str] | None) -> int:
    try:
        add_commands()
        with interruptible():
            result: Any = cli.main(args=arguments, prog_name="fallline", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as nothing:
        nothing.show()
        return nothing.exit_code
    except click.ClickException as mistake:
        return _report_usage(mistake)
    except (click.Abort, KeyboardInterrupt) as stop:
        cause = stop.__cause__ or stop
        click.echo("; ".join(["interrupted", *getattr(cause, "__notes__", [])]), err=True)
        return 128 + int(getattr(cause, "number", signal.SIGINT))
    except Exception as error:
        return _report(error)
    return result if isinstance(result, int) else 0


def _report_usage(mistake: click.ClickException) -> int:
    """What is wrong with the command line, and where its words are explained."""
    context = getattr(mistake, "ctx", None)
    path = "fallline" if context is None else context.command_path
    click.echo(f"error: {mistake.format_message().rstrip('.')}; `{path} --help` lists what can be given", err=True)
    return mistake.exit_code


def _report(error: Exception) -> int:
    """Say what went wrong; whose fault it is decides the exit code."""
    from fallline.errors import CompileError, FalllineError, GraphError

    if isinstance(error, FalllineError) and not isinstance(error, GraphError | CompileError):
        click.echo(f"error: {error}", err=True)
        return 2
    if isinstance(error, MemoryError):
        click.echo("error: there is not enough memory for this data; use fewer rows or a smaller network", err=True)
        return 2
    if isinstance(error, OSError) and error.strerror:
        where = f" {str(error.filename)!r}" if error.filename else ""
        click.echo(f"error: cannot read or write{where}: {error.strerror}; try another place", err=True)
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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that lacks a letter is no reason to fail
    sys.exit(main())
