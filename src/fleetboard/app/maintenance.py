"""Maintenance: what was done to vehicles, what is being done, and what is planned."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from psycopg import errors
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fleetboard.app import paging
from fleetboard.app.bodies import InvalidError, read_object
from fleetboard.app.database import Connection, Row, drawn_numbers, one_row
from fleetboard.app.fields import Fields, day_of
from fleetboard.app.fleet import plain
from fleetboard.app.paging import Wanted
from fleetboard.app.state import State, state_of

PATH = "/api/fleet/maintenance"
KINDS = ("service", "inspection", "tyres", "brakes", "repair")
STATUSES = ("planned", "open", "done")
_LONGEST_NOTE = 500
_COLUMNS = "id, vehicle_id, kind, status, odometer_km, cost_cents, opened_on, closed_on, note"
_NAMES = {"kind": "kind", "scheduledOn": "opened_on", "note": "note"}
"""Columns of what people change, by the names of the API."""

_VEHICLE = """
vehicle_id IN (
    SELECT id FROM vehicles
    WHERE lower(%(vehicle)s) IN (lower(id), lower(plate)) OR strpos(lower(name), lower(%(vehicle)s)) > 0
)
"""
_INSERT = """
INSERT INTO maintenance_records (id, vehicle_id, kind, status, odometer_km, opened_on, note)
SELECT %(id)s, id, %(kind)s, 'planned', odometer_km, %(opened_on)s, %(note)s FROM vehicles WHERE id = %(vehicle)s
RETURNING
"""


def wanted_records(query: QueryParams, *, any_vehicle: bool = False) -> Wanted:
    """Which records a query wants; its conditions all hold.

    Args:
        query: ``status``, ``vehicle`` (id, plate, or part of the name), ``from`` and ``to`` (both days included).
        any_vehicle: as a fault, leave the vehicle aside.

    Raises:
        HTTPException: 422, a value can't be one.
    """
    wanted = Wanted(_COLUMNS, "maintenance_records", "opened_on DESC, id")
    if status := paging.one_of(query, "status", STATUSES):
        wanted.only("status = %(status)s", status=status)
    vehicle = query.get("vehicle", "").strip()
    if not vehicle.isprintable() or len(vehicle) > 60:
        raise HTTPException(422, "vehicle must be the id, the plate or a part of the name of a vehicle")
    if vehicle and not any_vehicle:
        wanted.only(_VEHICLE, vehicle=vehicle)
    first, last = _day(query, "from"), _day(query, "to")
    if first and last and first > last:
        raise HTTPException(422, f"from must not be after to; it was {first}, and to was {last}")
    if first:
        wanted.only("opened_on >= %(first)s", first=first)
    if last:
        wanted.only("opened_on <= %(last)s", last=last)
    return wanted


async def listing(request: Request) -> JSONResponse:
    """One page of records, the newest and those to come first."""
    state, page = state_of(request), paging.page_of(request)
    wanted = wanted_records(request.query_params, any_vehicle=state.has("filter-ignored"))
    rows, total = await paging.fetch(state, wanted, page)
    return paging.answer([plain(row) for row in rows], total, page)


async def one(request: Request) -> JSONResponse:
    """One record."""
    record_id = _id(request)
    query = f"SELECT {_COLUMNS} FROM maintenance_records WHERE id = %s"  # noqa: S608 - ours
    rows = await state_of(request).database.rows(query, (record_id,))
    if not rows:
        raise _unknown(record_id)
    return JSONResponse(plain(rows[0]))


async def schedule(request: Request) -> JSONResponse:
    """A new record: a service that is planned for a day."""
    state = state_of(request)
    fields = Fields(await read_object(request), datetime.now(UTC))
    fields.text("vehicleId", 20)
    fields.choice("kind", KINDS)
    fields.day("scheduledOn")
    fields.text("note", _LONGEST_NOTE, optional=True, note=True)
    values = fields.values()
    row = await _insert(state, values)
    return JSONResponse(plain(row), 201, headers={"Location": f"{PATH}/{row['id']}"})


async def change(request: Request) -> JSONResponse:
    """Change a planned record."""
    state, record_id = state_of(request), _id(request)
    fields = Fields(await read_object(request), datetime.now(UTC), change=True)
    fields.choice("kind", KINDS)
    fields.day("scheduledOn")
    fields.text("note", _LONGEST_NOTE, note=True)
    columns = {_NAMES[name]: value for name, value in fields.values().items()}
    names = ", ".join(f"{name} = %({name})s" for name in columns)
    query = f"UPDATE maintenance_records SET {names} WHERE id = %(id)s AND status = 'planned' RETURNING {_COLUMNS}"  # noqa: S608 - ours
    async with state.database.transaction() as connection:
        row = await one_row(connection, query, {**columns, "id": record_id})
        return JSONResponse(plain(row or await _refuse(connection, record_id)))


async def remove(request: Request) -> Response:
    """Delete a planned record."""
    state, record_id = state_of(request), _id(request)
    query = "DELETE FROM maintenance_records WHERE id = %(id)s AND status = 'planned' RETURNING id"
    async with state.database.transaction() as connection:
        if not await one_row(connection, query, {"id": record_id}):
            await _refuse(connection, record_id)
    return Response(status_code=204)


async def _insert(state: State, values: dict[str, Any]) -> Row:
    day: date = values["scheduledOn"]
    row = {
        "vehicle": values["vehicleId"],
        "kind": values["kind"],
        "opened_on": day + timedelta(days=1) if state.has("schedule-wrong-date") else day,
        "note": values.get("note", ""),
    }
    for number in drawn_numbers():
        try:
            async with state.database.transaction() as connection:
                found = await one_row(connection, f"{_INSERT} {_COLUMNS}", {**row, "id": f"M-{number}"})
        except errors.UniqueViolation:
            continue
        if found is None:
            raise InvalidError({"vehicleId": f"there is no vehicle {row['vehicle']}"})
        return found
    raise HTTPException(503, "no number is free for another record")


async def _refuse(connection: Connection, record_id: str) -> Row:
    """Say why a record was not changed."""
    row = await one_row(connection, "SELECT status FROM maintenance_records WHERE id = %(id)s", {"id": record_id})
    if row is None:
        raise _unknown(record_id)
    raise HTTPException(409, f"the record {record_id} is {row['status']}, and no longer planned")


def _unknown(record_id: str) -> HTTPException:
    return HTTPException(404, f"there is no record {record_id}")


def _id(request: Request) -> str:
    record_id = str(request.path_params["id"])
    if not paging.is_id("M", record_id):
        raise _unknown(record_id)
    return record_id


def _day(query: QueryParams, name: str) -> date | None:
    text = query.get(name)
    if not text:
        return None
    if (found := day_of(text)) is None:
        raise HTTPException(422, f"{name} must be a date like 2027-01-31; it was {text!r}")
    return found


ROUTES = [
    Route(PATH, listing, methods=["GET"]),
    Route(PATH, schedule, methods=["POST"]),
    Route(f"{PATH}/{{id}}", one, methods=["GET"]),
    Route(f"{PATH}/{{id}}", change, methods=["PATCH"]),
    Route(f"{PATH}/{{id}}", remove, methods=["DELETE"]),
]
