"""Looks at a WebSocket: handshake, messages both ways, pings, and connections that are held open.

The protocol is driven without threads: one thread that reads and one that writes the same TLS connection
is a race in Python's ``ssl`` (https://github.com/python/cpython/issues/124984), seen here as a request
that was never sent.
"""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHeader, InvalidStatus, NegotiationError, WebSocketException
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from gonogo.errors import TargetError
from gonogo.network import reason

CLOSE_S = 1.0
"""How long the server may take to answer our close before the connection is cut."""
_CHUNK = 65_536


@dataclass(frozen=True)
class WebSocketFacts:
    """One connection up to its first message."""

    url: str
    handshake_s: float
    """Seconds from the first packet to the end of the handshake, TLS included."""
    first_message_s: float
    """Seconds from the end of the handshake to the first complete message."""
    first_message: str
    """Text; what came as bytes is decoded as UTF-8."""


@dataclass(frozen=True)
class HeldFacts:
    """What came while a connection was held open."""

    wanted_s: float
    """How many seconds it was to be held."""
    lasted_s: float
    """How many it lasted; as many, or until it ended."""
    messages: tuple[str, ...] = field(repr=False)
    ended: str = ""
    """Why it ended early; empty if it did not."""


@dataclass(frozen=True)
class Asking:
    """What a handshake asks for beside the channel."""

    subprotocols: Sequence[str] = ()
    """Offered, in this order."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Further headers; may hold secrets."""


class RefusedError(TargetError):
    """The handshake was answered, but not with 101."""

    def __init__(self, url: str, status: int) -> None:
        super().__init__(f"{url} answered the WebSocket handshake with HTTP {status}")
        self.status = status
        """HTTP status of the answer."""


class LateError(TargetError):
    """Something did not come in time; the connection may well be open still."""


class Listener:
    """An open connection; made by ``listen``, never directly."""

    def __init__(self, connection: socket.socket, url: str, max_bytes: int, asking: Asking) -> None:
        self.url = url
        self.handshake_s = 0.0
        self._socket = connection
        self._asking = asking
        offered = [Subprotocol(name) for name in asking.subprotocols] or None
        self._protocol = ClientProtocol(parse_uri(url), subprotocols=offered, max_size=max_bytes)
        self._frames: deque[Frame] = deque()
        self._pongs: list[bytes] = []
        self._opened = time.perf_counter()

    @property
    def subprotocol(self) -> str:
        """The one that the server chose; empty if none."""
        return self._protocol.subprotocol or ""

    @property
    def is_open(self) -> bool:
        """Whether messages can still be sent, as far as we know."""
        return self._protocol.state is State.OPEN

    def shake_hands(self, deadline: float) -> None:
        """Sends the request and waits for its answer, up to a moment of the monotonic clock.

        The answer must be what RFC 6455, section 4.1, asks for: status 101, ``Upgrade``, ``Connection``, the
        ``Sec-WebSocket-Accept`` that belongs to our key, and no extension or subprotocol that was not offered.

        Raises:
            TimeoutError: no complete answer in time.
            OSError, WebSocketException, EOFError: what went wrong on the wire.
        """
        request = self._protocol.connect()
        for name, value in self._asking.headers.items():
            if name in request.headers:
                del request.headers[name]
            request.headers[name] = value
        self._protocol.send_request(request)
        answered = False
        while not answered:
            answered = any(isinstance(event, Response) for event in self._exchange(deadline))
        if self._protocol.handshake_exc is not None:
            raise self._protocol.handshake_exc
        self._opened = time.perf_counter()

    def receive(self, timeout_s: float) -> str:
        """The next complete message.

        Args:
            timeout_s: limit in seconds, however slowly its frames come in.

        Raises:
            TargetError: none came in time, or the connection ended.
        """
        deadline = time.monotonic() + timeout_s
        with self._told("sent no complete message", timeout_s):
            while not any(frame.fin for frame in self._frames):
                self._exchange(deadline)
        message = b""
        while True:
            frame = self._frames.popleft()
            message += frame.data
            if frame.fin:
                return message.decode("utf-8", "replace")

    def first(self, timeout_s: float) -> WebSocketFacts:
        """Waits for the first message; ``timeout_s`` in seconds.

        Raises:
            TargetError: as ``receive`` does.
        """
        message = self.receive(timeout_s)
        return WebSocketFacts(self.url, self.handshake_s, time.perf_counter() - self._opened, message)

    def send(self, text: str, timeout_s: float) -> None:
        """Sends one message; ``timeout_s`` in seconds.

        Raises:
            TargetError: the connection ended, or takes nothing.
        """
        with self._told("took no message", timeout_s):
            self._protocol.send_text(text.encode())
            self._flush(time.monotonic() + timeout_s)

    def ask(self, text: str, expect: str, timeout_s: float) -> str:
        """Sends a message and waits for one that matches; messages in between are passed over.

        Args:
            text: what is sent.
            expect: regular expression to be found in the answer.
            timeout_s: limit in seconds for all of it.

        Returns:
            The message that matched.

        Raises:
            TargetError: none came in time, or the connection ended.
        """
        deadline = time.monotonic() + timeout_s
        self._frames.clear()  # what was pushed before is no answer
        self.send(text, timeout_s)
        passed = 0
        while True:
            left = deadline - time.monotonic()
            try:
                message = self.receive(max(left, 0.001))
            except LateError as error:
                raise LateError(
                    f"{self.url} sent no message that matches {expect!r} within {timeout_s:g} s"
                    f" ({passed} others came)"
                ) from error
            if re.search(expect, message):
                return message
            passed += 1

    def ping(self, payload: bytes, timeout_s: float) -> float:
        """Seconds until a ping was answered with the same payload (RFC 6455, section 5.5.3).

        Args:
            payload: at most 125 bytes.
            timeout_s: limit in seconds.

        Raises:
            TargetError: no such pong came in time, or the connection ended.
        """
        started = time.perf_counter()
        deadline = time.monotonic() + timeout_s
        with self._told(f"answered a ping with no pong of the same {len(payload)} bytes", timeout_s):
            self._protocol.send_ping(payload)
            while payload not in self._pongs:
                self._exchange(deadline)
        return time.perf_counter() - started

    def hold(self, seconds: float) -> HeldFacts:
        """Keeps the connection open for so many seconds and collects what comes; never raises."""
        started = time.monotonic()
        messages: list[str] = []
        while (left := started + seconds - time.monotonic()) > 0:
            try:
                messages.append(self.receive(left))
            except LateError:
                break
            except TargetError as error:
                return HeldFacts(seconds, time.monotonic() - started, tuple(messages), str(error))
        return HeldFacts(seconds, seconds, tuple(messages))

    def close(self) -> bool:
        """Says goodbye and waits a moment; whether the server answered with a close frame. Never raises."""
        with suppress(OSError, WebSocketException, EOFError):
            if self._protocol.state is State.OPEN:
                self._protocol.send_close()
                deadline = time.monotonic() + CLOSE_S
                while True:
                    self._exchange(deadline)
        return self._protocol.close_rcvd is not None

    @contextmanager
    def _told(self, what: str, timeout_s: float) -> Iterator[None]:
        try:
            yield
        except TimeoutError:
            raise LateError(f"{self.url} {what} within {timeout_s:g} s") from None
        except (WebSocketException, OSError, EOFError) as error:
            raise TargetError(f"{self.url} ended the connection: {reason(error)}") from None

    def _flush(self, deadline: float) -> None:
        left = _left(deadline)  # before anything is taken: a pong that is taken and not sent is lost for good
        for data in self._protocol.data_to_send():
            if data:
                self._socket.settimeout(left)
                self._socket.sendall(data)

    def _exchange(self, deadline: float) -> list[object]:
        """Sends what is due (answers to pings too), reads once, and keeps the frames of messages."""
        self._flush(deadline)
        if self._protocol.state is State.CLOSED:
            raise EOFError("it was closed")
        self._socket.settimeout(_left(deadline))
        data = self._socket.recv(_CHUNK)
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
        if self._protocol.parser_exc is not None and self._protocol.handshake_exc is None:
            raise self._protocol.parser_exc
        events = list(self._protocol.events_received())
        kinds = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)
        self._frames.extend(e for e in events if isinstance(e, Frame) and e.opcode in kinds)
        self._pongs.extend(bytes(e.data) for e in events if isinstance(e, Frame) and e.opcode is Opcode.PONG)
        return list(events)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


@contextmanager
def listen(
    url: str,
    address: tuple[str, int],
    context: ssl.SSLContext | None,
    timeout_s: float = 10.0,
    max_bytes: int = 5_000_000,
    *,
    asking: Asking | None = None,
) -> Iterator[Listener]:
    """Opens one connection, and closes it at the end of the block.

    Args:
        url: ``ws://`` or ``wss://``; ``http`` and ``https`` are taken to mean these.
        address: IP address and port to connect to; the name in the URL is what is verified.
        context: for ``wss``, verifying.
        timeout_s: limit in seconds for connection and handshake together.
        max_bytes: limit for one message.
        asking: what the handshake asks for beside the channel.

    Raises:
        RefusedError: another status than 101.
        LateError: too slow.
        TargetError: not reached, not verified, or not a WebSocket.
    """
    url = re.sub(r"^http", "ws", url)
    deadline = time.monotonic() + timeout_s
    with ExitStack() as stack:
        started = time.perf_counter()
        try:
            connection = stack.enter_context(socket.create_connection(address, timeout_s))
            if context is not None and url.startswith("wss:"):
                connection.settimeout(_left(deadline))
                secured = context.wrap_socket(connection, server_hostname=urlsplit(url).hostname)
                connection = stack.enter_context(secured)
            listener = Listener(connection, url, max_bytes, asking or Asking())
            listener.shake_hands(deadline)
        except TimeoutError:
            raise LateError(f"{url} did not complete a WebSocket handshake within {timeout_s:g} s") from None
        except InvalidStatus as error:
            raise RefusedError(url, error.response.status_code) from None
        except (InvalidHeader, NegotiationError) as error:
            raise TargetError(
                f"{url} answered the WebSocket handshake with 101, but not as RFC 6455, section 4.1, asks: "
                f"{reason(error)}"
            ) from None
        except (WebSocketException, OSError, EOFError, ValueError) as error:
            raise TargetError(
                f"{url} could not be opened ({address[0]} port {address[1]}): {reason(error)}"
            ) from None
        listener.handshake_s = time.perf_counter() - started
        stack.callback(listener.close)
        yield listener


@contextmanager
def hold(
    url: str,
    address: tuple[str, int],
    context: ssl.SSLContext | None,
    count: int,
    *,
    first_message_s: float,
    timeout_s: float = 10.0,
    asking: Asking | None = None,
    auth: str | None = None,
) -> Iterator[tuple[WebSocketFacts, ...]]:
    """Holds ``count`` connections open for the length of the block, each past its first message.

    Args:
        url: as for ``listen``.
        address: as for ``listen``.
        context: as for ``listen``.
        count: how many.
        first_message_s: limit in seconds for the first message of each.
        timeout_s: limit in seconds for opening all of them.
        asking: as for ``listen``.
        auth: message that each of them sends first.

    Raises:
        TargetError: as ``listen`` and ``Listener.receive`` do.
    """
    ends = time.monotonic() + timeout_s
    with ExitStack() as stack:
        facts = []
        for _ in range(count):
            left = max(ends - time.monotonic(), 0.001)
            listener = stack.enter_context(listen(url, address, context, left, asking=asking))
            if auth is not None:
                listener.send(auth, left)
            facts.append(listener.first(min(first_message_s, max(ends - time.monotonic(), 0.001))))
        yield tuple(facts)
