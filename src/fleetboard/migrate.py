"""Schema migrations: SQL files in order, each once, each in a transaction; and the way back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg

from fleetboard.errors import MigrationError

FOLDER = Path(__file__).parent / "migrations"
"""``NNNN_name.sql`` makes a change, ``NNNN_name.down.sql`` takes it back."""

_DOWN = ".down"

Connection = psycopg.Connection[tuple[object, ...]]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Step:
    """One migration, forwards or backwards."""

    name: str
    text: str
    recorded: bool = True
    """Whether the history is kept; a fault leaves that out."""


def quiet(_line: str) -> None:
    """Tell nobody."""


def names(last: str | None = None, folder: Path = FOLDER) -> list[str]:
    """All migrations in order, up to and with ``last``."""
    found = sorted(path.stem for path in folder.glob("*.sql") if not path.stem.endswith(_DOWN))
    return [name for name in found if last is None or name <= last]


def applied(connection: Connection) -> list[str]:
    """What the history of this database tells, in order; nothing before the first migration."""
    if connection.execute("SELECT to_regclass('schema_migrations')").fetchone() == (None,):
        return []
    return [str(row[0]) for row in connection.execute("SELECT name FROM schema_migrations ORDER BY name")]


def pending(connection: Connection, last: str | None = None, folder: Path = FOLDER) -> list[Step]:
    """What is missing up to and with ``last``."""
    done = set(applied(connection))
    return [
        Step(name, (folder / f"{name}.sql").read_text(encoding="utf-8"))
        for name in names(last, folder)
        if name not in done
    ]


def migrate(connection: Connection, last: str | None = None, folder: Path = FOLDER, say: Say = quiet) -> list[str]:
    """Apply what is missing; returns the names applied now.

    Args:
        connection: the owner's, in autocommit mode.
        last: the newest migration wanted; all if ``None``.
        folder: where the files are.
        say: told one line for each migration, with its time.

    Raises:
        MigrationError: one failed; it left nothing behind, and those before it stay applied.
    """
    return run_up(connection, pending(connection, last, folder), say)


def run_up(connection: Connection, steps: list[Step], say: Say = quiet) -> list[str]:
    """Apply these in order, each in a transaction of its own; returns their names.

    Raises:
        MigrationError: see :func:`migrate`.
    """
    for step in steps:
        begun = time.perf_counter()
        try:
            with connection.transaction():
                connection.execute(step.text.encode())
                if step.recorded:
                    connection.execute("INSERT INTO schema_migrations (name) VALUES (%s)", (step.name,))
        except psycopg.Error as error:
            raise MigrationError(f"migration {step.name} failed and was taken back: {_said(error)}") from error
        say(f"applied {step.name} in {_ms(begun)} ms")
    return [step.name for step in steps]


def reverse(connection: Connection, count: int, folder: Path = FOLDER) -> list[Step]:
    """The ways back for the ``count`` newest migrations, newest first.

    Raises:
        MigrationError: there are not so many, or one has no way back.
    """
    done = applied(connection)
    if not 0 <= count <= len(done):
        raise MigrationError(
            f"{count} migrations can't be taken back: the history of this database has {len(done)}"
        )
    steps = []
    for name in reversed(done[len(done) - count :]):
        path = folder / f"{name}{_DOWN}.sql"
        if not path.is_file():
            raise MigrationError(f"migration {name} can't be taken back: {path.name} does not exist")
        steps.append(Step(name, path.read_text(encoding="utf-8")))
    return steps


def down(connection: Connection, count: int, folder: Path = FOLDER, say: Say = quiet) -> list[str]:
    """Take the ``count`` newest migrations back, newest first; returns their names.

    Raises:
        MigrationError: as :func:`reverse`, or one failed; it changed nothing, and those before it stay taken back.
    """
    return run_down(connection, reverse(connection, count, folder), say)


def run_down(connection: Connection, steps: list[Step], say: Say = quiet) -> list[str]:
    """Take these back in order, each in a transaction of its own; returns their names.

    Raises:
        MigrationError: see :func:`down`.
    """
    for step in steps:
        begun = time.perf_counter()
        try:
            with connection.transaction():
                # The history first: the way back of the first migration drops it.
                connection.execute("DELETE FROM schema_migrations WHERE name = %s", (step.name,))
                connection.execute(step.text.encode())
        except psycopg.Error as error:
            raise MigrationError(f"migration {step.name} could not be taken back: {_said(error)}") from error
        say(f"took back {step.name} in {_ms(begun)} ms")
    return [step.name for step in steps]


def _said(error: psycopg.Error) -> str:
    return " ".join(str(error).split())


def _ms(begun: float) -> int:
    return round((time.perf_counter() - begun) * 1000)
