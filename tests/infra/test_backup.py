"""Backup: this launch's dump exists, is whole, and becomes the same database again."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from tests.infra import dumps

from gonogo import (
    EvidenceKeeper,
    Measure,
    Scratch,
    Target,
    TargetError,
    ToolError,
    above,
    at_least,
    at_most,
    empty,
    equals,
    is_true,
)
from gonogo.probes.catalog import read_catalog
from gonogo.probes.dump import (
    DumpFacts,
    RestoreFacts,
    error_lines,
    inspect_dump,
    major,
    make_dump,
    sha256_of,
)
from gonogo.probes.rows import RowFacts, Snapshot, TableList, count_rows, in_snapshot, list_tables
from gonogo.schema import Catalog, compare, compared, fingerprint

OLDER_CLIENT = "pg_dump's manual: it refuses servers newer than itself, and knows nothing of what they added"
ONE_MOMENT = "pg_dump's manual: a dump shows one moment; what did not change around it must be equal"
WHOLE = "a dump that can't be read to its end can't be restored"
AT_REST = "a dump that is still being written is none yet"
NOT_REUSED = "a sequence that is behind gives out numbers that are in use"
READ_ALL = (
    "its owner can run GRANT pg_read_all_data TO the role in database_url (before PostgreSQL 14: "
    "GRANT SELECT ON ALL TABLES and ON ALL SEQUENCES)"
)
CLOCKS_S = 60.0
"""Seconds by which two machines' clocks may differ."""


@dataclass(frozen=True)
class Made:
    """A dump, and the source's rows around it."""

    path: Path
    before: RowFacts | None = None
    """``None`` if the gate did not see it being made."""
    after: RowFacts | None = None


# Dumping and restoring have limits of their own, which follow from launch.toml.
@pytest.mark.timeout(0)
@pytest.mark.gate("backup.created")
def test_created(target: Target, scratch: Scratch, measure: Measure, evidence: EvidenceKeeper) -> None:
    """This launch's backup is fresh, whole, of the right database, and holds every table."""
    backup, database = target.settings("backup"), target.settings("database")
    if backup.files is None:
        made = _dump(target, scratch, measure)
    elif backup.command is not None:
        made = _run_job(target, measure, evidence)
    else:
        made = Made(dumps.fresh_dump(target))
    live = list_tables(target.database_url, database.schema_name, timeout_s=database.timeout_s)
    facts = inspect_dump(made.path, pg_restore=scratch.tool("pg_restore"), timeout_s=backup.dump_s)
    _keep(evidence, facts)
    too_small = _measure_file(target, measure, facts)
    _measure_origin(target, measure, facts, live)
    _measure_contents(target, measure, facts, live)
    measure("sha256 of the dump, read twice", facts.sha256, equals(sha256_of(made.path), AT_REST))
    if made.before is not None and made.after is not None and facts.complete:
        at, rows = facts.created_at.isoformat(), (backup.full_rows, made.before, made.after)
        file = (target.name, made.path.name, facts.sha256, facts.size_bytes, at)
        dumps.remember(target, dumps.Record(*file, *rows, too_small=too_small))
    if not too_small:  # else the last whole dumps would go if somebody tried again and again
        dumps.forget_old_dumps(target)


def _dump(target: Target, scratch: Scratch, measure: Measure) -> Made:
    """Makes a dump of the very snapshot whose rows are counted.

    Raises:
        TargetError: pg_dump failed, in its own words.
        ToolError: the role in database_url may not read everything.
    """
    backup, database = target.settings("backup"), target.settings("database")
    path = dumps.new_dump(target)

    def work(snapshot: Snapshot) -> tuple[Snapshot, RowFacts]:
        rows = snapshot.count_rows(database.schema_name, full_rows=backup.full_rows)
        made = make_dump(
            target.database_url,
            path,
            pg_dump=scratch.tool("pg_dump"),
            timeout_s=backup.dump_s,
            snapshot=snapshot.id,
            encrypted=snapshot.encrypted,
        )
        if made.status != 0:
            how = f"status {made.status}" if made.status is not None else f"no end within {backup.dump_s:g} s"
            said = "; ".join(error_lines(made.output)) or made.output.strip()[-300:]
            if "permission denied" in said:
                raise ToolError(f"pg_dump ended with {how}: {said}; {READ_ALL}")
            raise TargetError(f"pg_dump ended with {how}: {said}")
        measure("time to dump", made.duration_s, at_most(backup.dump_s, target.source("backup.dump_s")), unit="s")
        return snapshot, rows

    # Counting comes on top of the dump's own limit, and may take as long.
    snapshot, rows = in_snapshot(target.database_url, 2 * backup.dump_s, work)
    if snapshot.has_tls:
        measure("the connection was encrypted", snapshot.encrypted, is_true("the database's server offers TLS"))
    return Made(path, rows, rows)


def _run_job(target: Target, measure: Measure, evidence: EvidenceKeeper) -> Made:
    """Runs the team's job, with the rows counted right before and right after."""
    backup, database = target.settings("backup"), target.settings("database")

    def count() -> RowFacts:
        return count_rows(
            target.database_url, database.schema_name, full_rows=backup.full_rows, timeout_s=backup.dump_s
        )

    older = {path: _state(path) for path in dumps.dumps_of(target)}
    before = count()
    done = target.run(backup.command, timeout_s=backup.dump_s)
    evidence.text("job.txt", f"$ {done.command}\n{done.output}\nstatus {done.status}, {done.duration_s:.1f} s\n")
    source = target.source("backup.command")
    last = next((line.strip() for line in reversed(done.output.splitlines()) if line.strip()), "nothing")
    said = "" if done.status == 0 else f", which said at last: {last[:200]}"
    measure(f"exit status of the backup job{said}", done.status, equals(0, source))
    measure("error lines in its output", dumps.short(error_lines(done.output)), empty(source))
    measure("time it took", done.duration_s, at_most(backup.dump_s, target.source("backup.dump_s")), unit="s")
    written = [path for path in dumps.dumps_of(target) if older.get(path) != _state(path)]
    measure("dumps that it wrote", len(written), at_least(1, target.source("backup.files")))
    # What it wrote is judged even if it bears an older date than what was there.
    return Made(written[-1], before, count()) if written else Made(dumps.fresh_dump(target))


def _state(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size


def _keep(evidence: EvidenceKeeper, facts: DumpFacts) -> None:
    kept = asdict(replace(facts, entries={}, contents=""))
    kept["entries"] = {kind: len(names) for kind, names in facts.entries.items()}
    del kept["contents"]
    evidence.json("dump.json", kept)
    evidence.text("contents.txt", facts.contents)


def _measure_file(target: Target, measure: Measure, facts: DumpFacts) -> bool:
    """Size, age and wholeness; tells whether it is too small beside the earlier dumps."""
    backup = target.settings("backup")
    measure("size", facts.size_bytes, above(0, "an empty file is no backup"), unit="B")
    problem = [facts.problem] if facts.problem else []
    measure("what keeps it from being read to its end", problem, empty(WHOLE))
    age_s = (datetime.now(UTC) - facts.created_at).total_seconds()
    if age_s < -CLOCKS_S:
        raise TargetError(
            f"{facts.path.name} is dated {facts.created_at:%Y-%m-%d %H:%M:%S} UTC, {-age_s:.0f} s from now; "
            "set the clocks right"
        )
    inside = _inside(facts) if age_s > backup.max_age_s else ""
    measure(f"age{inside}", max(age_s, 0.0), at_most(backup.max_age_s, target.source("backup.max_age_s")), unit="s")
    earlier = dumps.earlier_sizes(target, facts.path, facts.sha256)
    median = statistics.median(earlier) if earlier else 0
    ratio = facts.size_bytes / median if median else 1.0
    if median:
        measure(
            f"size against the median of the earlier dumps, {median:.0f} B",
            ratio,
            at_least(backup.min_size_ratio, target.source("backup.min_size_ratio")),
            n=len(earlier),
        )
    return bool(ratio < backup.min_size_ratio)


def _inside(facts: DumpFacts) -> str:
    """That the time inside it counted, if it did: a dump made in another zone looks older than it is."""
    file = datetime.fromtimestamp(facts.path.stat().st_mtime, UTC)
    if (file - facts.created_at).total_seconds() <= CLOCKS_S:
        return ""
    zone = facts.created_at.astimezone().tzname()
    said = f"which names no zone and is taken as {zone} (the file is of {file:%m-%d %H:%M} UTC)"
    return f" by the time inside it, {said}"


def _measure_origin(target: Target, measure: Measure, facts: DumpFacts, live: TableList) -> None:
    """Which server, database and program it comes from, as far as it says."""
    if facts.problem and not facts.entries:  # it says nothing, which has been measured
        return
    server = major(live.server_version)
    assert server is not None, live.server_version
    measure(
        "major version of the server it was made of", major(facts.server_version), equals(server, "the target's")
    )
    measure(
        "major version of the pg_dump it was made by", major(facts.client_version), at_least(server, OLDER_CLIENT)
    )
    if facts.format != "plain":  # plain SQL does not name its database; its contents and rows still do
        source = target.source("database_url")
        measure("database it was made of", facts.database, equals(live.database, source))


def _measure_contents(target: Target, measure: Measure, facts: DumpFacts, live: TableList) -> None:
    """Every table of the live database is in it, and so are its rows."""
    if facts.problem and not facts.entries:
        return
    schema = target.settings("database").schema_name
    source = "the live database's tables"
    for kind, name in (("TABLE", "tables that are not in it"), ("TABLE DATA", "tables whose rows are not in it")):
        held = set(facts.entries.get(kind, ()))
        missing = [table for table in live.tables if f"{schema}.{table}" not in held]
        measure(name, dumps.short(missing), empty(source), n=len(live.tables))
    ignored = target.settings("database").ignore
    others = [table for table in live.elsewhere if not any(fnmatchcase(f"table:{table}", one) for one in ignored)]
    held = set(facts.entries.get("TABLE", ())) & set(facts.entries.get("TABLE DATA", ()))
    if others:
        missing = [table for table in others if table not in held]
        name = "tables of other schemas that are not in it, or without their rows"
        measure(name, dumps.short(missing), empty(f"{source}; database.ignore"), n=len(others))
    if live.large_objects:
        measure("the large objects are in it", "BLOBS" in facts.entries, is_true("the live database holds some"))


@pytest.mark.timeout(0)
@pytest.mark.gate("backup.restore")
def test_restore(target: Target, scratch: Scratch, measure: Measure, evidence: EvidenceKeeper) -> None:
    """The backup, restored into an empty database, is the live database again: schema, rows, sequences."""
    backup, database = target.settings("backup"), target.settings("database")
    path = dumps.fresh_dump(target)
    sha256 = sha256_of(path)
    record = dumps.recall(target, sha256)
    evidence.json("restored.json", {"file": path.name, "sha256": sha256, "seen_being_made": record is not None})
    with scratch.database(scratch.roles) as copy:
        restored = dumps.restore(target, scratch, copy.environment, path)
        if not _measure_restored(target, measure, restored):
            return
        live = read_catalog(target.database_url, database.schema_name, database.timeout_s)
        have = read_catalog(copy.url, database.schema_name, database.timeout_s)
        _measure_schema(target, measure, live, have)
        full_rows = record.full_rows if record else backup.full_rows
        rows = count_rows(copy.url, database.schema_name, full_rows=full_rows, timeout_s=backup.restore_s)
    _measure_rows(target, measure, evidence, record, rows)


def _measure_restored(target: Target, measure: Measure, restored: RestoreFacts) -> bool:
    """Whether it went through, and how long it took.

    Raises:
        ToolError: the scratch server lacks an extension that the target's has, or is older than pg_restore.
    """
    newer = [line for line in restored.errors if line.startswith("pg_restore:") and "transaction_timeout" in line]
    if newer:
        raise ToolError(
            "this machine's pg_restore is of a later major version than the scratch server, which does not know "
            "its settings; install the server's version, or name its folder in database.pg_bin"
        )
    lacking = [line for line in restored.errors if "extension" in line and "is not available" in line]
    if lacking:
        raise ToolError(
            f"the scratch server can't take the dump: {lacking[0]}; install the extension, or name a server "
            "that has it in database.scratch_url"
        )
    source = "pg_restore's and psql's manuals: 0 and no error"
    measure("errors while it was restored", dumps.short(restored.errors), empty(source))
    measure("exit status of the restore", restored.status, equals(0, source))
    if restored.errors:
        return False
    backup = target.settings("backup")
    measure(
        "time to restore",
        restored.duration_s,
        at_most(backup.restore_s, target.source("backup.restore_s")),
        unit="s",
    )
    return restored.status == 0


def _measure_schema(target: Target, measure: Measure, live: Catalog, have: Catalog) -> None:
    # pg_dump leaves out what queries can't use; that it is broken is what database.indexes says.
    broken = [f"index:{_literal(one.name)}" for one in live.objects if one.facts.get("valid") is False]
    ignored = (*target.settings("database").ignore, *broken)
    details = [difference.detail for difference in compare(live, have, ignored)]
    measure(
        "differences between the restored schema and the live one",
        dumps.short(details),
        empty("the live schema, " + fingerprint(live)[:12]),
        n=compared(live, have, ignore=ignored),
    )


def _measure_rows(
    target: Target, measure: Measure, evidence: EvidenceKeeper, record: dumps.Record | None, copy: RowFacts
) -> None:
    backup, database = target.settings("backup"), target.settings("database")
    drift, volatile = backup.max_drift, backup.volatile
    if record is not None:
        before, after = record.before, record.after
    else:
        before = after = count_rows(
            target.database_url, database.schema_name, full_rows=backup.full_rows, timeout_s=backup.dump_s
        )
    exact = dumps.still(before, after, volatile) if record is not None else []
    evidence.json("rows.json", {"before": asdict(before), "after": asdict(after), "copy": asdict(copy)})
    wrong = dumps.wrong_counts(before, after, copy, exact=exact, volatile=volatile, drift=drift)
    when = "than around the dump" if record else "than in the live database now"
    measure(
        f"tables with another number of rows {when}" + _aside(volatile),
        dumps.short(wrong),
        empty(target.source("backup.max_drift")),
        n=len(before.tables.keys() - set(volatile)),  # none compared proves nothing
    )
    if record is not None:
        wrong = dumps.wrong_rows(before, copy, exact)
        measure(
            f"tables with other rows than around the dump ({len(exact)} of {len(before.tables)} did not change)",
            wrong,
            empty(ONE_MOMENT),
            n=dumps.sampled(copy, exact),
        )
    if before.sequences:
        behind = dumps.wrong_sequences(before, copy, witnessed=record is not None)
        measure("sequences that are behind", dumps.short(behind), empty(NOT_REUSED), n=len(before.sequences))


def _aside(volatile: tuple[str, ...]) -> str:
    return f" (rows of {', '.join(volatile)} are not compared)" if volatile else ""


def _literal(name: str) -> str:
    """A name as a pattern that matches nothing else."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
