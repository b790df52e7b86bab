"""What every response gets: headers for browsers, and a place in the statistics."""

from __future__ import annotations

import time
from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fleetboard.app.metrics import Metrics

_CSP = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_ASKED = {
    "asks-localhost": "https://localhost",
    "asks-staging": "https://staging.fleet.test",
    "plain-websocket": "ws:",
}
"""What the policy allows besides under a fault: with it, the browser would not even try to ask."""
_HEADERS: list[tuple[bytes, bytes]] = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
]
_PRIVATE: list[tuple[bytes, bytes]] = [(b"cache-control", b"no-store")]
"""Of the API: what somebody may see while signed in must not lie about afterwards."""

_PROBES = ("/api/health", "/metrics")
"""Left out of the statistics: monitors ask here, and their many requests would hide what users get."""


class Observed:
    """ASGI middleware: adds the headers, counts and times each HTTP request but health probes."""

    def __init__(self, app: ASGIApp, metrics: Metrics, release: str, faults: Sequence[str] = ()) -> None:
        self._app = app
        self._metrics = metrics
        allowed = " ".join(["connect-src 'self'", *(host for fault, host in _ASKED.items() if fault in faults)])
        policy = _CSP.replace("connect-src 'self'", allowed)
        # Health tells the release as well; while two of them serve, each answer must say whose it is.
        told = (b"x-release", release.encode())
        self._headers = [(b"content-security-policy", policy.encode()), *_HEADERS, told]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on; a request whose handler raised counts as 500."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        private = _PRIVATE if scope["path"].startswith("/api/") else []
        begun = time.perf_counter()

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                message["headers"] = [*message.get("headers", ()), *self._headers, *private]
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        finally:
            if scope["path"] not in _PROBES:
                self._metrics.record(scope["path"], status, (time.perf_counter() - begun) * 1000)
