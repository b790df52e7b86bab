"""Rollback: the way back is tried, on a target that may be broken, before anybody needs it."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
from tests.infra.dumps import restore
from tests.infra.release import (
    OUTPUT_RULE,
    OVERTIME,
    ReleaseFacts,
    error_lines,
    health_check,
    judge_command,
    judge_health,
    judge_release,
    judge_watch,
    output_lines,
    running_releases,
    runs_everywhere,
    settled,
    watch_facts,
)

from gonogo import EvidenceKeeper, Measure, Scratch, Target, TargetError, ToolError, at_most, empty
from gonogo.probes.catalog import read_catalog
from gonogo.probes.outage import HealthWatch
from gonogo.probes.rows import RowFacts, count_rows
from gonogo.schema import Catalog, closing_sql, compare, compared

LAUNCHED = "launch.toml: launch.version"
AS_BEFORE = "playbook: a rollback restores the backup that was chosen"


@dataclass(frozen=True)
class Saved:
    """What the dump holds that the rollback restores."""

    catalog: Catalog
    rows: RowFacts


@pytest.mark.timeout(0)  # the commands have limits of their own, which follow from launch.toml
@pytest.mark.destructive
@pytest.mark.gate("rollback.rehearsal")
def test_rehearsal(target: Target, scratch: Scratch, measure: Measure, evidence: EvidenceKeeper) -> None:
    """The rollback brings the earlier release back, with its schema and its data, in time."""
    if target.kind == "production":
        raise ToolError(
            f"rollback.rehearsal takes a target back to an earlier release, and {target.name} is a production "
            "target; rehearse on staging: '<!-- gate: rollback.rehearsal on: staging -->' in the playbook and "
            f"targets.{target.name}.staging in launch.toml"
        )
    target.require_own("rollback.command", target.settings("rollback").command)
    target.require_own("deploy.run", target.settings("deploy").run)
    if target.settings("rollback").version == target.version:
        raise ToolError(
            f"launch.toml: rollback.version is {target.version}, the release to be launched itself, so a rollback "
            "that does nothing would pass; name the release that it goes back to"
        )
    dump = newest_dump(target)
    saved = restored(target, dump, scratch)
    before = running_releases(target)
    if target.version not in before.versions:
        raise TargetError(
            f"{target.name} runs {', '.join(before.versions) or 'a release without a version'}, not "
            f"{target.version}, so there is nothing to roll back; deploy {target.version} to it first"
        )
    try:
        roll_back(target, dump, measure, evidence)
        judge_data(target, measure, evidence, saved)
    finally:
        everywhere = not before.behind(target.version)
        bring_back(target, measure, evidence, everywhere=everywhere)


def newest_dump(target: Target) -> Path:
    """The dump that the rollback is going to restore.

    Raises:
        TargetError: there is none.
    """
    pattern = target.settings("rollback").restores
    found = target.files(pattern)
    if not found:
        raise TargetError(
            f"there is no dump to roll back to: nothing matches rollback.restores = {pattern!r}; make the backup "
            "that a deployment begins with, or correct the pattern"
        )
    return found[-1]


def restored(target: Target, dump: Path, scratch: Scratch) -> Saved:
    """Schema and rows of a dump, read from a scratch copy.

    Raises:
        TargetError: it can't be restored.
    """
    database, backup = target.settings("database"), target.settings("backup")
    with scratch.database(scratch.roles) as copy:
        facts = restore(target, scratch, copy.environment, dump)
        if facts.errors or facts.status != 0:
            why = facts.errors[0] if facts.errors else f"status {facts.status} after {facts.duration_s:.0f} s"
            raise TargetError(
                f"{dump.name}, which the rollback is going to restore, can't be restored into an empty database: "
                f"{why}; nothing was rolled back"
            )
        return Saved(
            read_catalog(copy.url, database.schema_name, database.timeout_s),
            count_rows(copy.url, database.schema_name, full_rows=backup.full_rows, timeout_s=backup.restore_s),
        )


def typed_answers(target: Target, dump: Path) -> list[tuple[str, str]]:
    """Prompts and answers, in which ``{number}`` is the dump's place among all dumps, 1 for the newest.

    Raises:
        ToolError: the dump is not among those that ``backup.files`` finds.
    """
    answers = [(answer.prompt, answer.text) for answer in target.settings("rollback").answers]
    if not any("{number}" in text for _, text in answers):
        return answers
    pattern = target.settings("backup").files or target.settings("rollback").restores
    newest_first = [path.resolve() for path in reversed(target.files(pattern))]
    if dump.resolve() not in newest_first:
        raise ToolError(
            f"launch.toml: {dump.name}, which rollback.restores finds, is not among the dumps that backup.files = "
            f"{pattern!r} finds, so its number is unknown; let one of them be part of the other"
        )
    number = str(newest_first.index(dump.resolve()) + 1)
    return [(prompt, text.replace("{number}", number)) for prompt, text in answers]


def roll_back(target: Target, dump: Path, measure: Measure, evidence: EvidenceKeeper) -> None:
    """Runs the team's command, waits for the earlier release, and judges both and the time between."""
    rollback = target.settings("rollback")
    answers = typed_answers(target, dump)
    started = time.monotonic()
    with target.client() as probe, HealthWatch(health_check(target, probe), rollback.interval_s) as watch:
        facts = target.run(rollback.command, timeout_s=rollback.max_s * OVERTIME, answers=answers)
        evidence.text("rollback.txt", facts.output)
        judge_command(
            measure,
            facts.status,
            facts.duration_s,
            (rollback.max_s, target.source("rollback.max_s")),
            name="rollback",
        )
        lines = output_lines(facts.output)
        measure("lines that report an error", error_lines(lines), empty(OUTPUT_RULE), n=max(len(lines), 1))
        if answers:
            none = empty(target.source("rollback.answers"))
            measure("prompts that never came", list(facts.unanswered), none, n=len(answers))
        after, failure = answering(target, rollback.version)
        took_s = time.monotonic() - started
    evidence.json("health.json", watch_facts(watch.facts))
    bound = at_most(rollback.max_s, target.source("rollback.max_s"))
    measure("time until the earlier release answers", round(took_s, 3), bound, unit="s")
    longest = at_most(rollback.max_outage_s, target.source("rollback.max_outage_s"))
    measure(
        "longest time without a healthy answer",
        round(max(watch.facts.longest_outage_s, watch.facts.slowest_s), 3),  # held up is as bad as refused
        longest,
        unit="s",
        n=watch.facts.samples,
    )
    if after is None:
        raise TargetError(f"after the rollback, {target.name} did not answer: {failure}")
    evidence.json("releases.json", after.by_instance)
    judge_release(target, measure, after, rollback.version, target.source("rollback.version"), when="rolled back: ")
    judge_health(target, measure, after, when="rolled back: ")
    judge_watch(watch.facts)


def answering(target: Target, version: str) -> tuple[ReleaseFacts | None, str]:
    """What answers once a version runs everywhere or ``deploy.settle_s`` is over; or why nothing does."""
    within_s = target.settings("deploy").settle_s
    try:
        return settled(target, lambda now: runs_everywhere(target, now, version), within_s), ""
    except TargetError as error:
        return None, str(error)


def judge_data(target: Target, measure: Measure, evidence: EvidenceKeeper, saved: Saved) -> None:
    """Holds the target's schema and rows against those of the dump."""
    database, backup = target.settings("database"), target.settings("backup")
    schema = database.schema_name
    catalog = read_catalog(target.database_url, schema, database.timeout_s)
    differences = compare(saved.catalog, catalog, database.ignore)
    evidence.text("difference.txt", "".join(f"{one.detail}\n" for one in differences))
    evidence.text("close.sql", closing_sql(differences, schema))
    details = [one.detail for one in differences]
    held = compared(saved.catalog, catalog, ignore=database.ignore)
    measure("differences from the dump's schema", details, empty(AS_BEFORE), n=held)

    rows = count_rows(target.database_url, schema, full_rows=backup.full_rows, timeout_s=backup.restore_s)
    evidence.json("rows.json", {"dump": asdict(saved.rows), "target": asdict(rows)})
    tables = [name for name in saved.rows.tables if name not in backup.volatile]
    n = sum(saved.rows.tables[name].rows for name in tables)
    measure("tables that lack or changed rows", changed_rows(saved.rows, rows, tables), empty(AS_BEFORE), n=n)
    behind = [
        f"{name}: {rows.sequences.get(name)}, {value} in the dump"
        for name, value in saved.rows.sequences.items()
        if rows.is_behind(name, value)
    ]
    if saved.rows.sequences:
        measure("sequences that fell behind", behind, empty(AS_BEFORE), n=len(saved.rows.sequences))


def changed_rows(saved: RowFacts, now: RowFacts, tables: list[str]) -> list[str]:
    """Each table whose rows are not those of the dump, and how that shows."""
    found = []
    for name in tables:
        expected, actual = saved.tables[name], now.tables.get(name)
        if actual is None:
            found.append(f"{name}: there is no such table")
        elif actual.rows != expected.rows:
            found.append(f"{name}: {actual.rows} rows, {expected.rows} in the dump")
        elif actual.digest != expected.digest:
            found.append(f"{name}: as many rows, but not the same")
    return found


def bring_back(target: Target, measure: Measure, evidence: EvidenceKeeper, *, everywhere: bool) -> None:
    """Deploys the release to be launched again, so that the target is left as it was found.

    Args:
        target: what was rolled back.
        measure: the gate's fixture.
        evidence: the gate's fixture.
        everywhere: every instance ran the release before; otherwise one that does so suffices.
    """
    deploy = target.settings("deploy")
    facts = target.run(deploy.run, timeout_s=deploy.max_s * OVERTIME)
    evidence.text("deploy.txt", facts.output)
    judge_command(
        measure, facts.status, facts.duration_s, (deploy.max_s, target.source("deploy.max_s")), name="way forward"
    )
    after, failure = answering(target, target.version)
    if after is None:
        measure(f"brought back: instances that run {target.version}", failure, empty(LAUNCHED))
        return
    left = after.behind(target.version) if everywhere or target.version not in after.versions else []
    name = f"brought back: instances that do not run {target.version}"
    measure(name, left, empty(LAUNCHED), n=len(after.answers))
