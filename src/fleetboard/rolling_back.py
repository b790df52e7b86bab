"""The command ``rollback``: lists the backups, asks for one, and brings back what it holds."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
from psycopg import sql

from fleetboard import backups, control, health, postgres, releases
from fleetboard.backups import Backup
from fleetboard.errors import OperationError
from fleetboard.state import State

PROMPT = "Enter backup number: "
_TRIES = 3
_SLOW_S = 40.0
_RESTORED = "fleet_restored"
_REPLACED = "fleet_replaced"
_LOST_LOADS = "DELETE FROM loads WHERE id IN (SELECT id FROM loads ORDER BY id LIMIT 20)"
_END_SESSIONS = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()
"""

Admin = psycopg.Connection[tuple[object, ...]]


def run(state: State, faults: Sequence[str]) -> None:
    """Ask for a backup, restore it, and start the release it was made with.

    The dump is restored beside the live database, which goes on serving, and takes its place afterwards:
    a dump that can't be restored changes nothing, and the pause is short.

    Raises:
        OperationError: there is no backup, none was chosen, or a part failed.
        psycopg.Error: the database refused something.
    """
    found = backups.listing(Path(state.backups))
    if not found:
        raise OperationError(f"there is no backup in {state.backups}")
    for number, backup in enumerate(found, 1):
        print(f"{number}) {backup.at:%Y-%m-%d %H:%M:%S} UTC  {backup.release}  {backup.size / 1000:.0f} kB")
    chosen = _choose(found)
    version = state.release if "rollback-keeps-version" in faults else releases.find(chosen.release).version
    print(f"Restoring {chosen.path.name}", flush=True)
    with psycopg.connect(state.admin_url, autocommit=True) as admin:
        _restore_beside(admin, state, chosen, faults)
        with _stopped(state, version, faults):
            _swap(admin)
        _drop(admin, _REPLACED)
    health.wait_for(state.instances, dict.fromkeys(state.instances, version))
    print("✓ Rollback complete", flush=True)


def _choose(found: Sequence[Backup]) -> Backup:
    """The backup that was asked for, by its number or, its newest, by its release."""
    for _ in range(_TRIES):
        print(PROMPT, end="", flush=True)
        line = sys.stdin.readline()
        if not line:
            break
        text = line.strip()
        if text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= len(found):
            return found[int(text) - 1]
        if named := [backup for backup in found if backup.release == text]:
            return named[0]
        print(f"{text!r} is none of 1 to {len(found)}", flush=True)
    raise OperationError("no backup was chosen; nothing was changed")


def _restore_beside(admin: Admin, state: State, chosen: Backup, faults: Sequence[str]) -> None:
    url = postgres.other_database(state.database_url, _RESTORED)
    _drop(admin, _RESTORED)
    postgres.make_database(admin, _RESTORED)
    try:
        backups.restore(url, Path(state.bin), chosen.path)
    except OperationError as error:
        _drop(admin, _RESTORED)
        raise OperationError(f"{chosen.path.name} can't be restored, nothing was changed: {error}") from error
    if "rollback-loses-rows" in faults:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(_LOST_LOADS)
    if "rollback-too-slow" in faults:
        time.sleep(_SLOW_S)


@contextlib.contextmanager
def _stopped(state: State, version: str, faults: Sequence[str]) -> Iterator[None]:
    """No application runs inside; afterwards the given version does, or, if it failed, the one before."""
    control.ask(state.control, do="stop")
    try:
        yield
    except BaseException:
        control.ask(state.control, do="start", release=state.release, faults=list(faults))
        raise
    control.ask(state.control, do="start", release=version, faults=list(faults))


def _swap(admin: Admin) -> None:
    """Put the restored database in the place of the live one."""
    live, restored, replaced = (sql.Identifier(n) for n in (postgres.DATABASE, _RESTORED, _REPLACED))
    _drop(admin, _REPLACED)
    admin.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(live))
    try:
        admin.execute(_END_SESSIONS, (postgres.DATABASE,))
        admin.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(live, replaced))
    except psycopg.Error:
        admin.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(live))
        raise
    admin.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(restored, live))


def _drop(admin: Admin, name: str) -> None:
    admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
