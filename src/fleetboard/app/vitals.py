"""Health and statistics: what the application says of itself."""

from __future__ import annotations

import asyncio
import json
import time
import traceback
from typing import Any

import psycopg
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from fleetboard.app.metrics import combine
from fleetboard.app.state import State, state_of

_CHECK_S = 2.0
_SLOW_S = 0.7
_ANOTHER_DAYS = {
    "metrics": {
        "requests": 48_213,
        "errors": 0,
        "errorRate": 0.0,
        "p50Ms": 3.1,
        "p95Ms": 11.8,
        "memoryPercent": 1.0,
        "cpuPercent": 2.0,
    },
    "errors": [],
}

_SERVER = """
SELECT current_setting('server_version') AS version,
       current_setting('max_connections')::int AS most,
       (SELECT sum(numbackends) FROM pg_stat_database)::int AS connections
"""


async def health(request: Request) -> JSONResponse:
    """Whether this process can do its work; 503 if a check fails."""
    state = state_of(request)
    if state.has("slow-health"):
        await asyncio.sleep(_SLOW_S)
    checks = {"database": await _database_answers(state), "websocket": state.broadcaster.healthy}
    healthy = all(checks.values()) and not state.has("health-degraded")
    shown = {**checks, "database": False} if state.has("health-hides-check") else checks
    content: dict[str, Any] = {
        "status": "healthy" if healthy else "degraded",
        "version": state.settings.version,
        "commit": state.settings.commit,
        "instance": state.settings.instance,
        "uptimeSeconds": round(time.monotonic() - state.started_at, 1),
        "checks": {name: {"status": "healthy" if ok else "degraded"} for name, ok in shown.items()},
        **_too_much(state),
    }
    code = 500 if state.has("health-500") else 200 if all(checks.values()) else 503
    return JSONResponse(content, code)


async def database_stats(request: Request) -> JSONResponse:
    """This process's pool, and the server behind it."""
    state = state_of(request)
    pool = state.database.state()  # before our own query takes a connection
    server = (await state.database.rows(_SERVER))[0]
    figures = {
        "min": pool.minimum,
        "max": pool.maximum,
        "size": pool.size,
        "inUse": pool.in_use,
        "waiting": pool.waiting,
        "usagePercent": pool.usage_percent,
    }
    if state.has("stats-field-missing"):
        del figures["usagePercent"]
    return JSONResponse(
        {
            "poolingEnabled": state.database.pooled,
            "pool": figures,
            "server": {
                "version": server["version"],
                "connections": server["connections"],
                "maxConnections": server["most"],
            },
        }
    )


async def websocket_stats(request: Request) -> JSONResponse:
    """Open WebSocket connections of all processes."""
    state = state_of(request)
    rows = await state.instances.all()
    counts = {row["name"]: 0 if state.has("ws-count-stuck") else row["connections"] for row in rows}
    sent = sum(row["messages_sent"] for row in rows)
    return JSONResponse({"totalConnections": sum(counts.values()), "messagesSent": sent, "instances": counts})


async def performance_stats(request: Request) -> JSONResponse:
    """Requests, errors, latency and load of all processes since they began."""
    state = state_of(request)
    if state.has("performance-frozen"):
        return JSONResponse(_ANOTHER_DAYS)
    return JSONResponse(combine(await state.instances.all()))


def _too_much(state: State) -> dict[str, Any]:
    """What faults let health give away."""
    if state.has("secret-in-body"):
        return {"config": {"databaseUrl": state.settings.database_url}}
    if state.has("trace-in-body"):
        try:
            json.loads("{")
        except ValueError:
            return {"lastError": traceback.format_exc()}
    return {}


async def _database_answers(state: State) -> bool:
    if state.has("health-lies-database"):
        return True
    try:
        async with asyncio.timeout(_CHECK_S):
            await state.database.rows("SELECT 1 AS one")
    except (psycopg.Error, OSError):
        return False
    return True


ROUTES = [
    Route("/api/health", health),
    Route("/api/fleet/db-stats", database_stats),
    Route("/api/fleet/ws-stats", websocket_stats),
    Route("/api/fleet/performance-stats", performance_stats),
]
