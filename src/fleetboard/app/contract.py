"""The OpenAPI document: what this application promises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from fleetboard.app import analytics, loads, maintenance, sessions
from fleetboard.app.state import state_of

_PLAIN = {
    "/api/health": "Whether this instance can do its work",
    "/api/fleet/db-stats": "Pool and database server",
    "/api/fleet/ws-stats": "Open WebSocket connections",
    "/api/fleet/performance-stats": "Requests, errors and latency",
    sessions.PATH: "Who is signed in",
    **{f"{analytics.PATH}/{name}": figure.title for name, figure in analytics.FIGURES.items()},
}
_LISTS: dict[str, tuple[str, ...]] = {
    "vehicles": ("status",),
    "loads": ("status", "pending"),
    "drivers": ("status",),
    "maintenance": ("status", "vehicle", "from", "to"),
}
"""Lists in pages, each with its filters."""
_ONE = {
    "/api/fleet/vehicles/{id}": "One vehicle",
    f"{loads.PATH}/{{id}}": "One load",
    f"{loads.PATH}/{{id}}/recommendations": "Vehicles that a load is best given to",
    f"{maintenance.PATH}/{{id}}": "One maintenance record",
}
_WRITES = {
    (sessions.PATH, "post"): ("Sign in", "200"),
    (sessions.PATH, "delete"): ("Sign out", "204"),
    (loads.PATH, "post"): ("A new load", "201"),
    (f"{loads.PATH}/{{id}}", "patch"): ("Change a planned load", "200"),
    (f"{loads.PATH}/{{id}}", "delete"): ("Delete a planned load", "204"),
    (f"{loads.PATH}/{{id}}/assignment", "post"): ("Give a load to a vehicle", "200"),
    (f"{loads.PATH}/{{id}}/assignment", "delete"): ("Take a load from its vehicle", "200"),
    (maintenance.PATH, "post"): ("Schedule maintenance", "201"),
    (f"{maintenance.PATH}/{{id}}", "patch"): ("Change a planned record", "200"),
    (f"{maintenance.PATH}/{{id}}", "delete"): ("Delete a planned record", "204"),
}
_ID = [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}]
_CONTENT = {"application/json": {"schema": {"type": "object"}}}
_SIGN_IN = {
    "cookie": {"type": "apiKey", "in": "cookie", "name": sessions.COOKIE},
    "token": {"type": "http", "scheme": "bearer"},
}


def document(version: str, *, promises_more: bool = False) -> dict[str, Any]:
    """The document; as a fault it promises an endpoint that nobody wrote."""
    paths = {path: {"get": _operation(summary)} for path, summary in _PLAIN.items()}
    for name, filters in _LISTS.items():
        paths[f"/api/fleet/{name}"] = {"get": _operation(f"One page of {name}", _paging(filters))}
    for path, summary in _ONE.items():
        paths[path] = {"get": _operation(summary, _ID)}
    for (path, method), (summary, status) in _WRITES.items():
        parameters = _ID if "{id}" in path else []
        operation = _operation(summary, parameters, status)
        if method != "delete":
            operation["requestBody"] = {"required": True, "content": _CONTENT}
        paths.setdefault(path, {})[method] = operation
    if promises_more:
        paths["/api/fleet/trips"] = {"get": _operation("One page of trips", _paging(()))}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Fleet Manager Dashboard", "version": version},
        "security": [{name: []} for name in _SIGN_IN],
        "paths": paths,
        "components": {"securitySchemes": _SIGN_IN},
    }


def _operation(summary: str, parameters: Sequence[dict[str, Any]] = (), status: str = "200") -> dict[str, Any]:
    response = {"description": "Done"} if status == "204" else {"description": "As it is now", "content": _CONTENT}
    return {"summary": summary, "parameters": [*parameters], "responses": {status: response}}


def _paging(filters: Sequence[str]) -> list[dict[str, Any]]:
    kinds = {"limit": "integer", "offset": "integer", **dict.fromkeys(filters, "string")}
    return [
        {"name": name, "in": "query", "required": False, "schema": {"type": kind}} for name, kind in kinds.items()
    ]


async def openapi(request: Request) -> JSONResponse:
    """The document, as machines read it."""
    state = state_of(request)
    return JSONResponse(document(state.settings.version, promises_more=state.has("openapi-promises-more")))


ROUTES = [Route("/openapi.json", openapi)]
