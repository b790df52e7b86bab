"""Database: the schema that the release needs is there and works."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from gonogo import EvidenceKeeper, Measure, Target, empty
from gonogo.probes.database import DatabaseFacts, inspect


def catalog(target: Target, evidence: EvidenceKeeper) -> DatabaseFacts:
    """The catalog as it is now, kept as evidence."""
    database = target.settings("database")
    facts = inspect(target.database_url, database.schema_name, database.timeout_s)
    evidence.json("catalog.json", asdict(facts))
    return facts


@pytest.mark.gate("database.tables")
def test_tables(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """Every table of the release exists."""
    facts = catalog(target, evidence)
    required = target.settings("database").tables
    missing = [name for name in required if name not in facts.tables]
    measure("tables that are missing", missing, empty(target.source("database.tables")), n=len(required))


@pytest.mark.gate("database.indexes")
def test_indexes(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """Every index of the release exists, and none is broken."""
    indexes = catalog(target, evidence).indexes
    required = target.settings("database").indexes
    none = empty(target.source("database.indexes"))
    names = {index.name for index in indexes}
    measure("indexes that are missing", [n for n in required if n not in names], none, n=len(required))
    unused = [index.name for index in indexes if not index.valid]
    measure("indexes that queries can't use", unused, none, n=len(indexes))
    stale = [index.name for index in indexes if not index.ready]
    measure("indexes that miss new rows", stale, none, n=len(indexes))


@pytest.mark.gate("database.triggers")
def test_triggers(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """Every trigger of the release exists and fires."""
    triggers = {trigger.key: trigger for trigger in catalog(target, evidence).triggers}
    required = target.settings("database").triggers
    none = empty(target.source("database.triggers"))
    measure("triggers that are missing", [t for t in required if t not in triggers], none, n=len(required))
    idle = [t for t in required if t in triggers and not triggers[t].enabled]
    measure("triggers that don't fire", idle, none, n=len(required))
