"""What can happen to a file's bytes, whatever they mean."""

import random
import re
from collections.abc import Callable, Sequence

Mutator = Callable[[random.Random, bytes], bytes]

NUMBERS = (
    b"1e999", b"-1e999", b"NaN", b"-0", b"-1", b"0", b"99999999999999999999", b"9223372036854775808", b"1e-400",
    b"Infinity", b"0x10", b"1_000", b"1,5", b"\xd9\xa3", b"4294967295", b"+-3", b"1e", b"9" * 400, b"1" + b"0" * 5000,
)  # fmt: skip
INVALID_UTF8 = (b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf", b"\x80", b"\xe2\x82")
LINE_ENDS = (b"\r\n", b"\r", b"\n\n", b"\n\r", b"\x0b", b"\x0c", b"\xc2\x85", b"\xe2\x80\xa8", b"\n \n", b"")
MARKS = (b'"', b"'", b",", b";", b"\t", b"|", b"\\", b"{", b"}", b"[", b"]", b"\x00", b"\x1a", b"\x1b[2J", b"#")
BOUNDARIES = (0, 1, 2**7, 2**8 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**53, 2**62, 2**63 - 1, 2**64 - 1)
PLACES = re.compile(rb'[\n,;\t"{}\[\]:]')


def flip_bits(rng: random.Random, data: bytes) -> bytes:
    """One to eight bits, anywhere, at the beginning or at the end, where headers and footers are."""
    changed = bytearray(data)
    if not changed:
        return b"\x01"
    edge = min(len(data), rng.choice((8, 64, 512)))
    low, high = rng.choice(((0, len(data)), (0, edge), (len(data) - edge, len(data))))
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        changed[rng.randrange(low, high)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(rng: random.Random, data: bytes) -> bytes:
    """The beginning or the end alone, cut anywhere or where one part of the content meets the next."""
    place = _place(rng, data)
    return data[:place] if rng.random() < 0.8 else data[place:]


def remove(rng: random.Random, data: bytes) -> bytes:
    """Some bytes in the middle are gone."""
    start = _place(rng, data)
    return data[:start] + data[start + rng.choice((1, 1, 2, 4, 8, 100)) :]


def insert(rng: random.Random, data: bytes) -> bytes:
    """Bytes that do not belong: at random, zeros, letters that are no UTF-8, marks with a meaning."""
    place = _place(rng, data)
    more = rng.choice((rng.randbytes(rng.choice((1, 4, 64))), b"\0" * rng.choice((1, 8, 4096)),
                       rng.choice(INVALID_UTF8), rng.choice(MARKS), rng.choice(NUMBERS)))  # fmt: skip
    return data[:place] + more + data[place:]


def repeat(rng: random.Random, data: bytes) -> bytes:
    """A block twice, or very often."""
    start = _place(rng, data)
    block = data[start : start + rng.choice((1, 8, 80, 1000))]
    times = rng.choice((1, 1, 2, max(1, 100_000 // max(len(block), 1))))
    return data[:start] + block * times + data[start:]


def shuffle(rng: random.Random, data: bytes) -> bytes:
    """Blocks in another order."""
    size = rng.choice((1, 4, 16, 64, 512))
    if len(data) > 8192:
        size *= 64
    blocks = [data[i : i + size] for i in range(0, len(data), size)]
    for _ in range(rng.choice((1, 3, 50))):
        if len(blocks) > 1:
            a, b = rng.randrange(len(blocks)), rng.randrange(len(blocks))
            blocks[a], blocks[b] = blocks[b], blocks[a]
    return b"".join(blocks)


def overwrite_number(rng: random.Random, data: bytes) -> bytes:
    """A binary number at the edge of what its size holds, in either order of bytes."""
    size = rng.choice((1, 2, 4, 8))
    if len(data) < size:
        return data
    edge = min(len(data) - size, rng.choice((16, 64, 1024, len(data))))
    place = rng.choice((rng.randint(0, edge), len(data) - size - rng.randint(0, edge)))
    value = int(rng.choice(BOUNDARIES) % 2 ** (8 * size))
    written = value.to_bytes(size, "little") if rng.random() < 0.5 else value.to_bytes(size, "big")
    return data[:place] + written + data[place + size :]


def hostile_number(rng: random.Random, data: bytes) -> bytes:
    """A number that is written out becomes another one: huge, negative, none."""
    found = list(re.finditer(rb"[0-9]+(\.[0-9]+)?", data[: 1 << 16]))
    if not found:
        return insert(rng, data)
    spot = rng.choice(found)
    return data[: spot.start()] + rng.choice(NUMBERS) + data[spot.end() :]


def line_ends(rng: random.Random, data: bytes) -> bytes:
    """Some or all line ends of another kind."""
    share, end = rng.choice((0.02, 0.5, 1.0)), rng.choice(LINE_ENDS)
    parts = data.split(b"\n")
    return parts[0] + b"".join((end if rng.random() < share else b"\n") + part for part in parts[1:])


def another_encoding(rng: random.Random, data: bytes) -> bytes:
    """The text in UTF-16, UTF-32 or Latin-1, or with a byte order mark that lies."""
    text = data.decode("utf-8", errors="replace")
    how = rng.choice(("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig", "utf-7", "latin-1", "marks"))
    if how == "marks":
        return rng.choice((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf", b"\xef\xbb\xbf" * 2)) + data
    return text.encode(how, errors="replace")


def replace_text(rng: random.Random, data: bytes) -> bytes:
    """A mark with a meaning is gone, or becomes another one."""
    found = [match.start() for match in PLACES.finditer(data[: 1 << 16])]
    if not found:
        return insert(rng, data)
    place = rng.choice(found)
    return data[:place] + rng.choice((b"", *MARKS)) + data[place + 1 :]


def nothing_much(rng: random.Random, data: bytes) -> bytes:
    """Hardly any content at all."""
    return rng.choice((b"", b"\n", b" ", b"\0", b"\0" * 1024, b"\n" * 1000, b'"', b"{}", b"[]", b"null", data[:1]))


def splice(others: Sequence[bytes]) -> Mutator:
    """The beginning of the file and the end of another, or the reverse, or the other one alone under this name."""

    def apply(rng: random.Random, data: bytes) -> bytes:
        other = rng.choice(others)
        if rng.random() < 0.3:
            return other
        first, second = (data, other) if rng.random() < 0.5 else (other, data)
        return first[: _place(rng, first)] + second[_place(rng, second) :]

    return apply


def _place(rng: random.Random, data: bytes) -> int:
    """A place in the data: anywhere, near an end, or where one part meets the next."""
    if rng.random() < 0.5:
        found = [match.start() for match in PLACES.finditer(data[: 1 << 16])]
        if found:
            return rng.choice(found) + rng.randint(0, 1)
    if rng.random() < 0.5:
        return rng.choice((rng.randint(0, min(len(data), 40)), len(data) - rng.randint(0, min(len(data), 40))))
    return rng.randint(0, len(data))


BINARY: tuple[Mutator, ...] = (flip_bits, flip_bits, cut, remove, insert, repeat, shuffle, overwrite_number)
TEXT: tuple[Mutator, ...] = (
    flip_bits, cut, remove, insert, repeat, shuffle, hostile_number, line_ends, another_encoding, replace_text,
    nothing_much,
)  # fmt: skip
