"""Faults that live in the database: in its schema, or in sessions that are held."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import psycopg

from fleetboard.errors import StartError

ELSEWHERE = "fleet_owner"
"""The schema that the fault ``other-search-path`` puts a table in."""

# Each may be carried out again on what it has already broken, and on the schema of either release.
_STATEMENTS: dict[str, tuple[str, ...]] = {
    "missing-table": ("DROP TABLE IF EXISTS geofences",),
    "missing-column": ("ALTER TABLE maintenance_records DROP COLUMN IF EXISTS created_at",),
    "wrong-type": ("ALTER TABLE loads ALTER COLUMN weight_kg TYPE bigint",),
    "dropped-default": ("ALTER TABLE drivers ALTER COLUMN status DROP DEFAULT",),
    "missing-index": ("DROP INDEX IF EXISTS loads_status_idx",),
    "invalid-index": ("DROP INDEX IF EXISTS vehicles_status_idx",),
    "wrong-index-columns": (
        "DROP INDEX IF EXISTS loads_due_at_idx",
        "CREATE INDEX loads_due_at_idx ON loads (updated_at)",
    ),
    "missing-unique": ("ALTER TABLE IF EXISTS geofences DROP CONSTRAINT IF EXISTS geofences_name_key",),
    "unvalidated-constraint": (
        "ALTER TABLE loads DROP CONSTRAINT IF EXISTS loads_weight_kg_check",
        "ALTER TABLE loads ADD CONSTRAINT loads_weight_kg_check CHECK (weight_kg > 0) NOT VALID",
    ),
    "missing-trigger": ("DROP TRIGGER IF EXISTS loads_touch ON loads",),
    "disabled-trigger": ("ALTER TABLE vehicles DISABLE TRIGGER vehicles_audit",),
    "trigger-other-function": (
        "DROP TRIGGER IF EXISTS maintenance_records_touch ON maintenance_records",
        """
        CREATE TRIGGER maintenance_records_touch BEFORE UPDATE ON maintenance_records
        FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()
        """,
    ),
    "trigger-without-effect": (
        """
        CREATE OR REPLACE FUNCTION touch_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RETURN NEW;
        END
        $$
        """,
    ),
    "missing-extension": ("DROP EXTENSION IF EXISTS pg_trgm CASCADE",),
    "other-search-path": (
        f"CREATE SCHEMA IF NOT EXISTS {ELSEWHERE}",
        f"ALTER TABLE IF EXISTS geofences SET SCHEMA {ELSEWHERE}",
        # Readers keep their rights, so that nothing but the place has changed.
        f"""
        DO $$
        BEGIN
            IF to_regrole('fleet_readonly') IS NOT NULL THEN
                GRANT USAGE ON SCHEMA {ELSEWHERE} TO fleet_readonly, fleet_app;
            END IF;
        END
        $$
        """,
    ),
}

SCHEMA_FAULTS = tuple(_STATEMENTS)
"""Faults that :func:`break_schema` carries out."""

_CROWD = 37
"""Held connections of ``connections-exhausted``: with the four of the pools 41 of 50, which is above 80 %, and
leaves six for whoever looks."""


def break_schema(url: str, faults: Sequence[str]) -> None:
    """Carry out the faults that live in the schema.

    Args:
        url: a database with the schema of a release; the owner's address, or a superuser's.
        faults: any faults; those of other places are passed over.
    """
    active = [fault for fault in faults if fault in _STATEMENTS]
    if not active:
        return
    with psycopg.connect(url, autocommit=True) as connection:
        for fault in active:
            for statement in _STATEMENTS[fault]:
                connection.execute(statement.encode())
        if "invalid-index" in active:
            _build_invalid_index(connection, url)


def _build_invalid_index(connection: psycopg.Connection[tuple[object, ...]], url: str) -> None:
    # A concurrent build that gave up waiting for another transaction leaves its index behind, marked
    # invalid, with the very definition that it should have: what a deployment under traffic really leaves.
    with psycopg.connect(url) as busy:
        busy.execute("LOCK TABLE vehicles IN ROW EXCLUSIVE MODE")
        connection.execute("SET lock_timeout = '50ms'")
        try:
            connection.execute("CREATE INDEX CONCURRENTLY vehicles_status_idx ON vehicles (status)")
        except psycopg.errors.LockNotAvailable:
            return
        finally:
            connection.execute("RESET lock_timeout")
    raise StartError("the fault invalid-index could not be made: the index built without an error")


def hold_sessions(url: str, faults: Sequence[str]) -> list[psycopg.Connection[tuple[object, ...]]]:
    """Open the sessions that a capacity fault holds, as the application; they last until they are closed."""
    held = []
    if "idle-in-transaction" in faults:
        connection = psycopg.connect(url, application_name="forgotten job")
        connection.execute("SELECT 1")  # begins a transaction, takes no lock on any table
        held.append(connection)
    if "connections-exhausted" in faults:
        held += [psycopg.connect(url, autocommit=True, application_name="leaking job") for _ in range(_CROWD)]
    return held


def release_sessions(held: Iterable[psycopg.Connection[tuple[object, ...]]]) -> None:
    """Close sessions that were held."""
    for connection in held:
        connection.close()
