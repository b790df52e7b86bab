"""Loads in the database: every change is one transaction, and the database decides who was first."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from psycopg import errors
from starlette.exceptions import HTTPException

from fleetboard.app.bodies import InvalidError
from fleetboard.app.database import Connection, Database, Row, drawn_numbers, one_row
from fleetboard.releases import PRIORITY

STATUSES = ("planned", "in_transit", "delivered")
PENDING = "(status = 'planned' AND vehicle_id IS NULL)"
_COLUMNS = "id, reference, vehicle_id, cargo, weight_kg, origin, destination, status, due_at"

_PRIORITY = """
SELECT 1 AS one FROM pg_attribute
WHERE attrelid = to_regclass('loads') AND attname = 'priority' AND NOT attisdropped
"""

# The row of the vehicle is locked before, so nobody else gives it a load meanwhile; and of two who want the same
# load the second waits for its row and then finds that it has a vehicle.
_ASSIGN = """
UPDATE loads SET vehicle_id = %(vehicle)s
WHERE id = %(load)s AND status = 'planned' AND vehicle_id IS NULL
AND NOT EXISTS (SELECT 1 FROM loads WHERE vehicle_id = %(vehicle)s AND status IN ('planned', 'in_transit'))
RETURNING
"""
_RELEASE = """
UPDATE loads SET vehicle_id = NULL
WHERE id = %(load)s AND status = 'planned' AND vehicle_id IS NOT NULL
RETURNING
"""

_FREE = """
SELECT v.id, v.name, v.plate, v.type, v.slot, v.status, d.id AS driver_id, d.name AS driver,
       extract(epoch FROM now() - a.started_at)::float8 / 3600 AS on_duty_h
FROM vehicles v
JOIN assignments a ON a.vehicle_id = v.id AND a.ended_at IS NULL
JOIN drivers d ON d.id = a.driver_id
WHERE v.status <> 'maintenance'
AND NOT EXISTS (SELECT 1 FROM loads l WHERE l.vehicle_id = v.id AND l.status IN ('planned', 'in_transit'))
"""


class Loads:
    """The table of loads, as this release shows it."""

    def __init__(self, database: Database, features: Sequence[str], faults: Collection[str]) -> None:
        self._database = database
        self._features = frozenset(features)
        self._faults = frozenset(faults)
        self.columns = _COLUMNS
        """What is shown of a load."""

    async def open(self) -> None:
        """Look which columns there are: either release runs on either schema, so no deployment needs a pause."""
        if PRIORITY in self._features and await self._database.rows(_PRIORITY):
            self.columns = f"{_COLUMNS}, priority"

    async def find(self, load_id: str) -> Row:
        """One load.

        Raises:
            HTTPException: 404, there is none.
        """
        rows = await self._database.rows(f"SELECT {self.columns} FROM loads WHERE id = %s", (load_id,))  # noqa: S608 - ours
        if not rows:
            raise _unknown(load_id)
        return rows[0]

    async def create(self, values: dict[str, Any]) -> Row:
        """Store a load with these columns; id and, unless it is given, reference are made here.

        Raises:
            HTTPException: 409, another load has this reference.
            InvalidError: it would go where it comes from.
        """
        for number in drawn_numbers():
            row = {"reference": f"FB{number}", **values, "id": f"L-{number}", "status": "planned"}
            into = f"({', '.join(row)}) VALUES ({', '.join(f'%({name})s' for name in row)})"
            insert = f"INSERT INTO loads {into} RETURNING {self.columns}"
            try:
                async with self._database.transaction(kept="create-not-kept" not in self._faults) as connection:
                    return self._sensible(await one_row(connection, insert, row))
            except errors.UniqueViolation as error:
                if "reference" in values and error.diag.constraint_name == "loads_reference_key":
                    raise HTTPException(409, f"another load has the reference {values['reference']}") from None
        raise HTTPException(503, "no number is free for another load")

    async def change(self, load_id: str, values: dict[str, Any]) -> Row:
        """Change columns of a planned load.

        Raises:
            HTTPException: 404, there is none; 409, it is under way, or another load has this reference.
            InvalidError: it would go where it comes from.
        """
        assignments = ", ".join(f"{name} = %({name})s" for name in values)
        query = (
            f"UPDATE loads SET {assignments} WHERE id = %(load)s AND status = 'planned' RETURNING {self.columns}"  # noqa: S608 - ours
        )
        try:
            async with self._database.transaction() as connection:
                row = await one_row(connection, query, {**values, "load": load_id})
                return self._sensible(row) if row else await self._refuse(connection, load_id)
        except errors.UniqueViolation:
            raise HTTPException(409, f"another load has the reference {values['reference']}") from None

    async def remove(self, load_id: str) -> None:
        """Delete a planned load.

        Raises:
            HTTPException: 404, there is none; 409, it is under way.
        """
        query = "DELETE FROM loads WHERE id = %(load)s AND status = 'planned' RETURNING id"
        async with self._database.transaction(kept="delete-not-kept" not in self._faults) as connection:
            if not await one_row(connection, query, {"load": load_id}):
                await self._refuse(connection, load_id)

    async def assign(self, load_id: str, vehicle_id: str) -> Row:
        """Give a pending load to a vehicle that has none.

        Raises:
            HTTPException: 404, there is no such load; 409, it has a vehicle, or the vehicle has a load or is in
                the workshop.
            InvalidError: there is no such vehicle.
        """
        lock = "SELECT id, status FROM vehicles WHERE id = %(vehicle)s FOR NO KEY UPDATE"
        both = {"vehicle": vehicle_id, "load": load_id}
        async with self._database.transaction(kept="assign-not-kept" not in self._faults) as connection:
            vehicle = await one_row(connection, lock, both)
            if vehicle is None:
                raise InvalidError({"vehicleId": f"there is no vehicle {vehicle_id}"})
            if vehicle["status"] == "maintenance":
                raise HTTPException(409, f"the vehicle {vehicle_id} is in the workshop")
            row = await one_row(connection, f"{_ASSIGN} {self.columns}", both)
            return row or await self._refuse(connection, load_id, for_vehicle=vehicle_id)

    async def release(self, load_id: str) -> Row:
        """Take a planned load from its vehicle.

        Raises:
            HTTPException: 404, there is no such load; 409, it is under way or has no vehicle.
        """
        query = f"{_RELEASE} {self.columns}"
        async with self._database.transaction() as connection:
            row = await one_row(connection, query, {"load": load_id})
            return row or await self._refuse(connection, load_id)

    async def free_vehicles(self) -> list[Row]:
        """Vehicles with a driver and without a load, and the hours since their drivers began."""
        return await self._database.rows(_FREE)

    async def revision(self) -> int:
        """A number that grows with every change of a load, whoever made it."""
        # Counted: ids of the log are given before the changes are done, so the highest may hide a lower one.
        rows = await self._database.rows("SELECT count(*) AS n FROM audit_log WHERE table_name = 'loads'")
        return int(rows[0]["n"])

    def _sensible(self, row: Row | None) -> Row:
        # Looked at before the transaction ends: a change of one place can be told from the whole row alone.
        assert row is not None
        if row["origin"].lower() == row["destination"].lower() and "accepts-nonsense" not in self._faults:
            raise InvalidError({"destination": "must not be the origin"})
        return row

    async def _refuse(self, connection: Connection, load_id: str, for_vehicle: str | None = None) -> Row:
        """Say why a load was not changed."""
        row = await one_row(
            connection, "SELECT status, vehicle_id FROM loads WHERE id = %(load)s", {"load": load_id}
        )
        if row is None:
            raise _unknown(load_id)
        if row["status"] != "planned":
            raise HTTPException(409, f"the load {load_id} is {row['status'].replace('_', ' ')}")
        if row["vehicle_id"] is not None:
            raise HTTPException(409, f"the load {load_id} has the vehicle {row['vehicle_id']} already")
        if for_vehicle is None:
            raise HTTPException(409, f"the load {load_id} has no vehicle")
        raise HTTPException(409, f"the vehicle {for_vehicle} has a load already")


def _unknown(load_id: str) -> HTTPException:
    return HTTPException(404, f"there is no load {load_id}")
