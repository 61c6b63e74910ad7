"""What can be wrong with JSON that is still JSON, or nearly."""

import json
import random
from collections.abc import Iterator
from typing import Any

DEEP = 100_000
_HERE = "\u2042here\u2042"
_PLACEHOLDER = json.dumps(_HERE)

RAW = (
    "[" * DEEP + "]" * DEEP, '{"a":' * DEEP + "1" + "}" * DEEP, "[" * 500 + "]" * 500, '{"tuple":[' * 300 + "]}" * 300,
    "9" * 10_000, "-" + "9" * 400, "1e999", "-1e999", "NaN", "-Infinity", "1e-999", '"\\ud800"', '"\\u0000"',
    '"\\udc00\\ud800"', '"' + "x" * 200_000 + '"', "01", "{", "", "'text'", "True", '"\\x"', '"\t"', "1 2", "[1,]",
    '{"a":1,"a":2}',
)  # fmt: skip
"""Written in the place of a value as it stands."""

ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 255, 2**31, 2**53 + 1, 2**63, 2**64, 10**30, 10**400, 1.5, -0.0, 1e308, 5e-324, "",
    "x", " ", "0", "nan", "../x", "../../etc/passwd", "/dev/stdin", "/dev/zero", "\x1b[2J", "\n", "a\u0000b", "ß" * 3,
    "__class__", "__import__('os').system('true')", "%s%n", "{0.__class__}", [], {}, [0], [[0]], [None] * 3, [1.5, "a"],
    {"a": 1}, {"__proto__": 1}, list(range(1000)), "2024-02-30", "1", "true",
)  # fmt: skip


def hostile_json(rng: random.Random, data: bytes) -> bytes:
    """One JSON value, or one object a line, changed in one to three places."""
    text = data.decode("utf-8", errors="replace")
    try:
        return hostile_text(rng, text).encode("utf-8", errors="surrogatepass")
    except ValueError:
        pass
    lines = text.split("\n")
    place = rng.randrange(len(lines))
    try:
        lines[place] = hostile_text(rng, lines[place])
    except ValueError:  # no JSON any more
        lines[place] = rng.choice(RAW)
    return "\n".join(lines).encode("utf-8", errors="surrogatepass")


def hostile_text(rng: random.Random, text: str) -> str:
    """The text of one JSON value, changed."""
    value = json.loads(text)
    raw = None
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if rng.random() < 0.35:
            value, raw = change(rng, value, _HERE), rng.choice(RAW)
        else:
            value = change(rng, value)
    written = json.dumps(value)
    if rng.random() < 0.1:
        written = _name_twice(rng, written)
    return written if raw is None else written.replace(_PLACEHOLDER, raw)


def change(rng: random.Random, value: Any, becomes: Any = None) -> Any:
    """One place of a JSON value: replaced, removed, renamed, or exchanged with another."""
    places = list(ways(value))
    if not places:
        return rng.choice(ODD) if becomes is None else becomes
    way = rng.choice(places)
    spot = value
    for key in way[:-1]:
        spot = spot[key]
    key = way[-1]
    how = "replace" if becomes is not None else rng.choice(("replace", "replace", "odd", "remove", "rename", "swap"))
    if how == "remove":
        del spot[key]
    elif how == "rename" and isinstance(spot, dict):
        spot[str(rng.choice(("", "x", "__metadata__", "../" + str(key), str(key) * 2)))] = spot.pop(key)
    elif how == "swap":
        other = _at(value, rng.choice(places))
        spot[key] = json.loads(json.dumps(other))  # a copy: a value inside itself could not be written
    else:
        spot[key] = becomes if becomes is not None else rng.choice(ODD)
    return value


def ways(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value inside a JSON value."""
    if way:
        yield way
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from ways(item, (*way, key))


def _at(value: Any, way: tuple[Any, ...]) -> Any:
    for key in way:
        value = value[key]
    return value


def _name_twice(rng: random.Random, written: str) -> str:
    """Two names become one."""
    names = [part for part in written.split('"')[1::2] if part and "\\" not in part]
    if len(names) < 2:
        return written
    return written.replace(f'"{rng.choice(names)}":', f'"{rng.choice(names)}":', 1)
