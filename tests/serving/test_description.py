"""The pages that describe the service are true."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from fallline.serving.describe import example_row, openapi
from fallline.serving.limits import Limits
from fallline.serving.page import page


@pytest.mark.parametrize("name", ["fruit", "harvest"])
def test_the_example_is_answered(service: Callable[..., Any], request: pytest.FixtureRequest, name: str) -> None:
    model = request.getfixturevalue(name)
    described = service(model).get("/openapi.json").json()
    (example,) = described["components"]["schemas"]["Row"]["examples"]
    assert example == example_row(model)
    status, found = service(model).post(example)
    assert (status, list(found)) == (200, ["prediction"])


def test_the_columns_are_the_models(service: Callable[..., Any], fruit: Any) -> None:
    described = service().get("/openapi.json").json()
    row = described["components"]["schemas"]["Row"]
    assert row["required"] == list(row["properties"]) == fruit.encoder.source_columns
    assert row["properties"]["height"]["type"] == ["number", "null"]
    assert row["properties"]["shade"]["type"] == ["boolean", "null"]
    assert row["properties"]["soil"]["description"] == "one of 3 categories: clay, peat, sand"
    assert row["properties"]["planted"]["description"] == "a date, written YYYY-MM-DD"
    assert described["components"]["schemas"]["Prediction"]["properties"]["prediction"]["enum"] == ["ripe", "unripe"]
    assert "securitySchemes" not in described["components"]
    assert openapi(fruit, 9, secured=True)["security"] == [{"token": []}]


def test_every_reference_leads_somewhere(service: Callable[..., Any]) -> None:
    found = service().get("/openapi.json")
    for path in set(re.findall(r'"\$ref":"#/([^"]+)"', found.text)):
        place = found.json()
        for part in path.split("/"):
            place = place[part]


def test_the_page_has_no_script_and_quotes_names(service: Callable[..., Any], fruit: Any) -> None:
    found = service().get("/")
    assert "<script" not in found.text
    assert found.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert all(f"<code>{name}</code>" in found.text for name in fruit.encoder.source_columns)
    fruit.target.name, kept = "<script>alert(1)</script>", fruit.target.name
    try:
        assert b"<script" not in page(fruit, Limits(), secured=True)
    finally:
        fruit.target.name = kept


def test_each_answer_has_the_safe_headers(service: Callable[..., Any]) -> None:
    for path in ("/", "/health", "/openapi.json", "/nothing"):
        headers = service().get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers
