"""Parameter groups: other hyper-parameters for the parameters whose name matches a pattern."""

import fnmatch
import numbers
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fallline.errors import ArgumentError, KindError
from fallline.optim.hyper import is_flag, shown, unknown
from fallline.optim.rule import UpdateRule

Overrides = Mapping[str, Any]
Groups = Mapping[str, Overrides | float]

REST = "*"  # the pattern of the group of all parameters that no other group takes


@dataclass(frozen=True)
class Group:
    """The parameters that match a pattern, and their hyper-parameters.

    Attributes:
        pattern: as in a shell (`*`, `?`, `[abc]`), matched against the whole dotted name, case counts.
        hyper: all hyper-parameters: the optimizer's, with this group's over them.
        overrides: those of this group alone.
    """

    pattern: str
    hyper: Mapping[str, Any]
    overrides: Mapping[str, Any]

    @property
    def frozen(self) -> bool:
        """Whether its weights stay as they are, bit for bit, and their state with them."""
        return not self.hyper["lr"]

    def matches(self, name: str) -> bool:
        return fnmatch.fnmatchcase(name, self.pattern)


def make_groups(call: str, rule: UpdateRule, hyper: Mapping[str, Any], groups: Groups | None) -> tuple[Group, ...]:
    """The groups in order of precedence, last the rest with the optimizer's own hyper-parameters.

    Args:
        call: who was asked, for errors: `optim.SGD`.
        rule: the update rule, which knows the hyper-parameters' ranges.
        hyper: the optimizer's own values.
        groups: pattern → overrides, or a number that means lr; first match wins.

    Raises:
        ArgumentError, KindError: a pattern, a name or a value is not usable.
    """
    if groups is not None and not isinstance(groups, Mapping):
        found = type(groups).__name__
        raise KindError(f"{call}: groups must map name patterns to settings, such as {_EXAMPLE}, found a {found}.")
    made = [_make_group(call, rule, hyper, pattern, given) for pattern, given in (groups or {}).items()]
    return (*made, Group(REST, hyper, {}))


_EXAMPLE = "{'0.*': {'lr': 0.01}}"


def _make_group(call: str, rule: UpdateRule, hyper: Mapping[str, Any], pattern: str, given: Any) -> Group:
    if not isinstance(pattern, str) or not pattern:
        raise KindError(f"{call}: a key of groups must be a name pattern, such as '0.*', found {pattern!r}.")
    if not isinstance(given, Mapping):
        if is_flag(given) or not isinstance(given, numbers.Real):
            need = "a mapping such as {'lr': 0.01}, or a number meaning lr"
            raise KindError(f"{call}(groups={{{pattern!r}: {given!r}}}): need {need}, found {given!r}.")
        given = {"lr": given}
    known = {item.name: item for item in rule.hypers}
    known["lr"] = replace(known["lr"], low_open=False, advice="0 freezes the group.")
    overrides = {}
    for name, value in given.items():
        asked = f"{call}(groups={{{pattern!r}: {{{name!r}: {shown(value)}}}}})"
        if name not in known:
            raise unknown(asked, name, known)
        overrides[name] = known[name].validated(call, value, asked)
    values = {**hyper, **overrides}
    if objection := rule.objection(values):
        raise ArgumentError(f"{call}, group {pattern!r}: {objection}")
    return Group(pattern, values, overrides)


def assign(groups: Iterable[Group], names: Iterable[str]) -> dict[str, Group]:
    """The group of every parameter: the first whose pattern matches."""
    ordered = tuple(groups)
    return {name: next(group for group in ordered if group.matches(name)) for name in names}


def check_all_used(call: str, groups: tuple[Group, ...], names: Iterable[str]) -> None:
    """Refuses a pattern that no parameter's name matches, or whose parameters earlier patterns take.

    Raises:
        ArgumentError: with the pattern and the parameters.
    """
    names = list(names)
    taken = {id(group) for group in assign(groups, names).values()}
    for group in groups[:-1]:
        if id(group) in taken:
            continue
        if any(group.matches(name) for name in names):
            raise ArgumentError(
                f"{call}: group {group.pattern!r} gets no parameter, because earlier groups take all that it matches "
                "(the first match wins). Put it before them, or leave it out."
            )
        shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
        raise ArgumentError(
            f"{call}: group {group.pattern!r} matches no parameter. The parameters are: {shown or 'none'}."
        )
