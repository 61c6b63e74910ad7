"""Who gets nothing: without the token, from another site, under another name, with something that is no JSON."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from fallline.lab import guard
from fallline.lab.guard import ANY_ADDRESS
from fallline.lab.place import new_token

PATHS = ("", "index.html", "app.js", "api/runs", "api/events?runs=x", "nothing")
SAFE = ("content-security-policy", "referrer-policy", "x-content-type-options", "cache-control")


@pytest.fixture
def lab(page: Callable[..., Any], trained: Path) -> Any:
    return page(trained)


def test_who_has_the_address_gets_the_page(lab: Any) -> None:
    found = lab.ask("")
    assert found.status_code == 200
    assert "<title>Fallline lab</title>" in found.text
    assert lab.ask("app.js").headers["content-type"].startswith("text/javascript")
    assert lab.api("runs")[0] == 200
    assert set(SAFE) <= set(found.headers)
    policy = found.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy


def test_the_address_without_its_last_slash_leads_there(lab: Any) -> None:
    found = lab.client.get(f"/{lab.lab.token}", follow_redirects=False)
    assert (found.status_code, found.headers["location"]) == (307, f"/{lab.lab.token}/")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("token", ["", "wrong", "é", "{0}x", "{0}%00", " {0}", "{0}/../wrong"])
def test_nothing_without_the_token(lab: Any, path: str, token: str) -> None:
    wrong = token.format(lab.lab.token)
    address = f"/{wrong}/{path}" if "/.." not in wrong else f"/{wrong.split('/')[-1]}/{path}"
    found = lab.client.get(address, follow_redirects=False)
    assert found.status_code == 403
    assert found.text == (
        "The lab's address has a token, which is missing or wrong here; use the address that it printed.\n"
    )
    assert set(SAFE) <= set(found.headers)


def test_the_token_is_looked_for_in_one_place(lab: Any) -> None:
    token = lab.lab.token
    for address in (f"//{token}/api/runs", f"/?{token}", f"/x/{token}/api/runs", "/"):
        assert lab.client.get(address, headers={"cookie": token, "authorization": token}).status_code == 403
    assert lab.client.get(f"/{token[:-1]}/api/runs").status_code == 403
    assert lab.client.get(f"/{token.lower()}/api/runs").status_code == (200 if token == token.lower() else 403)


def test_tokens_are_long_and_never_the_same() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(len(token) == 22 for token in tokens)  # 128 bits in base 64


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8360", "127.0.0.1.evil.example", "localhost.", "", "192.168.1.7", "0.0.0.0",
             "127.0.0.1@evil.example", "[::2]:8360", "localhost:1:2"],
)  # fmt: skip
def test_a_name_that_is_not_the_labs_gets_nothing(lab: Any, host: str) -> None:
    """What "DNS rebinding" needs: the browser sends the name of the page's own site."""
    found = lab.ask("api/runs", headers={"host": host})
    assert (found.status_code, found.text[:37]) == (403, "This lab is not called by that name; ")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:9", "localhost:8360", "LOCALHOST", "[::1]", "[::1]:8360"])
def test_the_labs_names(lab: Any, host: str) -> None:
    assert lab.ask("api/runs", headers={"host": host}).status_code == 200


def test_a_lab_on_all_addresses_is_called_by_any_of_them_and_by_no_foreign_name(
    page: Callable[..., Any], trained: Path
) -> None:
    lab = page(trained, hosts=(ANY_ADDRESS, "Workstation"))
    for host, status in (("192.168.1.7:8360", 200), ("[fd00::7]", 200), ("workstation", 200), ("evil.example", 403)):
        assert lab.ask("api/runs", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "http://127.0.0.1"},
        {"origin": "http://evil.example://127.0.0.1:8360"},
        {"origin": "ftp://127.0.0.1:8360"},
    ],
    ids=str,
)
def test_another_site_gets_nothing_even_with_the_token(lab: Any, headers: dict[str, str]) -> None:
    for method, options in (("GET", {}), ("POST", {"json": {"action": "stop"}})):
        found = lab.ask(f"api/runs/{lab.only()}/control", method, headers=headers, **options)
        assert (found.status_code, found.text) == (403, guard.OTHER_SITE)
        assert "access-control-allow-origin" not in found.headers


def test_the_page_itself_may_ask(lab: Any) -> None:
    own = {"sec-fetch-site": "same-origin", "origin": "http://127.0.0.1:8360"}
    assert lab.ask("api/runs", headers=own).status_code == 200
    assert lab.ask("", headers={"sec-fetch-site": "none"}).status_code == 200


def test_a_form_of_another_site_is_no_request(lab: Any) -> None:
    """Browsers send these three kinds of body without asking the lab first."""
    where = f"api/runs/{lab.only()}/control"
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        found = lab.ask(where, "POST", content=b'{"action": "stop"}', headers={"content-type": kind})
        assert (found.status_code, found.text) == (415, "The lab takes JSON only: content-type: application/json.\n")
    right = {"content-type": "application/json; charset=utf-8"}
    assert lab.ask(where, "POST", content=b'{"action": "stop"}', headers=right).status_code == 400  # it is over


def test_other_methods_are_refused(lab: Any) -> None:
    for method in ("OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND"):
        found = lab.ask("api/runs", method)
        assert found.status_code == 405
        assert "allow" not in found.headers or "POST" not in found.headers["allow"]
    assert lab.ask("", "HEAD").status_code == 200
    assert lab.ask("", "HEAD").text == ""
    assert lab.ask("api/runs", "POST", json={}).status_code == 405


def test_a_body_is_at_most_so_long(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MOST_BYTES", 1 << 20)
    where, kind = f"api/runs/{lab.only()}/control", {"content-type": "application/json"}
    found = lab.ask(where, "POST", content=b" " * ((1 << 20) + 1), headers=kind)
    assert (found.status_code, found.text) == (413, "The lab takes at most 1 MB in one request.\n")

    async def parts() -> AsyncIterator[bytes]:  # chunked: nobody has said how long it is
        for _ in range(2000):
            yield b" " * 1000

    assert lab.ask(where, "POST", content=parts(), headers=kind).status_code == 413
    assert lab.ask(where, "POST", content=b" " * (1 << 20), headers=kind).status_code == 400


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"null", b"[" * 100_000, b'{"action": ' * 50_000, b"\xff"])
def test_a_body_that_is_no_object_is_told(lab: Any, body: bytes) -> None:
    kind = {"content-type": "application/json"}
    found = lab.ask(f"api/runs/{lab.only()}/control", "POST", content=body, headers=kind)
    assert (found.status_code, found.json()) == (400, {"error": "the lab was sent something that is no JSON object"})


def test_a_defect_is_told_without_its_traceback(
    page: Callable[..., Any], trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fallline.lab.parts import runs

    def broken(lab: Any) -> Any:
        raise ZeroDivisionError("<script>alert(1)</script>")

    monkeypatch.setattr(runs, "listed", broken)
    lab = page(trained)
    found = lab.quietly().get(f"/{lab.lab.token}/api/runs")
    assert found.status_code == 500
    assert found.headers["content-type"] == "application/json"
    assert found.json()["error"].startswith("the lab failed: ZeroDivisionError: ")
    assert "Traceback" not in found.text
