"""Loads: what is carried from where to where, and by which vehicle."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fleetboard.app import paging, recommending
from fleetboard.app.bodies import InvalidError, read_object
from fleetboard.app.consignments import PENDING, STATUSES
from fleetboard.app.fields import Fields
from fleetboard.app.fleet import plain
from fleetboard.app.paging import Wanted
from fleetboard.app.state import State, state_of

PATH = "/api/fleet/loads"
_HEAVIEST_KG = 40_000
"""What a truck and its trailer may weigh together."""
_COLUMNS = {
    "reference": "reference",
    "cargo": "cargo",
    "weightKg": "weight_kg",
    "origin": "origin",
    "destination": "destination",
    "dueAt": "due_at",
}
"""Columns of what people write, by the names of the API."""


async def listing(request: Request) -> JSONResponse:
    """One page of loads; of those that wait for a vehicle, the most urgent first."""
    state, page, query = state_of(request), paging.page_of(request), request.query_params
    pending = paging.one_of(query, "pending", ("true", "false"))
    wanted = Wanted(state.loads.columns, "loads", "due_at, id" if pending == "true" else "id")
    if status := paging.one_of(query, "status", STATUSES):
        wanted.only("status = %(status)s", status=status)
    if pending is not None:
        wanted.only(PENDING if pending == "true" else f"NOT {PENDING}")
    rows, total = await paging.fetch(state, wanted, page)
    return paging.answer([plain(row) for row in rows], total, page)


async def one(request: Request) -> JSONResponse:
    """One load."""
    return JSONResponse(plain(await state_of(request).loads.find(_id(request))))


async def create(request: Request) -> JSONResponse:
    """A new load, planned and without a vehicle."""
    state = state_of(request)
    row = await state.loads.create(_columns(state, await read_object(request), change=False))
    return JSONResponse(plain(row), 201, headers={"Location": f"{PATH}/{row['id']}"})


async def change(request: Request) -> JSONResponse:
    """Change what a planned load is, or where it goes."""
    state, load_id = state_of(request), _id(request)
    return JSONResponse(
        plain(await state.loads.change(load_id, _columns(state, await read_object(request), change=True)))
    )


async def remove(request: Request) -> Response:
    """Delete a planned load."""
    await state_of(request).loads.remove(_id(request))
    return Response(status_code=204)


async def recommendations(request: Request) -> JSONResponse:
    """Vehicles that a load is best given to; none once it is under way."""
    state = state_of(request)
    load = await state.loads.find(_id(request))
    if load["status"] != "planned" or state.has("recommendations-empty"):
        return JSONResponse({"items": []})
    rows = await state.database.rows("SELECT name, lat, lon FROM geofences ORDER BY id")
    places = recommending.pick_ups(load["origin"], [recommending.Place(**row) for row in rows])
    candidates = await _candidates(state)
    found = recommending.recommend(load["cargo"], load["weight_kg"], places, candidates)
    return JSONResponse({"items": found})


async def assign(request: Request) -> JSONResponse:
    """Give a load to a vehicle."""
    state, load_id = state_of(request), _id(request)
    vehicle_id = (await read_object(request)).get("vehicleId")
    if not isinstance(vehicle_id, str) or not paging.is_id("V", vehicle_id):
        raise InvalidError({"vehicleId": "must be the id of a vehicle, like V-001"})
    return JSONResponse(plain(await state.loads.assign(load_id, vehicle_id)))


async def release(request: Request) -> JSONResponse:
    """Take a load from its vehicle."""
    return JSONResponse(plain(await state_of(request).loads.release(_id(request))))


def _id(request: Request) -> str:
    load_id = str(request.path_params["id"])
    if not paging.is_id("L", load_id):
        raise HTTPException(404, f"there is no load {load_id}")
    return load_id


def _columns(state: State, body: dict[str, Any], *, change: bool) -> dict[str, Any]:
    fields = Fields(body, datetime.now(UTC), change=change, accepts_all=state.has("accepts-nonsense"))
    fields.text("reference", 40, optional=True)
    fields.text("cargo", 60)
    fields.whole("weightKg", 1, _HEAVIEST_KG)
    fields.text("origin", 60)
    fields.text("destination", 60)
    fields.moment("dueAt")
    return {_COLUMNS[name]: value for name, value in fields.values().items()}


async def _candidates(state: State) -> list[recommending.Candidate]:
    now = time.time()
    found = []
    for row in await state.loads.free_vehicles():
        place = state.fleet.place(row["slot"], row["status"], now)
        found.append(
            recommending.Candidate(
                vehicle_id=row["id"],
                name=row["name"],
                plate=row["plate"],
                type=row["type"],
                driver_id=row["driver_id"],
                driver=row["driver"],
                on_duty_h=row["on_duty_h"],
                lat=place.lat,
                lon=place.lon,
            )
        )
    return found


ROUTES = [
    Route(PATH, listing, methods=["GET"]),
    Route(PATH, create, methods=["POST"]),
    Route(f"{PATH}/{{id}}", one, methods=["GET"]),
    Route(f"{PATH}/{{id}}", change, methods=["PATCH"]),
    Route(f"{PATH}/{{id}}", remove, methods=["DELETE"]),
    Route(f"{PATH}/{{id}}/recommendations", recommendations, methods=["GET"]),
    Route(f"{PATH}/{{id}}/assignment", assign, methods=["POST"]),
    Route(f"{PATH}/{{id}}/assignment", release, methods=["DELETE"]),
]
