"""The page of the command line: every command with its arguments and options, read off the parser itself."""

import re
from typing import Any

import click

from fallline.cli.main import add_commands, cli

OPTION = re.compile(r"(?<![\w`-])--[a-z][a-z-]+")
SETTINGS: dict[str, Any] = dict(cli.context_settings)


def page() -> str:
    """The page, as Markdown."""
    add_commands()
    parts = [
        "# The command line",
        "Written down from the commands of this version; `fallline COMMAND --help` says the same. A command ends with "
        "0, with 2 after a mistake in what it was given, which it names in a sentence, with 1 after a defect of its "
        "own, and with 130 or 143 when Ctrl-C or SIGTERM interrupted it.",
    ]
    return "\n\n".join([*parts, *(_command(name, command) for name, command in cli.commands.items())]) + "\n"


def _command(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=name, parent=click.Context(cli, info_name="fallline", **SETTINGS))
    usage = command.get_usage(context).removeprefix("Usage: ")
    shown = [each for each in command.get_params(context) if isinstance(each, click.Option) and not each.hidden]
    parts = [f"## {name}", f"```text\n{' '.join(usage.split())}\n```"]
    parts += [_paragraph(text.strip()) for text in (command.help or "").split("\n\n")]
    return "\n\n".join([*parts, *(_option(each, context) for each in shown)])


def _paragraph(text: str) -> str:
    """A paragraph of a command's help; one that click must not wrap begins with a backspace, and stays as it is."""
    if text.startswith("\b"):
        return f"```text\n{text[1:].strip()}\n```"
    return OPTION.sub(r"`\g<0>`", " ".join(text.split()))


def _option(option: click.Option, context: click.Context) -> str:
    names = ", ".join([*option.opts, *option.secondary_opts])
    form = names if option.is_flag else f"{names} {option.make_metavar(context).removesuffix(' RANGE')}"
    return f"`{form}`\n: {_meaning(option)}"


def _meaning(option: click.Option) -> str:
    shown: Any = option.default if option.show_default else None
    default = "" if shown is None else f"By default {shown}."
    return " ".join(part for part in (OPTION.sub(r"`\g<0>`", option.help or "").strip(), default) if part) or "–"
