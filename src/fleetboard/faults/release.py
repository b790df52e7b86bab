"""Faults of backups, migrations, deployment and rollback."""

from __future__ import annotations

from fleetboard.faults.fault import Fault

FAULTS: tuple[Fault, ...] = (
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
)
