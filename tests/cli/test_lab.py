"""`fallline lab` and `fallline train --lab`, from outside: real processes, real sockets."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("uvicorn", reason="the lab needs fallline[lab]")

import fallline as fl
from fallline.training.control import is_paused

SOURCE = Path(fl.__file__).parents[1]
LONG = ("train", "iris", "--target", "species", "--hidden", "4", "--epochs", "1000000", "--patience", "1000000")
PATIENCE = 60


def start(*words: str, folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "fallline", *words], cwd=folder, text=True, stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(SOURCE)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509  a shell with & ignores it
    )  # fmt: skip


def wait_until(true: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := true()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


class Lab:
    """A running lab, asked over its socket."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self.port, self.prefix = int(parts.port or 0), parts.path
        assert parts.hostname == "127.0.0.1"

    def ask(self, path: str, body: Any = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            if body is None:
                connection.request("GET", self.prefix + path)
            else:
                kind = {"content-type": "application/json"}
                connection.request("POST", self.prefix + path, json.dumps(body), kind)
            found = connection.getresponse()
            text = found.read().decode()
        finally:
            connection.close()
        return found.status, json.loads(text) if text.startswith(("{", "[")) else text

    def raw(self, *lines: str) -> str:
        """What comes back for these very bytes, which no client tidies up."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as line:
            line.sendall("\r\n".join([*lines, "connection: close", "", ""]).encode("latin-1"))
            parts = []
            with suppress(ConnectionResetError):  # it may refuse to read on
                while part := line.recv(1 << 16):
                    parts.append(part)
        return b"".join(parts).decode("latin-1")

    def runs(self) -> list[dict[str, Any]]:
        status, found = self.ask("api/runs")
        assert status == 200
        return list(found)

    def stands(self, run: str, status: str) -> None:
        wait_until(lambda: any(each["id"] == run and each["status"] == status for each in self.runs()))


@pytest.fixture
def lab(tmp_path: Path, models: dict[str, Path]) -> Iterator[Lab]:
    """A lab that shows the runs of tiny models."""
    process = start("lab", str(models["kind"].parent), "--no-browser", folder=tmp_path)
    assert process.stdout is not None
    yield Lab(process.stdout.readline().strip())
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (0, "", "Ctrl-C ends the lab\n")


def test_the_address_leads_to_the_page(lab: Lab) -> None:
    status, page = lab.ask("")
    assert (status, "<title>Fallline lab</title>" in page) == (200, True)
    assert {run["name"] for run in lab.runs()} == {"kind", "price"}
    assert {run["task"] for run in lab.runs()} == {"classification", "regression"}


@pytest.mark.parametrize(
    "path",
    [
        "../../../../../../etc/passwd", "pages/../../app.py", "%2e%2e/app.py", "pages/..%2f..%2fapp.py",
        "..%5c..%5capp.py", "....//app.py", "//etc/passwd", "/etc/passwd", "%00", "pages/%00", "pages", "\xff", "%ff",
        "api/runs/../../../app.py", "api/runs/%2e%2e%2f%2e%2e/history",
    ],
)  # fmt: skip
def test_no_path_leads_out(lab: Lab, path: str) -> None:
    found = lab.raw(f"GET {lab.prefix}{path} HTTP/1.1", f"host: 127.0.0.1:{lab.port}")
    assert found[:12] in ("HTTP/1.1 404", "HTTP/1.1 400", "HTTP/1.1 403", "HTTP/1.1 307")
    assert "root:" not in found
    assert "import" not in found
    assert "Traceback" not in found


def test_requests_that_are_none(lab: Lab) -> None:
    here = f"host: 127.0.0.1:{lab.port}"
    assert lab.raw(f"GET {lab.prefix} HTTP/1.1")[:12] in ("HTTP/1.1 400", "HTTP/1.1 403")  # without a host
    assert lab.raw(f"GET {lab.prefix} HTTP/1.1", here, "host: evil.example")[:12] in ("HTTP/1.1 400", "HTTP/1.1 403")
    assert lab.raw(f"GET http://evil.example{lab.prefix} HTTP/1.1", "host: evil.example").startswith("HTTP/1.1 403")
    assert lab.raw(f"GET {lab.prefix}api/runs HTTP/1.1", here, "x: " + "y" * 200_000)[:10] in ("HTTP/1.1 4", "")
    upgrade = (
        "connection: upgrade",
        "upgrade: websocket",
        "sec-websocket-version: 13",
        "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==",
    )
    assert not lab.raw(f"GET {lab.prefix} HTTP/1.1", here, *upgrade).startswith("HTTP/1.1 101")
    assert lab.ask("")[0] == 200


def test_it_listens_on_this_machine_alone(lab: Lab) -> None:
    """Nothing answers on the machine's other addresses."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; tells by which address this machine would send
        except OSError:
            pytest.skip("this machine has the loopback alone")
        own = probe.getsockname()[0]
    if own.startswith("127."):
        pytest.skip("this machine has the loopback alone")
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((own, lab.port), timeout=5)


def test_what_the_lab_cannot_show(refused: Callable[..., str], lab: Lab) -> None:
    assert refused("lab", "no-such", "--no-browser").startswith(
        "there is no run, folder or file 'no-such', nor a bundled set of that name; `fallline runs` lists the runs, and"
    )
    assert refused("lab", "--port", str(lab.port), "--no-browser") == (
        f"the lab cannot listen on 127.0.0.1, port {lab.port}: Address already in use; choose another with --port, or "
        "leave it out to take one that is free"
    )
    assert refused("lab", "--host", "no-such.invalid", "--no-browser").startswith(
        "the lab knows no host 'no-such.invalid': "
    )


def test_a_missing_extra_is_told(refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    sentence = "the lab needs the package 'uvicorn', which is not installed: pip install 'fallline[lab]'"
    assert refused("lab") == sentence
    assert refused("train", "iris", "--target", "species", "--lab") == sentence


@pytest.fixture
def training(tmp_path: Path) -> Iterator[tuple["subprocess.Popen[str]", Lab, str]]:
    """A training with its lab: (its process, the lab, the run's id)."""
    process = start(*LONG, "--lab", "--out", "run", folder=tmp_path)
    assert process.stdout is not None
    first = process.stdout.readline().split()
    assert first[0] == "lab", process.communicate()
    lab = Lab(first[1])
    (run,) = wait_until(lambda: [each for each in lab.runs() if each["step"]])
    yield process, lab, run["id"]
    if process.poll() is None:
        process.kill()
    process.communicate(timeout=PATIENCE)


def asked(lab: Lab, run: str, action: str) -> None:
    assert lab.ask(f"api/runs/{run}/control", {"action": action}) == (200, {"asked": action})


def test_a_training_is_watched_paused_forked_and_stopped(training: Any, tmp_path: Path) -> None:
    process, lab, run = training
    lab.stands(run, "running")
    wait_until(lambda: lab.ask(f"api/runs/{run}/observations")[1])
    asked(lab, run, "pause")
    lab.stands(run, "paused")
    assert is_paused(tmp_path / "run")
    step = lab.runs()[0]["step"]
    time.sleep(0.5)
    assert lab.runs()[0]["step"] == step
    status, fork = lab.ask(f"api/runs/{run}/fork", {"step": 20, "lr": 0.003, "epochs": 12})
    assert (status, list(fork)) == (200, ["id"])
    lab.stands(fork["id"], "finished")
    new = next(each for each in lab.runs() if each["id"] == fork["id"])
    assert (new["name"], new["parent"]) == ("run-fork-1", {"id": run, "name": "run", "step": 20})
    assert (new["epoch"], new["epochs"]) == (12, 12)
    told = json.loads((tmp_path / "run-fork-1" / "run.json").read_text())
    assert told["config"]["optimizer"]["lr"] == 0.003
    asked(lab, run, "resume")
    lab.stands(run, "running")
    wait_until(lambda: next(each for each in lab.runs() if each["id"] == run)["step"] > step)
    asked(lab, run, "stop")
    lab.stands(run, "interrupted")
    said = []
    while not said or "the page stays open until Ctrl-C" not in said[-1]:
        said.append(process.stdout.readline())
        assert said[-1], process.communicate()
    assert any("you interrupted it" in line for line in said)
    assert process.poll() is None
    assert lab.ask("")[0] == 200
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (130, "", "")
    assert (tmp_path / "run" / "report.html").exists()
    with pytest.raises(OSError, match="refused"):
        lab.ask("")
    for folder in ("run", "run-fork-1"):  # what was forked is a run like others
        done = start("verify", folder, folder=tmp_path)
        words = done.communicate(timeout=PATIENCE)
        assert done.returncode == 0, words
    done = start("replay", "run-fork-1", "--step", "21", "--json", folder=tmp_path)
    assert json.loads(done.communicate(timeout=PATIENCE)[0])["step"] == 21


def test_ctrl_c_is_for_the_training_and_the_lab_ends_with_it(training: Any) -> None:
    process, lab, _ = training
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (130, "")
    assert "the page stays open" not in out
    with pytest.raises(OSError, match="refused"):
        lab.ask("")


def test_the_lab_ends_when_the_training_is_killed(training: Any) -> None:
    process, lab, _ = training
    process.kill()
    process.communicate(timeout=PATIENCE)

    def gone() -> bool:
        try:
            lab.ask("")
        except OSError:
            return True
        return False

    wait_until(gone)


def test_a_training_is_told_of_where_nothing_else_is(tmp_path: Path) -> None:
    words = ("train", "iris", "--target", "species", "--hidden", "4", "--epochs", "2", "--lab")
    process = start(*words, "--json", folder=tmp_path)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert json.loads(out)["epochs"] == 2
    assert err.startswith("http://127.0.0.1:")
    assert err.count("\n") == 1
    command = json.loads((tmp_path / "runs" / "iris-1" / "run.json").read_text())["command"]
    assert "--lab" not in command
