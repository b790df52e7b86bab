"""The probes of the outer side: what headers say, which ports answer, one exchange at a time."""

from __future__ import annotations

import itertools
import json
import socket
import ssl
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonogo.errors import TargetError, ToolError
from gonogo.probes.edge import MAX_HOPS, Edge, canonical, origin, path_of
from gonogo.probes.headers import frames_restricted, hsts_max_age_s, versions_told
from gonogo.probes.ports import try_ports
from gonogo.transport import http2_context
from servers import Authority, Handler, answer, authority, drip, free_port, garbage, hang, read_request, serve


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("max-age=31536000", 31536000),
        ("max-age=0", 0),
        ('includeSubDomains; MAX-AGE = "15768000" ; preload;', 15768000),
        ("max-age=1; unknown=x", 1),
        ("includeSubDomains", None),
        ("", None),
        ("max-age", None),
        ("max-age=", None),
        ("max-age=-1", None),
        ("max-age=1e9", None),
        ("max-age=31536000, max-age=1", None),
        ("max-age=1; max-age=31536000", None),
        ("max-age=31536000 includeSubDomains", None),
        ("max-age=٣٦٠٠", None),
        ("31536000", None),
        ("max-age=" + "9" * 400, None),
    ],
)
def test_hsts_is_read_as_browsers_read_it(value: str, seconds: int | None) -> None:
    assert hsts_max_age_s(value) == seconds


@given(st.text(max_size=60))
def test_any_header_is_read_without_a_crash(text: str) -> None:
    assert hsts_max_age_s(text) is None or hsts_max_age_s(text) >= 0
    versions_told([("server", text)], text)
    frames_restricted([text], [text])


@pytest.mark.parametrize(
    ("policies", "options", "restricted"),
    [
        (["default-src 'self'; frame-ancestors 'none'"], [], True),
        (["Frame-Ancestors 'self' https://portal.example"], [], True),
        (["frame-ancestors *"], ["DENY"], False),  # browsers that know frame-ancestors ignore the other one
        (["frame-ancestors https:"], [], False),
        (["frame-ancestors https://*"], [], False),
        (["frame-ancestors 'self' *:443"], [], False),
        (["frame-ancestors https://*.example.com"], [], True),
        (["frame-ancestors *; frame-ancestors 'none'"], [], False),  # of several in one policy the first counts
        (["default-src 'self'", "frame-ancestors 'none'"], [], True),
        (["default-src 'self', frame-ancestors 'none'"], [], True),
        (["default-src 'self'"], ["SAMEORIGIN"], True),
        (["default-src 'self'"], ["deny", "DENY"], True),
        ([], ["ALLOW-FROM https://x.example"], False),
        ([], ["DENY, ALLOWALL"], False),
        (["default-src frame-ancestors"], [], False),
        ([], [], False),
    ],
)
def test_framing(policies: list[str], options: list[str], restricted: bool) -> None:
    assert frames_restricted(policies, options) is restricted


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("server", "nginx/1.18.0 (Ubuntu)", True),
        ("server", "nginx", False),
        ("server", "Apache/2", True),
        ("server", "Microsoft-IIS/10.0", True),
        ("server", "AmazonS3", False),
        ("server", "awselb/2.0", False),
        ("server", "h2o", False),
        ("server", "ECS (dcb/7EC7)", False),
        ("x-powered-by", "PHP/8.1.2", True),
        ("x-powered-by", "Express", False),
        ("x-aspnet-version", "4.0.30319", True),
        ("via", "1.1 varnish", False),
        ("content-type", "text/html; version=1.2", False),
    ],
)
def test_versions(name: str, value: str, told: bool) -> None:
    assert versions_told([(name, value)]) == ([f"{name}: {value}"] if told else [])


def test_a_version_in_an_error_page() -> None:
    assert versions_told([], "<hr><center>nginx/1.22.1</center>") == ["error page: nginx/1.22.1"]
    assert versions_told([], "<h1>404</h1> nginx") == []


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("https://APP.example:443/a?b#c", "https://app.example/a?b"),
        ("http://app.example:80", "http://app.example/"),
        ("https://app.example:8443/", "https://app.example:8443/"),
        ("https://[::1]:8443/", "https://[::1]:8443/"),
        ("https://münchen.example/ä?b=%c3 d", "https://xn--mnchen-3ya.example/%C3%A4?b=%C3%20d"),
        ("https://app.example:0/", "https://app.example:0/"),
        ("https://app.example:port/", "https://app.example:port/"),
    ],
)
def test_addresses_are_compared_in_one_form(url: str, same: str) -> None:
    assert canonical(url) == same
    assert path_of("https://app.example") == "/"
    assert origin("https://app.example:port/") == ("", "", 0)


# Ports


def test_open_and_closed_ports_are_told_apart() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        there, nobody = listener.getsockname()[1], free_port()
        facts = try_ports("127.0.0.1", [there, nobody, there], 2.0)

    assert [(one.port, one.open, one.answer) for one in facts] == [
        (there, True, "accepted"),
        (nobody, False, "connection refused"),
    ]


def test_ports_that_stay_silent_cost_the_limit_once() -> None:
    with ExitStack() as opened:
        silent = []
        for _ in range(5):
            listener = opened.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
            silent.append(listener.getsockname()[1])
            for _ in range(3):  # a full queue answers no further connection
                filler = opened.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(listener.getsockname())
        begun = time.monotonic()
        facts = try_ports("127.0.0.1", silent, 0.3)
        took = time.monotonic() - begun

    assert {(one.open, one.answer) for one in facts} == {(False, "no answer")}
    assert took < 1.0


def test_many_ports_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        there = listener.getsockname()[1]
        facts = try_ports("127.0.0.1", [*range(1, 600), there], 5.0)

    assert len(facts) == 600 - (there < 600)
    assert facts[-1].open


def test_what_is_no_address_is_our_own_fault() -> None:
    with pytest.raises(ToolError, match=r"not\.an\.address"):
        try_ports("not.an.address", [1])


# Exchanges


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("authority"))


def asking(issuer: Authority) -> Edge:
    return Edge("127.0.0.1", ca_file=issuer.ca_file, timeout_s=2.0)


def test_one_exchange_keeps_all_there_is(issuer: Authority) -> None:
    headers = "Server: a\r\nX-Twice: 1\r\nx-twice: 2\r\nContent-Type: Text/HTML; charset=utf-8"
    with serve(answer(b"hello", headers=headers)) as server, asking(issuer) as client:
        got = client.ask(f"{server.url}/a?b")

    assert (got.status, got.text, got.version, got.content_type) == (200, "hello", "HTTP/1.1", "text/html")
    assert got.header("X-Twice") == "1, 2"
    assert got.values("none") == []
    assert got.header("none") is None
    assert (got.address, got.tries, got.leads_to) == ("127.0.0.1", 1, None)


def test_no_cookie_is_kept_or_shown(issuer: Authority) -> None:
    asked: list[bytes] = []

    def handler(connection: socket.socket, stopping: threading.Event) -> None:
        while request := read_request(connection):
            asked.append(request)
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nSet-Cookie: session=s3cret; HttpOnly\r\nContent-Length: 0\r\n\r\n"
            )

    with serve(handler) as server, asking(issuer) as client:
        told = json.dumps([client.ask(server.url).to_dict() for _ in range(2)])

    assert len(asked) == 2
    assert not [request for request in asked if b"cookie" in request.lower()]
    assert "s3cret" not in told
    assert "session=(hidden); HttpOnly" in told


def test_only_the_beginning_of_a_long_body_is_read(issuer: Authority) -> None:
    with serve(answer(b"x" * 50_000)) as server, asking(issuer) as client:
        got = client.ask(server.url, max_bytes=1000)
        again = client.ask(server.url, max_bytes=50_000)

    assert (len(got.body), got.complete) == (1000, False)
    assert (len(again.body), again.complete) == (50_000, True)


def breaks_first(times: int) -> tuple[list[str], Handler]:
    """A server that closes the connection under so many requests, then answers; and what it was asked."""
    asked: list[str] = []
    turn = itertools.count()

    def handler(connection: socket.socket, stopping: threading.Event) -> None:
        request = read_request(connection)
        if request:
            asked.append(request.decode().partition(" ")[0])
            if next(turn) >= times:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")

    return asked, handler


def test_a_connection_that_breaks_is_tried_once_more_and_shown(issuer: Authority) -> None:
    asked, handler = breaks_first(1)
    with serve(handler) as server, asking(issuer) as client:
        got = client.ask(server.url)

    assert (got.status, got.tries, asked) == (200, 2, ["GET", "GET"])


def test_not_more_than_once(issuer: Authority) -> None:
    asked, handler = breaks_first(9)
    with (
        serve(handler) as server,
        asking(issuer) as client,
        pytest.raises(TargetError, match="GET http.* at 127.0.0.1 was not answered in proper"),
    ):
        client.ask(server.url)

    assert asked == ["GET", "GET"]


def test_a_write_is_never_sent_twice(issuer: Authority) -> None:
    asked, handler = breaks_first(1)
    with serve(handler) as server, asking(issuer) as client, pytest.raises(TargetError, match="POST"):
        client.ask(server.url, method="POST", body=b"{}")

    assert asked == ["POST"]


def test_a_bad_status_is_never_asked_for_again(issuer: Authority) -> None:
    with serve(answer(b"", status="500 Oops")) as server, asking(issuer) as client:
        assert (client.ask(server.url).status, client.ask(server.url).tries) == (500, 1)
        assert len(server.accepted) == 1


@pytest.mark.parametrize(
    ("handler", "says"),
    [
        (hang, "not answered completely within 0.5 s"),
        (drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"), "not answered completely within 0.5 s"),
        (drip(b"HTTP/1.1 200 OK\r\n", b"a"), "not answered completely within 0.5 s"),
        (garbage, "not answered in proper HTTP"),
        (answer(b"nonsense", headers="Content-Encoding: gzip"), "can't be decoded"),
    ],
    ids=["hangs", "drips its body", "drips its head", "no HTTP", "no gzip"],
)
def test_a_bad_answer_is_a_sentence_in_time(handler: Handler, says: str) -> None:
    begun = time.monotonic()
    with serve(handler) as server, Edge("127.0.0.1", timeout_s=0.5) as edge:
        with pytest.raises(TargetError, match=says) as raised:
            edge.ask(server.url)
        assert time.monotonic() - begun < 1.5

    assert server.url in str(raised.value)
    assert "\n" not in str(raised.value)


def test_nobody_there_and_a_bad_certificate(issuer: Authority) -> None:
    with asking(issuer) as client, pytest.raises(TargetError, match="could not be connected: .*refused"):
        client.ask(f"http://app.fleet.test:{free_port()}/")
    with (
        serve(answer(b""), issuer.context("other.fleet.test")) as server,
        asking(issuer) as client,
        pytest.raises(TargetError, match="certificate was refused.*app.fleet.test"),
    ):
        client.ask(f"https://app.fleet.test:{server.port}/")
    with asking(issuer) as client, pytest.raises(TargetError, match="ftp"):
        client.ask("ftp://app.fleet.test/")


def test_an_authority_that_is_none_is_our_own_fault(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    for http2 in (False, True):
        with pytest.raises(ToolError, match="empty.pem"):
            Edge("127.0.0.1", ca_file=tmp_path / "empty.pem", http2=http2)


# Redirects


def redirecting(locations: dict[str, str]) -> Handler:
    """A server that sends these paths on and answers all others."""

    def handler(connection: socket.socket, stopping: threading.Event) -> None:
        while request := read_request(connection):
            path = request.split(b" ")[1].decode()
            there = locations.get(path)
            head = f"302 Found\r\nLocation: {there}" if there else "200 OK"
            connection.sendall(f"HTTP/1.1 {head}\r\nContent-Length: 0\r\n\r\n".encode())

    return handler


@pytest.mark.parametrize(
    ("locations", "passed", "leads_to"),
    [
        ({"/": "/a", "/a": "b?c#d"}, ["/", "/a", "/b?c"], None),
        ({"/": "https://parking.example/"}, ["/"], "https://parking.example/"),
        ({"/": "//parking.example/x"}, ["/"], "http://parking.example/x"),
        ({"/": "/"}, ["/"] * (MAX_HOPS + 1), "http://"),
        ({"/": "ftp://app.fleet.test/"}, ["/"], "ftp://app.fleet.test/"),
        ({"/": "http://[half"}, ["/"], "http://[half"),
    ],
)
def test_redirects_are_followed_on_the_host_and_to_an_end(
    issuer: Authority, locations: dict[str, str], passed: list[str], leads_to: str | None
) -> None:
    with serve(redirecting(locations)) as server, asking(issuer) as client:
        chain = client.follow(f"http://app.fleet.test:{server.port}/")

    assert [path_of(one.url) for one in chain] == passed
    last = chain[-1].leads_to
    assert last is None if leads_to is None else (last or "").startswith(leads_to)


def test_encryption_is_never_given_up_for_a_redirect(issuer: Authority) -> None:
    with (
        serve(answer(b"plain")) as plain,
        serve(
            redirecting({"/": f"http://app.fleet.test:{plain.port}/"}),
            issuer.context(),
        ) as encrypted,
        asking(issuer) as client,
    ):
        chain = client.follow(f"https://app.fleet.test:{encrypted.port}/")

    assert len(chain) == 1
    assert plain.accepted == []


# HTTP/2


def test_http2_is_offered_first_as_browsers_do(issuer: Authority) -> None:
    context = http2_context(issuer.ca_file)
    context.set_alpn_protocols(["http/1.1", "h2"])  # as the library does
    sent = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname="app.fleet.test").do_handshake()

    assert b"\x02h2\x08http/1.1" in sent.read()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_a_server_without_http2_is_told_by_what_was_spoken(issuer: Authority) -> None:
    with (
        serve(answer(b""), issuer.context()) as server,
        Edge("127.0.0.1", ca_file=issuer.ca_file, timeout_s=2.0, http2=True) as edge,
    ):
        assert edge.ask(f"https://app.fleet.test:{server.port}/").version == "HTTP/1.1"


def test_a_server_that_promises_http2_and_speaks_nonsense(issuer: Authority) -> None:
    context = issuer.context()
    context.set_alpn_protocols(["h2"])
    with (
        serve(garbage, context) as server,
        Edge("127.0.0.1", ca_file=issuer.ca_file, timeout_s=1.0, http2=True) as edge,
        pytest.raises(TargetError, match="https://app.fleet.test"),
    ):
        edge.ask(f"https://app.fleet.test:{server.port}/")
