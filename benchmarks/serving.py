"""A running `fallline serve`, requests for it, and their mutants: for `bench_serve.py` and `soak_serve.py`."""

import http.client
import json
import random
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

ROW = {
    "island": "Torgersen", "bill_length_mm": 39.1, "bill_depth_mm": 18.7, "flipper_length_mm": 181.0,
    "body_mass_g": 3750.0, "sex": "MALE",
}  # fmt: skip
"""Of the penguins, the table that the model is trained on."""
WORTH = ("null", "true", "-1", "1e999", "1e-999", "NaN", "[]", "{}", '"x"', "99999999999999999999", '"\\ud800"', "[[[[")
HEADERS = (
    "transfer-encoding: chunked", "content-length: 5", "content-length: 99999999", "expect: 100-continue",
    "host: evil.example", "x: \xff\xfe", "content-type: text/csv", "content-type: text/plain", "accept: image/png",
    "accept: ;q=,text/csv;q=nan", "authorization: Bearer x", "x-forwarded-for: 10.0.0.1", ": empty", "no colon",
    "content-encoding: gzip", "range: bytes=0-1", "upgrade: websocket", "connection: upgrade",
)  # fmt: skip
TARGETS = (
    "/predict?proba=1",
    "/predict?proba=2",
    "/predict?%ff=%00",
    "/",
    "/openapi.json",
    "/health",
    "/../x",
    "*",
    "/\xff",
)


def train(folder: Path) -> Path:
    """A model of the penguins with the default recipe's network, in a run folder."""
    run = folder / "penguins"
    words = ("train", "penguins", "--target", "species", "--epochs", "5", "--quiet", "--out", str(run))
    subprocess.run([sys.executable, "-m", "fallline", *words], check=True)
    return run


class Service:
    """A service in a process of its own, for a block.

    Args:
        run: the model's run folder.
        options: of the command.
    """

    def __init__(self, run: Path, *options: str) -> None:
        words = [sys.executable, "-m", "fallline", "serve", str(run), "--port", "0", *options]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.port = 0

    def __enter__(self) -> Self:
        assert self.process.stdout is not None
        self.port = int(urlsplit(self.process.stdout.readline()).port or 0)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.process.send_signal(signal.SIGTERM)
        _, said = self.process.communicate(timeout=60)
        if kind is None and (self.process.returncode, said) != (0, "Ctrl-C ends the service\n"):
            raise AssertionError(f"the service ended with {self.process.returncode} and said {said[:2000]!r}")

    def memory(self) -> int:
        """Bytes of the process that are in memory (Linux)."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS"))

    def many(self, count: int) -> None:
        """So many requests of one row, one after the other over one connection; each must be answered."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        for number in range(count):
            row = {**ROW, "bill_length_mm": 30 + number % 997 / 50, "sex": (None, "MALE", f"x{number}")[number % 3]}
            connection.request("POST", "/predict", json.dumps(row), {"content-type": "application/json"})
            answer = connection.getresponse()
            if answer.status != 200 or b"prediction" not in answer.read():
                raise AssertionError(f"request {number} was answered with {answer.status}")
        connection.close()

    def exchange(self, request: bytes, patience: float = 1.0) -> bytes:
        """What comes back for these bytes, until the service closes the connection or nothing more comes."""
        parts = []
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as line:
            line.settimeout(patience)
            with suppress(OSError):
                line.sendall(request)
            with suppress(OSError):
                while part := line.recv(1 << 16):
                    parts.append(part)
        return b"".join(parts)


def objection(answer: bytes) -> str:
    """What speaks against an answer to a mutant; empty where nothing does."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if not answer:
        return ""  # closed without a word: what came was no request
    status = head[9:12]
    if not head.startswith(b"HTTP/1.1 ") or status[:1] not in (b"1", b"2", b"4"):
        return f"status {head[:60]!r}"
    if b"Traceback" in answer or b'File "' in answer:
        return "a traceback"
    if status[:1] == b"4" and b"application/json" in head and body:
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        sentences = json.loads(body[:length])["errors"]
        if not sentences or not all(each.isprintable() and len(each) <= 2500 for each in sentences):
            return f"sentences {sentences!r:.200}"
    return ""


def mutant(seed: int, number: int) -> bytes:
    """A request that is a function of seed and number, usually a damaged one."""
    chance = random.Random(f"{seed} {number}")
    target, kind, body = "/predict", "application/json", json.dumps(ROW)
    if chance.random() < 0.2:
        body = json.dumps([ROW] * chance.choice([0, 1, 2, 30]))
    if chance.random() < 0.25:
        lines = [",".join(ROW), *[",".join(map(str, ROW.values()))] * chance.choice([0, 1, 3])]
        kind, body = "text/csv", "\n".join(lines) + "\n"
    for _ in range(chance.choice([0, 1, 1, 2, 5])):
        body = _changed(chance, body)
    if chance.random() < 0.2:
        target = chance.choice(TARGETS)
    data = body.encode("utf-8", "replace")
    if chance.random() < 0.1:
        data = _flipped(chance, data)
    headers = ["host: localhost", f"content-type: {kind}", f"content-length: {len(data)}", "connection: close"]
    for _ in range(chance.choice([0, 0, 0, 1, 2])):
        headers.insert(chance.randrange(len(headers) + 1), chance.choice(HEADERS))
    method = chance.choice(["POST"] * 9 + ["GET", "PUT", "HEAD", "OPTIONS", "PATCH", "BREW"])
    head = "\r\n".join([f"{method} {target} HTTP/1.1", *headers, "", ""]).encode("latin-1", "replace")
    return _flipped(chance, head + data) if chance.random() < 0.1 else head + data


def _changed(chance: random.Random, text: str) -> str:
    """Text with a piece removed, repeated, exchanged for a value, or made long."""
    begin = chance.randrange(len(text) + 1)
    end = min(len(text), begin + chance.choice([1, 1, 3, 10, 40]))
    piece = chance.choice(
        ["", text[begin:end] * 2, chance.choice(WORTH), "\x00", "é\u202e", "9" * 5000, '"', ",", "\n"]
    )
    if chance.random() < 0.5:  # a whole value
        values = [str(value) for value in ROW.values() if str(value) in text]
        if values:
            return text.replace(chance.choice(values), piece, 1)
    return text[:begin] + piece + text[end:]


def _flipped(chance: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice([1, 2, 8])):
        if changed:
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)
