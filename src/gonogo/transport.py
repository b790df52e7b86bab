"""How HTTP reaches a target: names mapped by the plan, certificates verified, every operation held to a deadline.

httpx keeps the host of the URL for SNI and verification; only the address that is connected to is ours.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import httpcore
import httpx

from gonogo.errors import ToolError
from gonogo.network import reason

ConnectTo = Callable[[str, int], tuple[str, int]]
"""Maps the host and port of a URL to the address that is connected to."""


def tls_context(ca_file: Path | str | None) -> ssl.SSLContext:
    """A context that verifies chain and name, against ``ca_file`` or the system's authorities.

    Raises:
        ToolError: ``ca_file`` can't be read or holds no certificate.
    """
    try:
        return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except OSError as error:
        raise ToolError(f"ca_file {ca_file} can't be used as a list of authorities: {reason(error)}") from None


class _BrowserContext(ssl.SSLContext):
    """Offers HTTP/2 first, as browsers do; httpcore names it last, and some servers follow the client's order."""

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        super().set_alpn_protocols(sorted(alpn_protocols, key=lambda name: name != "h2"))


def http2_context(ca_file: Path | str | None) -> ssl.SSLContext:
    """As :func:`tls_context`, for a client that prefers HTTP/2.

    Raises:
        ToolError: ``ca_file`` can't be read or holds no certificate.
    """
    context = _BrowserContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if ca_file:
            context.load_verify_locations(str(ca_file))
        else:
            context.load_default_certs()
    except OSError as error:
        raise ToolError(f"ca_file {ca_file} can't be used as a list of authorities: {reason(error)}") from None
    return context


def failure(error: BaseException) -> str:
    """The end of the sentence that says why an address could not be fetched."""
    text = reason(error)
    if isinstance(error, httpcore.ProtocolError | httpx.ProtocolError):
        return f"was not answered in proper HTTP: {text}"
    if isinstance(error, httpx.DecodingError):
        return f"sent a body that can't be decoded: {text}"
    if "certificate" in text.lower() or "Hostname mismatch" in text:
        known = "; if its authority is one of your own, name it as ca_file" if "issuer" in text else ""
        return f"failed, the certificate was refused: {text}{known}"
    if isinstance(error, httpcore.ConnectError | httpx.ConnectError):
        return f"could not be connected: {text}"
    return f"failed: {text}"


class Deadline(threading.local):
    """When the exchange that this thread is in must have ended, on the monotonic clock."""

    at: float = float("inf")

    def limit(self, timeout: float | None) -> float | None:
        """The shorter of an operation's own limit and of the time that is left."""
        left = self.at - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the time for the whole exchange is over")
        if left == float("inf"):
            return timeout
        return left if timeout is None else min(timeout, left)


class _Stream(httpcore.NetworkStream):
    """A stream whose every operation is held to the deadline.

    httpx limits each read; a peer that sends a byte now and then would never run into that.
    """

    def __init__(self, inner: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._deadline.limit(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._deadline.limit(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        inner = self._inner.start_tls(ssl_context, server_hostname, self._deadline.limit(timeout))
        return _Stream(inner, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class Backend(httpcore.NetworkBackend):
    """Connects to where the map says, and leaves the rest of the stack with the name."""

    def __init__(self, connect_to: ConnectTo | None, deadline: Deadline) -> None:
        self._connect_to = connect_to
        self._deadline = deadline
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Open a connection to the mapped address."""
        address, mapped = self._connect_to(host, port) if self._connect_to else (host, port)
        limit = self._deadline.limit(timeout)
        try:
            inner = self._inner.connect_tcp(address, mapped, limit, local_address, socket_options)
        except httpcore.ConnectError as error:
            raise httpcore.ConnectError(f"{reason(error)} ({address} port {mapped})") from error
        return _Stream(inner, self._deadline)


class _Body(httpx.SyncByteStream):
    """Hands an httpcore body to httpx."""

    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        yield from self._response.iter_stream()

    def close(self) -> None:
        self._response.close()


class Transport(httpx.BaseTransport):
    """httpx over an httpcore pool with our own backend; httpx's own transport has no such opening."""

    def __init__(self, context: ssl.SSLContext, backend: Backend, *, http2: bool = False) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=context, network_backend=backend, max_connections=10, keepalive_expiry=30.0, http2=http2
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; its body comes as it is read."""
        response = self._pool.handle_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(
                    scheme=request.url.raw_scheme,
                    host=request.url.raw_host,
                    port=request.url.port,
                    target=request.url.raw_path,
                ),
                headers=request.headers.raw,
                content=request.read(),
                extensions=request.extensions,
            )
        )
        return httpx.Response(
            response.status, headers=response.headers, stream=_Body(response), extensions=response.extensions
        )

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()
