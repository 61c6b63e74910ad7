"""`fallline serve`: a model's predictions over HTTP."""

import math
from contextlib import suppress
from pathlib import Path

import click


@click.command(short_help="Serve a model's predictions over HTTP.")
@click.argument("model")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="The address to listen on; 0.0.0.0 is all of them."
)
@click.option("--port", type=click.IntRange(0, 65535), default=8390, show_default=True, help="0 takes a free one.")
@click.option(
    "--token", help="Answer only who sends Authorization: Bearer TOKEN; others on this machine can see it here."
)
@click.option("--token-file", type=click.Path(path_type=Path), help="A file with the token.")
@click.option("--max-bytes", type=click.IntRange(1), default=1 << 20, show_default=True, help="Of one request.")
@click.option("--max-rows", type=click.IntRange(1), default=10_000, show_default=True, help="Of one request.")
@click.option("--rate", type=float, default=0.0, help="Requests a second of one client; without it there is no limit.")
@click.option(
    "--timeout", type=float, default=10.0, show_default=True, help="Seconds that a request may take to arrive."
)
@click.option("--ignore-unknown", is_flag=True, help="Take rows with columns that the model does not know.")
def serve(
    model: str, host: str, port: int, token: str | None, token_file: Path | None, max_bytes: int, max_rows: int,
    rate: float, timeout: float, ignore_unknown: bool,
) -> int:  # fmt: skip
    """Answer requests for predictions of MODEL (a model file or a run folder) until Ctrl-C.

    POST /predict takes a row as a JSON object, many as a list of objects, or CSV; GET / tells how. By default only
    programs on this machine can ask.
    """
    from fallline.cli.predict import open_model
    from fallline.serving import server
    from fallline.serving.sockets import LOOPBACK, address_of, is_near, require_packages

    require_packages("the service", "serve")
    from fallline.serving.app import make_app
    from fallline.serving.limits import Limits

    secret = _secret(token, token_file)
    _require_positive("--timeout", timeout)
    if rate:
        _require_positive("--rate", rate)
    near = is_near(host)
    limits = Limits(max_bytes, max_rows, rate, timeout)
    app = make_app(open_model(model), limits, secret, LOOPBACK if near else (), ignore_unknown)
    listening = server.listen(host, port)

    def begun() -> None:
        click.echo(address_of(listening, host))
        if not near and secret is None:
            click.echo("whoever reaches this address is answered: give --token-file to choose who is", err=True)
        if not near:
            click.echo("requests are not encrypted: put a server with TLS in front of it", err=True)
        click.echo("Ctrl-C ends the service", err=True)

    with suppress(KeyboardInterrupt):  # the usual end
        server.serve(app, listening, begun)
    return 0


def _secret(token: str | None, file: Path | None) -> str | None:
    """The token, from the command line or the first line of a file."""
    from fallline.errors import ArgumentError

    if token is not None and file is not None:
        raise ArgumentError("give --token or --token-file, not both")
    if file is not None:
        try:
            token = file.read_text(encoding="utf-8").strip()
        except UnicodeDecodeError:
            raise ArgumentError(
                f"the token in {str(file)!r} is no text; write one line of letters and digits"
            ) from None
    if token is None:
        return None
    if len(token) < 16 or not token.isascii() or not token.isprintable() or " " in token:
        raise ArgumentError(
            f"a token needs at least 16 letters, digits or signs without blanks, found {len(token)} characters; "
            "make one with: python -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    return token


def _require_positive(name: str, value: float) -> None:
    from fallline.errors import ArgumentError

    if not (value > 0 and math.isfinite(value)):
        raise ArgumentError(f"{name} must be a number above 0, found {value:g}")
