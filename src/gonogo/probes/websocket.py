"""Looks at a WebSocket: handshake, first message, and connections that are held open.

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
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import parse_uri

from gonogo.errors import TargetError

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


class Listener:
    """An open connection; made by ``listen``, never directly."""

    def __init__(self, connection: socket.socket, url: str, max_bytes: int) -> None:
        self.url = url
        self.handshake_s = 0.0
        self._socket = connection
        self._protocol = ClientProtocol(parse_uri(url), max_size=max_bytes)
        self._frames: deque[Frame] = deque()
        self._opened = time.perf_counter()

    def shake_hands(self, deadline: float) -> None:
        """Sends the request and waits for its answer, up to a moment of the monotonic clock.

        Raises:
            TimeoutError: no complete answer in time.
            OSError, WebSocketException, EOFError: what went wrong on the wire.
        """
        self._protocol.send_request(self._protocol.connect())
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
        message = b""
        try:
            while True:
                while not self._frames:
                    self._exchange(deadline)
                frame = self._frames.popleft()
                message += frame.data
                if frame.fin:
                    return message.decode("utf-8", "replace")
        except TimeoutError:
            raise TargetError(f"{self.url} sent no complete message within {timeout_s:g} s") from None
        except (WebSocketException, OSError, EOFError) as error:
            raise TargetError(f"{self.url} ended the connection: {_reason(error)}") from None

    def first(self, timeout_s: float) -> WebSocketFacts:
        """Waits for the first message; ``timeout_s`` in seconds.

        Raises:
            TargetError: as ``receive`` does.
        """
        message = self.receive(timeout_s)
        return WebSocketFacts(self.url, self.handshake_s, time.perf_counter() - self._opened, message)

    def close(self) -> None:
        """Says goodbye and waits a moment for the answer; never raises."""
        with suppress(OSError, WebSocketException, EOFError):
            if self._protocol.state is State.OPEN:
                self._protocol.send_close()
                deadline = time.monotonic() + CLOSE_S
                while True:
                    self._exchange(deadline)

    def _exchange(self, deadline: float) -> list[object]:
        """Sends what is due (answers to pings too), reads once, and keeps the frames of messages."""
        for data in self._protocol.data_to_send():
            if data:
                self._socket.settimeout(_left(deadline))
                self._socket.sendall(data)
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
) -> Iterator[Listener]:
    """Opens one connection, and closes it at the end of the block.

    Args:
        url: ``ws://`` or ``wss://``; ``http`` and ``https`` are taken to mean these.
        address: IP address and port to connect to; the name in the URL is what is verified.
        context: for ``wss``, verifying.
        timeout_s: limit in seconds for connection and handshake together.
        max_bytes: limit for one message.

    Raises:
        TargetError: refused, not verified, too slow, or not a WebSocket.
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
            listener = Listener(connection, url, max_bytes)
            listener.shake_hands(deadline)
        except TimeoutError:
            raise TargetError(f"{url} did not complete a WebSocket handshake within {timeout_s:g} s") from None
        except InvalidStatus as error:
            status = error.response.status_code
            raise TargetError(f"{url} answered the WebSocket handshake with HTTP {status}") from None
        except (WebSocketException, OSError, EOFError, ValueError) as error:
            raise TargetError(
                f"{url} could not be opened ({address[0]} port {address[1]}): {_reason(error)}"
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
) -> Iterator[tuple[WebSocketFacts, ...]]:
    """Holds ``count`` connections open for the length of the block, each past its first message.

    Args:
        url: as for ``listen``.
        address: as for ``listen``.
        context: as for ``listen``.
        count: how many.
        first_message_s: limit in seconds for the first message of each.
        timeout_s: limit in seconds for opening all of them.

    Raises:
        TargetError: as ``listen`` and ``Listener.receive`` do.
    """
    ends = time.monotonic() + timeout_s
    with ExitStack() as stack:
        facts = []
        for _ in range(count):
            left = max(ends - time.monotonic(), 0.001)
            listener = stack.enter_context(listen(url, address, context, left))
            facts.append(listener.first(min(first_message_s, max(ends - time.monotonic(), 0.001))))
        yield tuple(facts)


def _reason(error: BaseException) -> str:
    """What an error says, without the positions in C sources that OpenSSL appends."""
    text = re.sub(r"\s*\(_ssl\.c:\d+\)|\[(SSL|Errno)[^]]*\]\s*", "", str(error)).strip(" .")
    return text or type(error).__name__
