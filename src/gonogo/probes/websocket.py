"""Looks at a WebSocket: handshake, first message, and connections that are held open."""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from gonogo.errors import TargetError

CLOSE_S = 1.0
"""How long the server may take to answer our close before the connection is cut."""


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

    def __init__(self, connection: ClientConnection, url: str, handshake_s: float) -> None:
        self._connection = connection
        self._opened = time.perf_counter()
        self.url = url
        self.handshake_s = handshake_s

    def receive(self, timeout_s: float) -> str:
        """The next complete message.

        Args:
            timeout_s: limit in seconds, however slowly its frames come in.

        Raises:
            TargetError: none came in time, or the connection ended.
        """
        try:
            message = self._connection.recv(timeout_s)
        except TimeoutError:
            raise TargetError(f"{self.url} sent no complete message within {timeout_s:g} s") from None
        except (ConnectionClosed, OSError) as error:
            raise TargetError(f"{self.url} ended the connection: {_reason(error)}") from None
        return message if isinstance(message, str) else message.decode("utf-8", "replace")

    def first(self, timeout_s: float) -> WebSocketFacts:
        """Waits for the first message; ``timeout_s`` in seconds.

        Raises:
            TargetError: as ``receive`` does.
        """
        message = self.receive(timeout_s)
        return WebSocketFacts(self.url, self.handshake_s, time.perf_counter() - self._opened, message)


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
    with ExitStack() as stack:
        started = time.perf_counter()
        try:
            plain = socket.create_connection(address, timeout_s)
            stack.callback(plain.close)
            encrypted = url.startswith("wss:")
            connection = stack.enter_context(
                connect(
                    url,
                    sock=plain,
                    ssl=context if encrypted else None,
                    server_hostname=urlsplit(url).hostname if encrypted else None,
                    proxy=None,
                    open_timeout=max(timeout_s - (time.perf_counter() - started), 0.001),
                    close_timeout=CLOSE_S,
                    max_size=max_bytes,
                )
            )
        except TimeoutError:
            raise TargetError(f"{url} did not complete a WebSocket handshake within {timeout_s:g} s") from None
        except InvalidStatus as error:
            status = error.response.status_code
            raise TargetError(f"{url} answered the WebSocket handshake with HTTP {status}") from None
        except (WebSocketException, OSError, EOFError, ValueError) as error:
            raise TargetError(
                f"{url} could not be opened ({address[0]} port {address[1]}): {_reason(error)}"
            ) from None
        yield Listener(connection, url, time.perf_counter() - started)


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
