"""Faults of the schema and of the server."""

from __future__ import annotations

from fleetboard.faults.fault import Fault

FAULTS: tuple[Fault, ...] = (
    Fault("missing-table", ("database.schema", "database.tables"), "the table geofences was never created"),
    Fault(
        "missing-column",
        ("database.schema", "database.tables"),
        "the table maintenance_records has no column created_at",
    ),
    Fault(
        "wrong-type", ("database.schema", "database.tables"), "loads.weight_kg is a bigint instead of an integer"
    ),
    Fault("dropped-default", ("database.schema", "database.tables"), "drivers.status has lost its default"),
    Fault(
        "missing-unique",
        ("database.schema", "database.tables"),
        "nothing keeps two geofences from having one name: the constraint geofences_name_key is missing",
    ),
    Fault(
        "unvalidated-constraint",
        ("database.schema", "database.tables"),
        "loads_weight_kg_check is NOT VALID: rows from before may break it",
    ),
    Fault(
        "other-search-path",
        ("database.schema", "database.tables"),
        "the table geofences lives in the schema fleet_owner instead of public",
    ),
    Fault(
        "missing-extension",
        ("database.schema", "database.indexes"),
        "the extension pg_trgm is missing, and with it the index drivers_name_trgm_idx",
    ),
    Fault("missing-index", ("database.schema", "database.indexes"), "the index loads_status_idx was never created"),
    Fault(
        "invalid-index",
        ("database.schema", "database.indexes"),
        "a concurrent build left vehicles_status_idx invalid",
    ),
    Fault(
        "wrong-index-columns",
        ("database.schema", "database.indexes"),
        "the index loads_due_at_idx is on updated_at",
    ),
    Fault("missing-trigger", ("database.schema", "database.triggers"), "the trigger loads_touch was never created"),
    Fault("disabled-trigger", ("database.schema", "database.triggers"), "the trigger vehicles_audit is disabled"),
    Fault(
        "trigger-other-function",
        ("database.schema", "database.triggers"),
        "the trigger maintenance_records_touch calls another function",
    ),
    Fault(
        "trigger-without-effect",
        ("database.schema", "database.triggers"),
        "the function of the touch triggers changes nothing",
    ),
    Fault(
        "connections-exhausted",
        ("database.capacity",),
        "a leaking job keeps 37 connections, so that 41 of 50 are taken",
    ),
    Fault("idle-in-transaction", ("database.capacity",), "a forgotten job sits in an open transaction"),
)
