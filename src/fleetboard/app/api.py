"""The fleet's endpoints: vehicles, loads, drivers, maintenance; all of them read-only."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from fleetboard.app.fleet import Page, statuses
from fleetboard.app.state import state_of

_DEFAULT_LIMIT = 50
_MAX_LIMIT = 500
_MAX_OFFSET = 1_000_000


async def vehicles(request: Request) -> JSONResponse:
    """One page of vehicles."""
    state = state_of(request)
    page = _page(request, "vehicles")
    wanted = Page(None, 0, page.status) if state.has("api-ignores-paging") else page
    items, total = await state.fleet.vehicles(wanted)
    return JSONResponse({"items": items, "total": total, "limit": page.limit, "offset": page.offset})


async def vehicle(request: Request) -> JSONResponse:
    """One vehicle."""
    state = state_of(request)
    vehicle_id = request.path_params["id"]
    found = await state.fleet.vehicle(vehicle_id)
    if found is None and state.has("api-finds-anything"):
        return JSONResponse({})
    if found is None:
        raise HTTPException(404, f"there is no vehicle {vehicle_id}")
    return JSONResponse(found)


async def listing(request: Request) -> JSONResponse:
    """One page of loads, drivers or maintenance records, by the last part of the path."""
    state = state_of(request)
    name = request.url.path.rsplit("/", 1)[-1]
    page = _page(request, name)
    wanted = Page(None, 0, page.status) if state.has("api-ignores-paging") else page
    items, total = await state.fleet.listing(name, wanted)
    return JSONResponse({"items": items, "total": total, "limit": page.limit, "offset": page.offset})


def _page(request: Request, name: str) -> Page:
    query = request.query_params
    limit = whole_number("limit", query.get("limit"), _DEFAULT_LIMIT, 1, _MAX_LIMIT)
    offset = whole_number("offset", query.get("offset"), 0, 0, _MAX_OFFSET)
    status = query.get("status")
    if status is not None and status not in statuses(name):
        allowed = ", ".join(statuses(name))
        raise HTTPException(422, f"status must be one of {allowed}; it was {status!r}")
    return Page(limit, offset, status)


def whole_number(name: str, text: str | None, default: int, lowest: int, highest: int) -> int:
    """A query parameter as a number.

    Raises:
        HTTPException: 422, with a sentence, if it is no whole number in plain digits or out of range.
    """
    if text is None:
        return default
    plain = text.removeprefix("-")
    number = int(text) if plain.isascii() and plain.isdigit() and len(plain) < 10 else None
    if number is None or not lowest <= number <= highest:
        raise HTTPException(422, f"{name} must be a whole number from {lowest} to {highest}; it was {text!r}")
    return number


ROUTES = [
    Route("/api/fleet/vehicles", vehicles),
    Route("/api/fleet/vehicles/{id}", vehicle),
    Route("/api/fleet/loads", listing),
    Route("/api/fleet/drivers", listing),
    Route("/api/fleet/maintenance", listing),
]
