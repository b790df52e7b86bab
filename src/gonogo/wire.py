"""HTTP/1.1 and WebSockets for the programs that put many questions side by side, in a process of their own.

Small on purpose: one request costs a fraction of what a full client takes, so that on two processors the
program that asks is not what it measures. Only what these programs need is spoken: GET without a body,
answers with a length, in chunks or up to the end of the connection. Certificate and name are always verified.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import ssl
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from gonogo.loadtally import failure_of

_LARGEST_HEAD = 65_536
_LARGEST_BODY = 5_000_000
_PIECE = 65_536


class WireError(Exception):
    """A request that got no complete answer; says why in a few words, the same ones for the same reason."""


@dataclass(frozen=True)
class Place:
    """Whom to ask, as a plan describes it; travels as JSON."""

    host: str
    """Name in the URL: it is asked for and verified."""
    port: int
    address: str
    """IP address to connect to."""
    secure: bool
    ca_file: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def context(self) -> ssl.SSLContext | None:
        """A context that verifies, made once a program; ``None`` without encryption."""
        return ssl.create_default_context(cafile=self.ca_file) if self.secure else None

    @property
    def authority(self) -> str:
        """Host and port as in a URL, without the port where it is the usual one."""
        usual = 443 if self.secure else 80
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == usual else f"{name}:{self.port}"


@dataclass(frozen=True)
class Asked:
    """What such a program is told to do: whom to ask, and what it adds itself."""

    place: Place

    @classmethod
    def read(cls, line: str) -> Self:
        """The first line of standard input."""
        raw = json.loads(line)
        return cls(**{**raw, "place": Place(**raw["place"])})


@dataclass(frozen=True)
class Reply:
    """One complete answer."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case; of several with one name the last."""
    body: bytes

    @property
    def failure(self) -> str:
        """Its kind, as the load's generator tells it; empty for a good answer."""
        return failure_of(self.status, self.headers)


class Client:
    """Asks one place; keeps connections, or opens a new one where that is wanted."""

    def __init__(self, place: Place, context: ssl.SSLContext | None) -> None:
        self._place = place
        self._context = context
        self._idle: deque[_Connection] = deque()

    async def get(self, path: str, *, fresh: bool = False) -> Reply:
        """One answer.

        A kept connection that was closed meanwhile is replaced once by a new one, as browsers do.

        Args:
            path: with its query.
            fresh: over a connection of its own, closed afterwards.

        Raises:
            WireError: there was no complete answer.
        """
        try:
            if not fresh and self._idle:
                kept = self._idle.pop()
                try:
                    return await self._over(kept, path, fresh=False)
                except _GoneError:
                    pass
            return await self._over(await self._open(), path, fresh=fresh)
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError, _GoneError) as error:
            raise WireError(told(error)) from None

    def close(self) -> None:
        """Close what is kept."""
        while self._idle:
            self._idle.pop().close()

    async def _open(self) -> _Connection:
        place = self._place
        name = place.host if self._context else None
        streams = await asyncio.open_connection(
            place.address, place.port, ssl=self._context, server_hostname=name, limit=_LARGEST_HEAD
        )
        return _Connection(*streams)

    async def _over(self, connection: _Connection, path: str, *, fresh: bool) -> Reply:
        headers = {"Host": self._place.authority, "User-Agent": "gonogo", **self._place.headers}
        if fresh:
            headers["Connection"] = "close"
        whole = False
        try:
            reply, keep = await connection.ask(path, headers)
            whole = keep and not fresh
            return reply
        finally:
            if whole:
                self._idle.append(connection)
            else:
                connection.close()


class _GoneError(Exception):
    """The connection ended before the first byte of an answer."""


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def close(self) -> None:
        self._writer.close()

    async def ask(self, path: str, headers: Mapping[str, str]) -> tuple[Reply, bool]:
        """An answer, and whether the connection may be used again."""
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        try:
            self._writer.write("\r\n".join(lines).encode("latin-1"))
            head = await self._reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise
            raise _GoneError from None
        except (ConnectionResetError, BrokenPipeError):
            raise _GoneError from None
        status, fields = _read_head(head)
        body, ended = await self._body(status, fields)
        keep = not ended and fields.get("connection", "").lower() != "close" and head.startswith(b"HTTP/1.1")
        return Reply(status, fields, body), keep

    async def _body(self, status: int, fields: Mapping[str, str]) -> tuple[bytes, bool]:
        if status in (204, 304):
            return b"", False
        if fields.get("transfer-encoding", "").lower() == "chunked":
            return await self._chunks(), False
        if "content-length" in fields:
            length = int(fields["content-length"])
            if not 0 <= length <= _LARGEST_BODY:
                raise ValueError(f"a body of {length} bytes")
            return await self._reader.readexactly(length), False
        parts = [part async for part in self._rest()]
        return b"".join(parts), True

    async def _chunks(self) -> bytes:
        body = b""
        while size := int((await self._reader.readuntil(b"\r\n")).partition(b";")[0], 16):
            if size < 0 or len(body) + size > _LARGEST_BODY:
                raise ValueError("a body that is too large")
            body += (await self._reader.readexactly(size + 2))[:-2]
        while await self._reader.readuntil(b"\r\n") != b"\r\n":
            pass
        return body

    async def _rest(self) -> Any:
        size = 0
        while part := await self._reader.read(_PIECE):
            size += len(part)
            if size > _LARGEST_BODY:
                raise ValueError("a body that is too large")
            yield part


def _read_head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():
        raise ValueError("no HTTP")
    fields = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            fields[name.strip().lower()] = value.strip()
    return int(words[1]), fields


def told(error: BaseException) -> str:
    """Why there was no answer, in few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate refused: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return "the handshake was cut"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, _GoneError | EOFError | ConnectionError):
        return "the connection was cut"
    if isinstance(error, OSError):
        return f"not reached: {error.strerror or error}"
    return f"no proper answer: {error}"[:80]


class Orders:
    """Lines on standard input, for a program that must not wait for them: a buffer below would hide some."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._rest = b""

    def fileno(self) -> int:
        """For an event loop."""
        return self._descriptor

    def first(self) -> str:
        """Waits for a whole line; what comes behind it is left for the event loop to find."""
        line = b""
        while not line.endswith(b"\n") and (part := os.read(self._descriptor, 1)):
            line += part
        return line.decode()

    def lines(self) -> list[str] | None:
        """The whole lines that are there once there is something to read; ``None`` at the end of the input."""
        part = os.read(self._descriptor, _PIECE)
        *whole, self._rest = (self._rest + part).split(b"\n")
        return [line.decode() for line in whole] if part else None


async def open_socket(
    place: Place, context: ssl.SSLContext | None, path: str, timeout_s: float
) -> ClientConnection:
    """A WebSocket that is open.

    Raises:
        WireError: it did not open in time.
    """
    url = f"{'wss' if place.secure else 'ws'}://{place.authority}{path}"
    tls: dict[str, Any] = {"ssl": context, "server_hostname": place.host} if context else {}
    try:
        return await connect(
            url,
            host=place.address,
            port=place.port,
            additional_headers=dict(place.headers),
            open_timeout=timeout_s,
            close_timeout=1.0,
            proxy=None,
            compression=None,
            max_size=_LARGEST_BODY,
            **tls,
        )
    except (OSError, EOFError, WebSocketException) as error:
        raise WireError(told(error) if isinstance(error, OSError | EOFError) else str(error)[:80]) from None


async def listen(connection: ClientConnection) -> str:
    """Takes messages until the connection ends; returns why it ended."""
    with contextlib.suppress(WebSocketException, OSError):
        while True:
            await connection.recv()
    return f"closed with {connection.close_code}"
