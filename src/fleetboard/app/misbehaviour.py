"""The faults that show only under load, as one middleware; each process sees half of the requests."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_LISTS = ("/api/fleet/vehicles", "/api/fleet/loads", "/api/fleet/drivers", "/api/fleet/maintenance")
"""Only these misbehave: samples of health and statistics, taken one after another, are not load."""

_HEALTH = "/api/health"
_WINDOW_S = 3.0
_LOADED = 30
"""Requests within the window above which this process counts as loaded: 10 RPS, 20 with its sibling's."""
_SLOW_S = 0.65
_ERROR_EVERY = 50
_SERVED_RPS = 22.5
_BURST = 4.0


class Misbehaviour:
    """ASGI middleware that carries out slow-under-load, errors-under-load and throughput-45."""

    def __init__(self, app: ASGIApp, faults: Sequence[str]) -> None:
        self._app = app
        self._faults = frozenset(faults)
        self._arrivals: deque[float] = deque()
        self._loaded_requests = 0
        self._free_at = time.monotonic() - _BURST / _SERVED_RPS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Delay or spoil one request if a fault says so, else pass it on."""
        if scope["type"] == "http" and scope["path"] == _HEALTH and "throughput-45" in self._faults:
            self._take_place()  # waits for nobody, yet costs capacity like any request
        if scope["type"] != "http" or not scope["path"].startswith(_LISTS):
            await self._app(scope, receive, send)
            return
        loaded = self._is_loaded()
        if "throughput-45" in self._faults:
            await asyncio.sleep(max(0.0, self._take_place()))
        if loaded and "slow-under-load" in self._faults:
            await asyncio.sleep(_SLOW_S)
        if loaded and "errors-under-load" in self._faults:
            self._loaded_requests += 1
            if self._loaded_requests % _ERROR_EVERY == 0:
                await JSONResponse({"error": "overloaded"}, 500)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _is_loaded(self) -> bool:
        now = time.monotonic()
        self._arrivals.append(now)
        while self._arrivals[0] < now - _WINDOW_S:
            self._arrivals.popleft()
        return len(self._arrivals) > _LOADED

    def _take_place(self) -> float:
        # A bucket of places: short bursts pass, a lasting rate above the limit waits longer and longer.
        now = time.monotonic()
        self._free_at = max(self._free_at, now - _BURST / _SERVED_RPS) + 1 / _SERVED_RPS
        return self._free_at - now
