"""Requests a second of `fallline serve` on the loopback, by wrk.

FALLLINE_SERVE_SECONDS asks for shorter runs, as a trial.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fallline as fl
from benchmarks.serving import ROW, Service, train
from fallline.serving.held import HeldModel

NAME = "serve"
SECONDS = int(os.environ.get("FALLLINE_SERVE_SECONDS", "10"))
LEAST = 1000.0
"""Single rows a second that must be answered."""
LOADS = ((1, 1), (16, 1), (64, 1), (16, 100))
"""Connections, rows in a request."""


def run() -> str:
    """Each load, where the time of one row goes, and the page."""
    if shutil.which("wrk") is None:
        raise FileNotFoundError("wrk, which sends the requests, is not installed: apt-get install wrk")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = train(folder)
        with Service(model) as service:
            found = {load: measured(service, folder, *load) for load in LOADS}
        parts = inside(model)
    slow = found[16, 1][0] < LEAST
    rows = "\n".join(
        f"| {clients} | {rows} | {rate:,.0f} | {rate * rows:,.0f} | {usual:.2f} | {rare:.2f} |"
        for (clients, rows), (rate, usual, rare) in found.items()
    )
    text = f"""\
A model of the penguins (6 columns, the default recipe's network), served by one process; wrk in another process on the
same machine keeps its connections open and sends the next request on each when the last is answered, for {SECONDS} s
in each row of the table.

| connections | rows in a request | requests a second | rows a second | median ms | 99th percentile ms |
| --- | --- | --- | --- | --- | --- |
{rows}

Of a single row, `fl.load(model).predict` takes {parts["predict"]:,.0f} µs, most of it tracing the network again. The
service makes its program once, and {parts["long"]:,.0f} µs are left; with one row encoded cell by cell,
{parts["short"]:,.0f} µs, with the same bits. The rest of a request is HTTP."""
    if slow:
        raise AssertionError(text)
    return text


def measured(service: Service, folder: Path, connections: int, rows: int) -> tuple[float, float, float]:
    """(requests a second, median and 99th percentile of milliseconds) of wrk."""
    script = folder / "load.lua"
    body = json.dumps(ROW if rows == 1 else [ROW] * rows)
    script.write_text(f"wrk.method='POST'\nwrk.headers['content-type']='application/json'\nwrk.body='{body}'\n")
    words = ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}", "--latency", "-s", str(script)]
    done = subprocess.run(
        [*words, f"http://127.0.0.1:{service.port}/predict"], capture_output=True, text=True, check=True
    )
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise AssertionError(done.stdout)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    latency = re.search(r"50%\s+(\S+)[\s\S]*99%\s+(\S+)", done.stdout)
    if rate is None or latency is None:
        raise AssertionError(done.stdout)
    return float(rate[1]), milliseconds(latency[1]), milliseconds(latency[2])


def milliseconds(text: str) -> float:
    """wrk's way to write a time: 870.00us, 1.20ms, 2.00s."""
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]
    return float(number) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[unit]


def inside(run: Path) -> dict[str, float]:
    """Microseconds of one row, without HTTP: as the library predicts, by the held program, and the short way."""
    from fallline.data.sources import read_table

    model = fl.load(run / "model.safetensors")
    held = HeldModel(model)
    ways: dict[str, Callable[[], Any]] = {
        "predict": lambda: model.predict([ROW]),
        "long": lambda: held.outputs(read_table([ROW]), []),
        "short": lambda: held.one(ROW, []),
    }
    return {name: 1e6 * min(timeit.repeat(way, number=100, repeat=5)) / 100 for name, way in ways.items()}
