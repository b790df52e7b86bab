"""One read-only session with a PostgreSQL server that may refuse, hang, or be none."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict

from gonogo.errors import TargetError, ToolError

T = TypeVar("T")

# What a refusal names, and the statement of its owner that mends it.
_GRANTS = (
    (r"permission denied for (?:materialized view|table|view|relation|sequence) (\S+)", "GRANT SELECT ON {}"),
    (r"permission denied for schema (\S+)", "GRANT USAGE ON SCHEMA {}"),
    (r"permission denied for (?:function|procedure) (\S+)", "GRANT EXECUTE ON FUNCTION {}"),
    (r"permission denied for database (\S+)", "GRANT CONNECT ON DATABASE {}"),
)
_BEGIN = b"begin isolation level repeatable read, read only; set local statement_timeout = "
_NO_SLOT = re.compile(r"too many (clients|connections)|remaining connection slots", re.IGNORECASE)


def reading(database_url: str, timeout_s: float, work: Callable[[psycopg.Connection[Any]], T]) -> T:
    """Runs ``work`` in one read-only transaction that sees one moment of the database.

    Args:
        database_url: libpq connection string or URL; what it says of ``sslmode`` holds.
        timeout_s: limit in seconds for connection and ``work`` together; libpq does not go
            below 2 s for the connection alone.
        work: reads what it needs; its result is handed on. Runs in a thread of its own.

    Raises:
        TargetError: refused, wrong credentials, too slow, or not a PostgreSQL server.
        ToolError: the connection string can't be read, or the role lacks a right; the sentence
            names the statement that grants it.
    """
    parts = _parts(database_url)
    where = _place(parts)
    session = _Session(database_url, timeout_s, work)
    try:
        return _within(timeout_s, session.run, session.cut, where)
    except psycopg.Error as error:
        reason = _reason(error, str(parts.get("password") or ""))
        role = session.role or str(parts.get("user") or "this role")
        grant = _grant(reason, role)
        if grant or isinstance(error, psycopg.errors.InsufficientPrivilege):
            raise ToolError(f"{where}: {reason}; {grant or f'give {role} that right'}") from None
        if _NO_SLOT.search(reason):
            reason += "; end sessions that nobody needs, or raise max_connections"
        raise TargetError(f"{where}: {reason}") from None
    except UnicodeDecodeError:
        raise TargetError(f"{where}: its catalog holds names that are not UTF-8; this can't be compared") from None


def place(database_url: str) -> str:
    """What sentences call a database: name, host and port, never the password.

    Raises:
        ToolError: the connection string can't be read.
    """
    return _place(_parts(database_url))


def _parts(database_url: str) -> dict[str, Any]:
    try:
        return dict(conninfo_to_dict(database_url))
    except psycopg.ProgrammingError:
        # libpq's message quotes the string, and with it the password.
        raise ToolError("database_url can't be read as a PostgreSQL connection string") from None


def _place(parts: dict[str, Any]) -> str:
    return f"database {parts.get('dbname', '')} on {parts.get('host', 'localhost')} port {parts.get('port', 5432)}"


class _Session(Generic[T]):
    """One connection, read in one thread and cut from another when time is up."""

    def __init__(self, database_url: str, timeout_s: float, work: Callable[[psycopg.Connection[Any]], T]) -> None:
        self._url = database_url
        self._timeout_s = timeout_s
        self._work = work
        self._descriptor = -1
        self.role = ""

    def run(self) -> T:
        with psycopg.connect(
            self._url,
            connect_timeout=max(round(self._timeout_s), 2),
            application_name="gonogo",
            client_encoding="utf8",  # a database without an encoding would answer with bytes
            autocommit=True,  # the transaction is begun and ended here, and nowhere else
        ) as connection:
            self._descriptor = connection.fileno()
            try:
                self.role = connection.info.user
                milliseconds = max(int(self._timeout_s * 1000), 1)
                # One statement string is one round trip, where psycopg's own way takes three.
                connection.execute(_BEGIN + str(milliseconds).encode())
                found = self._work(connection)
                connection.execute("commit")
                return found
            finally:
                self._descriptor = -1

    def cut(self) -> None:
        """Ends the connection under the reading thread, which then fails at once."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self._descriptor)) as copy:
                copy.shutdown(socket.SHUT_RDWR)


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


def _grant(reason: str, role: str) -> str:
    for pattern, statement in _GRANTS:
        if found := re.search(pattern, reason):
            return f"its owner can run: {statement.format(found[1].rstrip('.:;,'))} TO {role}"
    return ""


def _reason(error: psycopg.Error, password: str) -> str:
    """The server's own words on one line, without the password."""
    text = re.sub(r"\s+", " ", str(error)).strip(" .")
    return text.replace(password, "***") if password else text


def libpq_environment(database_url: str) -> dict[str, str]:
    """The ``PG*`` variables that say the same as a connection string or URL, for programs.

    Raises:
        ToolError: the connection string can't be read; the sentence does not quote it.
    """
    try:
        options = pq.Conninfo.parse(database_url.encode())
    except psycopg.OperationalError:
        raise ToolError("database_url can't be read as a PostgreSQL connection string") from None
    found = {o.envvar.decode(): o.val.decode() for o in options if o.envvar and o.val is not None}
    return {"PGCONNECT_TIMEOUT": "10", **found, "PGAPPNAME": "gonogo"}
