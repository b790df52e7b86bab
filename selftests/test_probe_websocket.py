"""The WebSocket probe measures handshake and first message, holds connections, and keeps its limits."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State
from websockets.sync.server import ServerConnection, serve
from websockets.utils import accept_key

import servers
from gonogo.errors import TargetError
from gonogo.probes.websocket import Asking, LateError, Listener, RefusedError, hold, listen
from gonogo.transport import tls_context


@contextlib.contextmanager
def channel(handler: Callable[[ServerConnection], None], **options: object) -> Iterator[tuple[str, int]]:
    """A WebSocket server that runs ``handler`` for each connection."""
    with serve(handler, "127.0.0.1", 0, **options) as server:  # type: ignore[arg-type]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.socket.getsockname()[:2]
        server.shutdown()
        thread.join(5)


def until_closed(connection: ServerConnection) -> None:
    with contextlib.suppress(ConnectionClosed):
        connection.recv(10)


def greet(connection: ServerConnection) -> None:
    connection.send('{"type":"snapshot"}')
    until_closed(connection)


def test_first_message() -> None:
    """Handshake and first message are timed, and the message is kept."""

    def late(connection: ServerConnection) -> None:
        time.sleep(0.3)
        greet(connection)

    with channel(late) as address, listen(f"ws://127.0.0.1:{address[1]}/x", address, None, 2.0) as listener:
        facts = listener.first(2.0)

    assert facts.first_message == '{"type":"snapshot"}'
    assert 0 < facts.handshake_s < 1
    assert 0.25 < facts.first_message_s < 1


def test_hold_keeps_connections_open_at_once() -> None:
    """All connections are open inside the block, and none after it."""
    open_now: list[int] = []
    lock = threading.Lock()

    def count(connection: ServerConnection) -> None:
        with lock:
            open_now.append(1)
        greet(connection)
        with lock:
            open_now.pop()

    with channel(count) as address:
        with hold(f"http://127.0.0.1:{address[1]}/", address, None, 3, first_message_s=2.0) as held:
            assert len(held) == len(open_now) == 3
        ends = time.monotonic() + 5
        while open_now and time.monotonic() < ends:
            time.sleep(0.01)

    assert not open_now


def test_name_is_verified_over_tls(tmp_path: object) -> None:
    """wss with a mapped name works; with another name in the certificate it is refused."""
    ca = servers.authority(tmp_path)  # type: ignore[arg-type]
    context = tls_context(ca.ca_file)
    with channel(greet, ssl=ca.context()) as address:
        with listen("wss://app.fleet.test/x", address, context, 2.0) as listener:
            assert listener.first(2.0).first_message
        with (
            pytest.raises(TargetError, match="Hostname mismatch"),
            listen("wss://other.fleet.test/x", address, context, 2.0),
        ):
            pass


@pytest.mark.parametrize(
    ("handler", "says"),
    [
        (servers.hang, "did not complete a WebSocket handshake within 1 s"),
        (servers.garbage, "could not be opened"),
        (servers.hang_up, "could not be opened"),
        (servers.drip(b"HTTP/1.1 101 "), "within 1 s"),
        (servers.answer(b"no", "403 Forbidden"), "answered the WebSocket handshake with HTTP 403"),
        (servers.answer(b"page"), "answered the WebSocket handshake with HTTP 200"),
    ],
)
def test_bad_server(handler: servers.Handler, says: str) -> None:
    """A server that is no WebSocket ends in a sentence within the limit."""
    started = time.monotonic()
    with (
        servers.serve(handler) as server,
        pytest.raises(TargetError, match=says),
        listen(f"ws://127.0.0.1:{server.port}/", server.address, None, 1.0),
    ):
        pass

    assert time.monotonic() - started < 3


def test_closed_port() -> None:
    """Nobody listens: the sentence says so."""
    port = servers.free_port()
    with (
        pytest.raises(TargetError, match="Connection refused"),
        listen(f"ws://127.0.0.1:{port}/", ("127.0.0.1", port), None, 1.0),
    ):
        pass


def test_silence_after_the_handshake() -> None:
    """No message within the limit is a sentence, within the limit."""
    started = time.monotonic()
    with (
        channel(until_closed) as address,
        listen(f"ws://127.0.0.1:{address[1]}/", address, None, 2.0) as listener,
        pytest.raises(TargetError, match=r"no complete message within 0\.5 s"),
    ):
        listener.receive(0.5)

    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    "handler", [lambda c: c.close(1011, "broken"), lambda c: c.send("x" * 6_000_000)], ids=["closes", "6-MB"]
)
def test_channel_that_ends(handler: Callable[[ServerConnection], None]) -> None:
    """A close instead of a message, or a message beyond all bounds, is a sentence."""
    with (
        channel(handler) as address,
        listen(f"ws://127.0.0.1:{address[1]}/", address, None, 2.0) as listener,
        pytest.raises(TargetError, match="ended the connection"),
    ):
        listener.receive(2.0)


def echo(connection: ServerConnection) -> None:
    with contextlib.suppress(ConnectionClosed):
        connection.send("first")
        while True:
            connection.send("noise")
            connection.send(f"you said {connection.recv(10)!r}")


def test_conversation_ping_and_close() -> None:
    """A question finds its answer among other messages; ping, close and subprotocol are those of the standard."""
    asking = Asking(["v2", "v1"], {"Cookie": "session=1"})
    with (
        channel(echo, subprotocols=["v1"]) as address,
        listen(f"ws://127.0.0.1:{address[1]}/", address, None, 2.0, asking=asking) as listener,
    ):
        assert listener.subprotocol == "v1"
        assert listener.first(2.0).first_message == "first"
        assert "hello" in listener.ask("hello", "you said .*hello", 2.0)
        assert 0 < listener.ping(b"unguessable", 2.0) < 2
        assert listener.is_open
        assert listener.close() is True
        assert not listener.is_open


def test_no_fitting_answer_says_how_many_others_came() -> None:
    with (
        channel(echo) as address,
        listen(f"ws://127.0.0.1:{address[1]}/", address, None, 2.0) as listener,
        pytest.raises(LateError, match=r"no message that matches 'never' within 0\.4 s \(\d others came\)"),
    ):
        listener.ask("hello", "never", 0.4)


def test_hold_tells_when_and_why_it_ended() -> None:
    def leave(connection: ServerConnection) -> None:
        for number in range(3):
            connection.send(str(number))
        time.sleep(0.4)
        connection.close(1011, "enough")

    with channel(leave) as address, listen(f"ws://127.0.0.1:{address[1]}/", address, None, 2.0) as listener:
        facts = listener.hold(3.0)

    assert facts.messages == ("0", "1", "2")
    assert 0.3 < facts.lasted_s < 2
    assert "ended the connection" in facts.ended


def test_hold_of_a_silent_channel_lasts() -> None:
    with channel(until_closed) as address, listen(f"ws://127.0.0.1:{address[1]}/", address, None, 2.0) as listener:
        facts = listener.hold(0.3)

    assert (facts.ended, facts.messages, facts.lasted_s) == ("", (), 0.3)


def handshake(*lines: str) -> servers.Handler:
    """Answers any handshake with these lines; ``{accept}`` is the key that fits."""

    def handler(connection: socket.socket, stopping: threading.Event) -> None:
        request = servers.read_request(connection).decode()
        key = re.search(r"(?i)sec-websocket-key: (\S+)", request)
        assert key is not None
        text = "\r\n".join(lines).replace("{accept}", accept_key(key[1]))
        connection.sendall(f"{text}\r\n\r\n".encode())
        stopping.wait(5)

    return handler


SWITCHING = "HTTP/1.1 101 Switching Protocols"
UPGRADE, CONNECTION, ACCEPT = "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: {accept}"


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (
            (SWITCHING, UPGRADE, CONNECTION, "Sec-WebSocket-Accept: bm90IHlvdXJz"),
            "invalid Sec-WebSocket-Accept header",
        ),
        ((SWITCHING, UPGRADE, CONNECTION), "missing Sec-WebSocket-Accept header"),
        ((SWITCHING, CONNECTION, ACCEPT), "missing Upgrade header"),
        ((SWITCHING, UPGRADE, ACCEPT), "missing Connection header"),
        ((SWITCHING, UPGRADE, CONNECTION, ACCEPT, "Sec-WebSocket-Protocol: v9"), "no subprotocols supported"),
        ((SWITCHING, UPGRADE, CONNECTION, ACCEPT, "Sec-WebSocket-Extensions: x"), "no extensions supported"),
    ],
)
def test_a_101_that_is_none(lines: tuple[str, ...], says: str) -> None:
    with (
        servers.serve(handshake(*lines)) as server,
        pytest.raises(TargetError, match=f"101, but not as RFC 6455.*{says}"),
        listen(f"ws://127.0.0.1:{server.port}/", server.address, None, 1.0),
    ):
        pass


def test_a_refusal_carries_its_status() -> None:
    with (
        servers.serve(servers.answer(b"no", "404 Not Found")) as server,
        pytest.raises(RefusedError) as refusal,
        listen(f"ws://127.0.0.1:{server.port}/", server.address, None, 1.0),
    ):
        pass

    assert refusal.value.status == 404


def test_an_answer_to_a_ping_is_not_lost_when_time_is_up_just_then() -> None:
    """Who holds a connection in small portions would lose it to the server's own timeout, 20 s later."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        listener = Listener(ours, "ws://app.fleet.test/live", 1000, Asking())
        listener._protocol.state = State.OPEN
        listener._protocol.send_pong(b"")
        with pytest.raises(TimeoutError):
            listener._flush(time.monotonic() - 1)
        listener._flush(time.monotonic() + 1)
        theirs.settimeout(1)

        assert theirs.recv(100)[0] == 0x8A  # a pong
