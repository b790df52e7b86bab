"""Talks to a target over HTTP: single requests, or a series of GETs over a connection that is kept.

Certificates and names are always verified, proxies of the environment are never used, and
the limits hold for the whole exchange: time counts from the first packet to the last byte of
the body, redirects included, and size counts what was decoded. Credentials go to the origin of
the base URL and nowhere else.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import httpcore
import httpx

from gonogo.errors import TargetError
from gonogo.network import reason
from gonogo.transport import Backend, ConnectTo, Deadline, Transport, failure, tls_context

MAX_REDIRECTS = 5
REDIRECTS = (301, 302, 303, 307, 308)
RETRY_S = 0.1
"""Pause before an address is asked again."""
_TRANSPORT = (httpx.HTTPError, httpcore.ProtocolError, httpcore.NetworkError, OSError)
_LAST = {"Connection": "close"}
_NO_ANSWER = "disconnected without sending a response"


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
    transport_errors: tuple[str, ...] = ()
    """What went wrong on the wire before this answer came, in order; only with ``retries``."""

    @property
    def content_type(self) -> str:
        """Media type without its parameters, in lower case; empty if none was sent."""
        return str(self.headers.get("content-type", "")).partition(";")[0].strip().lower()

    @property
    def is_json(self) -> bool:
        """Whether the media type says JSON: ``application/json`` or another one that ends in ``+json``."""
        return is_json(self.content_type)

    @property
    def age_s(self) -> int | None:
        """Seconds that the answer lay in a cache (RFC 9111, section 5.1); ``None`` if that can't be read."""
        age = str(self.headers.get("age", "0")).strip()
        return int(age) if age.isascii() and age.isdigit() else None

    @property
    def text(self) -> str:
        """The body as UTF-8; what can't be decoded is replaced."""
        return self.body.decode("utf-8", "replace")

    def json(self, hide: Callable[[str], str] = str) -> Any:
        """The body read as JSON.

        Args:
            hide: takes out of the body what the message of the error must not repeat.

        Raises:
            TargetError: the body is not JSON.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            start = hide(self.text)[:60].replace("\n", " ")
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
    failures: tuple[str, ...] = ()
    """A sentence for each request that got no complete answer."""

    @property
    def n(self) -> int:
        """How many requests were made."""
        return len(self.statuses) + len(self.failures)


def is_json(content_type: str) -> bool:
    """Whether a media type in lower case is JSON (RFC 8259, and RFC 6839 for ``+json``)."""
    return content_type == "application/json" or content_type.endswith("+json")


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
        credentials: Mapping[str, str] | None = None,
        keep_cookies: bool = False,
    ) -> None:
        """Prepares the client; nothing is sent yet.

        Args:
            base_url: what relative addresses are joined to.
            ca_file: PEM file of the authorities to trust; the system's if ``None``.
            connect_to: maps host and port to the address to connect to; URL, SNI and
                verification stay with the host. ``None`` leaves names to the system.
            timeout_s: limit in seconds for a whole exchange, unless a call names another.
            max_bytes: limit for a decoded body, unless a call names another.
            credentials: headers of every request to scheme, host and port of ``base_url``; never sent to
                another, be it named by a call or by a redirect. A call's own header goes before.
            keep_cookies: keep what the target sets, as a browser does; else each request comes without any.

        Raises:
            ToolError: ``ca_file`` can't be used.
        """
        self.base_url = base_url
        self._origin = _origin(httpx.URL(base_url))
        self._credentials = dict(credentials or {})
        self._keep_cookies = keep_cookies
        self.timeout_s = timeout_s
        self.max_bytes = max_bytes
        self.context = tls_context(ca_file)
        self._deadline = Deadline()
        self._client = httpx.Client(
            base_url=base_url,
            transport=Transport(self.context, Backend(connect_to, self._deadline)),
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

    @property
    def cookies(self) -> frozenset[str]:
        """Names of the cookies that it has now; their values may open a session."""
        return frozenset(cookie.name for cookie in self._client.cookies.jar)

    def get(
        self,
        url: str,
        timeout_s: float | None = None,
        max_bytes: int | None = None,
        *,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        retries: int = 0,
    ) -> HttpFacts:
        """Fetches one address completely; follows at most five redirects.

        Args:
            url: absolute, or relative to the base URL.
            timeout_s: limit in seconds for everything together, retries included.
            max_bytes: limit for the decoded body.
            params: query to add.
            headers: headers to add.
            retries: how often to ask again after a transport error: nobody listens, the connection or the
                handshake is cut, no answer comes. What was answered, and a certificate that is no good, is
                a verdict, and never asked for again.

        Raises:
            TargetError: refused, not verified, too slow, too large, not HTTP, or redirected
                for ever, to an unencrypted address or to another host.
        """
        return self._ask("GET", url, timeout_s, max_bytes, retries, params=params, headers=headers)

    def request(
        self,
        method: str,
        url: str,
        timeout_s: float | None = None,
        max_bytes: int | None = None,
        *,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        content: bytes | None = None,
    ) -> HttpFacts:
        """Makes one request of any method, as ``get`` does, but sends it once: it may change something.

        Args:
            method: such as ``POST``; a redirect makes a GET of it where HTTP says so.
            url: absolute, or relative to the base URL.
            timeout_s: limit in seconds for everything together.
            max_bytes: limit for the decoded body of the answer.
            params: query to add.
            headers: headers to add.
            json: value to send as JSON, with its media type.
            content: body to send as it is, in place of ``json``.

        Raises:
            TargetError: as ``get`` does. Whether anything was changed is then unknown.
        """
        body = {"json": json} if content is None else {"content": content}
        return self._ask(method, url, timeout_s, max_bytes, params=params, headers=headers, **body)

    def _ask(
        self,
        method: str,
        url: str,
        timeout_s: float | None,
        max_bytes: int | None,
        retries: int = 0,
        *,
        headers: Mapping[str, str] | None,
        **sent: Any,
    ) -> HttpFacts:
        limit = self.timeout_s if timeout_s is None else timeout_s
        size = self.max_bytes if max_bytes is None else max_bytes
        if not self._keep_cookies:  # a load balancer's cookie would lead us to one and the same instance
            self._client.cookies.clear()
        request = self._client.build_request(method, url, headers=headers, **sent)
        mine = {name: v for name, v in self._credentials.items() if name not in httpx.Headers(headers)}
        ends, failed = time.monotonic() + limit, list[str]()
        self._deadline.at = ends
        try:
            while True:
                try:
                    return replace(self._answer(request, size, mine), transport_errors=tuple(failed))
                except _TRANSPORT as error:
                    if len(failed) >= retries or not _passing(error) or time.monotonic() + RETRY_S >= ends:
                        raise
                    failed.append(reason(error))
                    time.sleep(RETRY_S)
        except (httpx.TimeoutException, httpcore.TimeoutException, TimeoutError):
            raise TargetError(f"{_told(request)} was not answered completely within {limit:g} s") from None
        except (*_TRANSPORT, httpx.InvalidURL) as error:
            again = f" (and so {len(failed)} times before)" if failed else ""
            raise TargetError(f"{_told(request)} {failure(error)}{again}") from None
        finally:
            self._deadline.at = float("inf")

    def sample(
        self,
        url: str,
        n: int,
        timeout_s: float | None = None,
        budget_s: float | None = None,
        *,
        fresh: bool = False,
    ) -> Samples:
        """Makes ``n`` GETs one after the other, over one connection if the target keeps it.

        A request without a complete answer is never repeated; it is a sample, and told in ``failures``.

        Args:
            url: absolute, or relative to the base URL.
            n: how many; fewer are made if the budget runs out first.
            timeout_s: limit in seconds for each of them.
            budget_s: no further request starts after so many seconds (default: ``timeout_s``).
            fresh: over a connection of its own each, as some load balancers choose an instance a connection.
        """
        limit = self.timeout_s if timeout_s is None else timeout_s
        ends = time.monotonic() + (limit if budget_s is None else budget_s)
        answers, failures = list[HttpFacts](), list[str]()
        while len(answers) + len(failures) < n and (not (answers or failures) or time.monotonic() < ends):
            try:
                answers.append(self.get(url, limit, headers=_LAST if fresh else None))
            except TargetError as error:
                failures.append(str(error))
        times, statuses = tuple(a.elapsed_s for a in answers), tuple(a.status for a in answers)
        return Samples(url, times, statuses, tuple(answers), tuple(failures))

    def _answer(self, request: httpx.Request, max_bytes: int, credentials: Mapping[str, str]) -> HttpFacts:
        """One exchange, redirects followed."""
        first, passed, started = request, list[str](), time.perf_counter()
        while True:
            self._identify(request, credentials)
            response, body = self._exchange(request, max_bytes)
            if response.status_code not in REDIRECTS or response.next_request is None:
                break
            passed.append(str(request.url))
            request = self._redirected(response.next_request, first, passed)
        elapsed = time.perf_counter() - started
        return HttpFacts(str(request.url), response.status_code, response.headers, body, elapsed, tuple(passed))

    def _identify(self, request: httpx.Request, credentials: Mapping[str, str]) -> None:
        """Puts the credentials into a request to their origin; takes those out that a redirect brought along."""
        for name, value in credentials.items():
            if _origin(request.url) == self._origin:
                request.headers[name] = value
            else:
                request.headers.pop(name, None)

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
                    raise TargetError(f"{_told(request)} sent more than the {max_bytes} bytes allowed")
                parts.append(part)
            return response, b"".join(parts)
        finally:
            response.close()

    @staticmethod
    def _redirected(following: httpx.Request, first: httpx.Request, passed: list[str]) -> httpx.Request:
        """The request to go on with.

        Raises:
            TargetError: too many redirects, or one that leaves the encrypted connection or the host.
        """
        told, there = f"{_told(first)} was redirected", following.url
        if there.scheme not in {"http", "https"}:
            raise TargetError(f"{told} to {there}, which is no address of the web")
        if there.host != first.url.host:
            # Whatever that host says, it says nothing of the one that was asked.
            raise TargetError(f"{told} to another host: {there}")
        if len(passed) > MAX_REDIRECTS:
            raise TargetError(f"{told} more than {MAX_REDIRECTS} times, last to {there}")
        if passed[-1].startswith("https:") and there.scheme != "https":
            raise TargetError(f"{told} to the unencrypted {there}")
        return following


def _told(request: httpx.Request) -> str:
    return f"{request.method} {request.url}"


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _passing(error: BaseException | None) -> bool:
    """Whether an error may be gone at the next try: of the wire, not a judgement of what came over it."""
    if isinstance(error, httpcore.ProtocolError | httpx.ProtocolError):
        return _NO_ANSWER in str(error)
    passing = isinstance(error, httpcore.NetworkError | httpx.NetworkError | OSError)
    while error is not None:
        # OpenSSL found something it does not accept, as opposed to a handshake that was cut.
        if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return False
        error = error.__cause__ or error.__context__
    return passing
