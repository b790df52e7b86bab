"""The defects this target can be given on purpose, and the gates each must turn red.

Gate ids are plain strings here: the target knows nothing of the suite that looks at it.
"""

from __future__ import annotations

from dataclasses import dataclass

from fleetboard.errors import UnknownFaultError

_HTTPS = (
    "release.deployed",
    "health.endpoint",
    "stats.database",
    "stats.websocket",
    "stats.performance",
    "smoke.api",
    "smoke.access",
    "smoke.tracking",
    "load.throughput",
)
"""Every gate that needs a verified connection: a certificate nobody can trust takes all of them along."""


@dataclass(frozen=True)
class Fault:
    """One named defect."""

    name: str
    gates: tuple[str, ...]
    """Ids of the gates it must turn red."""
    description: str
    front_end: bool = False
    """Carried out by the page's own scripts, which read it from ``<html data-faults>``."""


_ALL = (
    Fault("dns-long-ttl", ("dns.records",), "DNS answers carry a TTL of 86400 s"),
    Fault(
        "dns-wrong-address",
        ("dns.records", "tls.certificate", "tls.protocols"),
        "the name has a second address, 127.0.0.66, that serves nothing",
    ),
    Fault("expired-certificate", ("tls.certificate", *_HTTPS), "the leaf certificate ended two days ago"),
    Fault("certificate-expires-soon", ("tls.certificate",), "the leaf certificate ends in five days"),
    Fault(
        "missing-intermediate", ("tls.certificate", *_HTTPS), "the server sends its leaf without the intermediate"
    ),
    Fault("wrong-name-certificate", ("tls.certificate", *_HTTPS), "the certificate names other.fleet.test"),
    Fault("tls-1.0-enabled", ("tls.protocols",), "the proxy still accepts TLS 1.0 and 1.1"),
    Fault("health-degraded", ("health.endpoint",), "health says degraded, with HTTP 200"),
    Fault("health-500", ("health.endpoint", "release.deployed"), "health answers HTTP 500"),
    Fault("slow-health", ("health.endpoint",), "health takes 700 ms"),
    Fault("pooling-disabled", ("stats.database",), "every query opens a connection of its own"),
    Fault("pool-exhausted", ("stats.database",), "all connections of the pool are held"),
    Fault("ws-count-stuck", ("stats.websocket",), "the count of WebSocket connections never moves"),
    Fault("performance-errors", ("stats.performance",), "the statistics report an error rate of 4 %"),
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
    Fault(
        "dump-truncated",
        ("backup.created", "backup.restore"),
        "the backup job leaves a dump without its last third",
    ),
    Fault(
        "dump-of-other-database",
        ("backup.created",),
        "the backup job dumps a copy of the database with another name",
    ),
    Fault("dump-too-old", ("backup.created",), "the backup job puts a dump of two days ago in place of a new one"),
    Fault("dump-without-triggers", ("backup.restore",), "the backup job leaves the triggers out"),
    Fault(
        "dump-empty",
        ("backup.created", "backup.restore"),
        "the backup job dumps an empty database: a valid archive without a table",
    ),
    Fault("dump-zero-bytes", ("backup.created", "backup.restore"), "the backup job leaves a file of 0 bytes"),
    Fault("dump-older-client", ("backup.created",), "the backup job dumps with the pg_dump of PostgreSQL 12"),
    Fault("dump-lost-rows", ("backup.restore",), "the backup job loses every third maintenance record"),
    Fault(
        "migration-fails-half-way",
        ("database.migrations-tested",),
        "0006 fails at its second statement, after 0005 was applied",
    ),
    Fault(
        "migration-not-repeatable",
        ("database.migrations-tested",),
        "0006 is not recorded, so that a second run applies it again and fails",
    ),
    Fault(
        "psql-without-stop",
        ("database.migrations-tested",),
        "the migrations go through psql, which exits 0 over failed statements and leaves nothing",
    ),
    Fault(
        "migration-rewrites-table",
        ("database.migrations-tested",),
        "0005 changes the type of loads.weight_kg there and back, each time with a rewrite",
    ),
    Fault(
        "down-incomplete", ("database.migrations-tested",), "the way back of 0005 leaves the column loads.priority"
    ),
    Fault("dry-run-migrates", ("deploy.dry-run",), "the dry run of the deployment applies the migrations"),
    Fault("deploy-exits-1", ("deploy.run",), "the deployment prints every tick and exits 1"),
    Fault("deploy-misses-line", ("deploy.run",), "the deployment runs no tests and leaves that line out"),
    Fault("deploy-leaves-one-behind", ("deploy.run", "release.deployed"), "instance b stays on 0.9.0"),
    Fault("wrong-commit", ("deploy.run", "release.deployed"), "1.0.0 was built from another commit"),
    Fault(
        "rollback-keeps-version",
        ("rollback.rehearsal",),
        "the rollback restores the data and starts the new release again",
    ),
    Fault("rollback-loses-rows", ("rollback.rehearsal",), "the rollback loses twenty loads"),
    Fault("rollback-too-slow", ("rollback.rehearsal",), "the rollback waits for 40 s"),
    Fault("api-ignores-paging", ("smoke.api",), "lists ignore limit and offset and return everything"),
    Fault("api-finds-anything", ("smoke.api",), "an unknown vehicle is answered with HTTP 200"),
    Fault("console-error", ("smoke.access",), "the page writes an error to the console", front_end=True),
    Fault("script-404", ("smoke.access",), "one script of the page is missing"),
    Fault("no-markers", ("smoke.tracking",), "no vehicle is drawn on the map", front_end=True),
    Fault("wrong-details", ("smoke.tracking",), "a click shows another vehicle's details", front_end=True),
    Fault("light-stays-amber", ("smoke.tracking",), "the connection light never turns green", front_end=True),
    Fault("blank-map", ("smoke.tracking",), "the map has no streets", front_end=True),
    Fault("slow-under-load", ("load.throughput",), "fine when idle, over 600 ms a request above about 20 RPS"),
    Fault("errors-under-load", ("load.throughput",), "2 % of requests answer HTTP 500 above about 20 RPS"),
    Fault("throughput-45", ("load.throughput",), "no more than 45 RPS are served, the rest waits"),
)

FAULTS: dict[str, Fault] = {fault.name: fault for fault in _ALL}
"""Every fault by its name, in the order in which they are listed."""


def parse(text: str) -> tuple[str, ...]:
    """Names out of a comma-separated list, each once, in the order given.

    Raises:
        UnknownFaultError: a name is not a fault; the message names the allowed ones.
    """
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for name in names:
        if name not in FAULTS:
            raise UnknownFaultError(f"unknown fault {name!r}; allowed are: {', '.join(FAULTS)}")
    return names
