"""Who is let in, how often, and with how much."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from fallline.serving.app import make_app
from fallline.serving.limits import MOST_CLIENTS, Buckets, Limits, client_of

TOKEN = "0123456789abcdefXYZ"


def test_the_token(service: Callable[..., Any], rows: list[dict[str, Any]]) -> None:
    client = service(token=TOKEN)
    for wrong in (None, "", TOKEN, f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer", "Bearer é"):
        headers = {} if wrong is None else {"authorization": wrong.encode()}
        for method, path in (("POST", "/predict"), ("GET", "/"), ("GET", "/openapi.json"), ("GET", "/nothing")):
            found = client.ask(method, path, headers=headers)
            assert found.status_code == 401
            assert found.headers["www-authenticate"] == "Bearer"
            assert found.json()["errors"] == [
                "the token is missing or wrong; send the header Authorization: Bearer TOKEN"
            ]
    for right in (f"Bearer {TOKEN}", f"bearer {TOKEN}"):
        assert client.post(rows[0], headers={"authorization": right, "host": "any.example"})[0] == 200
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get(f"/?token={TOKEN}").status_code == 401


def test_a_token_that_is_sent_twice(service: Callable[..., Any]) -> None:
    headers = [("authorization", f"Bearer {TOKEN}"), ("authorization", f"Bearer {TOKEN}")]
    found = service(token=TOKEN).get("/", headers=headers)
    assert (found.status_code, found.json()["errors"]) == (
        400, ["the header authorization is there twice; send it once"]
    )  # fmt: skip


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8390", "127.0.0.1.evil.example", "", "localhost:8390x"])
def test_foreign_names_of_this_machine(service: Callable[..., Any], host: str) -> None:
    found = service().get("/", headers={"host": host})
    assert (found.status_code, found.json()["errors"]) == (
        403, ["the service is not called by that name; use the address that it printed"]
    )  # fmt: skip
    assert service(hosts=()).get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8390", "[::1]:8390", "[::1]"])
def test_own_names(service: Callable[..., Any], host: str) -> None:
    assert service().get("/", headers={"host": host}).status_code == 200


def test_a_client_that_asks_too_often(service: Callable[..., Any]) -> None:
    client = service(limits=Limits(rate=0.5))
    assert client.get("/health").status_code == 200
    found = client.get("/health", headers={"x-forwarded-for": "10.1.2.3", "forwarded": "for=10.1.2.3"})
    assert (found.status_code, found.headers["retry-after"]) == (429, "2")
    assert found.json()["errors"] == ["at most 0.5 requests a second are answered; try again in 2 s"]


def test_buckets_fill_again_and_are_forgotten() -> None:
    now = [0.0]
    buckets = Buckets(2.0, burst=3.0, clock=lambda: now[0])
    assert [buckets.take("a") for _ in range(5)] == [0, 0, 0, 1, 1]
    assert buckets.take("b") == 0
    now[0] = 1.0
    assert [buckets.take("a") for _ in range(3)] == [0, 0, 1]
    now[0] = 100.0
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 1]
    for number in range(MOST_CLIENTS + 50):
        buckets.take(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(buckets) == MOST_CLIENTS
    assert buckets.take("a") == 0  # forgotten
    assert all(Buckets(0.0).take("a") == 0 for _ in range(99))


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8:0:1::5", "2001:db8:0:1"),
        ("2001:db8:0:1:ffff::9", "2001:db8:0:1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("fe80::1%eth0", "fe80:0:0:0"),
        ("no:address", "no:address"),
        ("", ""),
    ],
)
def test_who_counts_as_one_client(address: str, client: str) -> None:
    assert client_of(address) == client


def exchanged(app: Any, parts: list[bytes | None], headers: dict[str, str]) -> tuple[int, Any, int]:
    """(status, JSON, parts taken) where a body comes in parts; None is one that never comes."""
    taken, sent = [], []

    async def receive() -> Any:
        if len(taken) == len(parts):
            return {"type": "http.request", "body": b"", "more_body": False}
        part = parts[len(taken)]
        taken.append(part)
        if part is None:
            await asyncio.sleep(60)
        return {"type": "http.request", "body": part, "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    known = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http", "method": "POST", "path": "/predict", "query_string": b"", "client": ("127.0.0.1", 1),
        "headers": [(b"host", b"localhost"), *known],
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    assert (b"connection", b"close") in sent[0]["headers"]
    return sent[0]["status"], json.loads(sent[1]["body"])["errors"], len(taken)


def test_a_body_that_is_too_long(fruit: Any) -> None:
    app = make_app(fruit, Limits(most_bytes=1000))
    sentence = ["a request may have at most 1,000 bytes; send several"]
    assert exchanged(app, [b""], {"content-length": "1001"}) == (413, sentence, 1)
    assert exchanged(app, [b""], {"content-length": "9" * 20}) == (413, sentence, 1)
    assert exchanged(app, [b""], {"content-length": "1001", "expect": "100-continue"}) == (413, sentence, 0)
    assert exchanged(app, [b"x" * 300] * 99, {"transfer-encoding": "chunked"}) == (413, sentence, 8)  # 4 are forgotten


def test_a_body_that_never_ends(fruit: Any) -> None:
    app = make_app(fruit, Limits(patience=0.05))
    sentence = ["the request took more than 0.05 s to arrive; send it again"]
    assert exchanged(app, [b"{", None], {}) == (408, sentence, 2)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/predict", 405),
        ("/predict/", 404),
        ("/../etc/passwd", 404),
        ("/%2e%2e/app.py", 404),
        ("/%00", 404),
    ],
)
def test_paths_that_lead_nowhere(service: Callable[..., Any], path: str, status: int) -> None:
    found = service().get(path)
    assert found.status_code == status
    assert found.json()["errors"] == [
        "this address takes POST only"
        if status == 405
        else "there is nothing at this address; POST /predict, GET /, /openapi.json and /health are"
    ]


def test_a_defect_is_no_traceback(
    service: Callable[..., Any], rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    def fail(*arguments: Any) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("fallline.serving.app.answer", fail)
    assert service().post(rows[0]) == (
        500, {"errors": ["the service failed; this is a defect of Fallline, not of your request"]}
    )  # fmt: skip
    assert caplog.messages == ["a request failed: ZeroDivisionError: secret; this is a defect of Fallline"]
