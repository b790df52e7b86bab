"""Asks a JSON service: verified TLS, names mapped by the plan, a limit for the whole exchange."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpcore
import httpx

from gonogo.errors import TargetError
from gonogo.transport import Backend, ConnectTo, Deadline, Transport, reason, tls_context

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
            base_url: what paths are joined to.
            ca_file: PEM file of the authorities to trust; the system's if ``None``.
            connect_to: maps host and port to the address to connect to.
            token: sent as ``Authorization: Bearer``.
            timeout_s: limit in seconds for a whole exchange, retries included.
            max_bytes: limit for a body.

        Raises:
            ToolError: ``ca_file`` can't be used.
        """
        self.base_url = base_url.rstrip("/")
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._deadline = Deadline()
        headers = {"User-Agent": "gonogo", "Accept": "application/json"}
        self._client = httpx.Client(
            transport=Transport(tls_context(ca_file), Backend(connect_to, self._deadline)),
            trust_env=False,
            follow_redirects=False,
            timeout=timeout_s,
            headers={**headers, **({"Authorization": f"Bearer {token}"} if token else {})},
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
        return self._send("GET", path, params=dict(params or {}), retries=_RETRIES)

    def post(self, path: str, content: Any) -> Answer:
        """POST a value as JSON, once.

        Raises:
            TargetError: as ``get``.
        """
        return self._send("POST", path, json=content, retries=0)

    def _send(self, method: str, path: str, *, retries: int, **content: Any) -> Answer:
        url = self.base_url + path
        self._deadline.at = time.monotonic() + self._timeout_s
        try:
            while True:
                try:
                    return self._exchange(method, url, content)
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

    def _exchange(self, method: str, url: str, content: Mapping[str, Any]) -> Answer:
        with self._client.stream(method, url, **content) as response:
            parts, size = list[bytes](), 0
            for part in response.iter_bytes():
                size += len(part)
                if size > self._max_bytes:
                    raise TargetError(f"{method} {url} sent more than the {self._max_bytes} bytes allowed")
                parts.append(part)
        return Answer(url, response.status_code, b"".join(parts))


def place(url: str) -> str:
    """Host and port of an address, the port of the scheme included."""
    split = urlsplit(url)
    return f"{split.hostname or ''}:{split.port or (443 if split.scheme == 'https' else 80)}"
