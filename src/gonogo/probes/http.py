"""Looks at a target over HTTP: one GET, or a series of them over a connection that is kept.

Certificates and names are always verified, proxies of the environment are never used, and
the limits hold for the whole exchange: time counts from the first packet to the last byte of
the body, redirects included, and size counts what was decoded.
"""

from __future__ import annotations

import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import httpcore
import httpx

from gonogo.errors import TargetError, ToolError

ConnectTo = Callable[[str, int], tuple[str, int]]
"""Maps the host and port of a URL to the address that is connected to."""

MAX_REDIRECTS = 5
REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True)
class HttpFacts:
    """One complete answer."""

    url: str
    """The address that answered, after redirects."""
    status: int
    headers: httpx.Headers
    body: bytes = field(repr=False)
    elapsed_s: float
    """From the start of the request to the last byte of the body, redirects included, in seconds."""
    redirects: tuple[str, ...] = ()
    """Addresses passed through on the way, in order."""

    @property
    def content_type(self) -> str:
        """Media type without its parameters, in lower case; empty if none was sent."""
        return str(self.headers.get("content-type", "")).partition(";")[0].strip().lower()

    @property
    def age_s(self) -> int | None:
        """Seconds that the answer lay in a cache (RFC 9111, section 5.1); ``None`` if that can't be read."""
        age = str(self.headers.get("age", "0")).strip()
        return int(age) if age.isascii() and age.isdigit() else None

    @property
    def text(self) -> str:
        """The body as UTF-8; what can't be decoded is replaced."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body read as JSON.

        Raises:
            TargetError: the body is not JSON.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            start = self.text[:60].replace("\n", " ")
            raise TargetError(
                f"{self.url} answered {self.status} with a body that is not JSON; it starts with {start!r}"
            ) from None


@dataclass(frozen=True)
class Samples:
    """A series of GETs, in the order in which they were made."""

    url: str
    elapsed_s: tuple[float, ...]
    """Seconds for each answer, not rounded; the first one may include the TLS handshake."""
    statuses: tuple[int, ...]
    answers: tuple[HttpFacts, ...] = field(default=(), repr=False)
    """The answers themselves: behind one address, instances may say different things."""


def lookup(document: Any, path: str) -> Any:
    """The value at a dotted path of a JSON document, or ``None`` if the path leads nowhere.

    >>> lookup({"pool": {"max": 10}}, "pool.max")
    10
    """
    for key in path.split("."):
        if not isinstance(document, Mapping) or key not in document:
            return None
        document = document[key]
    return document


def tls_context(ca_file: Path | str | None) -> ssl.SSLContext:
    """A context that verifies chain and name, against ``ca_file`` or the system's authorities.

    Raises:
        ToolError: ``ca_file`` can't be read or holds no certificate.
    """
    try:
        return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except OSError as error:
        raise ToolError(f"ca_file {ca_file} can't be used as a list of authorities: {reason(error)}") from None


def reason(error: BaseException) -> str:
    """What an error says, without the positions in C sources that OpenSSL appends."""
    text = re.sub(r"\s*\(_ssl\.c:\d+\)|\[(SSL|Errno)[^]]*\]\s*", "", str(error)).strip(" .")
    return text or type(error).__name__


class HttpProbe:
    """A client for one target; keeps its connections until it is closed."""

    def __init__(
        self,
        base_url: str,
        *,
        ca_file: Path | str | None = None,
        connect_to: ConnectTo | None = None,
        timeout_s: float = 10.0,
        max_bytes: int = 5_000_000,
    ) -> None:
        """Prepares the client; nothing is sent yet.

        Args:
            base_url: what relative addresses are joined to.
            ca_file: PEM file of the authorities to trust; the system's if ``None``.
            connect_to: maps host and port to the address to connect to; URL, SNI and
                verification stay with the host. ``None`` leaves names to the system.
            timeout_s: limit in seconds for a whole exchange, unless a call names another.
            max_bytes: limit for a decoded body, unless a call names another.

        Raises:
            ToolError: ``ca_file`` can't be used.
        """
        self.base_url = base_url
        self.timeout_s = timeout_s
        self.max_bytes = max_bytes
        self.context = tls_context(ca_file)
        self._deadline = _Deadline()
        self._client = httpx.Client(
            base_url=base_url,
            transport=_Transport(self.context, _Backend(connect_to, self._deadline)),
            trust_env=False,
            follow_redirects=False,
            timeout=timeout_s,
            headers={"User-Agent": "gonogo", "Accept-Encoding": "identity"},
        )

    def __enter__(self) -> HttpProbe:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes all connections."""
        self._client.close()

    def get(
        self,
        url: str,
        timeout_s: float | None = None,
        max_bytes: int | None = None,
        *,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HttpFacts:
        """Fetches one address completely; follows at most five redirects.

        Args:
            url: absolute, or relative to the base URL.
            timeout_s: limit in seconds for everything together.
            max_bytes: limit for the decoded body.
            params: query to add.
            headers: headers to add.

        Raises:
            TargetError: refused, not verified, too slow, too large, not HTTP, or redirected
                for ever, to an unencrypted address or to another host.
        """
        limit = self.timeout_s if timeout_s is None else timeout_s
        size = self.max_bytes if max_bytes is None else max_bytes
        request = self._client.build_request("GET", url, params=params, headers=headers)
        first, passed, started = str(request.url), list[str](), time.perf_counter()
        self._deadline.at = time.monotonic() + limit
        try:
            while True:
                response, body = self._exchange(request, size)
                if response.status_code not in REDIRECTS or response.next_request is None:
                    break
                passed.append(str(request.url))
                request = self._redirected(response.next_request, first, passed)
        except (httpx.TimeoutException, httpcore.TimeoutException, TimeoutError):
            raise TargetError(f"GET {first} was not answered completely within {limit:g} s") from None
        except (
            httpx.HTTPError,
            httpx.InvalidURL,
            httpcore.ProtocolError,
            httpcore.NetworkError,
            OSError,
        ) as error:
            raise TargetError(f"GET {first} {_failure(error)}") from None
        finally:
            self._deadline.at = float("inf")
        elapsed = time.perf_counter() - started
        return HttpFacts(str(request.url), response.status_code, response.headers, body, elapsed, tuple(passed))

    def sample(self, url: str, n: int, timeout_s: float | None = None, budget_s: float | None = None) -> Samples:
        """Makes ``n`` GETs one after the other, over one connection if the target keeps it.

        Args:
            url: absolute, or relative to the base URL.
            n: how many; fewer are made if the budget runs out first.
            timeout_s: limit in seconds for each of them.
            budget_s: no further request starts after so many seconds (default: ``timeout_s``).

        Raises:
            TargetError: as ``get`` does, for any of them.
        """
        limit = self.timeout_s if timeout_s is None else timeout_s
        ends = time.monotonic() + (limit if budget_s is None else budget_s)
        answers: list[HttpFacts] = []
        while len(answers) < n and (not answers or time.monotonic() < ends):
            answers.append(self.get(url, limit))
        times, statuses = tuple(a.elapsed_s for a in answers), tuple(a.status for a in answers)
        return Samples(url, times, statuses, tuple(answers))

    def _exchange(self, request: httpx.Request, max_bytes: int) -> tuple[httpx.Response, bytes]:
        """Sends one request; reads the body up to the limit, or not at all for a redirect."""
        response = self._client.send(request, stream=True)
        try:
            if response.next_request is not None:
                return response, b""
            parts: list[bytes] = []
            size = 0
            for part in response.iter_bytes():
                size += len(part)
                if size > max_bytes:
                    raise TargetError(f"GET {request.url} sent more than the {max_bytes} bytes allowed")
                parts.append(part)
            return response, b"".join(parts)
        finally:
            response.close()

    @staticmethod
    def _redirected(following: httpx.Request, first: str, passed: list[str]) -> httpx.Request:
        """The request to go on with.

        Raises:
            TargetError: too many redirects, or one that leaves the encrypted connection or the host.
        """
        if following.url.host != httpx.URL(first).host:
            # Whatever that host says, it says nothing of the one that was asked.
            raise TargetError(f"GET {first} was redirected to another host: {following.url}")
        if len(passed) > MAX_REDIRECTS:
            raise TargetError(
                f"GET {first} was redirected more than {MAX_REDIRECTS} times, last to {following.url}"
            )
        if passed[-1].startswith("https:") and following.url.scheme != "https":
            raise TargetError(f"GET {first} was redirected to the unencrypted {following.url}")
        return following


def _failure(error: BaseException) -> str:
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


class _Deadline(threading.local):
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

    def __init__(self, inner: httpcore.NetworkStream, deadline: _Deadline) -> None:
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


class _Backend(httpcore.NetworkBackend):
    """Connects to where the map says, and leaves the rest of the stack with the name."""

    def __init__(self, connect_to: ConnectTo | None, deadline: _Deadline) -> None:
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


class _Transport(httpx.BaseTransport):
    """httpx over an httpcore pool with our own backend; httpx's own transport has no such opening."""

    def __init__(self, context: ssl.SSLContext, backend: _Backend) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=context, network_backend=backend, max_connections=10, keepalive_expiry=30.0
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
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
        return httpx.Response(response.status, headers=response.headers, stream=_Body(response))

    def close(self) -> None:
        self._pool.close()
