"""Mutators that know a container: what they change lies behind a checksum or a header that still fits."""

import gzip
import io
import json
import random
import struct
import zipfile
import zlib
from typing import Any

from benchmarks.fuzz.hostile_graphs import ATTACKS
from benchmarks.fuzz.mutate import Mutator, flip_bits
from benchmarks.fuzz.mutate_json import ODD, RAW, change, hostile_text

POISON = b"cos\nsystem\n(S'touch poisoned'\ntR."
"""A pickle: whoever opened it as such would find a file `poisoned` where the harness looks for what was left."""
_NAMES = ("../up.npy", "/abs.npy", "x", "x.npy", "y.npy", "", "a/b.npy", "x.npy.npy", "C:\\x.npy", "ß.npy")
_SHAPES = (
    "(10000000000,)", "(-1,)", "(60, -7)", "(4294967296, 4294967296)", "(0, 9223372036854775807)", "()", "(1,) * 70",
    "(1e9,)", "(60, 7, 2)", "(True,)", "(" * 300, "(0x7fffffffffffffff, 2)", "(1,1,1,1,1,1,1,1,1,1,1,1)", "None",
)  # fmt: skip
_DTYPES = (
    "'|O'", "'<f2'", "'>c16'", "'<M8[ns]'", "'<m8[Y]'", "'|V1000000000'", "'<U1000000000'", "'|S0'", "'<f16'", "'x'",
    "[('a', '<f8'), ('b', '|O')]", "[('a', '<f8', (1000000000,))]", "[('a', '<i4'), ('a', '<i4')]", "'<M8'", "None",
    "__import__('os').system('true')", "[('', '<f8')]", "{'names': ['a'], 'formats': ['<f8'], 'offsets': [10**9]}",
)  # fmt: skip


def inside_gzip(inner: tuple[Mutator, ...]) -> Mutator:
    """The content changed and packed again; or a header with flags and extras, a second member, a bomb."""

    def apply(rng: random.Random, data: bytes) -> bytes:
        content = gzip.decompress(data)
        how = rng.randrange(10)
        if how == 0:
            return data + data
        if how == 1:
            return data + rng.randbytes(20)
        if how == 2:
            return gzip.compress(b"\0" * 50_000_000, 1, mtime=0)
        if how == 3:
            return gzip.compress(data, mtime=0)
        if how == 4:
            return zlib.compress(content)
        return gzip.compress(rng.choice(inner)(rng, content), 1, mtime=0)

    return apply


def inside_zip(rng: random.Random, data: bytes) -> bytes:
    """An .npz archive with other members, other names, other ways of packing, or encrypted for show."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    place = rng.randrange(len(members))
    name, content = members[place]
    how = rng.randrange(6)
    if how == 0:
        members[place] = (rng.choice(_NAMES), content)
    elif how == 1:
        members.append((rng.choice((*_NAMES, name)), rng.choice((content, b"", b"text", b"\0" * 5_000_000))))
    elif how == 2:
        del members[place]
    else:
        members[place] = (name, rng.choice((inside_npy, flip_bits, hostile_npy))(rng, content))
    packed = io.BytesIO()
    packing = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    seen: set[str] = set()
    with zipfile.ZipFile(packed, "w", packing) as archive:
        for name, content in members:
            while name in seen:
                name += "_"
            seen.add(name)
            archive.writestr(zipfile.ZipInfo(name), content, packing)
    changed = bytearray(packed.getvalue())
    if rng.random() < 0.15:  # the method of packing, and whether a password is needed, in all headers
        flag, method = rng.choice(((1, None), (None, 99), (0x41, 8), (None, 12)))
        for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            start = changed.find(magic)
            while start >= 0:
                if flag is not None:
                    changed[start + offset : start + offset + 2] = struct.pack("<H", flag)
                if method is not None:
                    changed[start + offset + 2 : start + offset + 4] = struct.pack("<H", method)
                start = changed.find(magic, start + 4)
    return bytes(changed)


def inside_npy(rng: random.Random, data: bytes) -> bytes:
    """The header of a .npy file with another shape, type, order or key."""
    if not data.startswith(b"\x93NUMPY"):
        return flip_bits(rng, data)
    length = struct.unpack("<H", data[8:10])[0]
    header, body = data[10 : 10 + length].decode("latin-1"), data[10 + length :]
    before, _, rest = header.partition("'descr': ")
    dtype, _, rest = rest.partition(", 'fortran_order'")
    order, _, shape = rest.partition(", 'shape': ")
    how = rng.randrange(5)
    shape = rng.choice(_SHAPES) + ", }" if how in (0, 1) else shape
    dtype = rng.choice(_DTYPES) if how in (1, 2) else dtype
    order = rng.choice((": 3", ": True", ": None", "")) if how == 3 else order
    extra = rng.choice(("", "'x': 1, ", "'shape': (1,), ")) if how == 4 else ""
    text = f"{before}{extra}'descr': {dtype}, 'fortran_order'{order}, 'shape': {shape}".strip() + "\n"
    version = rng.choice(((1, 0), (1, 0), (2, 0), (3, 0), (9, 9)))
    size = struct.pack("<H" if version == (1, 0) else "<I", len(text) if rng.random() < 0.9 else 2**16 - 1)
    return b"\x93NUMPY" + bytes(version) + size + text.encode("latin-1") + body


def hostile_npy(rng: random.Random, data: bytes) -> bytes:
    """A pickle in place of the array, with or without a header that announces objects."""
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n"
    announced = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + POISON
    return rng.choice((POISON, announced, data + POISON))


def inside_idx(rng: random.Random, data: bytes) -> bytes:
    """Another type, number of axes or length of an axis; with or without values that fit it."""
    axes = rng.choice((0, 1, 2, 3, 4, 65, 255, data[3]))
    sizes = [rng.choice((0, 1, 1, 1, 2, 60, 2**16, 2**31, 2**32 - 1)) for _ in range(axes)]
    if rng.random() < 0.3:
        sizes = [1] * axes
    kind = rng.choice((8, 9, 11, 12, 13, 14, 0, 10, 255, data[2]))
    body = data[4 + 4 * data[3] :]
    return bytes((0, 0, kind, axes)) + b"".join(struct.pack(">I", size) for size in sizes) + rng.choice(
        (body, body[:1], body[:8], b"")
    )  # fmt: skip


def inside_tensors(rng: random.Random, data: bytes) -> bytes:
    """The header of a safetensors file: offsets, shapes, types, names, lengths that lie."""
    header, body = opened(data)
    names = [name for name in header if name != "__metadata__"]
    name = rng.choice(names)
    entry = header[name]
    how = rng.randrange(9)
    if how == 0:
        entry["data_offsets"] = rng.choice(([0, 0], [-1, 4], [0, 2**62], [8, 4], [0, len(body) + 4], [0], "x", None))
    elif how == 1:
        entry["data_offsets"] = header[rng.choice(names)]["data_offsets"]
    elif how == 2:
        entry["shape"] = rng.choice(([2**62, 4], [-1], [0, 2**62], [2**40], [1] * 70, [], None, "3", [1.5], [True]))
    elif how == 3:
        entry["dtype"] = rng.choice(("F64", "F16", "BF16", "F8_E4M3", "I64", "U8", "BOOL", "C64", "F4", "OBJ", 1, None))
    elif how == 4:
        new = rng.choice(("../x", "", "@x", "@constant.1", "__metadata__", "a" * 10_000, "\0", name + ".value"))
        header[new] = header.pop(name)
    elif how == 5:
        del header[name]
    elif how == 6:
        header["__metadata__"] = rng.choice(({}, {"fallline": 1}, {"fallline": None}, [], "x", {"other": "{}"}))
    elif how == 7:
        change(rng, header)
    else:  # the values that no header tells of: not numbers at all
        spread = {"data_offsets": [len(body), len(body) + 8], "dtype": "F64", "shape": rng.choice(([1], []))}
        header["more"], body = spread, body + rng.choice((b"\xff" * 8, b"\0" * 8, b"\0" * 4))
    return closed(json.dumps(header), body, rng)


def not_numbers(rng: random.Random, data: bytes) -> bytes:
    """Weights that are NaN, infinite or enormous."""
    header, body = opened(data)
    changed = bytearray(body)
    for _ in range(rng.choice((1, 10, len(body) // 4))):
        place = 4 * rng.randrange(max(1, len(body) // 4))
        changed[place : place + 4] = struct.pack("<f", rng.choice((float("nan"), float("inf"), -3e38, 1e-45)))
    return closed(json.dumps(header), bytes(changed))


def inside_metadata(rng: random.Random, data: bytes) -> bytes:
    """The JSON of graph, encoders, target and plan, changed in any place."""
    header, body = opened(data)
    stored = header["__metadata__"]["fallline"]
    if rng.random() < 0.5:  # equally often in each of its parts, however long they are
        value = json.loads(stored)
        part = value[rng.choice(list(value))]
        if isinstance(part, dict | list) and part:
            change(rng, part)
            stored = json.dumps(value)
        else:
            stored = hostile_text(rng, stored)
    elif rng.random() < 0.1:
        stored = rng.choice(RAW)
    else:
        stored = hostile_text(rng, stored)
    header["__metadata__"]["fallline"] = stored.encode("utf-8", "replace").decode()
    return closed(json.dumps(header), body)


def inside_graph(rng: random.Random, data: bytes) -> bytes:
    """A graph that is well-formed and means harm, or one node that lies."""
    header, body = opened(data)
    stored: dict[str, Any] = json.loads(header["__metadata__"]["fallline"])
    if rng.random() < 0.6:
        rng.choice(ATTACKS)(rng, stored["graph"])
    else:
        node = rng.choice(stored["graph"]["nodes"])
        key = rng.choice(("op", "inputs", "attributes", "attributes"))
        node[key] = rng.choice(ODD) if rng.random() < 0.3 else rng.choice(stored["graph"]["nodes"])[key]
    header["__metadata__"]["fallline"] = json.dumps(stored)
    return closed(json.dumps(header), body)


def opened(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and values of a safetensors file."""
    length = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def closed(header: str, body: bytes, rng: random.Random | None = None) -> bytes:
    """A safetensors file; with `rng`, now and then of a length that lies."""
    encoded = header.encode("utf-8")
    encoded += b" " * (-len(encoded) % 8)
    length = len(encoded)
    if rng is not None and rng.random() < 0.05:
        length = rng.choice((0, length - 8, length + 8, 2**63, 2**64 - 1, 100_000_001))
    return struct.pack("<Q", length) + encoded + body
