"""Asks a JSON service: verified TLS, names mapped by the plan, a limit for the whole exchange."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlencode, urlsplit

import httpcore
import httpx

from gonogo.errors import TargetError, ToolError
from gonogo.network import reason
from gonogo.transport import Backend, ConnectTo, Deadline, Transport, tls_context

_RETRY_S = 0.2
_RETRIES = 2
_EXCERPT = 160


@dataclass(frozen=True)
class Answer:
    """One complete answer."""

    url: str
    status: int
    body: bytes

    @property
    def text(self) -> str:
        """The body as UTF-8; what can't be decoded is replaced."""
        return self.body.decode("utf-8", "replace")

    @property
    def excerpt(self) -> str:
        """The beginning of the body, on one line."""
        return " ".join(self.text[:_EXCERPT].split()) or "nothing"

    def json(self) -> Any:
        """The body read as JSON.

        Raises:
            TargetError: it is none.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise TargetError(
                f"{self.url} answered {self.status} with a body that is not JSON: {self.excerpt}"
            ) from None


class JsonService:
    """A client for one service; it follows no redirects, because an API has no reason for them."""

    def __init__(
        self,
        base_url: str,
        *,
        ca_file: Path | str | None = None,
        connect_to: ConnectTo | None = None,
        token: str | None = None,
        timeout_s: float = 10.0,
        max_bytes: int = 20_000_000,
    ) -> None:
        """Prepare the client; nothing is sent yet.

        Args:
            base_url: what paths are joined to; user and password in it become basic authentication.
            ca_file: PEM file of authorities to trust beside the system's: who watches a service is often another's.
            connect_to: maps host and port to the address to connect to.
            token: sent as ``Authorization: Bearer``.
            timeout_s: limit in seconds for a whole exchange, retries included.
            max_bytes: limit for a body.

        Raises:
            ToolError: ``ca_file`` can't be used, ``base_url`` is no address, or no header can hold the token.
        """
        split = _address(base_url)
        self.base_url = f"{split.scheme}://{split.netloc.rpartition('@')[2]}{split.path}".rstrip("/")
        """For messages too, so without what may be secret."""
        self._slash = "/" if split.path.endswith("/") else ""
        self._query = split.query
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._deadline = Deadline()
        headers = {"User-Agent": "gonogo", "Accept": "application/json"}
        context = tls_context(ca_file)
        context.load_default_certs()
        self._client = httpx.Client(
            transport=Transport(context, Backend(connect_to, self._deadline)),
            auth=(unquote(split.username), unquote(split.password or "")) if split.username else None,
            trust_env=False,
            follow_redirects=False,
            timeout=timeout_s,
            headers={**headers, **({"Authorization": f"Bearer {_sendable(token)}"} if token else {})},
        )

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    @property
    def place(self) -> str:
        """Host and port, the port of the scheme included."""
        return place(self.base_url)

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Answer:
        """GET a path; a connection that fails is tried again within the time limit.

        Raises:
            TargetError: refused, not verified, too slow, too large, or not HTTP.
        """
        return self._send("GET", path, urlencode(params or {}), retries=_RETRIES)

    def post(self, path: str, content: Any) -> Answer:
        """POST a value as JSON, once.

        Raises:
            TargetError: as ``get``.
        """
        return self._send("POST", path, json=content, retries=0)

    def _send(self, method: str, path: str, query: str = "", *, retries: int, **content: Any) -> Answer:
        url = self.base_url + path
        asked = "&".join(filter(None, (self._query, query)))
        full = url + ("" if path else self._slash) + (f"?{asked}" if asked else "")
        self._deadline.at = time.monotonic() + self._timeout_s
        try:
            while True:
                try:
                    return self._exchange(method, url, full, content)
                except (httpcore.NetworkError, httpcore.ProtocolError, httpx.TransportError, OSError):
                    retries -= 1
                    if retries < 0 or time.monotonic() + _RETRY_S > self._deadline.at:
                        raise
                    time.sleep(_RETRY_S)
        except (httpx.TimeoutException, httpcore.TimeoutException, TimeoutError):
            raise TargetError(f"{method} {url} was not answered completely within {self._timeout_s:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            raise TargetError(f"{method} {url} failed: {reason(error)}") from None
        finally:
            self._deadline.at = float("inf")

    def _exchange(self, method: str, url: str, full: str, content: Mapping[str, Any]) -> Answer:
        with self._client.stream(method, full, **content) as response:
            parts, size = list[bytes](), 0
            for part in response.iter_bytes():
                size += len(part)
                if size > self._max_bytes:
                    raise TargetError(f"{method} {url} sent more than the {self._max_bytes} bytes allowed")
                parts.append(part)
        return Answer(url, response.status_code, b"".join(parts))


def _address(url: str) -> SplitResult:
    try:
        split = urlsplit(url.strip())
        if split.scheme in {"http", "https"} and split.hostname and split.port != 0:
            return split
    except ValueError:  # a port or an IPv6 address that is none
        pass
    shown = re.sub(r"//.*@", "//", url, flags=re.DOTALL).partition("?")[0]
    raise ToolError(
        f"{shown!r} is no address of a service; write scheme, host and port, for instance https://prometheus:9090"
    )


def _sendable(token: str) -> str:
    plain = token.strip()  # a file that a variable was read from ends with a line break
    if plain.isascii() and plain.isprintable():
        return plain
    raise ToolError("the token for the monitoring has characters that no header may hold; read its variable anew")


def place(url: str) -> str:
    """Host and port of an address, the port of the scheme included.

    Raises:
        ToolError: it is no address.
    """
    split = _address(url)
    return f"{split.hostname or ''}:{split.port or (443 if split.scheme == 'https' else 80)}"
