"""Files that are damaged, foreign or hostile: each is refused with a sentence, and nothing of it is run."""

import contextlib
import copy
import json
import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import fallline as fl
from fallline import nn
from fallline.nn.model_file import load_network, network_from, read_tensors, write_tensors

X = np.random.default_rng(0).normal(size=(3, 4))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with many kinds of nodes in it."""
    net = nn.Sequential(
        nn.Linear(4, 5), nn.BatchNorm(5), nn.GELU(), nn.Dropout(0.3), nn.LayerNorm(5), nn.Flatten(), nn.Linear(5, 3)
    )
    net.predict(X)
    path = tmp_path_factory.mktemp("models") / "m.safetensors"
    net.save(path)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(fl.ModelFileError) as error:
        load_network(path)
    assert str(path) in str(error.value)
    return str(error.value)


def test_a_missing_file(tmp_path: Path) -> None:
    assert "there is no model file" in refusal(tmp_path / "nothing.safetensors")
    assert "there is no model file" in refusal(tmp_path)


def test_no_part_of_a_file_passes_for_the_whole(model: Path, tmp_path: Path) -> None:
    data = model.read_bytes()
    cut = tmp_path / "cut"
    for twentieth in range(20):
        cut.write_bytes(data[: len(data) * twentieth // 20])
        assert "is not a whole safetensors file" in refusal(cut)
    cut.write_bytes(data[:-1])
    assert "may be truncated: save or copy it again" in refusal(cut)


def test_bit_flips_in_the_header_are_refused_or_harmless(model: Path, tmp_path: Path) -> None:
    """Never another exception; where a flip goes unnoticed, the network still predicts or says why not."""
    data = model.read_bytes()
    header = 8 + struct.unpack("<Q", data[:8])[0]
    flipped = tmp_path / "flipped"
    rng = random.Random(0)
    places = [(byte, bit) for byte in range(8) for bit in range(8)]
    places += [(rng.randrange(8, header), rng.randrange(8)) for _ in range(400)]
    refused = 0
    for byte, bit in places:
        damaged = bytearray(data)
        damaged[byte] ^= 1 << bit
        flipped.write_bytes(damaged)
        try:
            net = load_network(flipped)
        except fl.ModelFileError:
            refused += 1
            continue
        with contextlib.suppress(fl.FalllineError):
            net.predict(X)
    assert refused > 300


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 8, b"PK\x03\x04" + b"\0" * 100, b"\x80\x04\x95", b"weights", b"\xff" * 64]
)
def test_other_kinds_of_files(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content)
    assert "is not a whole safetensors file" in refusal(tmp_path / "x")


def test_safetensors_of_others(tmp_path: Path) -> None:
    save_file({"w": np.zeros(3)}, tmp_path / "foreign")
    assert "holds tensors, but was not written by Fallline: it has no prediction graph" in refusal(tmp_path / "foreign")
    save_file({"w": np.zeros(3)}, tmp_path / "tagged", metadata={"fallline": "{not JSON"})
    assert "its metadata are damaged" in refusal(tmp_path / "tagged")
    for text in ("[]", "3", "null", "{}", "[" * 100_000):
        save_file({"w": np.zeros(3)}, tmp_path / "odd", metadata={"fallline": text})
        assert "its metadata are damaged" in refusal(tmp_path / "odd")


def test_another_format_number(tmp_path: Path) -> None:
    write_tensors(tmp_path / "newer", {"w": np.zeros(3)}, {"format": 999})
    assert "has model format 999; this Fallline reads format 1: use the version that wrote it" in refusal(
        tmp_path / "newer"
    )


def nodes(metadata: Any) -> list[Any]:
    found: list[Any] = metadata["graph"]["nodes"]
    return found


def first(metadata: Any, op: str) -> Any:
    return next(node for node in nodes(metadata) if node["op"] == op)


def change(path: str, value: Any) -> Callable[[Any], None]:
    """Set metadata[path] = value, with dots between the keys."""

    def apply(metadata: Any) -> None:
        *way, last = path.split(".")
        for key in way:
            metadata = metadata[int(key)] if isinstance(metadata, list) else metadata[key]
        metadata[last] = value

    return apply


def deep(levels: int) -> Any:
    value: Any = {"tuple": []}
    for _ in range(levels):
        value = {"tuple": [value]}
    return value


HOSTILE: dict[str, tuple[Callable[[Any], Any], str]] = {
    "no graph": (lambda m: m.pop("graph"), "does not fit: 'graph'"),
    "no buffers": (lambda m: m.pop("buffers"), "does not fit: 'buffers'"),
    "buffers no list": (change("buffers", 5), "does not fit"),
    "a graph of text": (change("graph", "nodes"), "the stored graph is malformed"),
    "nodes of text": (change("graph.nodes", "abc"), "a stored graph must list at most 20000 nodes"),
    "too many nodes": (lambda m: nodes(m).extend([nodes(m)[0]] * 20_001), "at most 20000 nodes"),
    "no nodes": (change("graph.nodes", []), "does not fit"),
    "an unknown op": (lambda m: first(m, "matmul").update(op="os.system"), "no op is named 'os.system'"),
    "an op that is no text": (lambda m: first(m, "matmul").update(op=["matmul"]), "malformed"),
    "a later node": (lambda m: first(m, "matmul").update(inputs=[len(nodes(m)) - 1, 0]), "graph refers to node"),
    "a negative node": (lambda m: first(m, "matmul").update(inputs=[-1, 0]), "the stored graph refers to node -1"),
    "a node that is true": (lambda m: first(m, "matmul").update(inputs=[True, 0]), "graph refers to node True"),
    "too few inputs": (lambda m: first(m, "matmul").update(inputs=[0]), "malformed: TypeError"),
    "another attribute": (lambda m: first(m, "matmul")["attributes"].update(out=1), "does not fit"),
    "attributes of text": (lambda m: first(m, "matmul").update(attributes="x"), "malformed"),
    "an unknown dtype": (lambda m: first(m, "input")["attributes"].update(dtype={"dtype": "object"}), "does not fit"),
    "an unknown kind": (lambda m: first(m, "input")["attributes"].update(dtype={"code": "1"}), "of an unknown kind"),
    "a size called by an escape": (
        lambda m: first(m, "broadcast")["attributes"].update(shape={"tuple": [{"dim": "\x1b[2J", "factor": 1}, 5]}),
        "the stored graph holds a size whose name is none",
    ),
    "an op with a long name": (lambda m: first(m, "matmul").update(op="x" * 10**6), "no op is named 'xxx"),
    "deep nesting": (lambda m: first(m, "input")["attributes"].update(shape=deep(400)), "does not fit"),
    "a huge shape": (
        lambda m: first(m, "broadcast")["attributes"].update(shape={"tuple": [10**9, 10**9]}),
        "does not fit",
    ),
    "a huge broadcast": (
        lambda m: nodes(m).append({"op": "broadcast", "inputs": [m["graph"]["outputs"]["outputs"]],
            "attributes": {"shape": {"tuple": [10**9, {"dim": "n", "factor": 1}, 3]}}})
        or change("graph.outputs.outputs", len(nodes(m)) - 1)(m),
        "of an impossible shape",
    ),
    "a negative shape": (
        lambda m: first(m, "broadcast")["attributes"].update(shape={"tuple": [{"dim": "n", "factor": -1}, 5]}),
        "does not fit",
    ),
    "no outputs": (change("graph.outputs", {}), "the stored graph has no outputs"),
    "outputs without rows": (lambda m: change("graph.outputs.outputs", m["graph"]["inputs"]["0.weight"])(m),
        "the outputs of the stored graph must have rows, (n, …)"),
    "no x": (lambda m: m["graph"]["inputs"].pop("@x"), "the stored graph has no input '@x'"),
    "x that is computed": (lambda m: m["graph"]["inputs"].update({"@x": m["graph"]["outputs"]["outputs"]}),
        "the input '@x' of the stored graph is computed, by"),
    "a weight that is missing": (lambda m: m["graph"]["inputs"].update(other=m["graph"]["inputs"].pop("0.weight")),
        "the tensor 'other' of shape (4, 5) is missing"),
    "an input that nothing gives": (lambda m: m["graph"]["inputs"].pop("0.weight"), "has an input that nothing gives"),
    "a weight of another shape": (
        lambda m: m["graph"]["inputs"].update({"0.bias": m["graph"]["inputs"]["0.weight"]}),
        "must have shape (4, 5), found (5,)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_metadata(name: str, model: Path, tmp_path: Path) -> None:
    damage, text = HOSTILE[name]
    arrays, metadata = read_tensors(model)
    damage(metadata)
    write_tensors(tmp_path / "hostile", arrays, metadata)
    assert text in refusal(tmp_path / "hostile")


def more(metadata: Any, op: str, inputs: list[int], **attributes: Any) -> int:
    """One more node, through which the output goes."""
    nodes(metadata).append({"op": op, "inputs": inputs, "attributes": attributes})
    metadata["graph"]["outputs"]["outputs"] = len(nodes(metadata)) - 1
    return len(nodes(metadata)) - 1


def with_graph(model: Path, path: Path, add: Callable[[Any, int], None], times: int = 1) -> Path:
    """The model's file with more nodes: `add(metadata, number of the output's node)` so many times."""
    arrays, metadata = read_tensors(model)
    for _ in range(times):
        add(metadata, metadata["graph"]["outputs"]["outputs"])
    write_tensors(path, arrays, metadata)
    return path


@pytest.mark.parametrize("depth", [40, 700])
def test_sums_of_sums_are_computed_once_each(depth: int, model: Path, tmp_path: Path) -> None:
    """As a tree, x + x of x + x of … has 2^depth terms."""
    path = with_graph(model, tmp_path / "m", lambda m, last: more(m, "multiply", [last, last]) and None, 2)
    path = with_graph(path, tmp_path / "m", lambda m, last: more(m, "maximum", [last, last]) and None, depth)
    np.testing.assert_allclose(load_network(path).predict(X), load_network(model).predict(X) ** 4, rtol=1e-5)


def test_a_graph_too_deep_for_the_compiler_is_walked(
    model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = with_graph(model, tmp_path / "m", lambda m, last: more(m, "relu", [last]) and None, 5000)
    found = load_network(path).predict(X)
    np.testing.assert_allclose(found, np.maximum(load_network(model).predict(X), 0), rtol=1e-5)
    assert len([each for each in caplog.messages if "the graph is too deep for the compiler" in each]) == 1


def wide(metadata: Any, last: int) -> None:
    rows = {"dim": "n", "factor": 1}
    last = more(metadata, "sum", [last], axes={"tuple": [1]})
    last = more(metadata, "reshape", [last], shape={"tuple": [rows, 1]})
    more(metadata, "broadcast", [last], shape={"tuple": [rows, 2**28]})


def endless(metadata: Any, last: int) -> None:
    """A thousand products of matrices made of nothing, of 1024³ multiply-adds each."""
    last = more(metadata, "constant", [], value={"float": "0x1p-10"}, dtype={"dtype": "float32"})
    last = more(metadata, "broadcast", [last], shape={"tuple": [1024, 1024]})
    for _ in range(1000):
        last = more(metadata, "matmul", [last, last])
    last = more(metadata, "sum", [last], axes={"tuple": [0, 1]})
    more(metadata, "broadcast", [last], shape={"tuple": [{"dim": "n", "factor": 1}, 1]})


def test_a_small_file_that_asks_for_much_is_refused(model: Path, tmp_path: Path) -> None:
    path = with_graph(model, tmp_path / "wide", wide)
    assert "the stored graph touches 2.68e+08 numbers for one row; with 73 weights it may touch 4212992" in refusal(
        path
    )
    path = with_graph(model, tmp_path / "endless", endless)
    assert "the stored graph touches 3.15e+09 numbers for one row" in refusal(path)


@pytest.mark.parametrize("levels", [150, 450, 900, 50_000])
def test_nesting_that_exhausts_the_stack(levels: int, model: Path, tmp_path: Path) -> None:
    arrays, metadata = read_tensors(model)
    first(metadata, "input")["attributes"].update(shape="HERE")
    text = json.dumps(metadata).replace('"HERE"', '{"tuple": [' * levels + "]}" * levels)
    save_file(arrays, tmp_path / "deep", metadata={"fallline": text})
    refusal(tmp_path / "deep")


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


ODD: list[Any] = [
    None, True, -1, 0, 1, 2, 10**6, 10**30, 1.5, "x", "", [], {}, [0], [[0]], "matmul", "input", "iota", "constant",
    {"tuple": [1, 2]}, {"tuple": [-1]}, {"tuple": "abc"}, {"tuple": [{"dim": "n", "factor": 1}, 10**12]},
    {"dtype": "float32"}, {"dtype": "complex64"}, {"dim": "n", "factor": 1}, {"dim": "n", "factor": 0},
    {"dim": "n", "factor": -2}, {"dim": "m", "factor": 1}, {"array": "0.weight"}, {"array": "nope"},
    {"float": "inf"}, {"float": "nan"}, {"float": "x"},
]  # fmt: skip


def test_metadata_changed_at_random(model: Path) -> None:
    """Any value replaced by any odd one: refused, or a network that predicts or says why not."""
    arrays, metadata = read_tensors(model)
    ways = list(places(metadata))
    rng = random.Random(1)
    refused = 0
    for _ in range(1200):
        changed = copy.deepcopy(metadata)
        way = rng.choice(ways)
        spot = changed
        for key in way[:-1]:
            spot = spot[key]
        spot[way[-1]] = copy.deepcopy(rng.choice(ODD))
        try:
            net = network_from(arrays, changed, "changed")
        except fl.ModelFileError:
            refused += 1
            continue
        with contextlib.suppress(fl.FalllineError):
            net.predict(X)
    assert refused > 900


@pytest.mark.parametrize("dtype", ["int64", "float16", "bool", "uint8"])
def test_weights_of_another_dtype(dtype: str, model: Path, tmp_path: Path) -> None:
    arrays, metadata = read_tensors(model)
    write_tensors(tmp_path / "m", {**arrays, "0.weight": arrays["0.weight"].astype(dtype)}, metadata)
    assert f"the tensor '0.weight' must be float32 or float64, found {dtype}" in refusal(tmp_path / "m")


def test_nothing_in_a_file_is_code(model: Path) -> None:
    """The header is JSON, and a model holds numbers, texts and lists only."""
    data = model.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    metadata = json.loads(header.pop("__metadata__")["fallline"])
    assert set(metadata) == {"format", "graph", "buffers"}
    assert {entry["dtype"] for entry in header.values()} == {"F32"}
