"""Schema migrations: SQL files in order, each once, each in a transaction."""

from __future__ import annotations

from pathlib import Path

import psycopg

FOLDER = Path(__file__).parent / "migrations"


def migrate(connection: psycopg.Connection[tuple[object, ...]], folder: Path = FOLDER) -> list[str]:
    """Apply what is missing; returns the names applied now.

    Raises:
        psycopg.Error: a migration failed; those before it stay applied.
    """
    with connection.transaction():
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations ("
            "name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        done = {row[0] for row in connection.execute("SELECT name FROM schema_migrations")}
    applied = []
    for path in sorted(folder.glob("*.sql")):
        if path.stem in done:
            continue
        with connection.transaction():
            connection.execute(path.read_bytes())
            connection.execute("INSERT INTO schema_migrations (name) VALUES (%s)", (path.stem,))
        applied.append(path.stem)
    return applied
