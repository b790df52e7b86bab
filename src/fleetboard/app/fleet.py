"""The fleet as the API shows it: rows out of the database, positions out of the clock."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import psycopg

from fleetboard.app.database import Database, Row
from fleetboard.routes import Position, Traffic

VEHICLE_COLUMNS = """
v.id, v.name, v.plate, v.type, v.status, v.fuel_percent, v.slot,
d.id AS driver_id, d.name AS driver_name, l.id AS load_id, l.destination
"""
VEHICLES = """
vehicles v
LEFT JOIN assignments a ON a.vehicle_id = v.id AND a.ended_at IS NULL
LEFT JOIN drivers d ON d.id = a.driver_id
LEFT JOIN loads l ON l.vehicle_id = v.id AND l.status = 'in_transit'
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


class Fleet:
    """Queries; holds the unchanging part of the traffic in memory."""

    def __init__(self, database: Database, traffic: Traffic) -> None:
        self._database = database
        self._traffic = traffic
        self._live: list[tuple[str, int, str]] = []

    async def load(self) -> None:
        """Read which vehicles there are; the live feed needs no query after that."""
        rows = await self._database.rows("SELECT id, slot, status FROM vehicles ORDER BY id")
        self._live = [(row["id"], row["slot"], row["status"]) for row in rows]

    async def vehicle(self, vehicle_id: str) -> Row | None:
        """One vehicle, or ``None``."""
        query = f"SELECT {VEHICLE_COLUMNS} FROM {VEHICLES} WHERE v.id = %s"  # noqa: S608 - ours
        rows = await self._database.rows(query, (vehicle_id,))
        return self.shown(rows[0], time.time()) if rows else None

    def place(self, slot: int, status: str, now: float) -> Position:
        """Where the vehicle with this slot is (seconds since the epoch)."""
        return self._traffic.at(slot, now, moving=status == "moving")

    def positions(self, now: float) -> list[Row]:
        """The whole fleet at one moment (seconds since the epoch), as the live feed sends it."""
        return [
            {"id": vehicle, **_place(self.place(slot, status, now)), "status": status}
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

    def shown(self, row: Row, now: float) -> Row:
        """A row of ``VEHICLES`` as the API shows it at one moment (seconds since the epoch)."""
        position = self.place(row["slot"], row["status"], now)
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
