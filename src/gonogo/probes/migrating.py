"""Watches a scratch database while migrations run: how long each takes, what it rewrites, what it locks.

Event triggers write down every DDL command with the locks that it holds. They see neither what is no DDL
(``UPDATE``, ``TRUNCATE``, ``LOCK TABLE``, ``VACUUM FULL``) nor what is rolled back. So a second session looks at
the locks every 50 ms, and the files of all tables are compared. This probe writes: it is for scratch databases.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from gonogo.errors import TargetError, ToolError
from gonogo.migrations import MigrationFacts, Seen, facts_of

INTERVAL_S = 0.05
"""How often locks are looked at from outside: shorter ones are known from DDL commands alone."""

_INSTALL = Path(__file__).with_suffix(".sql")
_REMOVE: LiteralString = """
DROP EVENT TRIGGER IF EXISTS gonogo_watch_start;
DROP EVENT TRIGGER IF EXISTS gonogo_watch_end;
DROP EVENT TRIGGER IF EXISTS gonogo_watch_drop;
DROP EVENT TRIGGER IF EXISTS gonogo_watch_rewrite;
DROP SCHEMA IF EXISTS gonogo_watch CASCADE;
"""


@contextlib.contextmanager
def watch(
    database_url: str, history: str | None = None, schema: str = "public", timeout_s: float = 600.0
) -> Iterator[Watch]:
    """Watches a scratch database until the block ends; nothing of the watch stays.

    Args:
        database_url: a superuser's address of a database that nobody else uses.
        history: where migrations are written down, as ``table.column`` or ``schema.table.column``.
        schema: names of this schema are told without it.
        timeout_s: limit in seconds for each statement; the rows of all tables are counted once.

    Raises:
        ToolError: the scratch server does not answer, or the role is no superuser.
    """
    placed = Watch(database_url, history, schema, timeout_s)
    try:
        placed.begin()
        yield placed
    finally:
        placed.end()


class Watch:
    """A watch that is in place; :func:`watch` makes one."""

    def __init__(self, database_url: str, history: str | None, schema: str, timeout_s: float) -> None:
        self._url = database_url
        self._history = history
        self._schema = schema
        self._timeout_s = timeout_s
        self._before: list[tuple[str, int]] = []
        self._sampler = _Sampler(self._connect)

    def read(self) -> MigrationFacts:
        """What happened since the watch is in place; ends it.

        Raises:
            TargetError: the watch is gone, because the migrations made the database anew.
            ToolError: the scratch server does not answer.
        """
        seen = self._sampler.stop()
        with self._connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
            try:
                events = cursor.execute("SELECT * FROM gonogo_watch.event ORDER BY id").fetchall()
                tables = {
                    str(row["name"]): int(row["rows"])
                    for row in cursor.execute("SELECT name, rows FROM gonogo_watch.before ORDER BY 1").fetchall()
                }
                moved = [
                    str(row["name"]) for row in cursor.execute("SELECT name FROM gonogo_watch.moved").fetchall()
                ]
            except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
                raise TargetError(
                    "the command that migrates made the database anew, which on the target would lose all data; "
                    "let it change what is there"
                ) from None
            history = self._read_history(connection)
        if self._sampler.failed is not None:
            raise self._sampler.failed
        return facts_of(events, seen, tables, moved, (self._before, history))

    def end_sessions(self) -> None:
        """Ends what a command that was killed left running: its statement would go on, and hold its locks.

        Raises:
            ToolError: the scratch server does not answer, or does not end them within 10 s.
        """
        self._sampler.stop()
        ends = time.monotonic() + 10
        with self._connect() as connection:
            while connection.execute("SELECT pg_terminate_backend(pid) FROM gonogo_watch.others").fetchall():
                if time.monotonic() > ends:
                    raise ToolError("the scratch server does not end the sessions of a command that was killed")
                time.sleep(INTERVAL_S)

    def begin(self) -> None:
        """Put the watch in place."""
        with self._connect() as connection:
            connection.execute(_INSTALL.read_bytes())
            # Names as people say them: those of the release's own schema without it.
            connection.execute(
                "UPDATE gonogo_watch.before SET name = substr(name, length(%(schema)s) + 2) "
                "WHERE starts_with(name, %(schema)s || '.')",
                {"schema": self._schema},
            )
            self._before = self._read_history(connection)
        self._sampler.start()

    def end(self) -> None:
        """Take away whatever is left of it."""
        self._sampler.stop()
        # The database may be gone; if only this fails, the next watch can't be put in place and says so.
        with contextlib.suppress(ToolError), self._connect() as connection:
            connection.execute(_REMOVE)

    @contextlib.contextmanager
    def _connect(self) -> Iterator[psycopg.Connection[Any]]:
        try:
            with psycopg.connect(
                self._url, connect_timeout=10, application_name="gonogo", autocommit=True
            ) as connection:
                milliseconds = max(int(self._timeout_s * 1000), 1)
                connection.execute("SELECT set_config('statement_timeout', %s, false)", [str(milliseconds)])
                # What a release sets for its database must not make the watch itself read-only.
                connection.execute("SET default_transaction_read_only = off")
                yield connection
        except psycopg.Error as error:
            said = " ".join(str(error).split())
            raise ToolError(f"the scratch database can't be watched: {said}") from None

    def _read_history(self, connection: psycopg.Connection[Any]) -> list[tuple[str, int]]:
        """The history's names with the transaction that wrote each, oldest first."""
        if self._history is None:
            return []
        table, _, column = self._history.rpartition(".")
        schema, _, table = table.rpartition(".")
        query = sql.SQL("SELECT {0}::text, xmin::text::bigint FROM {1} ORDER BY 2, 1").format(
            sql.Identifier(column), sql.Identifier(schema or self._schema, table)
        )
        try:
            return [(str(name), int(xid)) for name, xid in connection.execute(query).fetchall()]
        except psycopg.errors.UndefinedTable:
            return []  # the first migration of all makes it


class _Sampler:
    """Looks at the locks of other sessions, at intervals, in a thread."""

    def __init__(self, connect: Callable[[], AbstractContextManager[psycopg.Connection[Any]]]) -> None:
        self._connect = connect
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gonogo-locks", daemon=True)
        self._seen: dict[tuple[int, float], Seen] = {}
        self.failed: ToolError | None = None
        """Why not everything was seen."""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> list[Seen]:
        """Ends the thread; what it saw."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        return list(self._seen.values())

    def _run(self) -> None:
        try:
            with self._connect() as connection:
                while not self._stop.wait(INTERVAL_S):
                    for row in connection.execute("SELECT * FROM gonogo_watch.locks").fetchall():
                        self._add(row)
        except ToolError as error:
            self.failed = error

    def _add(self, row: tuple[Any, ...]) -> None:
        pid, began, xid, now, table, mode = row
        one = self._seen.setdefault((pid, began), Seen(began, now))
        one.last = now
        one.xid = one.xid if xid is None else xid
        if table is not None:
            one.locks.setdefault((table, mode), now)
