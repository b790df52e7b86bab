"""Database: the schema is the release's own, and the server has room for the launch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pytest
from tests.infra.expected import expected_catalog

from gonogo import (
    Bound,
    EvidenceKeeper,
    Measure,
    Scratch,
    Target,
    ToolError,
    at_least,
    at_most,
    below,
    empty,
    equals,
)
from gonogo.probes.capacity import CapacityFacts, Session, look_at_capacity
from gonogo.probes.catalog import read_catalog
from gonogo.schema import KINDS, Catalog, Difference, closing_sql, compare, compared

NAMES = {"index": "indexes", "policy": "policies"}
"""Plurals that take more than an s."""

REPORT_S = 11.0
"""An idle replica says every 10 s how far it is (PostgreSQL's default of ``wal_receiver_status_interval``)."""

MOST_LINES = 12
"""Differences in one measurement; all of them are in the evidence."""

TABLE_KINDS = ("type", "sequence", "table", "column", "constraint", "rule", "policy")


@dataclass(frozen=True)
class Comparison:
    """The live schema beside the one that the release's migrations make."""

    expected: Catalog
    live: Catalog
    differences: tuple[Difference, ...]
    ignore: Sequence[str]

    def of(self, kinds: Iterable[str], names: Iterable[str] | None = None) -> list[str]:
        """What differs in these kinds, one line each; of all names, or of these alone."""
        chosen, wanted = set(kinds), None if names is None else set(names)
        return [d.detail for d in self.differences if d.kind in chosen and (wanted is None or d.name in wanted)]

    def lost(self, kind: str) -> list[str]:
        """What is missing of a kind because its table is, one line a table."""
        tables = [d.name for d in self.differences if d.kind in ("table", "view") and d.what == "missing"]
        owners = [one.parent for one in self.expected.objects if one.kind == kind]
        plural = NAMES.get(kind, kind + "s")
        return [
            f"{owners.count(name)} {plural} of table {name}: missing with it" for name in tables if name in owners
        ]

    def count(self, kinds: Iterable[str]) -> int:
        """How many objects of these kinds were compared; those that are ignored were not."""
        return compared(self.expected, self.live, kinds, self.ignore)


def comparison(target: Target, scratch: Scratch, evidence: EvidenceKeeper) -> Comparison:
    """Compare, and keep both catalogs, the difference and what would close it."""
    database = target.settings("database")
    live = read_catalog(target.database_url, database.schema_name, database.timeout_s)
    evidence.json("catalog.json", asdict(live))
    expected = expected_catalog(target, scratch)
    evidence.json("expected.json", asdict(expected))
    differences = compare(expected, live, database.ignore)
    lines = [difference.detail for difference in differences] or ["no difference"]
    evidence.text("difference.txt", "\n".join(lines) + "\n")
    if differences:
        evidence.text("close.sql", closing_sql(differences, database.schema_name))
    return Comparison(expected, live, differences, database.ignore)


def few(lines: list[str]) -> list[str]:
    """The first of many lines, and how many are left."""
    left = len(lines) - MOST_LINES
    return lines if left <= 0 else [*lines[:MOST_LINES], f"and {left} more, all in difference.txt"]


def hold_kinds(found: Comparison, kinds: Iterable[str], target: Target, measure: Measure) -> None:
    """Measure the differences of each kind that either side has objects of."""
    none = empty(target.source("database.migrate"))
    for kind in kinds:
        if number := found.count([kind]):
            measure(f"differences in {NAMES.get(kind, kind + 's')}", few(found.of([kind])), none, n=number)


@pytest.mark.timeout(0)  # the team's command has a limit of its own, database.migrate_s
@pytest.mark.gate("database.schema")
def test_schema(target: Target, scratch: Scratch, measure: Measure, evidence: EvidenceKeeper) -> None:
    """The live schema is the one that the release's migrations make."""
    found = comparison(target, scratch, evidence)
    number = found.count(kind for kind in KINDS if kind != "extension")
    measure("objects that were compared", number, at_least(1, target.source("database.ignore")), n=number)
    hold_kinds(found, KINDS, target, measure)


@pytest.mark.timeout(0)  # the team's command has a limit of its own, database.migrate_s
@pytest.mark.gate("database.tables")
def test_tables(target: Target, scratch: Scratch, measure: Measure, evidence: EvidenceKeeper) -> None:
    """Every table is there as the release needs it: columns, constraints, types, sequences, rules, policies."""
    found = comparison(target, scratch, evidence)
    tables = found.count(["table"])
    none = empty(target.source("database.migrate"))
    measure("differences in tables", few(found.of(["table"])), none, n=tables)
    hold_kinds(found, [kind for kind in TABLE_KINDS if kind != "table"], target, measure)


@pytest.mark.timeout(0)  # the team's command has a limit of its own, database.migrate_s
@pytest.mark.gate("database.indexes")
def test_indexes(target: Target, scratch: Scratch, measure: Measure, evidence: EvidenceKeeper) -> None:
    """Every index is there as the release needs it, and none is broken."""
    found = comparison(target, scratch, evidence)
    source = target.source("database.migrate")
    lines = found.of(["index"]) + (lost := found.lost("index"))
    measure("differences in indexes", few(lines), empty(source), n=found.count(["index"]) + len(lost))
    # Those behind constraints, too, and those that nobody expects.
    behind = [o for o in found.live.objects if o.facts.get("type") in ("primary key", "unique", "exclusion")]
    plain = [o for o in found.live.objects if o.kind == "index"]
    unused = [o.name for o in plain if not o.facts["valid"]] + [
        o.name for o in behind if not o.facts["index valid"]
    ]
    measure("indexes that queries can't use", unused, empty(source), n=len(plain) + len(behind))
    stale = [o.name for o in plain if not o.facts["ready"]]
    measure("indexes that miss new rows", stale, empty(source), n=len(plain))


@pytest.mark.timeout(0)  # the team's command has a limit of its own, database.migrate_s
@pytest.mark.gate("database.triggers")
def test_triggers(target: Target, scratch: Scratch, measure: Measure, evidence: EvidenceKeeper) -> None:
    """Every trigger is there, fires, and does what the release's own does."""
    found = comparison(target, scratch, evidence)
    source = target.source("database.migrate")
    lines = found.of(["trigger"]) + (lost := found.lost("trigger"))
    measure("differences in triggers", few(lines), empty(source), n=found.count(["trigger"]) + len(lost))
    sides = (*found.expected.objects, *found.live.objects)
    called = {str(one.facts["calls"]) for one in sides if one.kind == "trigger"}
    functions = {one.name for one in sides if one.kind == "function"} & called
    if functions:  # those of PostgreSQL itself are not compared
        differ = found.of(["function"], functions)
        measure("differences in functions that triggers call", differ, empty(source), n=len(functions))
    silent = list(found.live.silenced)
    measure("settings that keep triggers from firing", silent, empty("PostgreSQL: session_replication_role"))


@pytest.mark.gate("database.capacity")
def test_capacity(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """The server has room: connections, transactions, replicas, disk, transaction numbers."""
    bounds = target.settings("database")
    patience_s = bounds.max_lag_s + REPORT_S
    facts = look_at_capacity(
        target.database_url, pool_role=bounds.pool_role, catch_up_s=patience_s, timeout_s=bounds.timeout_s
    )
    evidence.json("capacity.json", asdict(facts))
    held = Room(target, measure, facts)
    held.connections()
    held.transactions()
    held.replicas()
    held.storage()
    if held.good:  # what was seen and is bad counts for more than what was not seen
        refuse_blindness(facts, bounds.pool_role)


class Room:
    """Holds what was found on a server against the bounds."""

    def __init__(self, target: Target, measure: Measure, facts: CapacityFacts) -> None:
        self._target = target
        self._bounds = target.settings("database")
        self._measure = measure
        self._facts = facts
        self.good = True
        """Everything that was measured holds."""

    def connections(self) -> None:
        """Sessions against the server's limit, and against what the application's pools may open."""
        facts, bounds = self._facts, self._bounds
        limit = below(bounds.max_connections_percent, self._source("max_connections_percent"))
        share = 100 * facts.peak / max(facts.available, 1)
        self._take("connections in use", share, limit, unit="%", n=len(facts.samples))
        if bounds.pool_role is None:
            return
        # The others do not make room when the pools fill up.
        others = sum(number for role, number in facts.per_role.items() if role != bounds.pool_role)
        planned = 100 * (bounds.pool_size + others) / max(facts.available, 1)
        self._take(f"connections with full pools of {bounds.pool_role}", planned, limit, unit="%")
        most = at_most(bounds.pool_size, self._source("pool_size"))
        used = facts.per_role.get(bounds.pool_role, 0)
        self._take(f"connections of {bounds.pool_role}", used, most, n=len(facts.samples))
        enough = at_least(bounds.pool_size, self._source("pool_size"))
        for holder, allowed in facts.pool_limits.items():
            self._take(f"connection limit of {holder}", allowed, enough)

    def transactions(self) -> None:
        """Nobody keeps a transaction open for long."""
        facts = self._facts
        longest = facts.longest_transaction
        age_s = (longest.transaction_s if longest else 0.0) or 0.0
        self._age("longest transaction", longest, age_s, "max_transaction_s")
        idle = facts.longest_idle
        self._age(
            "longest idle in a transaction",
            idle,
            (idle.state_s if idle else 0.0) or 0.0,
            "max_idle_in_transaction_s",
        )

    def replicas(self) -> None:
        """Replicas are connected, and none is far behind."""
        facts, bounds = self._facts, self._bounds
        most = at_most(bounds.max_lag_s, self._source("max_lag_s"))
        if bounds.replicas:
            self._take(
                "replicas connected", len(facts.replicas), at_least(bounds.replicas, self._source("replicas"))
            )
        if facts.standby:
            self._take("lag of the server itself, a replica", facts.standby_lag_s, most, unit="s")
        for replica in facts.replicas if facts.sees_all else ():
            self._take(f"lag of replica {replica.name}", replica.lag_s, most, unit="s")
            self._take(
                f"state of replica {replica.name}", replica.state, equals("streaming", self._source("replicas"))
            )

    def storage(self) -> None:
        """Disk, where its size is known, and the numbers of transactions."""
        facts, bounds = self._facts, self._bounds
        if bounds.disk_gb is not None:
            size = facts.database_bytes if facts.bytes is None else facts.bytes
            used = 100 * size / (bounds.disk_gb * 1e9)
            self._take("disk in use", used, below(bounds.max_disk_percent, self._source("disk_gb")), unit="%")
        oldest = facts.oldest
        spent = below(bounds.max_wraparound_percent, self._source("max_wraparound_percent"))
        name = f"transaction numbers in use, database {oldest.name if oldest else ''}"
        self._take(name, oldest.percent if oldest else None, spent, unit="%", n=len(facts.databases))

    def _age(self, name: str, session: Session | None, age_s: float, bound: str) -> None:
        limit = getattr(self._bounds, bound)
        who = f" ({session.label})" if session and age_s > limit else ""
        self._take(name + who, age_s, at_most(limit, self._source(bound)), unit="s", n=len(self._facts.samples))

    def _take(self, name: str, actual: Any, bound: Bound, *, unit: str = "", n: int = 1) -> None:
        self.good = self._measure(name, actual, bound, unit=unit, n=n).ok is True and self.good

    def _source(self, key: str) -> str:
        return self._target.source(f"database.{key}")


def refuse_blindness(facts: CapacityFacts, pool_role: str | None) -> None:
    """Refuse to say that pools are small and transactions short where they could not be seen.

    Raises:
        ToolError: names what to correct, to grant, or to switch on.
    """
    if pool_role is not None and not facts.pool_exists:
        raise ToolError(
            f"the server has no role {pool_role}, so its connections can't be counted; name the role of the "
            "application's pools in launch.toml: database.pool_role"
        )
    if not facts.sees_all:
        raise ToolError(
            f"role {facts.role} can't see the transactions and replicas of other roles, so nothing can be said of "
            f"them; a superuser can run: GRANT pg_monitor TO {facts.role}"
        )
    if facts.hidden:
        raise ToolError(
            f"{facts.hidden} sessions run with track_activities off, so their transactions can't be seen; "
            "switch it on for every role"
        )
