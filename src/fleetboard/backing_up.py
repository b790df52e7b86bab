"""The command ``backup``: a dump of the running target into its folder, and the faults of this job."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
from psycopg import sql

from fleetboard import archive, backups, postgres
from fleetboard.state import State

_COPY = "trial"
"""A copy of the database that some faults spoil; as long as the real name, which takes its place in the dump."""

_TRIGGERS = """
SELECT tgname, tgrelid::regclass::text FROM pg_trigger WHERE NOT tgisinternal
"""


def run(state: State, faults: Sequence[str]) -> Path:
    """Make a dump of the target; returns its path.

    Raises:
        OperationError: it could not be made.
    """
    folder, programs = Path(state.backups), Path(state.bin)
    path = backups.new_path(folder, state.release)
    copied = [name for name in _ON_A_COPY if name in faults]
    if "dump-zero-bytes" in faults:
        path.touch()
    elif copied or "dump-of-other-database" in faults:
        with _copy(state, programs, folder, empty="dump-empty" in faults) as url:
            for name in copied:
                _ON_A_COPY[name](url)
            backups.dump(url, programs, path)
        if copied:
            path.write_bytes(archive.with_database(path.read_bytes(), postgres.DATABASE))
    else:
        backups.dump(state.database_url, programs, path)
    _spoil(path, faults)
    return path


def _spoil(path: Path, faults: Sequence[str]) -> None:
    """Carry out the faults that change a finished dump."""
    if "dump-truncated" in faults:
        data = path.read_bytes()
        path.write_bytes(data[: len(data) * 2 // 3])
    if "dump-too-old" in faults:
        # Copied today, made two days ago: neither its name nor the file's own time tells.
        made = datetime.now().astimezone().replace(tzinfo=None) - timedelta(days=2)
        path.write_bytes(archive.with_time(path.read_bytes(), made))
    if "dump-older-client" in faults:
        path.write_bytes(archive.with_client_major(path.read_bytes(), "12"))


@contextlib.contextmanager
def _copy(state: State, programs: Path, folder: Path, *, empty: bool) -> Iterator[str]:
    name = sql.Identifier(_COPY)
    source = folder / "source.copy"
    url = postgres.other_database(state.database_url, _COPY)
    with psycopg.connect(state.admin_url, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        postgres.make_database(admin, _COPY)
        try:
            if not empty:
                backups.dump(state.database_url, programs, source)
                backups.restore(url, programs, source)
            yield url
        finally:
            source.unlink(missing_ok=True)
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def _leave_empty(_url: str) -> None:
    """The copy was made empty."""


def _drop_triggers(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for trigger, table in connection.execute(_TRIGGERS).fetchall():
            connection.execute(f"DROP TRIGGER {trigger} ON {table}".encode())


def _lose_rows(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DELETE FROM maintenance_records WHERE right(id, 4)::int % 3 = 0")


_ON_A_COPY = {
    "dump-empty": _leave_empty,
    "dump-without-triggers": _drop_triggers,
    "dump-lost-rows": _lose_rows,
}
