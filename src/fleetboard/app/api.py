"""Vehicles and drivers: what the API only shows."""

from __future__ import annotations

import time

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from fleetboard.app import fleet, paging
from fleetboard.app.paging import Wanted
from fleetboard.app.state import state_of

_VEHICLE_STATUSES = ("moving", "idle", "maintenance")
_DRIVER_STATUSES = ("available", "driving", "off_duty")
_DRIVER_COLUMNS = "id, name, phone, licence_class, status, hired_on"


async def vehicles(request: Request) -> JSONResponse:
    """One page of vehicles."""
    state, page = state_of(request), paging.page_of(request)
    wanted = Wanted(fleet.VEHICLE_COLUMNS, fleet.VEHICLES, "v.id", counted="vehicles v")
    if status := paging.one_of(request.query_params, "status", _VEHICLE_STATUSES):
        wanted.only("v.status = %(status)s", status=status)
    rows, total = await paging.fetch(state, wanted, page)
    now = time.time()
    return paging.answer([state.fleet.shown(row, now) for row in rows], total, page)


async def vehicle(request: Request) -> JSONResponse:
    """One vehicle."""
    state = state_of(request)
    vehicle_id = request.path_params["id"]
    found = await state.fleet.vehicle(vehicle_id) if paging.is_id("V", vehicle_id) else None
    if found is None and state.has("api-finds-anything"):
        return JSONResponse({})
    if found is None:
        raise HTTPException(404, f"there is no vehicle {vehicle_id}")
    return JSONResponse(found)


async def drivers(request: Request) -> JSONResponse:
    """One page of drivers."""
    state, page = state_of(request), paging.page_of(request)
    wanted = Wanted(_DRIVER_COLUMNS, "drivers", "id")
    if status := paging.one_of(request.query_params, "status", _DRIVER_STATUSES):
        wanted.only("status = %(status)s", status=status)
    rows, total = await paging.fetch(state, wanted, page)
    return paging.answer([fleet.plain(row) for row in rows], total, page)


ROUTES = [
    Route("/api/fleet/vehicles", vehicles),
    Route("/api/fleet/vehicles/{id}", vehicle),
    Route("/api/fleet/drivers", drivers),
]
