"""The reference's pages, from each public name's signature and docstring."""

import inspect
import re
from collections.abc import Callable
from typing import Any

from sphinx.util.inspect import stringify_signature

from docs_site import catalogue
from docs_site.docstrings import parse
from docs_site.navigation import toctree

CODE = re.compile(r"(?<![`\[])`((?:fl|nn|optim|fallline)\.[\w.]+)`(?![`\]])")


def linked(text: str) -> str:
    """Markdown in which public names that stand as code, such as `fl.fit`, lead to their place in the reference."""
    return CODE.sub(lambda code: f"{{py:obj}}`{code[1]}`" if code[1] in catalogue.NAMES else code[0], text)


def pages() -> dict[str, str]:
    """File name → Markdown, the index included."""
    made = {f"{group.page}.md": _page(group) for group in catalogue.GROUPS}
    made["index.md"] = _index()
    return made


def _index() -> str:
    lines = [
        "# Reference",
        "Written down from the signatures and docstrings of this version. The names are those of\n"
        "`import fallline as fl` and `from fallline import nn, optim`.",
    ]
    for group in catalogue.GROUPS:
        links = " · ".join(f"{{py:obj}}`{name}`" for name in group.names.split())
        lines += [f"## [{group.title}]({group.page}.md)", group.lead, links]
    return "\n\n".join([*lines, toctree([group.page for group in catalogue.GROUPS])])


def _page(group: catalogue.Group) -> str:
    names = group.names.split()
    parts = [f"# {group.title}", group.lead, *(_entry(name) for name in names)]
    given: dict[type, str] = {}
    for name in names:
        for each in catalogue.given_back(name):
            given.setdefault(each, name)
    if given:
        parts.append("## What these give back")
        for each, name in given.items():
            parts.append(_class(each.__qualname__, each, "", linked(f"What `{name}` gives back.")))
    return "\n\n".join(parts) + "\n"


def _entry(name: str) -> str:
    value = catalogue.thing(name)
    if inspect.isclass(value):
        return _class(name, value, _signature(value, returns=False))
    if inspect.isroutine(value):
        return _directive("function", name, _signature(value), _told(value.__doc__))
    keys = ", ".join(f"`{key}`" for key in value)
    return _directive("data", name, "", f"Name → what is registered: {keys}.")


def _class(name: str, value: type, signature: str, note: str = "") -> str:
    bases = [
        linked(f"`{catalogue.public_name(base)}`")
        for base in value.__bases__
        if catalogue.public_name(base) != base.__qualname__
    ]
    parts = [note, _told(value.__doc__), f"A kind of {' and '.join(bases)}." if bases else ""]
    for member, found in catalogue.members(value):
        text = _told(catalogue.documentation(value, member))
        if isinstance(found, property):
            parts.append(_directive("property", member, "", text, colons=3))
        else:
            form = "classmethod" if isinstance(found, classmethod) else "method"
            form = "staticmethod" if isinstance(found, staticmethod) else form
            parts.append(_directive(form, member, _signature(getattr(value, member), form == "method"), text, colons=3))
    return _directive("class", name, signature, "\n\n".join(filter(None, parts)), colons=4)


def _told(text: str | None) -> str:
    return linked(parse(text).markdown())


def _directive(form: str, name: str, signature: str, text: str, colons: int = 4) -> str:
    fence = ":" * colons
    return f"{fence}{{py:{form}}} {name}{signature}\n\n{text}\n{fence}"


def _signature(value: Callable[..., Any], method: bool = False, returns: bool = True) -> str:
    try:
        found = inspect.signature(value)
    except ValueError:  # an exception's, which is Python's own
        return ""
    if method:
        found = found.replace(parameters=list(found.parameters.values())[1:])
    text = stringify_signature(found, unqualified_typehints=True, show_return_annotation=returns)
    text = re.sub(r"~numpy\.ndarray\[tuple\[~typing\.Any, \.\.\.\], ~numpy\.dtype\[[^]]*\]\]", "ndarray", text)
    text = re.sub(r"(?<=\w): ~typing\.Any\b(?!\[)| -> ~typing\.Any$", "", text)
    text = re.sub(r"~(fallline\.[\w.]+)", lambda path: catalogue.public_name_of(path[1]), text)
    text = re.sub(r"~(?:\w+\.)*(?=\w)", "", text)
    return re.sub(r"_Buffer \| _SupportsArray.*?_NestedSequence\[complex \| bytes \| str\]", "ArrayLike", text)
