"""Dumps of the database: made, named, listed, restored; passwords go to the programs by their environment."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from fleetboard.errors import OperationError

_NAME = re.compile(r"fleet-(?P<at>\d{8}T\d{6}Z)-(?P<release>[0-9][0-9.]*)\.dump")
_TIME = "%Y%m%dT%H%M%SZ"
_PROGRAM_S = 300.0

_VARIABLES = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
}


@dataclass(frozen=True)
class Backup:
    """One dump on disk."""

    path: Path
    at: datetime
    release: str
    """Version that ran when it was made."""
    size: int
    """Bytes."""


def listing(folder: Path) -> list[Backup]:
    """All dumps in a folder, newest first; other files are left out."""
    found = []
    for path in folder.glob("*.dump"):
        if match := _NAME.fullmatch(path.name):
            at = datetime.strptime(match["at"], _TIME).replace(tzinfo=UTC)
            found.append(Backup(path, at, match["release"], path.stat().st_size))
    return sorted(found, key=lambda backup: backup.path.name, reverse=True)


def new_path(folder: Path, release: str) -> Path:
    """Where a dump made now belongs; waits up to a second for a name of its own."""
    while True:
        path = folder / f"fleet-{datetime.now(UTC).strftime(_TIME)}-{release}.dump"
        if not path.exists():
            return path
        time.sleep(0.1)


def make(url: str, programs: Path, folder: Path, release: str) -> Path:
    """Dump a database into a new file; returns it.

    Raises:
        OperationError: pg_dump failed; there is no file then.
    """
    path = new_path(folder, release)
    dump(url, programs, path)
    return path


def dump(url: str, programs: Path, path: Path) -> None:
    """Dump a database into ``path``, in the custom format; the file appears when it is whole.

    Raises:
        OperationError: pg_dump failed.
    """
    partial = path.with_suffix(".partial")
    try:
        run([str(programs / "pg_dump"), "--format=custom", f"--file={partial}"], url)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def restore(url: str, programs: Path, path: Path) -> None:
    """Restore a dump into an empty database, wholly or not at all.

    Raises:
        OperationError: pg_restore failed.
    """
    arguments = ["--exit-on-error", "--single-transaction", "--dbname="]
    run([str(programs / "pg_restore"), *arguments, str(path)], url)


def environment(url: str) -> dict[str, str]:
    """Our environment, with the libpq variables that lead to this database and no other."""
    parts = conninfo_to_dict(url)
    unknown = sorted(set(parts) - set(_VARIABLES))
    if unknown:
        raise OperationError(f"a database address may not have {', '.join(unknown)}")
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return ours | {_VARIABLES[key]: str(value) for key, value in parts.items()}


def run(command: Sequence[str], url: str) -> None:
    """Run one of PostgreSQL's programs against a database.

    Raises:
        OperationError: it can't be run, fails, or takes more than five minutes.
    """
    name = Path(command[0]).name
    try:
        done = subprocess.run(  # noqa: S603 - the server's own programs, arguments of our own
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment(url),
            timeout=_PROGRAM_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OperationError(f"{name} could not be run: {error}") from error
    if done.returncode != 0:
        said = " ".join(done.stderr.decode(errors="replace").split())
        raise OperationError(f"{name} failed with status {done.returncode}: {said}")
