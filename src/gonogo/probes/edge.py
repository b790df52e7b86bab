"""Looks at the outer side of a target, one address at a time: single exchanges that follow and forget nothing.

No cookie is kept and no redirect followed by itself, so that each answer stands for one request.
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote, urljoin, urlsplit

import httpcore
import httpx

from gonogo.errors import TargetError
from gonogo.network import reason
from gonogo.transport import Backend, Deadline, Transport, failure, http2_context, tls_context

MAX_HOPS = 5
REDIRECTS = (301, 302, 303, 307, 308)
_TRIES = 2
"""A connection that breaks is tried once more; what was answered is never asked for again."""
_NO_ANSWER = "disconnected without sending a response"
_BROKEN = (httpcore.NetworkError, httpcore.RemoteProtocolError, httpx.NetworkError, httpx.RemoteProtocolError)


class CutError(TargetError):
    """The request was taken, and the connection closed without a word, twice for a GET."""


@dataclass(frozen=True)
class Answer:
    """One answer of one address."""

    method: str
    url: str
    address: str
    """IP address that was asked."""
    status: int
    version: str
    """Version of HTTP that was spoken: ``HTTP/1.1`` or ``HTTP/2``."""
    headers: tuple[tuple[str, str], ...]
    """Names in lower case, in the order in which they came; a name may come more than once."""
    body: bytes = field(repr=False)
    """Decoded, up to the limit."""
    complete: bool = True
    """The body ended before the limit."""
    elapsed_s: float = 0.0
    tries: int = 1

    def values(self, name: str) -> list[str]:
        """Every value of one header."""
        return [value for key, value in self.headers if key == name.lower()]

    def header(self, name: str) -> str | None:
        """All values of one header as one text (RFC 9110, section 5.3), or ``None`` if it was not sent."""
        found = self.values(name)
        return ", ".join(found) if found else None

    @property
    def content_type(self) -> str:
        """Media type without its parameters, in lower case; empty if none was sent."""
        return (self.header("content-type") or "").partition(";")[0].strip().lower()

    @property
    def text(self) -> str:
        """The body as UTF-8; what can't be decoded is replaced."""
        return self.body.decode("utf-8", "replace")

    @property
    def leads_to(self) -> str | None:
        """Absolute address of a redirect; ``None`` if the answer is none."""
        location = self.header("location")
        if self.status not in REDIRECTS or not location:
            return None
        try:
            return urljoin(self.url, location)
        except ValueError:
            return location

    def to_dict(self) -> dict[str, object]:
        """Everything but the body, for the evidence."""
        return {
            "request": f"{self.method} {self.url}",
            "address": self.address,
            "status": self.status,
            "version": self.version,
            "headers": [f"{name}: {_shown(name, value)}" for name, value in self.headers],
            "body_bytes": len(self.body),
            "complete": self.complete,
            "elapsed_s": round(self.elapsed_s, 4),
            "tries": self.tries,
        }


def _shown(name: str, value: str) -> str:
    # A cookie may open a session; its name and attributes are all that anybody needs to judge.
    if name != "set-cookie":
        return value
    pair, _, attributes = value.partition(";")
    return f"{pair.partition('=')[0]}=(hidden);{attributes}"


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of an address, in the form in which they can be compared.

    An address that can't be read has the host ``""`` and the port 0.
    """
    try:
        split = urlsplit(url)
        port = {"http": 80, "https": 443}.get(split.scheme, 0) if split.port is None else split.port
        host = (split.hostname or "").rstrip(".")
        return split.scheme, host if host.isascii() else host.encode("idna").decode(), port
    except ValueError:
        return "", "", 0


def canonical(url: str) -> str:
    """An address in a form that can be compared: encoded, host in lower case, no default port, no fragment."""
    scheme, host, port = origin(url)
    if not host:
        return url
    name = f"[{host}]" if ":" in host else host
    default = {"http": 80, "https": 443}.get(scheme)
    return f"{scheme}://{name}" + ("" if port == default else f":{port}") + _encoded(path_of(url))


def _encoded(path: str) -> str:
    # What is encoded already stays so: the sign of a percentage is safe here.
    return re.sub("%[0-9a-fA-F]{2}", lambda code: code[0].upper(), quote(path, safe="%/?:@!$&'()*+,;=-._~[]"))


def path_of(url: str) -> str:
    """Path and query of an address; an empty path is the root."""
    split = urlsplit(url)
    return (split.path or "/") + (f"?{split.query}" if split.query else "")


class Edge:
    """A client for one address behind a name; verifies chain and name, keeps connections until it is closed."""

    def __init__(
        self,
        address: str,
        *,
        ca_file: Path | str | None = None,
        timeout_s: float = 5.0,
        http2: bool = False,
    ) -> None:
        """Prepares the client; nothing is sent yet.

        Args:
            address: IP address that every connection goes to, whatever the host of the URL.
            ca_file: PEM file of the authorities to trust; the system's if ``None``.
            timeout_s: limit in seconds for one exchange, from the first packet to the last byte.
            http2: offer HTTP/2 before HTTP/1.1.

        Raises:
            ToolError: ``ca_file`` can't be used.
        """
        self.address = address
        self._timeout_s = timeout_s
        self._deadline = Deadline()
        context: ssl.SSLContext = http2_context(ca_file) if http2 else tls_context(ca_file)
        backend = Backend(lambda _host, port: (address, port), self._deadline)
        self._transport = Transport(context, backend, http2=http2)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._transport.close()

    def ask(
        self,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        max_bytes: int = 2_000_000,
    ) -> Answer:
        """One exchange; a redirect is an answer like any other.

        Args:
            url: absolute.
            method: anything but GET is sent once, whatever happens.
            headers: beside User-Agent and Accept-Encoding.
            body: what is sent along.
            max_bytes: how much of the decoded body is read.

        Raises:
            CutError: no answer came before the connection was closed.
            TargetError: refused, not verified, too slow, or not HTTP; the sentence names the address.
        """
        what = f"{method} {url} at {self.address}"
        tries = _TRIES if method == "GET" else 1
        sent = {"User-Agent": "gonogo", "Accept-Encoding": "identity", "Accept": "*/*", **(headers or {})}
        started = time.perf_counter()
        self._deadline.at = time.monotonic() + self._timeout_s
        try:
            for attempt in range(1, tries + 1):
                try:
                    request = httpx.Request(method, url, headers=sent, content=body)
                    return self._exchange(request, max_bytes, attempt, started)
                except _BROKEN as error:
                    if attempt == tries or _verdict(error):
                        raise
        except (httpx.TimeoutException, httpcore.TimeoutException, TimeoutError):
            raise TargetError(f"{what} was not answered completely within {self._timeout_s:g} s") from None
        except (
            httpx.HTTPError,
            httpx.InvalidURL,
            httpcore.ProtocolError,
            httpcore.NetworkError,
            httpcore.UnsupportedProtocol,
            OSError,
        ) as error:
            kind = CutError if _NO_ANSWER in str(error) else TargetError
            raise kind(f"{what} {failure(error)}") from None
        finally:
            self._deadline.at = float("inf")
        raise AssertionError("unreachable: every attempt returns or raises")

    def follow(self, url: str, *, headers: Mapping[str, str] | None = None) -> tuple[Answer, ...]:
        """Goes where redirects lead as long as they stay on the host; at most ``MAX_HOPS`` times.

        Returns:
            every answer in order. If the last one is a redirect, it leaves the host, takes the encryption away,
            or is one too many.

        Raises:
            TargetError: as ``ask`` does, for any of them.
        """
        answers = [self.ask(url, headers=headers)]
        while (following := answers[-1].leads_to) is not None and len(answers) <= MAX_HOPS:
            here, there = origin(answers[-1].url), origin(following)
            if there[1] != here[1] or there[0] not in {"https", here[0]}:
                break
            answers.append(self.ask(following.partition("#")[0], headers=headers))
        return tuple(answers)

    def _exchange(self, request: httpx.Request, max_bytes: int, attempt: int, started: float) -> Answer:
        response = self._transport.handle_request(request)
        response.request = request
        parts: list[bytes] = []
        size = 0
        try:
            for part in response.iter_bytes():
                parts.append(part[: max_bytes - size])
                size += len(part)
                if size > max_bytes:
                    break
        finally:
            response.close()
        return Answer(
            method=request.method,
            url=str(request.url),
            address=self.address,
            status=response.status_code,
            version=response.http_version,
            headers=tuple((name.lower(), value) for name, value in response.headers.multi_items()),
            body=b"".join(parts),
            complete=size <= max_bytes,
            elapsed_s=time.perf_counter() - started,
            tries=attempt,
        )


def _verdict(error: BaseException) -> bool:
    """Whether an error is an answer by itself, which another try would only ask for again."""
    text = reason(error).lower()
    return "certificate" in text or "mismatch" in text or "refused" in text
