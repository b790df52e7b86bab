"""The fleet as the API shows it: rows out of the database, positions out of the clock."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import psycopg

from fleetboard.app.database import Database, Row
from fleetboard.releases import PRIORITY
from fleetboard.routes import Position, Traffic

_VEHICLES = """
SELECT v.id, v.name, v.plate, v.type, v.status, v.fuel_percent, v.slot,
       d.id AS driver_id, d.name AS driver_name, l.id AS load_id, l.destination
FROM vehicles v
LEFT JOIN assignments a ON a.vehicle_id = v.id AND a.ended_at IS NULL
LEFT JOIN drivers d ON d.id = a.driver_id
LEFT JOIN loads l ON l.vehicle_id = v.id AND l.status = 'in_transit'
"""

_LISTS = {
    "loads": (
        "loads",
        "id, reference, vehicle_id, cargo, weight_kg, origin, destination, status, due_at",
    ),
    "drivers": ("drivers", "id, name, phone, licence_class, status, hired_on"),
    "maintenance": (
        "maintenance_records",
        "id, vehicle_id, kind, status, odometer_km, cost_cents, opened_on, closed_on, note",
    ),
}
"""Lists of the API that are plain tables, with the columns they show."""

_PRIORITY = """
SELECT 1 AS one FROM pg_attribute
WHERE attrelid = to_regclass('loads') AND attname = 'priority' AND NOT attisdropped
"""

_RECORD = """
INSERT INTO vehicle_positions (vehicle_id, lat, lon, heading, speed_kmh, recorded_at)
SELECT place.*, to_timestamp(%s)
FROM unnest(%s::text[], %s::float8[], %s::float8[], %s::real[], %s::real[]) AS place
ON CONFLICT (vehicle_id) DO UPDATE SET
    lat = excluded.lat, lon = excluded.lon, heading = excluded.heading, speed_kmh = excluded.speed_kmh,
    recorded_at = excluded.recorded_at
"""
_RECORD_S = 10.0

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Page:
    """Which part of a list is wanted."""

    limit: int | None
    """``None``: all of it."""
    offset: int
    status: str | None = None


class Fleet:
    """Queries; holds the unchanging part of the traffic in memory."""

    def __init__(self, database: Database, traffic: Traffic, features: Sequence[str] = ()) -> None:
        self._database = database
        self._traffic = traffic
        self._features = frozenset(features)
        self._lists = dict(_LISTS)
        self._live: list[tuple[str, int, str]] = []

    async def load(self) -> None:
        """Read which vehicles there are; the live feed needs no query after that."""
        rows = await self._database.rows("SELECT id, slot, status FROM vehicles ORDER BY id")
        self._live = [(row["id"], row["slot"], row["status"]) for row in rows]
        # Either release runs on either schema, so that no deployment and no rollback needs a pause.
        if PRIORITY in self._features and await self._database.rows(_PRIORITY):
            table, columns = _LISTS["loads"]
            self._lists["loads"] = (table, f"{columns}, priority")

    async def vehicles(self, page: Page) -> tuple[list[Row], int]:
        """One page of vehicles, and how many there are in all."""
        where = "WHERE v.status = %(status)s" if page.status else ""
        values: dict[str, object] = {"status": page.status, "limit": page.limit, "offset": page.offset}
        async with self._database.connection() as connection:
            query = f"{_VEHICLES} {where} ORDER BY v.id LIMIT %(limit)s OFFSET %(offset)s"
            rows = await (await connection.execute(query.encode(), values)).fetchall()
            count = f"SELECT count(*) AS n FROM vehicles v {where}"  # noqa: S608 - constant text
            total = await (await connection.execute(count.encode(), values)).fetchone()
        now = time.time()
        return [self._vehicle(row, now) for row in rows], int(total["n"]) if total else 0

    async def vehicle(self, vehicle_id: str) -> Row | None:
        """One vehicle, or ``None``."""
        rows = await self._database.rows(f"{_VEHICLES} WHERE v.id = %s", (vehicle_id,))
        return self._vehicle(rows[0], time.time()) if rows else None

    async def listing(self, name: str, page: Page) -> tuple[list[Row], int]:
        """One page of loads, drivers or maintenance records, and how many there are in all."""
        table, columns = self._lists[name]
        where = "WHERE status = %(status)s" if page.status else ""
        values: dict[str, object] = {"status": page.status, "limit": page.limit, "offset": page.offset}
        items = f"SELECT {columns} FROM {table} {where} ORDER BY id LIMIT %(limit)s OFFSET %(offset)s"  # noqa: S608 - constants
        async with self._database.connection() as connection:
            rows = await (await connection.execute(items.encode(), values)).fetchall()
            count = f"SELECT count(*) AS n FROM {table} {where}"  # noqa: S608 - constants
            total = await (await connection.execute(count.encode(), values)).fetchone()
        return [plain(row) for row in rows], int(total["n"]) if total else 0

    def positions(self, now: float) -> list[Row]:
        """The whole fleet at one moment (seconds since the epoch), as the live feed sends it."""
        return [
            {"id": vehicle, **_place(self._traffic.at(slot, now, moving=status == "moving")), "status": status}
            for vehicle, slot, status in self._live
        ]

    async def keep_recording(self) -> None:
        """Store everybody's last known position every ten seconds until cancelled."""
        while True:
            now = time.time()
            places = self.positions(now)
            columns = [[place[key] for place in places] for key in ("id", "lat", "lon", "heading", "speedKmh")]
            try:
                await self._database.execute(_RECORD, (now, *columns))
            except (psycopg.Error, OSError) as error:
                _LOG.warning("positions could not be stored: %s", error)
            await asyncio.sleep(_RECORD_S)

    def _vehicle(self, row: Row, now: float) -> Row:
        position = self._traffic.at(row["slot"], now, moving=row["status"] == "moving")
        return {
            "id": row["id"],
            "name": row["name"],
            "plate": row["plate"],
            "type": row["type"],
            "status": row["status"],
            **_place(position),
            "fuelPercent": float(row["fuel_percent"]),
            "driver": _pair(row, "driver_id", "driver_name", "name"),
            "load": _pair(row, "load_id", "destination", "destination"),
        }


def statuses(name: str) -> Sequence[str]:
    """The values that a list can be filtered by."""
    return {
        "vehicles": ("moving", "idle", "maintenance"),
        "loads": ("planned", "in_transit", "delivered"),
        "drivers": ("available", "driving", "off_duty"),
        "maintenance": ("planned", "open", "done"),
    }[name]


def plain(row: Row) -> Row:
    """A row as JSON shows it: camel case names, times in ISO 8601 with their zone."""
    return {_camel(key): _plain_value(value) for key, value in row.items()}


def timestamp(now: float) -> str:
    """Seconds since the epoch as ISO 8601 in UTC."""
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")


def _place(position: Position) -> Row:
    return {
        "lat": position.lat,
        "lon": position.lon,
        "heading": position.heading,
        "speedKmh": position.speed_kmh,
    }


def _pair(row: Row, key: str, column: str, name: str) -> dict[str, str] | None:
    return {"id": row[key], name: row[column]} if row[key] is not None else None


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _plain_value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="seconds")
    if isinstance(value, date):
        return value.isoformat()
    return float(value) if isinstance(value, Decimal) else value
