"""The faults of single answers, as one middleware: slow, broken now and then, or a page instead of health."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from starlette.responses import HTMLResponse, JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_HEALTH = "/api/health"
_SLOW = "/api/fleet/maintenance"
_SLOW_S = 0.7
_FAILING = "/api/fleet/drivers"
_FAILING_EVERY = 10
_ALL = "/api/fleet/"
_STALL_EVERY = 50
_STALL_S = 2.2
_PAGE = "<!DOCTYPE html><title>Oops</title><h1>Something went wrong</h1><p>Please come back later.</p>"


class Unwell:
    """ASGI middleware: health-as-html, one-slow-endpoint, endpoint-500-every-tenth, two-percent-slow."""

    def __init__(self, app: ASGIApp, faults: Sequence[str]) -> None:
        self._app = app
        self._faults = frozenset(faults)
        self._asked = 0
        self._seen = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Spoil one request if a fault says so, else pass it on."""
        path = scope["path"] if scope["type"] == "http" else ""
        if path == _HEALTH and "health-as-html" in self._faults:
            await HTMLResponse(_PAGE)(scope, receive, send)
            return
        if path == _SLOW and "one-slow-endpoint" in self._faults:
            await asyncio.sleep(_SLOW_S)
        if path.startswith(_ALL) and "two-percent-slow" in self._faults:
            self._seen += 1
            if self._seen % _STALL_EVERY == 0:
                await asyncio.sleep(_STALL_S)
        if path == _FAILING and "endpoint-500-every-tenth" in self._faults:
            self._asked += 1
            if self._asked % _FAILING_EVERY == 0:
                await JSONResponse({"error": "something went wrong on our side"}, 500)(scope, receive, send)
                return
        await self._app(scope, receive, send)
