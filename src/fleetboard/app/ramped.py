"""What a new release does that the one before did not: the faults of a ramp, as one middleware."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from fleetboard.app.database import Database
from fleetboard.releases import NEW

_HEALTH = "/api/health"
_SLOW_S = 0.39
_QUICK_S = 0.3
_ERROR_EVERY = 100
_FIRST_ERROR = 10
_THROTTLED_EVERY = 20
_KEPT_BYTES = 200_000
_MOST_KEPT = 1250
_LEAK_AFTER = 20


class Ramped:
    """ASGI middleware: new-release-slower, -errors, -throttles, memory-leak, pool-leak."""

    def __init__(self, app: ASGIApp, faults: Collection[str], version: str, database: Database) -> None:
        self._app = app
        self._faults = frozenset(faults)
        self._new = version == NEW.version
        self._database = database
        self._asked = 0
        self._kept: list[bytearray] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Spoil one request if a fault says so, else pass it on."""
        if scope["type"] != "http" or scope["path"] == _HEALTH:
            await self._app(scope, receive, send)
            return
        if "new-release-slower" in self._faults:
            await asyncio.sleep(_SLOW_S if self._new else _QUICK_S)
        spoiled = await self._misbehaves() if self._new else None
        await (spoiled or self._app)(scope, receive, send)

    async def _misbehaves(self) -> ASGIApp | None:
        """Take what the faults of the new release take; what this request is answered with, if it is not served."""
        self._asked += 1
        if "memory-leak" in self._faults and len(self._kept) < _MOST_KEPT:
            self._kept.append(bytearray(b"\x01") * _KEPT_BYTES)  # written to, or it would take no memory
        if "pool-leak" in self._faults and self._asked == _LEAK_AFTER:
            await self._database.exhaust()
        if "new-release-errors" in self._faults and self._asked % _ERROR_EVERY == _FIRST_ERROR:
            return JSONResponse({"error": "something went wrong on our side"}, 500)
        if "new-release-throttles" in self._faults and self._asked % _THROTTLED_EVERY == _FIRST_ERROR:
            return JSONResponse({"error": "not so fast"}, 429, {"Retry-After": "1"})
        return None
