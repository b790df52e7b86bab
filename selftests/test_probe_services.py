"""Hellos to services: real Redis, mail and web servers, and what is none of them."""

from __future__ import annotations

import contextlib
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from fleetboard.pki import Authority
from gate_calls import Called, call, target_at
from gate_runs import ROOT
from gonogo.errors import TargetError, ToolError
from gonogo.model import Outcome
from gonogo.probes.services import Place, greet
from gonogo.tables.service import Services

sys.path.append(str(ROOT))  # where the gates' own folder is a package

from tests.infra import test_services as service_gates

Talk = Callable[[socket.socket], None]
BANNER = b"220 mail.fleet.test ready\r\n"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create()


@pytest.fixture(scope="module")
def ca_file(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("ca") / "root.pem"
    file.write_bytes(authority.root.pem)
    return file


@pytest.fixture(scope="module")
def server_tls(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    leaf = authority.issue(["service.test"])
    file = tmp_path_factory.mktemp("leaf") / "leaf.pem"
    file.write_bytes(authority.chain(leaf) + leaf.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


@contextlib.contextmanager
def serving(talk: Talk) -> Iterator[int]:
    """A server on a free port that holds this talk with each client, one after another."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        over = threading.Event()

        def run() -> None:
            while not over.is_set():
                with contextlib.suppress(OSError):
                    peer, _ = listening.accept()
                    with peer:
                        peer.settimeout(2)
                        talk(peer)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield int(listening.getsockname()[1])
        finally:
            over.set()
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            thread.join(6)


def lines(*answers: bytes, greeting: bytes = b"") -> Talk:
    """A talk of fixed answers, one for each time that something comes in."""

    def talk(peer: socket.socket) -> None:
        peer.sendall(greeting)
        for answer in answers:
            if not peer.recv(4096):
                return
            peer.sendall(answer)
        peer.recv(4096)

    return talk


def place(port: int, **keys: Any) -> Place:
    return Place("service.test", "127.0.0.1", port, **{"timeout_s": 2.0, **keys})


# Redis


def told(role: bytes) -> bytes:
    """What INFO answers."""
    text = b"# Replication\r\nrole:%s\r\nconnected_slaves:0\r\n" % role
    return b"$%d\r\n%s\r\n" % (len(text), text)


def test_redis_that_answers_tells_its_role() -> None:
    with serving(lines(b"+OK\r\n", b"+PONG\r\n", told(b"master"), b"+OK\r\n")) as port:
        hello = greet("redis", place(port, password="hunter2", writable=True))

    assert hello.said == ("PONG", "role master")
    assert hello.facts == {"role": "master"}
    assert hello.tries == 1
    assert 0 < hello.duration_ms < 2000


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            b"-NOAUTH Authentication required.\r\n",
            "refused PING: NOAUTH Authentication required.; give the service",
        ),
        (b"-LOADING Redis is loading the dataset in memory\r\n", "refused PING: LOADING"),
        (b"+OK\r\n", "it answered PING with b'+OK"),
        (b"$4\r\nPONG\r\n", "it answered PING with b'$4"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "is no Redis server"),
        (b"", "broke the hello off"),
    ],
)
def test_anything_but_pong_is_no_redis(answer: bytes, words: str) -> None:
    def talk(peer: socket.socket) -> None:
        peer.recv(4096)
        peer.sendall(answer)

    with serving(talk) as port, pytest.raises(TargetError) as failure:
        greet("redis", place(port))

    assert words in str(failure.value)
    assert f"service.test (127.0.0.1 port {port})" in str(failure.value)


def test_a_password_never_shows() -> None:
    with serving(lines(b"-WRONGPASS invalid username-password pair\r\n")) as port:
        where = place(port, password="hunter2")
        with pytest.raises(TargetError, match="refused AUTH: WRONGPASS") as failure:
            greet("redis", where)

    assert "hunter2" not in str(failure.value) + repr(where)


# Connections


def test_a_closed_port_is_tried_twice_and_said_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(TargetError, match=r"refused the connection: Connection refused in 2 tries"):
        greet("tcp", place(port))


def test_a_service_that_comes_up_between_two_tries_is_reached() -> None:
    with socket.socket() as late:
        late.bind(("127.0.0.1", 0))  # not listening yet
        timer = threading.Timer(0.05, late.listen)
        timer.start()
        hello = greet("tcp", place(late.getsockname()[1]))
        timer.join()

    assert (hello.tries, hello.said) == (2, ("it accepts connections",))


@pytest.mark.parametrize("kind", ["redis", "smtp", "http", "tls"])
def test_a_silent_service_costs_no_more_than_its_time(kind: str, ca_file: Path) -> None:
    started = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(TargetError, match=r"within 0\.3 s"):
        greet(kind, place(silent.getsockname()[1], timeout_s=0.3, tls=kind == "tls", ca_file=ca_file))

    assert time.monotonic() - started < 1.5


@pytest.mark.parametrize("kind", ["redis", "smtp", "http"])
def test_a_service_that_drips_costs_no_more_than_its_time(kind: str) -> None:
    def talk(peer: socket.socket) -> None:
        for _ in range(40):
            peer.sendall(b"2")
            time.sleep(0.05)

    started = time.monotonic()
    with serving(talk) as port, pytest.raises(TargetError, match=r"within 0\.4 s"):
        greet(kind, place(port, timeout_s=0.4))
    assert time.monotonic() - started < 4


# TLS


def encrypted(context: ssl.SSLContext, talk: Talk) -> Talk:
    def run(peer: socket.socket) -> None:
        with context.wrap_socket(peer, server_side=True) as inner:
            talk(inner)

    return run


def test_tls_is_verified_against_name_and_authority(
    server_tls: ssl.SSLContext, ca_file: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(Authority.create().root.pem)
    with serving(encrypted(server_tls, lines())) as port:
        good = greet("tls", place(port, tls=True, ca_file=ca_file))
        for keys, words in (
            ({"ca_file": other}, "certificate verify failed"),
            ({"ca_file": ca_file, "server_name": "other.test"}, "Hostname mismatch"),
        ):
            with pytest.raises(TargetError, match="failed the TLS handshake") as failure:
                greet("tls", place(port, tls=True, **keys))
            assert words in str(failure.value)
        named = greet(
            "tls", Place("127.0.0.1", "127.0.0.1", port, True, server_name="service.test", ca_file=ca_file)
        )

    assert good.said == ("TLSv1.3, with a certificate that is trusted and for its name",)
    assert named.tries == 1
    with pytest.raises(ToolError, match="can't be used as a list of authorities"):
        greet("tls", place(port, tls=True, ca_file=tmp_path / "none.pem"))


def test_redis_behind_tls(server_tls: ssl.SSLContext, ca_file: Path) -> None:
    talk = lines(b"+PONG\r\n", told(b"slave"), b"+OK\r\n")
    with serving(encrypted(server_tls, talk)) as port:
        hello = greet("redis", place(port, tls=True, ca_file=ca_file, writable=True))

    assert hello.facts == {"role": "slave"}


def test_a_plain_port_fails_the_handshake(ca_file: Path) -> None:
    with (
        serving(lines(b"-ERR unknown\r\n")) as port,
        pytest.raises(TargetError, match="failed the TLS handshake"),
    ):
        greet("redis", place(port, tls=True, ca_file=ca_file))


# SMTP


@pytest.mark.parametrize(
    ("greeting", "answers", "words"),
    [
        (b"554 go away\r\n", [], "answered its banner with '554 go away' instead of 220"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", [], "answered its banner with"),
        (BANNER, [b"421 too busy\r\n"], "answered EHLO with '421 too busy' instead of 250"),
        (BANNER, [b"250 mail.fleet.test\r\n"], "does not offer STARTTLS"),
        (BANNER, [b"250-mail\r\n250 STARTTLS\r\n", b"454 not now\r\n"], "answered STARTTLS with '454 not now'"),
        (BANNER, [b"250-mail\r\n250 STARTTLS\r\n", b"220 go\r\n", b"no TLS"], "failed the TLS handshake"),
    ],
)
def test_a_mail_server_must_say_each_line(greeting: bytes, answers: list[bytes], words: str, ca_file: Path) -> None:
    with serving(lines(*answers, greeting=greeting)) as port, pytest.raises(TargetError) as failure:
        greet("smtp", place(port, starttls=True, ca_file=ca_file))

    assert words in str(failure.value)


def test_mail_with_tls_from_the_first_byte_and_a_login(server_tls: ssl.SSLContext, ca_file: Path) -> None:
    def with_login(verdict: bytes) -> Talk:
        answers = (b"250-mail\r\n250 AUTH PLAIN\r\n", verdict, b"221 bye\r\n")
        return encrypted(server_tls, lines(*answers, greeting=BANNER))

    keys: dict[str, Any] = {"tls": True, "ca_file": ca_file, "user": "fleet", "password": "hunter2"}
    with serving(with_login(b"235 welcome\r\n")) as port:
        hello = greet("smtp", place(port, **keys))
    with (
        serving(with_login(b"535 no\r\n")) as port,
        pytest.raises(TargetError, match="answered AUTH with '535 no' instead of 235") as failure,
    ):
        greet("smtp", place(port, **keys))

    assert hello.said[-2:] == ("AUTH: 235 welcome", "QUIT: 221 bye")
    assert "hunter2" not in str(failure.value)


# HTTP, and the gate


def web(status: int, body: bytes = b"ok") -> Talk:
    return lines(b"HTTP/1.1 %d Whatever\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))


def asked(*needed: dict[str, Any], env: dict[str, str] | None = None, timeout_s: float = 2.0) -> Called:
    info = {"base_url": "https://127.0.0.1:1", "env": env or {}}
    services = {"needed": list(needed), "timeout_s": timeout_s}
    return call(service_gates.test_reachable, target_at(info, services=services))


def test_a_web_service_answers_the_status_of_the_plan() -> None:
    with serving(web(204, b"")) as port:
        url = f"http://127.0.0.1:{port}/ready?deep=1"
        good = asked({"name": "store", "kind": "http", "url": url, "status": 204})
        bad = asked({"name": "store", "kind": "http", "url": url})

    assert good.outcome is Outcome.PASS
    assert bad.outcome is Outcome.FAIL
    assert "answered GET /ready with 204 instead of 200" in bad.reason


def test_one_service_that_is_gone_hides_no_other() -> None:
    with serving(lines()) as port:
        called = asked(
            {"name": "gone", "kind": "tcp", "address": "127.0.0.1:1"},
            {"name": "nameless", "kind": "tcp", "address": "no-such-host.invalid:80"},
            {
                "name": "secret",
                "kind": "redis",
                "address": f"127.0.0.1:{port}",
                "password": {"env": "NOT_SET_AT_ALL"},
            },
            {"name": "there", "kind": "tcp", "address": "$THERE"},
            env={"THERE": f"127.0.0.1:{port}"},
        )

    assert called.outcome is Outcome.FAIL
    assert "the password of the service secret is read from NOT_SET_AT_ALL" in called.reason
    assert set(called.bad) == {"gone at 127.0.0.1 port 1 accepts connections", "nameless is found"}
    assert called[f"there at 127.0.0.1 port {port} accepts"].ok is True


def test_a_service_that_takes_too_long_is_red() -> None:
    def slow(peer: socket.socket) -> None:
        time.sleep(0.15)
        web(200)(peer)

    with serving(slow) as port:
        url = f"http://127.0.0.1:{port}/"
        called = asked({"name": "slow", "kind": "http", "url": url, "max_ms": 100.0})

    assert called.outcome is Outcome.FAIL
    assert list(called.bad) == [f"slow at 127.0.0.1 port {port}: time"]


@pytest.mark.parametrize(
    "address", ["cache", "cache:0x7", "cache:99999", ":6379", "redis://cache:6379", "u:p@cache:1"]
)
def test_an_address_that_is_none_is_our_fault(address: str) -> None:
    called = asked({"name": "cache", "kind": "redis", "address": "$ADDRESS"}, env={"ADDRESS": address})

    assert called.outcome is Outcome.ERROR
    assert "the address of the service cache is" in called.reason
    assert "u:p@" not in called.reason


@pytest.mark.parametrize(
    "service",
    [
        {"name": "a", "kind": "http", "address": "b:1"},
        {"name": "a", "kind": "redis"},
        {"name": "a", "kind": "redis", "address": "b:1", "starttls": True},
        {"name": "a", "kind": "tcp", "address": "b:1", "tls": True},
        {"name": "a", "kind": "smtp", "address": "b:1", "tls": True, "starttls": True},
        {"name": "a", "kind": "smtp", "address": "b:1", "user": "u", "password": {"env": "X"}},
        {"name": "a", "kind": "redis", "address": "b:1", "user": "u"},
        {"name": "a", "kind": "redis", "address": "b:1", "password": "plain"},
        {"name": "a", "kind": "ftp", "address": "b:1"},
    ],
)
def test_plans_that_make_no_sense_are_refused(service: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Services(needed=(service,))  # type: ignore[arg-type]


def test_names_are_told_apart() -> None:
    one = {"name": "a", "kind": "tcp", "address": "b:1"}
    with pytest.raises(ValidationError, match="more than one a"):
        Services(needed=(one, one))  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        Services(needed=())
