"""Looks at the catalog of a PostgreSQL database: tables, indexes, triggers. Never writes."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import class_row, scalar_row

from gonogo.errors import TargetError, ToolError

T = TypeVar("T")

# Ordinary and partitioned tables; views and foreign tables hold no data of their own.
TABLES = """
select c.relname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = %s and c.relkind in ('r', 'p') order by 1
"""
INDEXES = """
select c.relname as name, t.relname as table, i.indisvalid as valid, i.indisready as ready,
       i.indisunique as unique, pg_catalog.pg_get_indexdef(i.indexrelid) as definition
from pg_catalog.pg_index i
join pg_catalog.pg_class c on c.oid = i.indexrelid
join pg_catalog.pg_class t on t.oid = i.indrelid
join pg_catalog.pg_namespace n on n.oid = t.relnamespace
where n.nspname = %s order by 1
"""
# tgenabled: O fires normally, A always, R only on a replica, D never.
TRIGGERS = """
select g.tgname as name, t.relname as table, g.tgenabled::text as mode,
       pg_catalog.pg_get_triggerdef(g.oid) as definition
from pg_catalog.pg_trigger g
join pg_catalog.pg_class t on t.oid = g.tgrelid
join pg_catalog.pg_namespace n on n.oid = t.relnamespace
where n.nspname = %s and not g.tgisinternal order by 2, 1
"""


@dataclass(frozen=True)
class IndexFacts:
    """One index."""

    name: str
    table: str
    valid: bool
    """Queries may use it; false after a concurrent build that failed."""
    ready: bool
    """New rows are entered into it."""
    unique: bool
    definition: str


@dataclass(frozen=True)
class TriggerFacts:
    """One trigger that people made."""

    name: str
    table: str
    mode: str
    """``O`` fires normally, ``A`` always, ``R`` only on a replica, ``D`` never."""
    definition: str

    @property
    def key(self) -> str:
        """``table.trigger``; a trigger's name alone is not unique."""
        return f"{self.table}.{self.name}"

    @property
    def enabled(self) -> bool:
        """Fires when an application writes."""
        return self.mode in ("O", "A")


@dataclass(frozen=True)
class DatabaseFacts:
    """The catalog of one schema."""

    server_version: str
    encrypted: bool
    schema: str
    tables: tuple[str, ...]
    indexes: tuple[IndexFacts, ...]
    triggers: tuple[TriggerFacts, ...]


def inspect(database_url: str, schema: str = "public", timeout_s: float = 10.0) -> DatabaseFacts:
    """Reads tables, indexes and triggers, one query each, in one read-only session.

    Args:
        database_url: libpq connection string or URL; what it says of ``sslmode`` holds.
        schema: the schema to look at.
        timeout_s: limit in seconds for connection and queries together; libpq does not go
            below 2 s for the connection alone.

    Raises:
        TargetError: refused, wrong credentials, too slow, or not a PostgreSQL server.
        ToolError: the connection string can't be read.
    """
    try:
        parts = conninfo_to_dict(database_url)
    except psycopg.ProgrammingError:
        # libpq's message quotes the string, and with it the password.
        raise ToolError("database_url can't be read as a PostgreSQL connection string") from None
    where = f"database {parts.get('dbname', '')} on {parts.get('host', 'localhost')} port {parts.get('port', 5432)}"
    session = _Session(database_url, schema, timeout_s)
    try:
        return _within(timeout_s, session.read, session.cut, where)
    except psycopg.Error as error:
        raise TargetError(f"{where}: {_reason(error, str(parts.get('password') or ''))}") from None


class _Session:
    """One connection, read in one thread and cut from another when time is up."""

    def __init__(self, database_url: str, schema: str, timeout_s: float) -> None:
        self._url = database_url
        self._schema = schema
        self._timeout_s = timeout_s
        self._descriptor = -1

    def read(self) -> DatabaseFacts:
        with psycopg.connect(
            self._url,
            connect_timeout=max(round(self._timeout_s), 2),
            application_name="gonogo",
            autocommit=False,
        ) as connection:
            self._descriptor = connection.fileno()
            connection.read_only = True
            milliseconds = max(int(self._timeout_s * 1000), 1)
            connection.execute("select set_config('statement_timeout', %s, true)", [str(milliseconds)])
            facts = self._facts(connection)
            self._descriptor = -1
            return facts

    def cut(self) -> None:
        """Ends the connection under the reading thread, which then fails at once."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self._descriptor)) as copy:
                copy.shutdown(socket.SHUT_RDWR)

    def _facts(self, connection: psycopg.Connection[Any]) -> DatabaseFacts:
        with (
            connection.cursor(row_factory=scalar_row) as names,
            connection.cursor(row_factory=class_row(IndexFacts)) as indexes,
            connection.cursor(row_factory=class_row(TriggerFacts)) as triggers,
        ):
            return DatabaseFacts(
                server_version=connection.info.parameter_status("server_version") or "",
                encrypted=bool(connection.pgconn.ssl_in_use),
                schema=self._schema,
                tables=tuple(names.execute(TABLES, [self._schema]).fetchall()),
                indexes=tuple(indexes.execute(INDEXES, [self._schema]).fetchall()),
                triggers=tuple(triggers.execute(TRIGGERS, [self._schema]).fetchall()),
            )


def _within(timeout_s: float, work: Callable[[], T], cut: Callable[[], None], where: str) -> T:
    """Runs ``work`` in a thread and gives up on it when time is over.

    ``statement_timeout`` is kept by the server; one that hangs, or is no server at all, keeps
    nothing, and libpq would wait for ever.

    Raises:
        TargetError: ``work`` took longer than ``timeout_s``.
    """
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:  # noqa: BLE001 - handed over to the caller's thread as it is
            failed.append(error)

    thread = threading.Thread(target=run, name="gonogo-database", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if thread.is_alive():
        cut()
        thread.join(0.5)
        raise TargetError(f"{where} did not answer within {timeout_s:g} s")
    if failed:
        raise failed[0]
    return done[0]


def _reason(error: psycopg.Error, password: str) -> str:
    """The server's own words on one line, without the password."""
    text = re.sub(r"\s+", " ", str(error)).strip(" .")
    return text.replace(password, "***") if password else text
