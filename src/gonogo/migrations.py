"""Migrations as facts: what event triggers and a look from outside have seen of them, put together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

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


@dataclass
class Seen:
    """One transaction as the second session saw it."""

    began: float
    last: float
    xid: int | None = None
    locks: dict[tuple[str, str], float] = field(default_factory=dict)
    """Table and mode, and when it was seen first."""


def facts_of(
    events: Sequence[Mapping[str, Any]],
    seen: Sequence[Seen],
    tables: Mapping[str, int],
    moved: Sequence[str],
    history: tuple[Sequence[tuple[str, int]], Sequence[tuple[str, int]]],
) -> MigrationFacts:
    """Put together what is known of each transaction.

    Args:
        events: what event triggers wrote down, in order.
        seen: transactions and their locks, as another session saw them.
        tables: rows of each table before.
        moved: tables that lie in another file than before.
        history: names of migrations and the transactions that wrote them, before and now.
    """
    before, now = history
    transactions = _transactions(events)
    _add_samples(transactions, seen)
    new = _without(now, before)
    _give_names(transactions, new)
    migrations, rewrites, locks = _facts(transactions, tables, moved)
    return MigrationFacts(
        migrations,
        rewrites,
        locks,
        tables,
        history=tuple(name for name, _ in now),
        applied=tuple(name for name, _ in new),
        removed=tuple(name for name, _ in _without(before, now)),
    )


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


def _add_samples(transactions: list[_Transaction], seen: Sequence[Seen]) -> None:
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
