"""What can happen to one file of a run's folder, beside what can happen to its bytes."""

import json
import random

from safetensors.numpy import load

from benchmarks.fuzz.mutate import Mutator
from benchmarks.fuzz.mutate_files import closed, opened
from benchmarks.fuzz.mutate_json import change
from benchmarks.fuzz.run_readers import GONE, SWAPPED

PARTS = ("checkpoint", "graphs", "settings", "buffers", "graph", "begun")


def gone(rng: random.Random, data: bytes) -> bytes:
    """The file is not there."""
    return GONE


def untouched(rng: random.Random, data: bytes) -> bytes:
    """The file of another run, as it is."""
    return data


def emptied(rng: random.Random, data: bytes) -> bytes:
    """Nothing is in it."""
    return b""


def swapped(rng: random.Random, data: bytes) -> bytes:
    """It and another file of the folder have changed places."""
    return SWAPPED + bytes([rng.randrange(256)])


def sealed(inner: Mutator) -> Mutator:
    """A mutator behind which the checkpoint's hash is that of the new content."""

    def apply(rng: random.Random, data: bytes) -> bytes:
        return _seal(inner(rng, data))

    apply.__qualname__ = f"sealed_{getattr(inner, '__name__', inner)}"
    return apply


def inside_part(rng: random.Random, data: bytes) -> bytes:
    """A value in a part of the metadata: the progress, the graphs of training, the settings."""
    header, body = opened(data)
    stored = json.loads(header["__metadata__"]["fallline"])
    parts = [name for name in PARTS if name in stored]
    part = stored[parts[0] if rng.random() < 0.5 else rng.choice(parts)]
    if isinstance(part, dict | list) and part:
        change(rng, part)
    header["__metadata__"]["fallline"] = json.dumps(stored)
    return closed(json.dumps(header), body)


def inside_training_graph(rng: random.Random, data: bytes) -> bytes:
    """The graphs of training: one that is enormous, deep or exponential, or a node that lies."""
    header, body = opened(data)
    stored = json.loads(header["__metadata__"]["fallline"])
    graph = stored["graphs"][rng.choice(("step", "forward"))]
    nodes = graph["nodes"]
    how = rng.randrange(5)
    if how == 0:  # x + x of x + x …
        for _ in range(rng.choice((40, 4000))):
            _add(graph, "add", [len(nodes) - 1] * 2)
    elif how == 1:
        for _ in range(rng.choice((3000, 200_001))):
            _add(graph, "negate", [len(nodes) - 1])
    elif how == 2:
        size = rng.choice((2**30, 2**40, 2**62))
        _add(graph, "constant", [], value={"float": "0x1p0"}, dtype={"dtype": "float32"})
        _add(graph, "broadcast", [len(nodes) - 1], shape={"tuple": [size, 3]})
    elif how == 3:
        node = rng.choice(nodes)
        node[rng.choice(("op", "inputs", "attributes"))] = rng.choice(nodes)[rng.choice(("op", "inputs", "attributes"))]
    else:
        change(rng, graph["provenance"])
    if how < 3 and rng.random() < 0.8:
        graph["provenance"] += [["", None, 0, ""]] * (len(nodes) - len(graph["provenance"]))
        graph["outputs"][rng.choice(list(graph["outputs"]))] = len(nodes) - 1
    header["__metadata__"]["fallline"] = json.dumps(stored)
    return closed(json.dumps(header), body)


def _add(graph: dict, op: str, inputs: list[int], **attributes: object) -> None:  # type: ignore[type-arg]
    graph["nodes"].append({"op": op, "inputs": inputs, "attributes": attributes})


def _seal(data: bytes) -> bytes:
    from fallline.training.checkpoint import hash_of

    header, body = opened(data)
    stored = json.loads(header["__metadata__"]["fallline"])
    stored["hash"] = hash_of(load(data), stored)
    header["__metadata__"]["fallline"] = json.dumps(stored)
    return closed(json.dumps(header), body)
