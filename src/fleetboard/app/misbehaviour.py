"""The faults that show only under load, as one middleware; each process sees half of the requests."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

_LISTS = ("/api/fleet/vehicles", "/api/fleet/loads", "/api/fleet/drivers", "/api/fleet/maintenance")
"""Only these misbehave: samples of health and statistics, taken one after another, are not load."""

_HEALTH = "/api/health"
_ONE_KIND = "/api/fleet/maintenance"
_WINDOW_S = 3.0
_LOADED = 30
"""Requests within the window above which this process counts as loaded: 10 RPS, 20 with its sibling's."""
_SLOW_S = 0.65
_ERROR_EVERY = 50
_WRITE_ERROR_EVERY = 5
_SERVED_RPS = 22.5
_BURST = 4.0
_STALL_AFTER_S = 3.0
_STALL_S = 2.0
_HANG_EVERY = 100
_HANG_S = 2.05
_THROTTLE_EVERY = 20
_SLOWER_S = 0.008
_SPIKE = 65
"""Requests within one second above which this process counts as being in a spike: 130 RPS with its sibling's."""
_TOPPLED_S = 10.0
_TOPPLED_EVERY = 5


class Misbehaviour:
    """ASGI middleware that carries out the faults of ``faults/load.py``."""

    def __init__(self, app: ASGIApp, faults: Sequence[str]) -> None:
        self._app = app
        self._faults = frozenset(faults)
        self._arrivals: deque[float] = deque()
        self._loaded_since: float | None = None
        self._loaded_requests = 0
        self._of_one_kind = 0
        self._toppled_until = 0.0
        self._free_at = time.monotonic() - _BURST / _SERVED_RPS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Delay or spoil one request if a fault says so, else pass it on."""
        path = scope["path"] if scope["type"] == "http" else ""
        spoilt: Response | None = None
        if path == _HEALTH:
            spoilt = self._health()
        elif path.startswith(_LISTS):
            loaded = self._is_loaded()
            if "throughput-45" in self._faults:
                await asyncio.sleep(max(0.0, self._take_place()))
            if loaded:
                self._loaded_requests += 1
                await asyncio.sleep(self._delay())
                spoilt = self._answer(path, scope["method"])
        await (spoilt or self._app)(scope, receive, send)

    def _health(self) -> Response | None:
        if "throughput-45" in self._faults:
            self._take_place()  # waits for nobody, yet costs capacity like any request
        if "health-red-under-load" in self._faults and self._crowded():
            return JSONResponse({"status": "degraded", "checks": {}}, 503)
        return None

    def _delay(self) -> float:
        """Seconds that a request waits, by the faults that only take time."""
        since = time.monotonic() - (self._loaded_since or 0.0)
        waits = {
            "slow-under-load": _SLOW_S,
            "one-percent-2s": _HANG_S if self._loaded_requests % _HANG_EVERY == 0 else 0.0,
            "stall-once": _STALL_AFTER_S + _STALL_S - since if 0 <= since - _STALL_AFTER_S < _STALL_S else 0.0,
            "slower-and-slower": _SLOWER_S * since,
        }
        return sum(seconds for fault, seconds in waits.items() if fault in self._faults)

    def _answer(self, path: str, method: str) -> Response | None:
        """What is answered instead, by the faults that answer."""
        if "errors-under-load" in self._faults and self._loaded_requests % _ERROR_EVERY == 0:
            return JSONResponse({"error": "overloaded"}, 500)
        if "errors-two-in-a-thousand" in self._faults and path == _ONE_KIND:
            self._of_one_kind += 1
            if self._of_one_kind % _ERROR_EVERY == 0:
                return JSONResponse({"error": "something went wrong on our side"}, 500)
        if "errors-on-writes" in self._faults and method == "POST":
            self._of_one_kind += 1
            if self._of_one_kind % _WRITE_ERROR_EVERY == 0:
                return JSONResponse({"error": "could not be stored"}, 500)
        if "forbids-under-load" in self._faults:
            return JSONResponse({"error": "not for you"}, 403)
        if "throttles-under-load" in self._faults and self._loaded_requests % _THROTTLE_EVERY == 0:
            return JSONResponse({"error": "not so fast"}, 429, {"Retry-After": "1"})
        if "topples-in-spike" in self._faults and self._toppled():
            return JSONResponse({"error": "too much"}, 500)
        return None

    def _toppled(self) -> bool:
        now = time.monotonic()
        if sum(moment > now - 1 for moment in self._arrivals) > _SPIKE:
            self._toppled_until = now + _TOPPLED_S
        return now < self._toppled_until and self._loaded_requests % _TOPPLED_EVERY == 0

    def _is_loaded(self) -> bool:
        now = time.monotonic()
        self._arrivals.append(now)
        loaded = self._crowded()
        if not loaded:
            self._loaded_since = None
        elif self._loaded_since is None:
            self._loaded_since = now
        return loaded

    def _crowded(self) -> bool:
        now = time.monotonic()
        while self._arrivals and self._arrivals[0] < now - _WINDOW_S:
            self._arrivals.popleft()
        return len(self._arrivals) > _LOADED

    def _take_place(self) -> float:
        # A bucket of places: short bursts pass, a lasting rate above the limit waits longer and longer.
        now = time.monotonic()
        self._free_at = max(self._free_at, now - _BURST / _SERVED_RPS) + 1 / _SERVED_RPS
        return self._free_at - now
