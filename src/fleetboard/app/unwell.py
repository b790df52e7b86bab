"""The faults of single answers, as one middleware: slow, broken now and then, blank, or something else instead."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from starlette.responses import HTMLResponse, JSONResponse, Response
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
_DASHBOARD = "/fleet/dashboard"
_BLANK = '<!DOCTYPE html><html lang="en"><title>Fleet Manager Dashboard</title><body></body></html>'
_SLOW_PAGE_S = 5.2
_STYLES = "/static/shell.css"

_INSTEAD = {
    ("health-as-html", _HEALTH): HTMLResponse(_PAGE),
    ("blank-page", _DASHBOARD): HTMLResponse(_BLANK),
    ("styles-missing", _STYLES): Response(media_type="text/css"),
}
"""What is answered under a fault, and where."""
_SLOWLY = {("one-slow-endpoint", _SLOW): _SLOW_S, ("slow-page", _DASHBOARD): _SLOW_PAGE_S}
"""How many seconds an answer is held back under a fault, and where."""


class Unwell:
    """ASGI middleware that carries out the faults of two tables, endpoint-500-every-tenth and two-percent-slow."""

    def __init__(self, app: ASGIApp, faults: Sequence[str]) -> None:
        self._app = app
        self._faults = frozenset(faults)
        self._asked = 0
        self._seen = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Spoil one request if a fault says so, else pass it on."""
        path = scope["path"] if scope["type"] == "http" else ""
        for (fault, where), instead in _INSTEAD.items():
            if path == where and fault in self._faults:
                await instead(scope, receive, send)
                return
        for (fault, where), seconds in _SLOWLY.items():
            if path == where and fault in self._faults:
                await asyncio.sleep(seconds)
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
