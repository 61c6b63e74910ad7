"""`fallline serve`, from outside: a real process, real sockets, slow and hostile clients."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("uvicorn", reason="the service needs fallline[serve]")

import fallline as fl
from fallline.serving import server

SOURCE = Path(fl.__file__).parents[1]
PATIENCE = 60
ROW = {"size": 5.1, "weight": None, "colour": "red", "fresh": True, "day": "2024-02-03"}
TOKEN = "a-token-of-some-length"


def start(*words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "fallline", "serve", *words, "--port", "0"], text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509  a shell with & ignores it
    )  # fmt: skip


class Service:
    """A running service, asked over its socket."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        self.process = process
        self.port = int(urlsplit(process.stdout.readline()).port or 0)

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        kind = {} if body is None else {"content-type": "application/json"}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), kind | (headers or {}))
            found = connection.getresponse()
            return found.status, found.read().decode()
        finally:
            connection.close()

    def line(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def raw(self, *lines: str, body: str = "") -> str:
        """What comes back for these very bytes, which no client tidies up."""
        with self.line() as line:
            line.sendall(("\r\n".join([*lines, "", ""]) + body).encode("latin-1"))
            return everything(line)

    def end(self, number: int = signal.SIGINT) -> tuple[int, str]:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=PATIENCE)
        assert out == ""
        return self.process.returncode, err


def everything(line: socket.socket) -> str:
    parts = []
    with suppress(ConnectionResetError):  # it may refuse to read on
        while part := line.recv(1 << 16):
            parts.append(part)
    return b"".join(parts).decode("latin-1")


@pytest.fixture(scope="module")
def shared(models: dict[str, Path]) -> Iterator[Service]:
    process = start(str(models["kind"]), "--max-bytes", "4000", "--timeout", "1")
    yield Service(process)
    process.kill()
    process.communicate()


def test_it_predicts_as_the_model_does(shared: Service, models: dict[str, Path]) -> None:
    status, found = shared.ask("POST", "/predict", ROW)
    assert (status, json.loads(found)) == (
        200,
        {"prediction": fl.load(models["kind"] / "model.safetensors").predict([ROW])[0]},
    )


def test_an_answer_comes_at_once(shared: Service) -> None:
    """Small answers do not wait for the client's acknowledgement, which it may hold back for 40 ms."""
    connection = http.client.HTTPConnection("127.0.0.1", shared.port, timeout=PATIENCE)
    seconds = []
    for _ in range(30):
        begun = time.perf_counter()
        connection.request("POST", "/predict", json.dumps(ROW), {"content-type": "application/json"})
        assert connection.getresponse().read()
        seconds.append(time.perf_counter() - begun)
    connection.close()
    assert min(seconds) < 0.035


def test_requests_that_are_tricks(shared: Service) -> None:
    here, kind, close = f"host: 127.0.0.1:{shared.port}", "content-type: application/json", "connection: close"
    post = "POST /predict HTTP/1.1"
    tricks = [
        (post, here, kind, close, "content-length: 2", "content-length: 3"),
        (post, here, kind, close, "content-length: 2", "transfer-encoding: chunked"),
        (post, here, kind, close, "content-length: -1"),
        (post, here, kind, close, "content-length : 2"),
        (post, here, kind, close, "transfer-encoding: chunked, identity"),
        (post, here, kind, close, "content-length: 99999999999"),
        (post, here, "host: evil.example", kind, close),
        (post, here, kind, kind, close, "content-length: 0"),
        (post, kind, close),
        ("GET http://evil.example/ HTTP/1.1", "host: evil.example", close),
        ("GET /" + "a" * 200_000 + " HTTP/1.1", here, close),
        ("GET / HTTP/1.1", here, "x: " + "y" * 200_000, close),
        ("CONNECT 127.0.0.1:1 HTTP/1.1", here, close),
        ("TRACE / HTTP/1.1", here, close),
        ("GET ../../etc/passwd HTTP/1.1", here, close),
        ("GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1", here, close),
        ("\x16\x03\x01\x02",),
    ]
    for lines in tricks:
        found = shared.raw(*lines, body="{}")
        assert found[:10] in ("HTTP/1.1 4", ""), (lines[0][:60], found)
        assert "Traceback" not in found
        assert "root:" not in found
    upgrade = ("connection: upgrade", "upgrade: websocket", "sec-websocket-version: 13", "sec-websocket-key: AAAA")
    with shared.line() as line:
        line.sendall("\r\n".join(["GET / HTTP/1.1", here, *upgrade, "", ""]).encode())
        assert not line.recv(100).startswith(b"HTTP/1.1 101")
    assert shared.ask("GET", "/health")[0] == 200


def test_slow_and_long_bodies(shared: Service) -> None:
    head = ["POST /predict HTTP/1.1", f"host: 127.0.0.1:{shared.port}", "content-type: application/json"]
    found = shared.raw(*head, "content-length: 20", body="{")
    assert found.startswith("HTTP/1.1 408")
    assert found.endswith('{"errors":["the request took more than 1 s to arrive; send it again"]}')
    found = shared.raw(
        *head,
        "transfer-encoding: chunked",
        body="400\r\n" + "x" * 1024 + "\r\n" + ("400\r\n" + "x" * 1024 + "\r\n") * 9,
    )
    assert found.startswith("HTTP/1.1 413") or found == ""
    assert shared.ask("POST", "/predict", [ROW] * 99) == (
        413,
        '{"errors":["a request may have at most 4,000 bytes; send several"]}',
    )


def test_what_begins_and_never_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection without a whole request is closed; one that drips does not get more time for it."""
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.3)
    listening = server.listen("127.0.0.1", 0)
    port = listening.getsockname()[1]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("no request was whole")

    seconds = []

    def clients() -> None:
        for words in (b"", b"GET / HTTP/1.1\r\n"):
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as line:
                begun = time.monotonic()
                line.sendall(words)
                with suppress(OSError):
                    while time.monotonic() - begun < 5:
                        if words:
                            line.sendall(b"x: y\r\n")
                        line.settimeout(0.1)
                        with suppress(TimeoutError):
                            if not line.recv(1):
                                break
                seconds.append(time.monotonic() - begun)
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=clients)
    with pytest.raises(KeyboardInterrupt):
        server.serve(app, listening, thread.start)
    thread.join()
    assert all(0.2 < each < 3 for each in seconds)
    assert len(seconds) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_under_way_is_answered_before_the_end(models: dict[str, Path], number: int) -> None:
    service = Service(start(str(models["price"])))
    body = json.dumps(ROW)
    with service.line() as line:
        head = [
            "POST /predict HTTP/1.1",
            "host: localhost",
            "content-type: application/json",
            f"content-length: {len(body)}",
        ]
        line.sendall(("\r\n".join([*head, "", ""]) + body[:9]).encode())
        time.sleep(0.3)
        service.process.send_signal(number)
        deadline = time.monotonic() + PATIENCE
        while True:  # nobody new is let in
            assert time.monotonic() < deadline
            with suppress(ConnectionRefusedError, ConnectionResetError):  # closed before it was let in
                service.line().close()
                time.sleep(0.02)
                continue
            break
        line.sendall(body[9:].encode())
        found = everything(line)
    assert found.startswith("HTTP/1.1 200")
    assert '{"prediction":' in found
    out, err = service.process.communicate(timeout=PATIENCE)
    assert (service.process.returncode, out, err) == (0, "", "Ctrl-C ends the service\n")


def test_a_token_from_a_file(models: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    service = Service(
        start(str(models["kind"]), "--token-file", str(tmp_path / "token"), "--host", "0.0.0.0", "--rate", "3")
    )
    known = {"authorization": f"Bearer {TOKEN}", "host": "service.example"}
    assert service.ask("POST", "/predict", ROW)[0] == 401
    assert service.ask("POST", "/predict", ROW, known)[0] == 200
    assert {service.ask("GET", "/health")[0] for _ in range(20)} == {200, 429}
    assert service.end() == (
        0, "requests are not encrypted: put a server with TLS in front of it\nCtrl-C ends the service\n"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--token", TOKEN, "--token-file", "token"], "give --token or --token-file, not both"),
        (
            ["--token", "short"],
            "a token needs at least 16 letters, digits or signs without blanks, found 5 characters; make one with: "
            "python -c 'import secrets; print(secrets.token_urlsafe())'",
        ),
        (["--rate", "-1"], "--rate must be a number above 0, found -1"),
        (["--timeout", "nan"], "--timeout must be a number above 0, found nan"),
        (["--token-file", "none"], "cannot read or write 'none': No such file or directory; try another place"),
    ],
)
def test_options_that_cannot_be(
    refused: Callable[..., str], models: dict[str, Path], words: list[str], sentence: str
) -> None:
    assert refused("serve", models["kind"], *words) == sentence


def test_addresses_that_cannot_be(refused: Callable[..., str], models: dict[str, Path], shared: Service) -> None:
    assert refused("serve", models["kind"], "--port", shared.port) == (
        f"the service cannot listen on 127.0.0.1, port {shared.port}: Address already in use; choose another port with "
        "--port"
    )
    assert refused("serve", models["kind"], "--host", "no-such.invalid").startswith(
        "the service knows no host 'no-such.invalid': "
    )


def test_a_missing_extra_is_told(
    refused: Callable[..., str], models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert refused("serve", models["kind"]) == (
        "the service needs the package 'uvicorn', which is not installed: pip install 'fallline[serve]'"
    )


def test_mutated_requests_and_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Callable[..., Any]) -> None:
    """A small version of `make soak JOB=serving`."""
    monkeypatch.syspath_prepend(str(SOURCE.parent))
    from benchmarks import serving

    run = tmp_path / "penguins"
    assert cli("train", "penguins", "--target", "species", "--epochs", "1", "--quiet", "--out", run).code == 0
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))
    with serving.Service(run, "--timeout", "0.3") as service:
        for number in range(300):
            answer = service.exchange(serving.mutant(7, number))
            assert serving.objection(answer) == "", (number, serving.mutant(7, number))
        service.many(1000)
        before = service.memory()
        service.many(2000)
        assert service.memory() - before < 2 << 20
