"""Every exception that Fallline raises on purpose.

    FalllineError
    ├── ArgumentError (ValueError)    an argument's value is not usable
    │   └── ShapeError                shapes do not fit together
    ├── KindError (TypeError)         a value is of the wrong type or dtype
    ├── DataError (ValueError)        a file, table, row or column is not usable
    ├── ModelFileError (ValueError)   a model file or checkpoint cannot be read or does not fit
    ├── RunFolderError (ValueError)   a run folder exists already, is missing or is incomplete
    ├── MissingExtraError (ImportError)   an optional package is needed
    ├── GraphError                    a graph breaks its own rules: our fault, not the user's
    └── CompileError                  a program cannot be compiled: our fault, too

A message is one or two sentences: what was asked, what was required, what was found, what to do.
"""

from collections.abc import Iterable
from difflib import get_close_matches

MOST_LETTERS = 2000


class FalllineError(Exception):
    """The root: `except fallline.FalllineError` catches whatever Fallline raises on purpose.

    Its text quotes files, which may hold anything: a cell of a million letters is cut, and what would move a
    terminal's cursor is written as an escape.
    """

    def __str__(self) -> str:
        text = super().__str__()
        if len(text) > MOST_LETTERS:
            text = f"{text[: MOST_LETTERS - 500]} … {text[-400:]}"
        return "\n".join(map(_printable, text.split("\n")))


class ArgumentError(FalllineError, ValueError):
    """An argument's value is not usable."""


class ShapeError(ArgumentError):
    """Shapes do not fit together."""


class KindError(FalllineError, TypeError):
    """A value is of the wrong type or dtype."""


class DataError(FalllineError, ValueError):
    """A file, table, row or column is not usable."""


class ModelFileError(FalllineError, ValueError):
    """A model file or checkpoint cannot be read, or does not fit the network."""


class RunFolderError(FalllineError, ValueError):
    """A run folder exists already, is missing or is incomplete."""


class MissingExtraError(FalllineError, ImportError):
    """An optional package is needed; the message says which command installs it."""


class GraphError(FalllineError):
    """A graph breaks its own rules. This is a defect of Fallline, not of the caller."""


class CompileError(FalllineError):
    """A program cannot be compiled. This is a defect of Fallline; engine="reference" trains without compiling."""


def told(problem: object, most: int = 300) -> str:
    """What a file or another library says, as one printable line of at most so many letters.

    A file may hold anything, also what would move a terminal's cursor; the sentence that quotes it stays readable.

    >>> told("bad type: \\x1b[2J\\nsecond line")
    'bad type: \\\\x1b[2J'
    """
    first = next(iter(str(problem).splitlines()), "")
    if not first and isinstance(problem, BaseException):
        first = type(problem).__name__
    plain = _printable(first[: most + 1])
    return plain if len(plain) <= most else f"{plain[: most - 1]}…"


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def nearest(name: str, options: Iterable[str]) -> str:
    """The end of an error sentence: the nearest of `options` to `name`, or all of them.

    >>> nearest("adm", ["adam", "sgd"])
    "did you mean 'adam'?"
    """
    known = [str(option) for option in options]
    lowered = {option.lower(): option for option in known}
    close = get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
    if close:
        return f"did you mean {lowered[close[0]]!r}?"
    shown = ", ".join(known[:20]) + (", …" if len(known) > 20 else "")
    return f"choose one of: {shown}" if known else "there is none to choose from"
