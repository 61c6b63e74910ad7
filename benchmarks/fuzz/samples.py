"""Good files: a table of every kind of column in every format, models of it, a run folder, object code."""

import csv
import gzip
import io
import json
import random
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fuzz.run_samples import write_runs

NAMES = ("size", "weight", "colour", "fresh", "day", "kind", "price")
ROWS = 40
MODEL, NETWORK, CODE = "model.safetensors", "network.safetensors", "a.code"
OBJECT_CODE = bytes(range(256)) * 16
"""What the cache is given to keep: to it, any bytes are code."""


def make_samples(folder: Path) -> None:
    """Write all good files into an empty folder."""
    rows = shop_rows(ROWS)
    (folder / "shop.csv").write_bytes(delimited(rows, ","))
    (folder / "shop.tsv").write_bytes(delimited(rows, "\t"))
    objects = [json.dumps(dict(zip(NAMES, row, strict=True))) for row in rows]
    (folder / "shop.jsonl").write_text("\n".join(objects) + "\n", encoding="utf-8")
    (folder / "shop.json").write_text(f"[{', '.join(objects)}]", encoding="utf-8")
    _write_parquet(folder)
    _write_arrow(folder)
    _write_arrays(folder)
    for name in ("shop.csv", "shop.jsonl", "x.npz", "shop.parquet", "images-idx3-ubyte"):
        (folder / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes(), mtime=0))
    _write_models(folder)
    write_runs(folder)
    _write_object_code(folder)


def shop_rows(count: int) -> list[list[Any]]:
    """A number, one with gaps, a category, a truth value, a date; a class; a value."""
    chance = random.Random(0)
    rows: list[list[Any]] = []
    for number in range(count):
        size, weight = round(chance.gauss(5, 2), 3), round(chance.gauss(0, 1), 3)
        colour, fresh = chance.choice(("red", "green", "dark blue")), chance.random() < 0.5
        day = f"2024-{chance.randint(1, 12):02d}-{chance.randint(1, 28):02d}"
        kind, price = "big" if size > 5 else "small", round(3 * size - weight, 3)
        rows.append([size, weight if number % 7 else None, colour, fresh, day, kind, price])
    return rows


def delimited(rows: list[list[Any]], delimiter: str) -> bytes:
    """The rows as text, one cell with quotes, delimiters and a line end."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerow(NAMES)
    writer.writerows(rows)
    return text.getvalue().replace("dark blue", f'"dark{delimiter}blue"').encode()


def _write_parquet(folder: Path) -> None:
    import duckdb

    with duckdb.connect() as database:
        table = f"read_csv('{folder / 'shop.csv'}')"
        database.execute(f"COPY (SELECT * FROM {table}) TO '{folder / 'shop.parquet'}' (FORMAT parquet)")


def _write_arrow(folder: Path) -> None:
    """Where pyarrow is installed; the campaign leaves the kind out otherwise."""
    try:
        import pyarrow as pa
        from pyarrow import feather
    except ImportError:
        return
    columns = dict(zip(NAMES, map(list, zip(*shop_rows(ROWS), strict=True)), strict=True))
    table = pa.table(columns)
    table = table.set_column(2, "colour", table.column(2).dictionary_encode())
    feather.write_feather(table, str(folder / "shop.feather"), compression="uncompressed")
    with pa.OSFile(str(folder / "shop.arrow"), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)


def _write_arrays(folder: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 4)).round(3)
    y = (x[:, 0] > 0).astype(np.int64)
    np.savez(folder / "x.npz", x=x, y=y)
    np.savez_compressed(folder / "columns.npz", size=x[:, 0], word=np.array(["a", "b"] * (ROWS // 2)), kind=y)
    np.save(folder / "x.npy", x)
    fields = np.zeros(ROWS, dtype=[("size", "<f4"), ("when", "<M8[s]"), ("kind", "<U3"), ("ok", "?")])
    fields["size"], fields["kind"] = x[:, 0], np.where(y > 0, "yes", "no")
    np.save(folder / "fields.npy", fields)
    images = rng.integers(0, 256, size=(ROWS, 3, 3), dtype=np.uint8)
    (folder / "images-idx3-ubyte").write_bytes(bytes((0, 0, 8, 3, *_sizes(ROWS, 3, 3))) + images.tobytes())
    (folder / "labels-idx1-ubyte").write_bytes(bytes((0, 0, 8, 1, *_sizes(ROWS))) + y.astype(np.uint8).tobytes())


def _sizes(*sizes: int) -> bytes:
    return b"".join(size.to_bytes(4, "big") for size in sizes)


def _write_models(folder: Path) -> None:
    """A run folder with its model, and a network that was made in Python."""
    from fallline.data.sources import read_table
    from fallline.tables.prepare import TableOptions, prepare
    from fallline.tables.train import train_table

    options = TableOptions(drop=("price",), hidden=(4,), epochs=2)
    prepared = prepare(read_table(folder / "shop.csv"), "kind", options)
    about = {"data": "shop.csv", "target": "kind", "task": "classification", "created": "2024-05-06T07:08:09+00:00"}
    train_table(prepared, options, folder=folder / "run", about=about)
    (folder / MODEL).write_bytes((folder / "run" / MODEL).read_bytes())
    network = network_of_python()
    network.predict(np.zeros((1, 4)))
    network.save(folder / NETWORK)


def network_of_python() -> Any:
    """A network whose file holds buffers, constants and random numbers, too."""
    from fallline import nn

    return nn.Sequential(nn.Linear(4, 5), nn.BatchNorm(5), nn.GELU(), nn.Dropout(0.3), nn.Linear(5, 3))


def _write_object_code(folder: Path) -> None:
    from fallline.engine.object_cache import ObjectCache

    cache = ObjectCache(folder / "cache")
    cache.store("a", OBJECT_CODE)
    (folder / CODE).write_bytes((folder / "cache" / CODE).read_bytes())


def read_samples(folder: Path, names: tuple[str, ...]) -> list[bytes]:
    """The contents of good files, by name; those that could not be made are left out."""
    return [(folder / name).read_bytes() for name in names if (folder / name).is_file()]
