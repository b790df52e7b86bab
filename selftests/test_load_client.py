"""The load's HTTP client: what it takes for an answer, what it sends twice, and that its alarm is exact."""

from __future__ import annotations

import math
import resource
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import closing

import gevent
import pytest
from geventhttpclient.response import HTTPConnectionClosed, HTTPParseError

import servers
from gonogo.loadalarm import Alarm
from gonogo.loadclient import Answer, Client, TooLongError

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"


def says(*packets: bytes, then: str = "goes on") -> servers.Handler:
    """Sends these for each request, a moment apart; ``closes`` afterwards, or not."""

    def handler(connection: socket.socket, stopping: threading.Event) -> None:
        while servers.read_request(connection):
            for packet in packets:
                connection.sendall(packet)
                time.sleep(0.01 if len(packets) > 1 else 0)
            if then == "closes":
                return

    return handler


def ask(client: Client, method: str = "GET", path: str = "/", most: int = 1000) -> Answer:
    with gevent.Timeout(5):
        return client.ask(method, client.request(method, path, {}), most)


@pytest.mark.parametrize(
    ("packets", "then", "found", "connections"),
    [
        pytest.param([OK], "goes on", (200, 2), 1, id="length"),
        pytest.param([OK], "closes", (200, 2), 2, id="length-and-closes"),
        pytest.param([bytes([byte]) for byte in OK], "goes on", (200, 2), 1, id="byte-for-byte"),
        pytest.param([CHUNKED, b"3\r\nyes\r\n0\r\n\r\n"], "goes on", (200, 5), 1, id="chunked"),
        pytest.param([b"HTTP/1.1 200 OK\r\n\r\nok", b"ay"], "closes", (200, 4), 2, id="until-the-end"),
        pytest.param([b"HTTP/1.1 103 Soon\r\nA: b\r\n\r\n", OK], "goes on", (200, 2), 1, id="interim"),
        pytest.param([b"HTTP/1.1 204 No\r\n\r\n"], "goes on", (204, 0), 1, id="empty"),
        pytest.param(
            [OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")], "goes on", (200, 2), 2, id="close"
        ),
        pytest.param([OK + OK], "goes on", (200, 2), 2, id="two-for-one"),
        pytest.param([OK + b"junk"], "goes on", (200, 2), 2, id="junk-after-it"),
    ],
)
def test_an_answer_is_read_to_its_end_and_its_connection_kept_if_it_may_be(
    packets: Sequence[bytes], then: str, found: tuple[int, int], connections: int
) -> None:
    with servers.serve(says(*packets, then=then)) as server, closing(Client(server.url)) as client:
        answers = [ask(client) for _ in range(2)]

    assert [(one.status, one.size) for one in answers] == [found] * 2
    assert client.opened == len(server.accepted) == connections


@pytest.mark.parametrize(
    ("packets", "error"),
    [
        pytest.param([b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok"], HTTPParseError, id="too-short"),
        pytest.param([CHUNKED], HTTPParseError, id="no-last-chunk"),
        pytest.param([b"HTTP/1.1 200 O"], HTTPParseError, id="no-head"),
        pytest.param([b"HTTP/1.1 100 Go on\r\n\r\n"], HTTPParseError, id="interim-only"),
        pytest.param([b"220 mail.test ESMTP\r\n"], HTTPParseError, id="another-protocol"),
        pytest.param([b""], HTTPConnectionClosed, id="nothing"),
        pytest.param(
            [b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + b"x" * 9999], TooLongError, id="too-long"
        ),
    ],
)
def test_what_is_no_whole_answer_is_an_error_at_the_first_try(
    packets: Sequence[bytes], error: type[Exception]
) -> None:
    with (
        servers.serve(says(*packets, then="closes")) as server,
        closing(Client(server.url)) as client,
        pytest.raises(error),
    ):
        ask(client)

    assert len(server.accepted) == 1


def test_head_has_no_body_whatever_its_length_says() -> None:
    with (
        servers.serve(says(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\nX-A: b\r\n\r\n")) as server,
        closing(Client(server.url)) as client,
    ):
        answers = [ask(client, "HEAD") for _ in range(2)]

    assert [(one.status, one.size, one.headers["x-a"]) for one in answers] == [(200, 0, "b")] * 2
    assert client.opened == 1


@pytest.mark.parametrize(("method", "asked"), [("GET", 3), ("POST", 2)])
def test_what_a_kept_connection_swallowed_is_sent_again_if_it_may_be(method: str, asked: int) -> None:
    """It read the second request and closed: that one may have been done."""
    heads: list[bytes] = []

    def handler(connection: socket.socket, stopping: threading.Event) -> None:
        first = True
        while head := servers.read_request(connection):
            heads.append(head)
            if not first:
                return
            first = False
            connection.sendall(OK)

    with servers.serve(handler) as server, closing(Client(server.url)) as client:
        ask(client, method)
        if method == "GET":
            assert ask(client, method).status == 200
        else:
            with pytest.raises(HTTPConnectionClosed):
                ask(client, method)

    assert len(heads) == asked


def test_a_kept_connection_that_was_closed_meanwhile_is_not_used() -> None:
    """Also for what may not be sent twice."""
    with servers.serve(says(OK, then="closes")) as server, closing(Client(server.url)) as client:
        statuses = []
        for _ in range(3):
            statuses.append(ask(client, "POST").status)
            time.sleep(0.1)

    assert statuses == [200] * 3
    assert client.opened == 3


def test_connections_with_high_numbers_are_kept_too() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    taken = [socket.socket() for _ in range(1100)]
    try:
        with servers.serve(says(OK)) as server, closing(Client(server.url)) as client:
            assert [ask(client).status for _ in range(3)] == [200] * 3
        assert client.opened == 1
    finally:
        for one in taken:
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_request_says_what_was_given_and_nothing_more() -> None:
    sent = Client("http://app.test:81").request("POST", "/a?b=1", {"X-Who": "us", "user-agent": "me"}, b"{}")
    assert sent == (
        b"POST /a?b=1 HTTP/1.1\r\nHost: app.test:81\r\nuser-agent: me\r\nX-Who: us\r\nContent-Length: 2\r\n\r\n{}"
    )
    assert b"Host: [::1]\r\n" in Client("https://[::1]").request("GET", "/", {})
    assert b"Content-Length" not in Client("http://app.test").request("GET", "/", {})


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/a b", {}),
        ("//other.test/", {}),
        ("a", {}),
        ("/a\r\nX: y", {}),
        ("/", {"X": "a\r\nY: b"}),
        ("/", {"X\n": "a"}),
    ],
)
def test_what_would_be_two_requests_is_refused(path: str, headers: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        Client("http://app.test").request("GET", path, headers)


def test_the_alarm_is_exact_and_lets_others_run() -> None:
    alarm, ran = Alarm(), []
    late = []
    gevent.spawn(lambda: ran.append(True))
    for _ in range(50):
        due = time.perf_counter() + 0.0123
        alarm.until(due)
        late.append(time.perf_counter() - due)
    alarm.until(0.0)
    alarm.close()

    assert ran == [True]
    assert 0 <= min(late) < 0.0004
    assert all(math.isfinite(one) for one in late)
