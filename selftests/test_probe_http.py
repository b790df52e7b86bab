"""The HTTP probe tells the truth and keeps its limits, whatever the server does."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

import servers
from gonogo.errors import TargetError, ToolError
from gonogo.probes.http import HttpProbe, lookup


def refused(url: str, limit_s: float = 1.0, **options: object) -> str:
    """The sentence with which a GET fails; it must come within its limit and one second."""
    started = time.monotonic()
    with HttpProbe(url, **options) as probe, pytest.raises(TargetError) as failure:  # type: ignore[arg-type]
        probe.get("/", timeout_s=limit_s)
    assert time.monotonic() - started < limit_s + 1
    assert "\n" not in str(failure.value)
    return str(failure.value)


def test_facts() -> None:
    """Status, headers, body and time are those of the answer."""
    body = b'{"status": "healthy", "pool": {"max": 10}}'
    handler = servers.answer(body, headers="Content-Type: Application/JSON; charset=utf-8", delay_s=0.2)
    with servers.serve(handler) as server, HttpProbe(server.url) as probe:
        facts = probe.get("/x", params={"limit": 3})

    assert facts.url == f"{server.url}/x?limit=3"
    assert facts.status == 200
    assert facts.content_type == "application/json"
    assert facts.body == body
    assert 0.2 <= facts.elapsed_s < 1.0
    assert lookup(facts.json(), "pool.max") == 10


@pytest.mark.parametrize("path", ["missing", "pool.missing", "pool.max.deeper", "list.0"])
def test_lookup_of_what_is_not_there(path: str) -> None:
    """A path that leads nowhere is None, not an error."""
    assert lookup({"pool": {"max": 10}, "list": [1]}, path) is None


@pytest.mark.parametrize("body", [b"", b"<html>", b"[" * 100_000, b"\xff\xfe"])
def test_body_that_is_not_json(body: bytes) -> None:
    """A body that is not JSON is a sentence that shows how it starts."""
    with servers.serve(servers.answer(body)) as server, HttpProbe(server.url) as probe:
        facts = probe.get("/")
        with pytest.raises(TargetError, match="not JSON; it starts with"):
            facts.json()


def test_refusal_names_the_address() -> None:
    """Nobody listens: the sentence names address and port."""
    port = servers.free_port()

    assert f"127.0.0.1 port {port}" in refused(f"http://127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("handler", "says"),
    [
        pytest.param(servers.hang, "not answered completely within 1 s", id="hangs"),
        pytest.param(servers.garbage, "not answered in proper HTTP", id="garbage"),
        pytest.param(servers.hang_up, "not answered in proper HTTP", id="hangs-up"),
        pytest.param(servers.drip(b""), "within 1 s", id="drips-from-the-start"),
        pytest.param(servers.drip(b"HTTP/1.1 200 OK\r\nX-A: "), "within 1 s", id="drips-a-header"),
        pytest.param(servers.drip(servers.HEAD + b"\r\n"), "within 1 s", id="drips-a-body"),
        pytest.param(servers.flood, "more than the 5000000 bytes", id="sends-1-GB"),
        pytest.param(
            servers.answer(b"", "302 Found", "Location: /again"), "more than 5 times", id="redirects-for-ever"
        ),
        pytest.param(
            servers.answer(b"", "302 Found", "Location: http://["), "another host", id="redirects-nowhere"
        ),
        pytest.param(
            servers.answer(b"no gzip", "200 OK", "Content-Encoding: gzip"), "can't be decoded", id="bad-gzip"
        ),
    ],
)
def test_bad_server(handler: servers.Handler, says: str) -> None:
    """Each bad server ends in a sentence within the limit."""
    with servers.serve(handler) as server:
        assert says in refused(server.url)


def test_slow_redirects_share_one_limit() -> None:
    """Redirects of 0.4 s each do not get a limit of their own each."""
    handler = servers.answer(b"", "302 Found", "Location: /again", delay_s=0.4)
    with servers.serve(handler) as server:
        assert "within 1 s" in refused(server.url)


def test_redirect_is_followed_and_told() -> None:
    """The answer is the last one's; the way there is kept."""
    with (
        servers.serve(servers.answer(b"here")) as last,
        servers.serve(servers.answer(b"", "301 Moved", f"Location: {last.url}/end")) as first,
        HttpProbe(first.url) as probe,
    ):
        facts = probe.get("/")

    assert (facts.url, facts.body) == (f"{last.url}/end", b"here")
    assert facts.redirects == (f"{first.url}/",)


def test_samples_share_a_connection() -> None:
    """A series is made over one kept connection, and every time is kept."""
    with servers.serve(servers.answer(b"ok", delay_s=0.01)) as server, HttpProbe(server.url) as probe:
        samples = probe.sample("/", 20)

    assert samples.statuses == (200,) * 20
    assert min(samples.elapsed_s) >= 0.01
    assert len(server.accepted) == 1


def test_samples_stop_when_their_time_is_over() -> None:
    """A slow target gets fewer samples, not a longer wait."""
    with servers.serve(servers.answer(b"ok", delay_s=0.3)) as server, HttpProbe(server.url) as probe:
        samples = probe.sample("/", 100, timeout_s=2.0, budget_s=1.0)

    assert 1 < len(samples.elapsed_s) < 6


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> servers.Authority:
    return servers.authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def https(ca: servers.Authority) -> Callable[..., AbstractContextManager[servers.Server]]:
    return lambda **leaf: servers.serve(servers.answer(b"ok"), ca.context(**leaf))


def test_mapped_name_is_verified(
    ca: servers.Authority, https: Callable[..., AbstractContextManager[servers.Server]]
) -> None:
    """A name that no DNS knows is reached at the mapped address, under its own name."""
    with https() as server:
        asked: list[tuple[str, int]] = []

        def connect_to(host: str, port: int) -> tuple[str, int]:
            asked.append((host, port))
            return server.address

        with HttpProbe("https://app.fleet.test", ca_file=ca.ca_file, connect_to=connect_to) as probe:
            assert probe.get("/").body == b"ok"

    assert asked == [("app.fleet.test", 443)]


@pytest.mark.parametrize(
    ("leaf", "says"),
    [
        ({"name": "other.fleet.test"}, "Hostname mismatch"),
        ({"days": -1}, "expired"),
        ({"send_intermediate": False}, "unable to get local issuer"),
    ],
)
def test_bad_certificate_is_refused(
    ca: servers.Authority,
    https: Callable[..., AbstractContextManager[servers.Server]],
    leaf: dict[str, object],
    says: str,
) -> None:
    """Wrong name, expired, incomplete: refused, with OpenSSL's reason."""
    with https(**leaf) as server:
        sentence = refused("https://app.fleet.test", ca_file=ca.ca_file, connect_to=lambda *_: server.address)

    assert "certificate was refused" in sentence
    assert says in sentence


def test_unknown_authority_is_refused(
    tmp_path: Path, https: Callable[..., AbstractContextManager[servers.Server]]
) -> None:
    """A chain of another authority is refused."""
    other = servers.authority(tmp_path)
    with https() as server:
        sentence = refused("https://app.fleet.test", ca_file=other.ca_file, connect_to=lambda *_: server.address)

    assert "certificate was refused" in sentence


def test_redirect_out_of_tls_is_refused(ca: servers.Authority) -> None:
    """A redirect from https to http is not followed."""
    handler = servers.answer(b"", "302 Found", "Location: http://app.fleet.test/")
    with servers.serve(handler, ca.context()) as server:
        sentence = refused("https://app.fleet.test", ca_file=ca.ca_file, connect_to=lambda *_: server.address)

    assert "unencrypted http://app.fleet.test/" in sentence


def test_slow_tls_handshake_keeps_the_limit(ca: servers.Authority) -> None:
    """A server that accepts and never shakes hands is given up in time."""
    with servers.serve(servers.hang) as server:
        sentence = refused("https://app.fleet.test", ca_file=ca.ca_file, connect_to=lambda *_: server.address)

    assert "within 1 s" in sentence


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_unusable_ca_file_is_our_fault(tmp_path: Path, content: str | None) -> None:
    """A list of authorities that can't be read is a ToolError that names the file."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)

    with pytest.raises(ToolError, match=r"ca\.pem can't be used"):
        HttpProbe("https://app.fleet.test", ca_file=file)


def stubborn(refusals: int, body: bytes = b"{}") -> servers.Handler:
    """Hangs up on so many connections, then answers."""
    left = list(range(refusals))

    def handler(connection: socket.socket, stopping: threading.Event) -> None:
        if left:
            left.pop()
            servers.hang_up(connection, stopping)
        else:
            servers.answer(body)(connection, stopping)

    return handler


def test_an_error_of_the_wire_is_retried_and_told() -> None:
    with servers.serve(stubborn(2)) as server, HttpProbe(server.url) as probe:
        facts = probe.get("/", retries=2)

    assert facts.status == 200
    assert len(facts.transport_errors) == 2
    assert "without sending a response" in facts.transport_errors[0]


def test_retries_end_and_the_sentence_counts_them() -> None:
    port = servers.free_port()
    with HttpProbe(f"http://127.0.0.1:{port}") as probe, pytest.raises(TargetError, match="and so 3 times before"):
        probe.get("/", retries=3)


def test_retries_keep_the_time_limit() -> None:
    started = time.monotonic()
    port = servers.free_port()
    with HttpProbe(f"http://127.0.0.1:{port}") as probe, pytest.raises(TargetError):
        probe.get("/", timeout_s=0.5, retries=1000)

    assert time.monotonic() - started < 1.0


@pytest.mark.parametrize(
    "handler",
    [
        pytest.param(servers.answer(b"", "500 Internal Server Error"), id="status"),
        pytest.param(servers.garbage, id="garbage"),
        pytest.param(servers.answer(b"", "302 Found", "Location: http://elsewhere.test/"), id="redirect"),
    ],
)
def test_a_verdict_is_never_retried(handler: servers.Handler) -> None:
    with servers.serve(handler) as server, HttpProbe(server.url) as probe:
        with contextlib.suppress(TargetError):
            assert probe.get("/", retries=5).status == 500
        assert len(server.accepted) == 1


def test_a_bad_certificate_is_never_retried(
    ca: servers.Authority, https: Callable[..., AbstractContextManager[servers.Server]]
) -> None:
    with https() as server:
        probe = HttpProbe("https://other.fleet.test", ca_file=ca.ca_file, connect_to=lambda *_: server.address)
        with probe, pytest.raises(TargetError, match="Hostname mismatch"):
            probe.get("/", retries=5)
        assert len(server.accepted) == 1


def test_a_failed_sample_is_kept_and_not_repeated() -> None:
    with servers.serve(stubborn(1)) as server, HttpProbe(server.url) as probe:
        samples = probe.sample("/", 5)

    assert (samples.n, samples.statuses, len(samples.failures)) == (5, (200,) * 4, 1)


def test_fresh_samples_take_a_connection_each() -> None:
    def handler(connection: socket.socket, stopping: threading.Event) -> None:
        while b"onnection: close" not in servers.read_request(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")

    with servers.serve(handler) as server, HttpProbe(server.url) as probe:
        assert probe.sample("/", 4, fresh=True).statuses == (200,) * 4
        assert len(server.accepted) == 4


def test_no_cookie_leads_to_one_instance() -> None:
    requests: list[bytes] = []

    def handler(connection: socket.socket, stopping: threading.Event) -> None:
        while request := servers.read_request(connection):
            requests.append(request)
            connection.sendall(b"HTTP/1.1 200 OK\r\nSet-Cookie: server=a\r\nContent-Length: 2\r\n\r\n{}")

    with servers.serve(handler) as server, HttpProbe(server.url) as probe:
        probe.sample("/", 3)

    assert len(requests) == 3
    assert not any(b"server=a" in request for request in requests)
