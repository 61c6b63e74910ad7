"""`fallline lab`: the page that shows runs, live and past."""

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

NICE = 10
"""By how much the lab, and the forks that it starts, give way to trainings on the same machine."""


@click.command(short_help="Open the lab: a page that shows training as it happens.")
@click.argument("what", metavar="[RUN|DATA]", required=False)
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Where the lab listens; by default a free port from 8360 on."
)
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="The address to listen on; 0.0.0.0 is all of them."
)
@click.option("--browser/--no-browser", default=True, help="Whether to open it in a browser.")
@click.option("--beside", is_flag=True, hidden=True, help="RUN is about to begin; end with standard input.")
def lab(what: str | None, port: int | None, host: str, browser: bool, beside: bool) -> int:
    """Serve a page that shows runs while they train and after: losses, gradients, every step and every weight.

    RUN is a run folder, or a folder of them; without it, those in runs. DATA, a table or the name of a bundled set,
    opens in the playground. The page is for you alone: its address has a secret in it. Ctrl-C ends the lab.
    """
    from fallline.serving.sockets import address_of, is_near, require_packages

    require_packages("the lab", "lab")
    from fallline.lab.server import listen, serve

    shown = _lab(what, host, beside)
    listening = listen(host, port)
    _give_way()
    if hasattr(signal, "SIGHUP"):  # a terminal that is closed ends the lab and its forks as Ctrl-C does
        signal.signal(signal.SIGHUP, lambda number, frame: signal.raise_signal(signal.SIGTERM))
    address = f"{address_of(listening, host)}{shown.token}/{'' if shown.data is None else '#/play'}"

    def begun() -> None:
        click.echo(address)
        if not is_near(host):
            click.echo("whoever has this address sees and steers what the lab shows; it is not encrypted", err=True)
        if not beside:
            click.echo("Ctrl-C ends the lab", err=True)
        if browser and not beside and _has_screen():
            click.launch(address)

    with suppress(KeyboardInterrupt):  # the usual end
        serve(shown, listening, begun, _end_of_input if beside else None)
    for folder in shown.forks.end():
        click.echo(f"the fork in {folder} was stopped, with a checkpoint", err=True)
    return 0


def _lab(what: str | None, host: str, beside: bool) -> Any:
    """What is shown."""
    from fallline.data.samples import sample_names
    from fallline.errors import ArgumentError
    from fallline.lab.guard import ANY_ADDRESS
    from fallline.lab.place import Lab
    from fallline.serving.sockets import WILD

    hosts = _names_of(host) if host not in WILD else (ANY_ADDRESS, *_names_of(None))
    runs, data = [Path("runs")], None
    if what is not None and (beside or Path(what).is_dir()):
        runs = [Path(what)]
    elif what is not None and (Path(what).is_file() or what in sample_names()):
        data = what
    elif what is not None:
        raise ArgumentError(
            f"there is no run, folder or file {what!r}, nor a bundled set of that name; `fallline runs` lists the "
            f"runs, and the sets are {', '.join(sample_names())}"
        )
    return Lab(runs=[path.absolute() for path in runs], data=data, hosts=hosts)


def _names_of(host: str | None) -> tuple[str, ...]:
    """How a browser may call the machine."""
    import socket

    if host is not None:
        return (f"[{host}]" if ":" in host else host,)
    return (socket.gethostname(), socket.getfqdn())


def _has_screen() -> bool:
    """Whether a browser has somewhere to open; without, it would take the terminal."""
    return sys.platform in ("darwin", "win32") or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))


def _give_way() -> None:
    """Let trainings on this machine go first."""
    if hasattr(os, "nice"):
        os.nice(NICE)


def _end_of_input() -> None:
    """Return when who started the lab is gone."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
