"""The OpenAPI document: which GETs this application promises."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from fleetboard.app.state import state_of

_LISTS = ("vehicles", "loads", "drivers", "maintenance")
_PLAIN = {
    "/api/health": "Whether this instance can do its work",
    "/api/fleet/db-stats": "Pool and database server",
    "/api/fleet/ws-stats": "Open WebSocket connections",
    "/api/fleet/performance-stats": "Requests, errors and latency",
}


def _operation(summary: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    response = {"description": "As it is now", "content": {"application/json": {"schema": {"type": "object"}}}}
    return {"get": {"summary": summary, "parameters": parameters, "responses": {"200": response}}}


def document(version: str, *, promises_more: bool = False) -> dict[str, Any]:
    """The document; as a fault it promises an endpoint that nobody wrote."""
    paging: list[dict[str, Any]] = [
        {"name": name, "in": "query", "required": False, "schema": {"type": "integer"}}
        for name in ("limit", "offset")
    ]
    one = [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}]
    paths = {path: _operation(summary, []) for path, summary in _PLAIN.items()}
    paths |= {f"/api/fleet/{name}": _operation(f"One page of {name}", paging) for name in _LISTS}
    paths["/api/fleet/vehicles/{id}"] = _operation("One vehicle", one)
    if promises_more:
        paths["/api/fleet/trips"] = _operation("One page of trips", paging)
    return {"openapi": "3.1.0", "info": {"title": "Fleet Manager Dashboard", "version": version}, "paths": paths}


async def openapi(request: Request) -> JSONResponse:
    """The document, as machines read it."""
    state = state_of(request)
    return JSONResponse(document(state.settings.version, promises_more=state.has("openapi-promises-more")))


ROUTES = [Route("/openapi.json", openapi)]
