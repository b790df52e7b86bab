"""The HTTP probe writes once, keeps cookies where it is told to, and takes credentials to their origin alone."""

from __future__ import annotations

import re
import socket
import threading
from pathlib import Path

import pytest

import servers
from gate_calls import target_of
from gonogo.errors import TargetError
from gonogo.probes.http import HttpProbe
from gonogo.target import Target


def recorded(requests: list[bytes], *answers: bytes) -> servers.Handler:
    """Notes each request with its body; answers with these in turn, the last one again and again."""

    def handler(connection: socket.socket, stopping: threading.Event) -> None:
        while data := servers.read_request(connection):
            head, _, body = data.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            while length and len(body) < int(length[1]):
                body += connection.recv(65_536)
            requests.append(head + b"\r\n\r\n" + body)
            connection.sendall(answers[min(len(requests), len(answers)) - 1])

    return handler


EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def redirect(to: str, status: str = "302 Found", *headers: str) -> bytes:
    """An answer that leads elsewhere."""
    lines = "".join(f"{line}\r\n" for line in (f"Location: {to}", *headers, "Content-Length: 0"))
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode()


def test_a_write_carries_its_value_as_json() -> None:
    requests: list[bytes] = []
    with servers.serve(recorded(requests, EMPTY)) as server, HttpProbe(server.url) as probe:
        facts = probe.request("PATCH", "/loads/1", json={"cargo": "apples"}, headers={"X-Why": "test"})

    assert facts.status == 200
    (request,) = requests
    assert request.startswith(b"PATCH /loads/1 HTTP/1.1\r\n")
    assert b"application/json" in request
    assert b"x-why: test" in request.lower()
    assert request.endswith(b'{"cargo":"apples"}')


def test_a_write_may_carry_nonsense_or_nothing() -> None:
    requests: list[bytes] = []
    with servers.serve(recorded(requests, EMPTY)) as server, HttpProbe(server.url) as probe:
        probe.request("POST", "/", content=b"{no json", headers={"Content-Type": "application/json"})
        probe.request("DELETE", "/loads/1")

    assert requests[0].endswith(b"\r\n\r\n{no json")
    assert requests[1].startswith(b"DELETE /loads/1 ")
    assert requests[1].endswith(b"\r\n\r\n")


def test_a_write_that_broke_off_is_sent_once() -> None:
    with servers.serve(servers.hang_up) as server, HttpProbe(server.url) as probe:
        with pytest.raises(TargetError, match=r"^POST http://\S+ was not answered in proper HTTP"):
            probe.request("POST", "/", json={})
        assert len(server.accepted) == 1


@pytest.mark.parametrize(
    ("handler", "says"),
    [
        pytest.param(servers.drip(servers.HEAD + b"\r\n"), "within 1 s", id="drips"),
        pytest.param(servers.flood, "sent more than the 5000000 bytes", id="sends-1-GB"),
        pytest.param(servers.answer(b"", "307 Again", "Location: /again"), "more than 5 times", id="for-ever"),
        pytest.param(servers.answer(b"", "303 See", "Location: http://other.test/"), "another host", id="abroad"),
    ],
)
def test_a_write_has_the_limits_of_a_get(handler: servers.Handler, says: str) -> None:
    told = pytest.raises(TargetError, match=says)
    with servers.serve(handler) as server, HttpProbe(server.url) as probe, told as failure:
        probe.request("DELETE", "/", 1.0)
    assert str(failure.value).startswith("DELETE ")


def test_cookies_are_kept_by_who_keeps_them() -> None:
    requests: list[bytes] = []
    welcome = redirect("/home", "303 See Other", "Set-Cookie: session=abc; HttpOnly; Path=/")
    with (
        servers.serve(recorded(requests, welcome, EMPTY)) as server,
        HttpProbe(server.url, keep_cookies=True) as visitor,
        HttpProbe(server.url) as other,
    ):
        visitor.request("POST", "/sign-in", json={})
        visitor.get("/again")
        other.get("/again")
        assert (visitor.cookies, other.cookies) == ({"session"}, frozenset())

    assert [b"cookie: session=abc" in request.lower() for request in requests] == [False, True, True, False]
    assert requests[1].startswith(b"GET /home ")


WHO = {"Authorization": "Bearer t-o-k-e-n", "X-Api-Key": "k-e-y"}


def identified(request: bytes) -> tuple[bool, bool]:
    """Whether a request carries the token, and the key."""
    return b"t-o-k-e-n" in request, b"k-e-y" in request


def test_credentials_go_with_every_request() -> None:
    requests: list[bytes] = []
    handler = recorded(requests, redirect("/there"), EMPTY)
    with servers.serve(handler) as server, HttpProbe(server.url, credentials=WHO) as probe:
        probe.get("/")
        probe.request("POST", "/", json={})
        probe.sample("/", 2, fresh=True)
        probe.get("/", headers={"authorization": "Bearer other"})

    assert [identified(request) for request in requests] == [(True, True)] * 5 + [(False, True)]
    assert b"Bearer other" in requests[-1]


def test_credentials_stay_with_their_origin() -> None:
    """A redirect to another port of the host gets none of them, nor does an address of another port."""
    here: list[bytes] = []
    there: list[bytes] = []
    with (
        servers.serve(recorded(there, EMPTY)) as other,
        servers.serve(recorded(here, redirect(f"{other.url}/x"))) as server,
        HttpProbe(server.url, credentials=WHO) as probe,
    ):
        assert probe.get("/").status == 200
        probe.get(f"{other.url}/y")
        probe.get(f"http://localhost:{other.port}/z")

    assert [identified(request) for request in here] == [(True, True)]
    assert [identified(request) for request in there] == [(False, False)] * 3


def test_credentials_come_back_with_their_origin() -> None:
    here: list[bytes] = []
    there: list[bytes] = []
    with (
        servers.serve(recorded(here, EMPTY)) as server,
        servers.serve(recorded(there, redirect(f"{server.url}/back"))) as other,
        HttpProbe(server.url, credentials=WHO) as probe,
    ):
        assert probe.get(f"{other.url}/x").url == f"{server.url}/back"

    assert identified(there[0]) == (False, False)
    assert identified(here[0]) == (True, True)


def test_credentials_never_leave_in_plain_http(ca: servers.Authority) -> None:
    requests: list[bytes] = []
    with servers.serve(recorded(requests, EMPTY)) as plain:
        options = {"ca_file": ca.ca_file, "connect_to": lambda *_: plain.address}
        with HttpProbe("https://app.fleet.test", credentials=WHO, **options) as probe:  # type: ignore[arg-type]
            probe.get("http://app.fleet.test/")

    assert [identified(request) for request in requests] == [(False, False)]


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> servers.Authority:
    return servers.authority(tmp_path_factory.mktemp("ca"))


def target_at(server: servers.Server, folder: Path) -> Target:
    """A target whose smoke gates sign in at /api/session."""
    plan = f"""
        launch = {{ project = "P", version = "1" }}
        targets.t = {{ kind = "disposable", base_url = "{server.url}", smoke = {{}} }}
    """
    return target_of(plan, "t", folder)


WELCOME = b"HTTP/1.1 200 OK\r\nSet-Cookie: s=abc; HttpOnly; Path=/\r\nContent-Length: 0\r\n\r\n"


def test_a_session_is_a_client_that_has_signed_in(tmp_path: Path) -> None:
    requests: list[bytes] = []
    with servers.serve(recorded(requests, WELCOME, EMPTY)) as server:
        target = target_at(server, tmp_path)
        with target.session("mira", "p-a-s-s") as mira, target.visitor() as nobody:
            mira.request("DELETE", "/api/fleet/loads/1")
            nobody.get("/api/session")

    assert requests[0].startswith(b"POST /api/session ")
    assert requests[0].endswith(b'{"user":"mira","password":"p-a-s-s"}')
    assert [b"cookie: s=abc" in request.lower() for request in requests] == [False, True, False]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", "with HTTP 401 and no cookie"),
        (EMPTY, "with HTTP 200 and no cookie"),
        (WELCOME.replace(b"200 OK", b"403 No"), "with HTTP 403$"),
    ],
)
def test_who_could_not_sign_in_has_no_session(answer: bytes, says: str, tmp_path: Path) -> None:
    with servers.serve(recorded([], answer)) as server, pytest.raises(TargetError, match=says) as failure:
        target_at(server, tmp_path).session("mira", "p-a-s-s")
    assert "p-a-s-s" not in str(failure.value)
