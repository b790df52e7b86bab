"""The HTTP/1.1 client of the load's generator: kept connections, one answer at a time, and nothing else.

A general client costs more per request than sending one, and lets others go first when it asks whether a kept
connection is still open. No redirects, no cookies, no decoding here; the caller sees to limits of time. Only the
generator's process imports this: it is at home in gevent.
"""

from __future__ import annotations

import errno
import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import gevent  # type: ignore[import-untyped]  # gevent ships no types
import gevent.socket  # type: ignore[import-untyped]
import gevent.ssl  # type: ignore[import-untyped]
from gevent.monkey import get_original  # type: ignore[import-untyped]
from geventhttpclient._parser import HTTPResponseParser
from geventhttpclient.client import IDEMPOTENT_METHODS, HTTPClient
from geventhttpclient.response import HTTPConnectionClosed, HTTPParseError

BLOCK = 16_384
"""Bytes that are read at once."""
_GONE = frozenset((errno.ECONNRESET, errno.EPIPE))
_READ = 1
_LINE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_TARGET = re.compile(r"/(?!/)[^\x00-\x20\x7f]*")
_poll = get_original("select", "poll")
"""The kernel's own; gevent's lets others go first, also when it need not wait."""


class TooLongError(Exception):
    """The answer has more bytes than the caller takes."""


class Answer(HTTPResponseParser):
    """One answer as it comes in: its status, its few headers of interest, and how long it was."""

    def __init__(self, *, bodiless: bool = False) -> None:
        """Begin with nothing.

        Args:
            bodiless: whether none is to come, as after HEAD.
        """
        super().__init__()
        self.bodiless = bodiless
        self.headers: dict[str, str] = {}
        """By their names in lower case; of several with the same name, the last."""
        self.size = 0
        """Bytes of the body."""
        self.status = 0
        """Its code, once it is complete."""
        self.complete = False
        self.reusable = False
        """Whether another request may be sent on its connection."""
        self._name = ""
        self._named = True

    def _on_message_begin(self) -> None:
        if self.complete:
            raise HTTPParseError("more than one answer")

    def _on_status(self, text: str) -> None:
        pass

    def _on_header_field(self, text: str) -> None:
        if self._named:
            self._name, self._named = text, False
        else:
            self._name += text

    def _on_header_value(self, text: str) -> None:
        if self._named:  # the rest of a value whose beginning came in another packet
            self.headers[self._name] += text
        else:
            self._name = self._name.lower()
            self.headers[self._name] = text
            self._named = True

    def _on_headers_complete(self) -> bool:
        return self.bodiless

    def _on_body(self, data: bytearray) -> None:
        self.size += len(data)

    def _on_message_complete(self) -> None:
        code = self.get_code()
        if code < 200:  # another one follows
            self.headers.clear()
            return
        self.status, self.complete, self.reusable = code, True, self.should_keep_alive()

    def take(self, data: bytes) -> None:
        """Go on with what came; nothing means that no more will.

        Raises:
            HTTPParseError: it is no answer, or not all of one. What follows a complete one is left alone.
        """
        try:
            self.feed(data)
        except HTTPParseError:
            if not self.complete:
                raise
            self.reusable = False


class _Connection:
    """One that is open."""

    __slots__ = ("number", "poll", "readable", "socket")

    def __init__(self, socket: Any) -> None:
        self.socket = socket
        self.number = socket.fileno()
        self.readable = gevent.get_hub().loop.io(self.number, _READ)
        self.poll = _poll()
        self.poll.register(self.number, _READ)

    def close(self) -> None:
        self.readable.close()
        self.socket.close()


class Client:
    """Asks one server; as many connections as there are callers at a time."""

    def __init__(
        self, base_url: str, ca_pem: str | None = None, hosts: Mapping[str, Sequence[Any]] | None = None
    ) -> None:
        """Connect to nothing yet.

        Args:
            base_url: whose scheme, host and port are taken.
            ca_pem: authorities to trust; the system's if ``None``.
            hosts: "host:port" to the address and port to connect to; URL, SNI and verification keep the name.
        """
        url = urlsplit(base_url)
        self._host = url.hostname or ""
        default = 443 if url.scheme == "https" else 80
        port = url.port or default
        name = f"[{self._host}]" if ":" in self._host else self._host
        self._named = name if port == default else f"{name}:{port}"
        self._address = tuple((hosts or {}).get(f"{self._host}:{port}") or (self._host, port))
        # Made once: a context for each connection would read the list of authorities every time.
        self._context = gevent.ssl.create_default_context(cadata=ca_pem) if url.scheme == "https" else None
        self._wait = gevent.get_hub().wait
        self._idle: list[_Connection] = []
        self._places: list[Any] = []
        self.spare = 0
        """Connections that are to be left over when one is taken; so many more are opened than are in use."""
        self.opened = 0
        """Connections that were opened so far."""

    def request(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
        """A request, byte for byte, to be sent any number of times.

        Raises:
            ValueError: it would not be one request.
        """
        given = {"host": ("Host", self._named)}
        given |= {name.lower(): (name, value) for name, value in HTTPClient.DEFAULT_HEADERS.items()}
        given |= {name.lower(): (name, value) for name, value in headers.items()}
        if body or method in {"POST", "PUT", "PATCH"}:
            given.setdefault("content-length", ("Content-Length", str(len(body))))
        lines = [f"{name}: {value}" for name, value in given.values()]
        for line in lines:
            if not _LINE.fullmatch(line):
                raise ValueError(f"no header can be sent as {line.partition(':')[0]!r} says")
        if not _TARGET.fullmatch(path):
            raise ValueError(f"no path of a request: {path!r}")
        return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode("latin-1") + body

    def ask(self, method: str, sent: bytes, most_bytes: int) -> Answer:
        """Sends a request and reads its answer to the end.

        A kept connection may just have been closed. Then the request is sent once more, on a new one, if it may be
        sent twice at all. On a new one it is sent once: a target that drops them must not look merely slow.

        Raises:
            OSError: no connection, or a broken one.
            HTTPParseError: what came is no answer, or not all of one.
            TooLongError: its body is longer than ``most_bytes``.
        """
        connection = self._kept()
        if connection is None:
            return self._exchange(self._open(), method, sent, most_bytes)
        try:
            return self._exchange(connection, method, sent, most_bytes)
        except HTTPConnectionClosed:
            if method not in IDEMPOTENT_METHODS:
                raise
        return self._exchange(self._open(), method, sent, most_bytes)

    def close(self) -> None:
        """Close what is kept."""
        while self._idle:
            self._idle.pop().close()

    def _kept(self) -> _Connection | None:
        """The connection that was used last; those that the other side has closed meanwhile are let go."""
        while len(self._idle) > self.spare:
            connection = self._idle.pop()
            if not connection.poll.poll(0):  # what is idle has nothing to say but that it ends
                return connection
            connection.close()
        return None

    def _exchange(self, connection: _Connection, method: str, sent: bytes, most_bytes: int) -> Answer:
        answer = Answer(bodiless=method == "HEAD")
        try:
            self._send(connection, sent)
            self._wait(connection.readable)  # no answer comes at once: a look would be one for nothing
            self._read(connection, answer, most_bytes)
        except BaseException:
            connection.close()
            raise
        if answer.reusable:
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def _send(self, connection: _Connection, sent: bytes) -> None:
        try:
            done = connection.socket.send(sent)
            if done < len(sent):
                connection.socket.sendall(sent[done:])
        except OSError as error:
            # Whoever closes before all of a request has come in may have answered it first.
            if error.errno not in _GONE:
                raise

    def _read(self, connection: _Connection, answer: Answer, most_bytes: int) -> None:
        begun = False
        while not answer.complete:
            try:
                data = connection.socket.recv(BLOCK)
            except OSError as error:
                if begun or error.errno not in _GONE:
                    raise
                data = b""
            if not (data or begun):
                raise HTTPConnectionClosed("connection closed.")
            begun = True
            answer.take(data)
            if answer.size > most_bytes:
                raise TooLongError(f"more than {most_bytes} bytes")
            if not (data or answer.complete):
                raise HTTPParseError("connection closed before the end of the answer")

    def _open(self) -> _Connection:
        if not self._places:
            self._places = self._resolve()
        failed: OSError | None = None
        for family, kind, protocol, _, address in self._places:
            socket = gevent.socket.socket(family, kind, protocol)
            try:
                socket.connect(address)
                socket.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
                if self._context is not None:
                    socket = self._context.wrap_socket(socket, server_hostname=self._host)
                self.opened += 1
                return _Connection(socket)
            except BaseException as error:
                socket.close()
                if not isinstance(error, OSError):
                    raise
                failed = failed or error
        self._places = []  # the name may mean another place by now
        raise failed or OSError(f"{self._host} has no address")

    def _resolve(self) -> list[Any]:
        """Where to connect to; a name is asked for once, and again after no connection came about."""
        host, port = self._address
        try:
            family = gevent.socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else gevent.socket.AF_INET
        except ValueError:
            found: list[Any] = gevent.socket.getaddrinfo(host, port, 0, gevent.socket.SOCK_STREAM)
            return found
        return [(family, gevent.socket.SOCK_STREAM, 0, "", (host, port))]
