"""What bodies give away, what health claims of its parts, and what an OpenAPI document promises."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gonogo.errors import TargetError
from gonogo.probes.claims import claims
from gonogo.probes.leaks import find, redacted
from gonogo.probes.openapi import read

WORDS = ("healthy", "ok", "up", "pass")
PYTHON = 'Traceback (most recent call last):\n  File "/srv/app/main.py", line 3, in <module>'
KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (PYTHON, "a Python traceback"),
        (json.dumps({"error": PYTHON}), "a Python traceback"),
        ("\tat com.example.Api.load(Api.java:12)", "a Java stack frame"),
        ("    at Object.<anonymous> (/srv/app/index.js:10:5)", "a Node.js stack frame"),
        ("at async node:internal/process:95:5", "a Node.js stack frame"),
        (r"   at Shop.Api.Get(Int32 id) in C:\src\Api.cs:line 42", "a .NET stack frame"),
        ("goroutine 1 [running]:", "a Go stack"),
        ("Fatal error: Uncaught Error in /var/www/index.php", "a PHP error"),
        ("app/models/user.rb:17:in `name'", "a Ruby stack frame"),
        ("postgresql://app:hunter2@db.internal/fleet", "an address with a password"),
        ("redis://:hunter2@cache:6379/0", "an address with a password"),
        ('{"dbPassword": "hunter2"}', "a password"),
        ("password=hunter2&user=x", "a password"),
        ('{"JWT_SECRET": "hunter2"}', "a password"),
        ("SMTP_PASS=hunter2", "a password"),
        ("x" * 3_000_000 + " redis://:hunter2@cache/", "an address with a password"),
        ('{"api_key": "0123456789"}', "a password"),
        (KEY, "a private key"),
        (json.dumps({"key": KEY}), "a private key"),
        ("AKIAABCDEFGHIJKLMNOP", "an AWS access key"),
        ("ghp_" + "a" * 36, "a token of GitHub or Slack"),
    ],
)
def test_what_must_not_leave(text: str, kind: str) -> None:
    assert kind in {leak.kind for leak in find(f"first line\n{text}")}
    assert "hunter2" not in redacted(text)
    assert "hunter2" not in str(find(text))


@pytest.mark.parametrize(
    "text",
    [
        '{"status": "healthy", "hasPassword": true, "password": null, "passwordHint": {"type": "string"}}',
        '{"password": "***"}',
        "Password: at least ten characters",
        "https://app.example.com:8443/x@y",
        "We meet at Station (north) at 10:30:15",
        "Traceback is a word",
    ],
)
def test_what_is_harmless(text: str) -> None:
    assert find(text) == ()
    assert redacted(text) == text


@given(st.text(max_size=300), st.text(st.characters(categories=("L", "N")), min_size=8, max_size=30))
def test_a_password_in_an_address_is_always_found_and_taken_out(around: str, password: str) -> None:
    assume(not re.fullmatch("(?i)redacted|undefined|required|x+", password))  # words that stand for no secret
    text = f"{around} amqp://app:{password}@queue/ {around}"

    assert "an address with a password" in {leak.kind for leak in find(text)}
    assert f":{password}@" not in redacted(text)


@given(st.text(max_size=2000))
def test_any_text_is_read(text: str) -> None:
    find(text)
    redacted(text)


@pytest.mark.parametrize(
    ("checks", "sick"),
    [
        ({"database": {"status": "healthy"}, "cache": {"status": "UP"}}, []),
        ({"database": "ok", "cache": True}, []),
        ({"database": "down", "cache": False}, ["database: down", "cache: False"]),
        ({"cpu:usage": [{"status": "pass"}, {"status": "fail"}]}, ["cpu:usage 2: fail"]),
        ([{"name": "database", "status": "ok"}, {"component": "mail", "state": "failed"}], ["mail: failed"]),
        ({"database": {"latency": 3}, "disk": []}, ["database: says nothing", "disk: says nothing"]),
        ({"database": {"status": 1}}, ["database: says nothing"]),
        ([{"status": "bad"}], ["number 1: bad"]),
    ],
)
def test_claims_of_every_dialect(checks: Any, sick: list[str]) -> None:
    assert [str(claim) for claim in claims(checks) if not claim.healthy(WORDS)] == sick


@given(st.recursive(st.none() | st.booleans() | st.text(), lambda c: st.lists(c) | st.dictionaries(st.text(), c)))
def test_any_document_has_claims_or_none(document: Any) -> None:
    for claim in claims(document):
        assert claim.healthy(WORDS) in (True, False)


DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "servers": [{"url": "https://api.example.com/v1/"}],
    "paths": {
        "/orders": {"get": {"responses": {"200": {"content": {"application/json": {}}}}}, "post": {}},
        "/orders/{id}": {"get": {"responses": {"200": {}}}},
        "/search": {"get": {"parameters": [{"$ref": "#/components/parameters/q"}], "responses": {"200": {}}}},
        "/empty": {"get": {"responses": {"404": {}, "204": {"description": "nothing"}}}},
        "/report": {"get": {"responses": {200: {"content": {"text/csv; charset=utf-8": {}}}}}},
        "/write": {"post": {}},
    },
    "components": {"parameters": {"q": {"name": "q", "in": "query", "required": True}}},
}


def test_what_a_document_promises() -> None:
    facts = read(json.dumps(DOCUMENT), "here")

    assert [(e.path, e.status, e.content_type) for e in facts.endpoints] == [
        ("/v1/orders", 200, "application/json"),
        ("/v1/empty", 204, ""),
        ("/v1/report", 200, "text/csv"),
    ]
    assert facts.left_out == ("/v1/orders/{id}", "/v1/search")


def test_swagger_2() -> None:
    document = {
        "swagger": "2.0",
        "basePath": "/api",
        "produces": ["application/json"],
        "paths": {"/x": {"get": {}}},
    }

    (only,) = read(json.dumps(document), "here").endpoints
    assert (only.path, only.status, only.content_type) == ("/api/x", 200, "application/json")


@pytest.mark.parametrize("text", ["{}", "[]", "null", '{"openapi": "3.1.0"}', '{"paths": {}}', '"x"'])
def test_what_is_no_document(text: str) -> None:
    with pytest.raises(TargetError, match="here is no OpenAPI document"):
        read(text, "here")


def test_a_circle_of_references_ends() -> None:
    circle = {"$ref": "#/paths/~1x"}

    assert read(json.dumps({"openapi": "3.1.0", "paths": {"/x": circle}}), "here").endpoints == ()
