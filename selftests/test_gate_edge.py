"""The gates of the outer side before servers that answer whatever a test wants them to."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from gate_calls import Called, call, target_at
from gate_runs import ROOT
from gonogo.model import Outcome
from gonogo.probes.edge import Edge
from gonogo.probes.ports import has_way
from gonogo.tables.edge import Edge as Settings
from servers import Authority, Handler, authority, free_port, read_request, serve

sys.path.append(str(ROOT))  # where the gates' own folder is a package

from tests.infra import answers, edge_lines
from tests.infra.test_edge import test_exposure as exposure
from tests.infra.test_edge import test_http_edge as http_edge

NAME = "app.fleet.test"
GOOD = {
    "Content-Type": "text/html",
    "Strict-Transport-Security": "max-age=31536000",
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
PLAN = {
    "pages": ["/"],
    "api": [],
    "compression": False,
    "http2": False,
    "closed_paths": ["/admin"],
    "closed_writes": None,
    "closed_ports": [1],
}


def site(answers: dict[str, Any], asked: list[bytes] | None = None) -> Handler:
    """A server with these answers by path, each a status or (status, headers, body); all others are ``*``, or 404."""

    def handler(connection: socket.socket, stopping: threading.Event) -> None:
        while request := read_request(connection):
            head, _, body = request.partition(b"\r\n\r\n")
            if b"content-length: 2" in head.lower() and len(body) < 2:
                request += connection.recv(2)
            if asked is not None:
                asked.append(request)
            path = request.split(b" ")[1].decode().partition("?")[0]
            told = answers.get(path, answers.get("*", 404))
            status, headers, body = told if isinstance(told, tuple) else (told, {}, b"")
            if status == 0:  # closed without a word, as with nginx's 444
                return
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            connection.sendall(f"HTTP/1.1 {status} X\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    return handler


PAGE = (200, GOOD, b"<h1>Hello</h1>")


def exposed(answers: dict[str, Any], asked: list[bytes] | None = None, **plan: Any) -> Called:
    with serve(site({"/": PAGE, **answers}, asked)) as server:
        return call(exposure, target_at({"base_url": server.url}, edge={**PLAN, **plan}))


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ({"/admin": 200}, "/admin: 200"),
        ({"/admin": 500}, "/admin: 500"),
        ({"/admin": 503}, "/admin: 503"),
        ({"/admin": 302}, "/admin: 302"),
        ({"/admin": (302, {"Location": "/admin/users"}, b""), "/admin/users": 200}, "/admin: 200"),
        ({"/admin": (302, {"Location": "/admin/users"}, b"")}, None),
        ({"/admin": (302, {"Location": "/admin/login"}, b""), "/admin/login": 200}, None),
        ({"/admin": 0}, None),
        ({"/admin": (302, {"Location": "/admin/"}, b""), "/admin/": 200}, "/admin: 200"),
        ({"/admin": (302, {"Location": "/admin?x=1"}, b"")}, "/admin: 302 to"),
        ({"/admin": (401, {}, b"")}, None),
        ({"/admin": (302, {"Location": "/login?next=/admin"}, b"")}, None),
        ({"/admin": (302, {"Location": "https://sso.example/"}, b"")}, None),
        ({"/admin": (302, {"Location": "/admin/"}, b"")}, None),
        ({}, None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_path_is_refused_or_it_is_not(answers: dict[str, Any], says: str | None) -> None:
    called = exposed(answers)

    assert called.outcome is (Outcome.FAIL if says else Outcome.PASS), called.reason
    if says:
        assert [value[0].startswith(says) for value in called.bad.values()] == [True]


def test_a_site_that_refuses_everybody_proves_nothing() -> None:
    called = exposed({"/": 403, "/admin": 403})

    assert called.bad == {"127.0.0.1 / answers": "403"}
    assert "control" in called.reason


@pytest.mark.parametrize("status", [200, 201, 204, 302, 400, 409, 422, 500])
def test_a_write_that_reached_its_handler_is_red(status: int) -> None:
    called = exposed({"/api/loads": status}, closed_writes=[{"path": "/api/loads"}])

    assert called.bad == {"127.0.0.1 writes that are not refused": [f"POST /api/loads: {status}"]}


@pytest.mark.parametrize("status", [401, 403, 404, 405])
def test_a_write_that_is_refused_was_sent_once_with_nothing_in_it(status: int) -> None:
    asked: list[bytes] = []
    writes = [{"method": "PUT", "path": "/api/loads"}]
    called = exposed({"/api/loads": status}, asked, closed_writes=writes)

    assert called.outcome is Outcome.PASS
    sent = [request for request in asked if not request.startswith(b"GET")]
    assert len(sent) == 1
    assert sent[0].startswith(b"PUT /api/loads HTTP/1.1\r\n")
    assert sent[0].endswith(b"{}")
    assert b"cookie" not in sent[0].lower()
    assert b"authorization" not in sent[0].lower()


def test_nothing_is_written_that_the_plan_does_not_list() -> None:
    asked: list[bytes] = []
    exposed({}, asked, closed_writes=[])

    assert {request.split(b" ")[0] for request in asked} == {b"GET"}
    assert Settings().closed_writes == ()


def test_a_port_is_named_with_its_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        called = exposed({}, closed_ports=[free_port(), port])

    assert called.bad == {"127.0.0.1 open ports": [str(port)]}
    assert str(port) in called.reason


def test_a_target_that_is_gone_has_no_closed_ports() -> None:
    called = call(exposure, target_at({"base_url": f"http://127.0.0.1:{free_port()}"}, edge=PLAN))

    assert called.outcome is Outcome.FAIL
    assert "connection refused" in str(called["accepts"].actual)
    assert "refused" in str(called["/ answers"].actual)


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def looked(issuer: Authority) -> Callable[..., Called]:
    """Calls http.edge before a site; ``location`` is where plain HTTP leads, {} stands for the encrypted origin."""

    def look(
        answers: dict[str, Any] | None = None,
        status: int = 301,
        location: str = "{}/?gonogo=edge",
        **plan: Any,
    ) -> Called:
        with serve(site({"/": PAGE, **(answers or {})}), issuer.context()) as web:
            base = f"https://{NAME}:{web.port}"
            moved = (status, {"Location": location.format(base)}, b"")
            with serve(site({"/": moved})) as plain:
                info = {"base_url": base, "ca_file": str(issuer.ca_file)}
                changed = {**PLAN, "http_port": plain.port, **plan}
                return call(http_edge, target_at(info, edge=changed, address={NAME: "127.0.0.1"}))

    return look


def test_a_good_site_is_green(looked: Callable[..., Called]) -> None:
    called = looked()

    assert (called.outcome, called.bad) == (Outcome.PASS, {}), called.reason
    assert "edge.json" in called.evidence


@pytest.mark.parametrize(
    ("status", "location", "names"),
    [
        (302, "{}/?gonogo=edge", ["plain HTTP answers"]),
        (301, "{}/", ["plain HTTP leads to"]),
        (301, "https://parking.example/", ["plain HTTP leads to", "redirects"]),
        (301, "/?gonogo=edge", ["plain HTTP leads to", "redirects"]),
        (200, "", ["plain HTTP answers", "plain HTTP leads to", "redirects"]),
    ],
)
def test_plain_http_leads_to_the_same_page(
    looked: Callable[..., Called], status: int, location: str, names: list[str]
) -> None:
    assert list(looked(status=status, location=location).bad) == [f"127.0.0.1 {name}" for name in names]


def test_a_plan_may_allow_a_temporary_redirect(looked: Callable[..., Called]) -> None:
    assert looked(status=307, redirect_status=[301, 307, 308]).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("changed", "name", "says"),
    [
        ({"Content-Type": "text/plain"}, "pages that are not", "/: 200 text/plain"),
        ({"Strict-Transport-Security": "max-age=31536000, max-age=1"}, "strict-transport", "unusable"),
        ({"Strict-Transport-Security": "max-age=15767999"}, "strict-transport", "15767999"),
        ({"Content-Security-Policy": "frame-ancestors 'none'"}, "content-security", "/: frame-ancestors 'none'"),
        ({"Content-Security-Policy": "default-src 'self'"}, "framed", "neither frame-ancestors"),
        ({"Referrer-Policy": "unsafe-url"}, "referrer-policy", "/: unsafe-url"),
        ({"Referrer-Policy": "same-origin, no-referrer-when-downgrade"}, "referrer-policy", "downgrade"),
        ({"X-Content-Type-Options": "none"}, "x-content-type", "/: none"),
        ({"X-Powered-By": "PHP/8.1.2"}, "versions", "x-powered-by: PHP/8.1.2"),
    ],
)
def test_a_header_that_is_wrong_is_named(
    looked: Callable[..., Called], changed: dict[str, str], name: str, says: str
) -> None:
    called = looked({"/": (200, {**GOOD, **changed}, b"<h1>Hello</h1>")})

    assert says in str(next(m.actual for m in called.measurements if name in m.name and m.ok is False))
    assert len([m for m in called.measurements if m.ok is False]) == 1


def test_a_header_of_the_plan_that_is_allowed_twice(looked: Callable[..., Called]) -> None:
    twice = {**GOOD, "X-Content-Type-Options": "nosniff, nosniff", "Referrer-Policy": "unsafe-url, strict-origin"}

    assert looked({"/": (200, twice, b"x")}).outcome is Outcome.PASS


def test_answers_that_are_no_json(looked: Callable[..., Called]) -> None:
    kinds = {"a": "application/json", "b": "application/problem+json; x=y", "c": "text/html", "d": ""}
    answers = {f"/{k}": (200, {"Content-Type": v} if v else {}, b"{}") for k, v in kinds.items()}
    called = looked(answers, api=["/a", "/b", "/c", "/d", "/e"])

    assert list(called.bad.values()) == [
        ["/c: 200 with content type text/html", "/d: 200 with content type missing", "/e: 404"]
    ]


def test_what_calls_itself_json_or_a_page_and_is_neither(looked: Callable[..., Called]) -> None:
    json_type = {"Content-Type": "application/json"}
    called = looked({"/": (200, GOOD, b" \n"), "/a": (200, json_type, b"<h1>Hello</h1>")}, api=["/a"])

    assert called.bad["127.0.0.1 pages that are not 200 and HTML here"] == ["/: 200 with an empty body"]
    assert called.bad["127.0.0.1 paths that are not 200 and JSON"] == [
        "/a: 200 with content type application/json, and a body that is not JSON"
    ]


def test_an_address_that_this_machine_has_no_way_to_is_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "has_way", lambda address: ":" not in address)  # as on a machine without IPv6
    for gate in (http_edge, exposure):
        called = call(gate, target_at({"base_url": f"https://{NAME}"}, edge=PLAN, address={NAME: "2001:db8::1"}))
        assert called.outcome is Outcome.INCONCLUSIVE
        assert "no way to IPv6" in str(called["2001:db8::1 answers"].actual)

    assert has_way("192.0.2.1")
    assert has_way("fe80::1")  # wrong wherever it is asked for, so no fault of this machine


def test_pages_too_small_to_compress_prove_nothing(looked: Callable[..., Called]) -> None:
    small = looked(compression=True)
    large = looked({"/": (200, GOOD, b"x" * 2000)}, compression=True)

    assert small.outcome is Outcome.INCONCLUSIVE
    assert list(large.bad.values()) == [["/: identity, 2000 bytes"]]


def test_a_page_that_breaks_once_gzip_is_asked_for_is_not_compressed(issuer: Authority) -> None:
    def handler(connection: socket.socket, stopping: threading.Event) -> None:
        while request := read_request(connection):
            broken = b"gzip" in request
            head = "500 X\r\nContent-Encoding: gzip" if broken else "200 X"
            body = b"" if broken else b"x" * 2000
            connection.sendall(f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    with serve(handler) as server, Edge("127.0.0.1", timeout_s=2.0) as client:
        found = edge_lines.uncompressed(client, [client.ask(f"{server.url}/")])

    assert found == (["/: 500 with 0 bytes, once gzip is asked for"], 1)


def test_a_version_in_an_error_page_and_in_a_redirect(looked: Callable[..., Called]) -> None:
    page = looked({"*": (404, {}, b"<hr><center>nginx/1.22.1</center>")})
    api = looked(
        {"/api": (200, {"Content-Type": "application/json", "Server": "Werkzeug/3.0.1"}, b"{}")}, api=["/api"]
    )

    assert page.bad == {"127.0.0.1 versions told": ["error page: nginx/1.22.1"]}
    assert api.bad == {"127.0.0.1 versions told": ["server: Werkzeug/3.0.1"]}


@pytest.mark.parametrize("answer", [200, 301, 500, (302, {"Location": "/login"}, b"")], ids=str)
def test_a_path_that_nobody_made_is_not_there(looked: Callable[..., Called], answer: Any) -> None:
    called = looked({"*": answer})

    assert list(called.bad) == ["127.0.0.1 unknown paths that are answered"]
    assert looked({"*": 410}).outcome is Outcome.PASS


def test_an_unencrypted_target_is_red_at_once() -> None:
    called = call(http_edge, target_at({"base_url": f"http://127.0.0.1:{free_port()}"}, edge=PLAN))

    assert called.bad == {"scheme of base_url": "http"}


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        ({"headers": {"x": "("}}, "no regular expression"),
        ({"closed_ports": [0]}, "1 to 65535"),
        ({"closed_ports": ["5432"]}, "DATABASE_PORT"),
        ({"closed_ports": []}, "at least 1"),
        ({"pages": []}, "at least 1"),
        ({"pages": ["here"]}, "begin with a slash"),
        ({"closed_writes": [{"method": "GET", "path": "/"}]}, "POST"),
        ({"unknown": True}, "unknown"),
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(plan: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Settings.model_validate(plan)


def test_settings_have_the_standards_as_defaults() -> None:
    settings = Settings.model_validate({"headers": {"X-Own": "a|b"}, "http_port": "${PORT}"})

    assert settings.headers == {"x-own": "a|b"}
    assert settings.hsts_min_s == 15_768_000
    assert 5432 in settings.closed_ports
    assert len(set(settings.closed_ports)) == len(settings.closed_ports)
