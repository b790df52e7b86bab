"""Migrations: tried on a copy of the real data before they come near the target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pytest
from tests.infra.dumps import fresh_dump, restore
from tests.infra.expected import expected_catalog

from gonogo import Bound, EvidenceKeeper, Measure, Scratch, Target, ToolError, at_least, at_most, empty, equals
from gonogo.migrations import MigrationFacts
from gonogo.probes.catalog import read_catalog
from gonogo.probes.dump import error_lines
from gonogo.probes.migrating import watch
from gonogo.probes.rows import RowFacts, count_rows
from gonogo.schema import Catalog, compare, compared

TESTED = "playbook: database migrations tested"


@pytest.mark.timeout(0)  # the team's command has a limit of its own, database.migrate_s
@pytest.mark.gate("database.migrations-tested")
def test_migrations(target: Target, scratch: Scratch, measure: Measure, evidence: EvidenceKeeper) -> None:
    """The pending migrations work on a copy of the data: in time, without harm, twice, and back again."""
    expected = expected_catalog(target, scratch)
    with scratch.database(scratch.roles) as copy:
        trial = Trial(target, copy.url, copy.environment, measure)
        try:
            if trial.restore(scratch):
                trial.judge(expected)
        finally:
            trial.keep(evidence)


@dataclass(frozen=True)
class Run:
    """One run of a team's command on the copy."""

    command: str
    status: int | None
    duration_s: float
    output: str
    facts: MigrationFacts

    @property
    def errors(self) -> tuple[str, ...]:
        """Lines that report an error, whatever the exit status says."""
        return error_lines(self.output)

    @property
    def succeeded(self) -> bool:
        """It ended well and reported no error."""
        return self.status == 0 and not self.errors

    def told(self) -> dict[str, Any]:
        """Plain data for the evidence; the output has a file of its own."""
        plain = {"command": self.command, "status": self.status, "duration_s": self.duration_s}
        return {**plain, **asdict(self.facts)}


class Trial:
    """A copy of the target's database, and what the team's commands do to it."""

    def __init__(self, target: Target, url: str, environment: Mapping[str, str], measure: Measure) -> None:
        self._target = target
        self._url = url
        self._environment = environment
        self._measure = measure
        self._settings = target.settings("database")
        self._backup = target.settings("backup")
        self._runs: dict[str, Run] = {}

    def restore(self, scratch: Scratch) -> bool:
        """Make the copy from the fresh backup; False if that failed."""
        restored = restore(self._target, scratch, self._environment, fresh_dump(self._target))
        errors = list(restored.errors)
        if restored.status is None and not errors:
            errors = [f"it took longer than {self._backup.restore_s:g} s"]
        elif restored.status != 0 and not errors:
            errors = [f"pg_restore ended with status {restored.status}"]
        none = empty(self._target.source("backup.restore_s"))
        return self._measure("errors while the backup was restored", errors, none).ok is True

    def judge(self, expected: Catalog) -> None:
        """Run the migrations, once more, and back; what follows a run that failed would tell nothing."""
        before = self.catalog()
        first = self.migrate("the migrations", self._settings.migrate)
        self.judge_result(first, expected)
        self.judge_harm(first.facts)
        self.refuse_other_history(first)
        if first.succeeded and self.judge_second_run().succeeded:
            self.judge_way_back(first.facts, before)

    def keep(self, evidence: EvidenceKeeper) -> None:
        """Keep what was found so far."""
        evidence.text("output.txt", "".join(f"--- {name}\n{run.output}\n" for name, run in self._runs.items()))
        evidence.json("migrations.json", {name: run.told() for name, run in self._runs.items()})

    def catalog(self) -> Catalog:
        """The copy's schema as it is now."""
        return read_catalog(self._url, self._settings.schema_name, self._settings.timeout_s)

    def rows(self) -> RowFacts:
        """The copy's rows as they are now."""
        return count_rows(
            self._url,
            self._settings.schema_name,
            full_rows=self._backup.full_rows,
            timeout_s=self._backup.restore_s,
        )

    def migrate(self, name: str, command: Sequence[str]) -> Run:
        """Run a command on the copy, under watch; it must end well, without an error, in time."""
        settings, source = self._settings, self._target.source("database.migrate")
        with watch(self._url, settings.history, settings.schema_name, settings.migrate_s) as placed:
            ran = self._target.run(command, timeout_s=settings.migrate_s, environment=self._environment)
            if ran.status is None:
                placed.end_sessions()
            run = Run(ran.command, ran.status, ran.duration_s, ran.output, placed.read())
        self._runs[name] = run
        self._measure(f"exit status of {name}", run.status, equals(0, source))
        self._measure(f"errors reported by {name}", list(run.errors), empty(source))
        self._measure(f"time of {name}", run.duration_s, self._in_time, unit="s")
        return run

    def judge_result(self, run: Run, expected: Catalog) -> None:
        """The copy has the release's schema, and each migration was in time."""
        source = self._target.source("database.migrate")
        done, pending = run.facts.migrations, self._pending(run.facts)
        self._measure("migrations that were pending", pending, at_least(0, source))
        if done:
            slowest = max(done, key=lambda one: one.duration_s)
            name = f"slowest migration, {slowest.name or 'without a name'}"
            self._measure(name, slowest.duration_s, self._in_time, unit="s", n=len(done))
        differences, n = self._differences(expected)
        self._measure("differences to the release's schema afterwards", differences, empty(source), n=n)

    def judge_harm(self, facts: MigrationFacts) -> None:
        """No row is lost, and no large table is rewritten or kept locked."""
        n, large = len(facts.tables), self._settings.large_rows
        source = self._target.source("database.large_rows")
        self._measure("tables that lost rows", self._shrunk(facts.tables), empty(TESTED), n=n)
        rewritten = [
            f"{_by(one.command, one.migration)} rewrites {one.table} ({one.rows} rows), {one.reason}"
            for one in facts.rewrites
            if one.rows >= large
        ]
        self._measure(f"rewrites of tables with {large} rows or more", rewritten, empty(source), n=n)
        longest = self._settings.max_lock_s
        locked = [
            f"{_by(one.command, one.migration)} blocks {one.blocks} on {one.table} ({one.rows} rows) "
            f"for {one.held_s:.1f} s by {one.mode}"
            for one in facts.locks
            if one.rows >= large and one.held_s > longest
        ]
        name = f"locks of more than {longest:g} s on tables with {large} rows or more"
        self._measure(name, locked, empty(self._target.source("database.max_lock_s")), n=n)

    def refuse_other_history(self, run: Run) -> None:
        """Refuse to take a history that tells nothing for one without pending migrations.

        Raises:
            ToolError: what launch.toml calls the history has no entry after the migrations ran well.
        """
        history, schema = self._settings.history, self._settings.schema_name
        if history and run.succeeded and not run.facts.history:
            raise ToolError(
                f"the migrations ran, and {schema}.{history} (launch.toml: database.history) tells of none; "
                "name the table and column where they are written down, or leave the key out"
            )

    def judge_second_run(self) -> Run:
        """The same command once more: it changes nothing."""
        schema, rows = self.catalog(), self.rows().tables
        run = self.migrate("a second run", self._settings.migrate)
        differences, objects = self._differences(schema)
        now = self.rows().tables
        changed = [
            f"table {name}: {now[name].rows} rows, {was.rows} before"
            + ("; other values" if now[name].rows == was.rows else "")
            for name, was in rows.items()
            if name in now and now[name] != was and name != self._history
        ]
        changed += [f"the history has {name} once more" for name in run.facts.applied]
        changed += [f"the history lost {name}" for name in run.facts.removed]
        changed += [f"{_by(one.command, one.migration)} rewrites {one.table}" for one in run.facts.rewrites]
        nothing = empty(self._target.source("database.migrate"))
        self._measure("changes by a second run", [*differences, *changed], nothing, n=objects + len(rows))
        return run

    def judge_way_back(self, facts: MigrationFacts, before: Catalog) -> None:
        """The schema is as it was before; nothing to do without a command, or if nothing was pending."""
        command = self._settings.migrate_down
        if command is None or not self._pending(facts):
            return
        steps = str(self._pending(facts))
        run = self.migrate("the way back", [part.replace("{steps}", steps) for part in command])
        differences, n = self._differences(before)
        left = sorted(set(run.facts.history) & set(facts.applied))
        differences += [f"the history still has {name}" for name in left]
        source = self._target.source("database.migrate_down")
        self._measure("differences to the schema before, after the way back", differences, empty(source), n=n)
        lost = self._shrunk(run.facts.tables)
        self._measure("tables that lost rows on the way back", lost, empty(TESTED), n=len(run.facts.tables))

    @property
    def _history(self) -> str:
        """The table that tells which migrations were applied."""
        return str(self._settings.history or "").rpartition(".")[0]

    @property
    def _in_time(self) -> Bound:
        return at_most(self._settings.migrate_s, self._target.source("database.migrate_s"))

    def _pending(self, facts: MigrationFacts) -> int:
        """How many migrations ran; without a history, transactions with DDL stand for them."""
        return len(facts.applied if self._settings.history else facts.migrations)

    def _differences(self, wanted: Catalog) -> tuple[list[str], int]:
        found = self.catalog()
        differences = [one.detail for one in compare(wanted, found, self._settings.ignore)]
        return differences, compared(wanted, found, ignore=self._settings.ignore)

    def _shrunk(self, before: Mapping[str, int]) -> list[str]:
        """Tables with fewer rows than before; one that is gone altogether is a matter of the schema."""
        now = self.rows().tables
        return [
            f"{name}: {now[name].rows} rows, {rows} before"
            for name, rows in before.items()
            if name in now and now[name].rows < rows and name != self._history
        ]


def _by(command: str, migration: str) -> str:
    return f"{migration}: {command}" if migration else command
