"""The reference has every public name once, and each docstring tells what it must."""

import ast
import builtins
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest

import fallline as fl
from docs_site import catalogue, commands, docstrings, reference
from fallline.cli.main import cli

NAMES = [name for group in catalogue.GROUPS for name in group.names.split()]
OWN_NAMES = {"self", "cls"}


def callables() -> Iterator[tuple[str, Any, docstrings.Docstring]]:
    """(name, function or method, what its docstring says) of everything in the reference, returned classes included."""
    classes = [(name, catalogue.thing(name)) for name in NAMES if inspect.isclass(catalogue.thing(name))]
    classes += [(each.__qualname__, each) for name in NAMES for each in catalogue.given_back(name)]
    for name in NAMES:
        if inspect.isroutine(value := catalogue.thing(name)):
            yield name, value, docstrings.parse(value.__doc__)
    for name, owner in classes:
        for member, found in catalogue.members(owner):
            function = found.fget if isinstance(found, property) else getattr(found, "__func__", found)
            yield f"{name}.{member}", function, docstrings.parse(catalogue.documentation(owner, member))


CALLABLES = {name: (function, said) for name, function, said in callables()}


def raised(function: Any) -> set[str]:
    """The names of the exceptions that a function's own lines raise."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    found = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.exc is not None]
    return {exc.func.id for exc in found if isinstance(exc, ast.Call) and isinstance(exc.func, ast.Name)}


def unsaid(function: Any, said: docstrings.Docstring) -> set[str]:
    """The exceptions that a function raises and its docstring leaves out; a parent covers its children."""
    told = [getattr(fl, name, getattr(builtins, name, None)) for name in said.names("Raises")]
    covering = tuple(each for each in told if inspect.isclass(each))
    ours = {name for name in raised(function) if hasattr(fl, name)}
    return {name for name in ours if not issubclass(getattr(fl, name), covering)}


def test_every_public_name_has_one_place() -> None:
    assert sorted(NAMES) == sorted(catalogue.public_names())


def test_every_name_is_on_its_page() -> None:
    pages = reference.pages()
    for group in catalogue.GROUPS:
        for name in group.names.split():
            assert f"}} {name}" in pages[f"{group.page}.md"], name
            assert f"`{name}`" in pages["index.md"], name


@pytest.mark.parametrize("name", [name for name in NAMES if callable(catalogue.thing(name))])
def test_every_public_name_tells_its_purpose(name: str) -> None:
    own = catalogue.thing(name).__doc__
    said = docstrings.parse(own)
    assert len(said.summary) > 5, f"{name} has no docstring of its own"
    assert said.summary.rstrip().endswith((".", "…", ":", "))")), f"{name}: {said.summary!r} is no sentence"


@pytest.mark.parametrize("name", CALLABLES)
def test_the_arguments_told_are_those_that_there_are(name: str) -> None:
    function, said = CALLABLES[name]
    there = set(inspect.signature(function).parameters) - OWN_NAMES
    assert said.prose, f"{name} has no docstring"
    assert said.names("Args") - {"…"} <= there


@pytest.mark.parametrize("name", [name for name in NAMES if inspect.isclass(catalogue.thing(name))])
def test_the_arguments_told_of_a_class_are_those_that_there_are(name: str) -> None:
    said = docstrings.parse(catalogue.thing(name).__doc__).names("Args") - {"…"}
    if said:
        assert said <= set(inspect.signature(catalogue.thing(name)).parameters)


@pytest.mark.parametrize("name", CALLABLES)
def test_what_is_raised_is_told(name: str) -> None:
    assert unsaid(*CALLABLES[name]) == set()


@pytest.mark.parametrize("name", [name for name in NAMES if inspect.isfunction(catalogue.thing(name))])
def test_a_function_with_arguments_to_explain_explains_them(name: str) -> None:
    """One with more than three arguments; and what explains its arguments tells what it returns."""
    function, said = CALLABLES[name]
    signature = inspect.signature(function)
    if len(signature.parameters) > 3:
        assert "Args" in said.terms, f"{name} takes {len(signature.parameters)} arguments"
        told = said.names("Args")
        needed = {n for n, p in signature.parameters.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
        assert needed <= told, f"{name} does not tell of {sorted(needed - told)}"
    if "Args" in said.terms:
        assert "Returns" in said.terms or signature.return_annotation is None, f"{name} does not tell what it returns"


def test_every_command_and_option_is_on_the_page() -> None:
    page = commands.page()
    for name, command in cli.commands.items():
        part = page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        assert part, name
        for option in command.params:
            if hasattr(option, "hidden") and not option.hidden:
                assert option.opts[0] in part, (name, option.opts)


# The checker itself, on docstrings with planted faults.


def planted(width: int, height: int) -> int:
    """An area.

    With x | y:
        a = w·h

    Args:
        width, tall: of the
            two sides.

    Returns:
        The area: in squares.

    Raises:
        ArgumentError: a side is negative.

    It is exact.
    """
    if width < 0:
        raise fl.errors.ArgumentError("no")  # type: ignore[attr-defined]
    raise KindError("no")  # type: ignore[name-defined]  # noqa: F821


def test_a_docstring_is_taken_apart() -> None:
    said = docstrings.parse(planted.__doc__)
    assert said.prose == "An area.\n\nWith x | y:\n\n    a = w·h\n\nIt is exact."
    assert said.names("Args") == {"width", "tall"}
    assert said.terms["Args"] == [("width, tall", "of the\ntwo sides.")]
    assert said.terms["Returns"] == [("", "The area: in squares.")]
    assert said.terms["Raises"] == [("ArgumentError", "a side is negative.")]
    assert "`width`, `tall`\n: of the\n  two sides." in said.markdown()
    assert unsaid(planted, said) == {"KindError"}


def test_a_section_that_names_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="section Args begins with 'The width, in metres', which names nothing"):
        docstrings.parse("An area.\n\nArgs:\n    The width, in metres\n")
