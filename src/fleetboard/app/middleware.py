"""What every response gets: security headers, and a place in the statistics."""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fleetboard.app.metrics import Metrics

_CSP = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS: list[tuple[bytes, bytes]] = [
    (b"content-security-policy", _CSP.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
]


_PROBES = ("/api/health", "/metrics")
"""Left out of the statistics: monitors ask here, and their many requests would hide what users get."""


class Observed:
    """ASGI middleware: adds the headers, counts and times each HTTP request but health probes."""

    def __init__(self, app: ASGIApp, metrics: Metrics, release: str) -> None:
        self._app = app
        self._metrics = metrics
        # Health tells it as well; while two releases serve, each answer must say whose it is.
        self._headers = [*_HEADERS, (b"x-release", release.encode())]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on; a request whose handler raised counts as 500."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        begun = time.perf_counter()

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                message["headers"] = [*message.get("headers", ()), *self._headers]
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        finally:
            if scope["path"] not in _PROBES:
                self._metrics.record(scope["path"], status, (time.perf_counter() - begun) * 1000)
