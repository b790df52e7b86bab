"""Watches a scratch database while migrations run: how long each takes, what it rewrites, what it locks.

Event triggers write down every DDL command with the locks that it holds. They see neither what is no DDL
(``UPDATE``, ``TRUNCATE``, ``LOCK TABLE``, ``VACUUM FULL``) nor what is rolled back. So a second session looks at
the locks every 50 ms, and the files of all tables are compared. This probe writes: it is for scratch databases.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from gonogo.errors import TargetError, ToolError

INTERVAL_S = 0.05
"""How often locks are looked at from outside: shorter ones are known from DDL commands alone."""

UNSEEN = "a statement that is no DDL or was undone"
"""The command, where no event trigger saw it."""

# From weak to strong (PostgreSQL's manual, 13.3.1); what is weaker than these lets writers on.
_BLOCKS = {
    "ShareLock": "writes",
    "ShareRowExclusiveLock": "writes",
    "ExclusiveLock": "writes",
    "AccessExclusiveLock": "reads and writes",
}
_STRENGTH = {mode: place for place, mode in enumerate(_BLOCKS)}
# The bits of pg_event_trigger_table_rewrite_reason().
_REASONS = {1: "persistence", 2: "default of a column", 4: "type of a column", 8: "access method"}


@dataclass(frozen=True)
class Command:
    """One DDL command, as event triggers see it."""

    tag: str
    """Such as ``ALTER TABLE``; never the statement's text, which may hold secrets."""
    objects: tuple[str, ...]
    """What it made, changed or dropped; empty if there was nothing to do (``IF NOT EXISTS``)."""
    duration_s: float


@dataclass(frozen=True)
class Migration:
    """One transaction that ran DDL, or that the history tells of."""

    name: str
    """Out of the history; empty if none of its new rows belongs to this transaction."""
    duration_s: float
    """0 if it ran no DDL and was over before it could be looked at."""
    commands: tuple[Command, ...]


@dataclass(frozen=True)
class Rewrite:
    """A table that was there before, and was written anew row by row."""

    table: str
    rows: int
    command: str
    reason: str
    migration: str


@dataclass(frozen=True)
class Lock:
    """A lock on a table that was there before; it lasts to the end of its transaction."""

    table: str
    rows: int
    mode: str
    blocks: str
    """``writes``, or ``reads and writes``."""
    command: str
    held_s: float
    migration: str


@dataclass(frozen=True)
class MigrationFacts:
    """What happened under the watch."""

    migrations: tuple[Migration, ...]
    rewrites: tuple[Rewrite, ...]
    locks: tuple[Lock, ...]
    tables: Mapping[str, int]
    """Rows of each table when the watch began."""
    history: tuple[str, ...]
    """Names in the history now; none if it was not asked for."""
    applied: tuple[str, ...]
    """Names that came to the history under the watch."""
    removed: tuple[str, ...]
    """Names that were taken out of it."""


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
        transactions = _transactions(events)
        _add_samples(transactions, seen)
        new = _without(history, self._before)
        _give_names(transactions, new)
        migrations, rewrites, locks = _facts(transactions, tables, moved)
        return MigrationFacts(
            migrations,
            rewrites,
            locks,
            tables,
            history=tuple(name for name, _ in history),
            applied=tuple(name for name, _ in new),
            removed=tuple(name for name, _ in _without(self._before, history)),
        )

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


@dataclass
class _Seen:
    """One transaction as the second session saw it."""

    began: float
    last: float
    xid: int | None = None
    locks: dict[tuple[str, str], float] = field(default_factory=dict)
    """Table and mode, and when it was seen first."""


class _Sampler:
    """Looks at the locks of other sessions, at intervals, in a thread."""

    def __init__(self, connect: Callable[[], AbstractContextManager[psycopg.Connection[Any]]]) -> None:
        self._connect = connect
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gonogo-locks", daemon=True)
        self._seen: dict[tuple[int, float], _Seen] = {}
        self.failed: ToolError | None = None
        """Why not everything was seen."""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> list[_Seen]:
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
        one = self._seen.setdefault((pid, began), _Seen(began, now))
        one.last = now
        one.xid = one.xid if xid is None else xid
        if table is not None:
            one.locks.setdefault((table, mode), now)


@dataclass
class _Transaction:
    """One transaction, as far as it is known."""

    xid: int
    began: float
    last: float
    names: list[str] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    rewrites: list[tuple[str, str, int]] = field(default_factory=list)
    """Table, command and the reason's bits."""
    locks: dict[str, list[tuple[str, str, float]]] = field(default_factory=dict)
    """By table: mode, command and since when."""

    def lock(self, table: str, mode: str, command: str, since: float) -> None:
        """Add a lock, unless the transaction had one at least as strong."""
        if mode in _STRENGTH:
            taken = self.locks.setdefault(table, [])
            if all(_STRENGTH[mode] > _STRENGTH[earlier] for earlier, _, _ in taken):
                taken.append((mode, command, since))


@dataclass
class _Open:
    """A command that has begun."""

    tag: str
    xid: int
    at: float
    objects: set[str] = field(default_factory=set)


def _transactions(events: Sequence[Mapping[str, Any]]) -> list[_Transaction]:
    """The transactions that event triggers tell of, in order."""
    found: dict[int, _Transaction] = {}
    begun: dict[int, list[_Open]] = {}
    for event in events:
        one = found.setdefault(event["xid"], _Transaction(event["xid"], event["began"], event["at"]))
        one.last = event["at"]
        _add_event(one, begun.setdefault(event["pid"], []), event)
    return [one for one in found.values() if one.commands or one.rewrites or one.locks]


def _add_event(one: _Transaction, stack: list[_Open], event: Mapping[str, Any]) -> None:
    # Commands inside commands (CREATE EXTENSION runs dozens) count as the outermost.
    started = event["kind"] == "ddl_command_start"
    if started and stack and stack[0].xid != one.xid:
        stack.clear()  # it failed after its first transaction, as a concurrent build can
    if started or not stack:
        stack.append(_Open(event["tag"], one.xid, event["at"]))
    outermost = stack[0]
    if event["kind"] == "table_rewrite":
        one.rewrites += [(table, outermost.tag, event["reason"]) for table in event["objects"]]
    else:
        outermost.objects.update(event["objects"])
    # What is held before the first command has begun was taken by something that is no DDL.
    early = started and len(stack) == 1
    # The strongest first, or one command that takes several would be told of several times.
    for table, mode in sorted(event["locks"], key=lambda lock: -_STRENGTH.get(lock[1], -1)):
        one.lock(table, mode, UNSEEN if early else outermost.tag, outermost.at)
    if event["kind"] == "ddl_command_end":
        stack.pop()
        if not stack:
            one.began = min(one.began, outermost.at)  # a concurrent build began in another transaction
            one.commands.append(
                Command(outermost.tag, tuple(sorted(outermost.objects)), event["at"] - outermost.at)
            )


def _add_samples(transactions: list[_Transaction], seen: Sequence[_Seen]) -> None:
    """Add what was seen from outside: how long transactions lasted, and locks without a command."""
    known = {one.xid: one for one in transactions}
    for sample in seen:
        one = known.get(sample.xid or 0)
        if one is None:
            one = _Transaction(sample.xid or 0, sample.began, sample.last)
            transactions.append(one)
        one.last = max(one.last, sample.last)
        for (table, mode), since in sorted(sample.locks.items(), key=lambda lock: -_STRENGTH.get(lock[0][1], -1)):
            one.lock(table, mode, UNSEEN, since)


def _give_names(transactions: list[_Transaction], new: Sequence[tuple[str, int]]) -> None:
    """Give each transaction the names that the history got from it.

    A row written within a savepoint has a number of its own, between those of its transaction and the next; so
    has one that is written right after its migration. Both go to the nearest earlier transaction, if that has no
    name of its own.
    """
    known = {one.xid: one for one in transactions if one.xid}
    own = {xid for _, xid in new if xid in known}
    for name, xid in new:
        nearest = xid if xid in known else max((k for k in known if k < xid and known[k].commands), default=0)
        if nearest == xid or (nearest and nearest not in own):
            known[nearest].names.append(name)
        else:
            transactions.append(_Transaction(xid, 0.0, 0.0, names=[name]))


def _facts(
    transactions: Sequence[_Transaction], tables: Mapping[str, int], moved: Sequence[str]
) -> tuple[tuple[Migration, ...], tuple[Rewrite, ...], tuple[Lock, ...]]:
    migrations, rewrites, locks = [], [], []
    for one in sorted(transactions, key=lambda one: one.xid):
        name = ", ".join(one.names)
        if one.names or one.commands:
            migrations.append(Migration(name, one.last - one.began, tuple(one.commands)))
        for table, command, bits in one.rewrites:
            reason = ", ".join(words for bit, words in _REASONS.items() if bits & bit)
            rewrites.append(Rewrite(table, tables[table], command, reason, name))
        locks += [
            Lock(table, tables[table], mode, _BLOCKS[mode], command, one.last - since, name)
            for table, taken in one.locks.items()
            for mode, command, since in taken
        ]
    told = {rewrite.table for rewrite in rewrites}
    rewrites += [
        Rewrite(table, tables[table], UNSEEN, "TRUNCATE, VACUUM FULL, CLUSTER or the like", "")
        for table in moved
        if table not in told
    ]
    return tuple(migrations), tuple(rewrites), tuple(locks)


def _without(history: Sequence[tuple[str, int]], known: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """Rows of a history whose names the other does not have, or has not as often."""
    left = Counter(name for name, _ in known)
    found = []
    for name, xid in history:
        left[name] -= 1
        if left[name] < 0:
            found.append((name, xid))
    return found
