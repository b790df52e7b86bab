"""The gates of the backup, called on a database of our own: dumps made by the gate, by a job, and by nobody."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from backup_bench import SCHEMA, Bench, new_bench
from gonogo.model import Outcome
from postgres_server import PostgresServer


@pytest.fixture
def bench(postgres: PostgresServer, tmp_path: Path) -> Iterator[Bench]:
    with new_bench(postgres, tmp_path) as bench:
        yield bench


def test_a_dump_of_the_gates_own_restores_exactly(bench: Bench) -> None:
    created = bench.created()

    assert created.outcome is Outcome.PASS, created.reason
    [dump] = bench.own
    assert dump.stat().st_mode & 0o777 == 0o600
    assert dump.parent.stat().st_mode & 0o777 == 0o700
    assert created["encrypted"].actual is True
    assert created["database"].actual == bench.name
    assert created["rows are not in it"].n == 4
    assert len(created["sha256"].actual) == 64
    assert b"TABLE DATA public vehicles" in created.evidence["contents.txt"]
    assert json.loads(created.evidence["dump.json"])["entries"]["TABLE"] == 4
    assert "earlier" not in str([m.name for m in created.measurements])
    record = (dump.parent / f"{created['sha256'].actual}.json").read_text()
    assert "P-1" not in record

    restored = bench.restored()
    assert restored.outcome is Outcome.PASS, restored.reason
    assert restored["number of rows"].n == 4
    assert restored["other rows than around the dump (4 of 4 did not change)"].n == 502
    assert restored["sequences"].n == 1
    assert restored["time to restore"].actual > 0
    assert b"P-1" not in restored.evidence["rows.json"]


def test_a_pattern_that_ignores_every_object_leaves_nothing_compared(bench: Bench) -> None:
    bench.database = {"ignore": ["*"]}
    assert bench.created().outcome is Outcome.PASS

    restored = bench.restored()

    assert restored.outcome is Outcome.INCONCLUSIVE
    assert restored["differences between the restored schema"].n == 0


def test_what_changed_after_the_dump_does_not_blame_it(bench: Bench) -> None:
    assert bench.created().outcome is Outcome.PASS
    bench.run(
        "insert into loads (vehicle) select 1 from generate_series(1, 100)", "update vehicles set plate = 'x' || id"
    )

    restored = bench.restored()

    assert restored.outcome is Outcome.PASS, restored.reason


def test_a_dump_that_was_exchanged_is_compared_with_the_live_database(bench: Bench) -> None:
    """Nobody saw it being made, so the bound on drift holds."""
    assert bench.created().outcome is Outcome.PASS
    with bench.server.database() as other:
        elsewhere = Bench(other, bench.server, bench.root / "other")
        elsewhere.root.mkdir()
        elsewhere.run(SCHEMA, "delete from loads where id > 290")
        elsewhere.created()
        shutil.copy(elsewhere.own[0], bench.own[0])

    restored = bench.restored()

    assert restored.outcome is Outcome.FAIL
    assert restored["number of rows than in the live database now"].actual == [
        "loads: 290 rows, the source has 300 ± 3"
    ]


def test_three_dumps_are_kept_and_twenty_are_remembered(bench: Bench) -> None:
    names = []
    for number in range(1000, 1004):
        bench.run(f"insert into vehicles values ({number}, '{number}')")
        created = bench.created()
        assert created.outcome is Outcome.PASS, created.reason
        names.append(bench.own[-1].name)

    assert [path.name for path in bench.own] == names[1:]
    assert created["size against the median"].n == 3
    assert len(list(bench.own[0].parent.glob("*.json"))) == 4


def test_a_dump_much_smaller_than_the_earlier_ones(bench: Bench) -> None:
    assert bench.created().outcome is Outcome.PASS
    bench.run(
        "truncate vehicles cascade", "drop table heartbeats, empty, loads, vehicles", "create table small (id int)"
    )

    created = bench.created()

    assert created.outcome is Outcome.FAIL
    assert list(created.bad) == [created["size against the median"].name]


def test_a_dump_that_may_not_be_made_says_what_to_grant(bench: Bench) -> None:
    role = f"reader_{bench.name[-8:]}"
    bench.run(
        f"create role {role} login password 'Reader-1'", f"grant select on all tables in schema public to {role}"
    )
    split = urlsplit(bench.url)
    superuser, bench.url = bench.url, bench.url.replace(f"{split.username}:{split.password}@", f"{role}:Reader-1@")
    try:
        created = bench.created()
    finally:
        bench.url = superuser
        bench.run(f"drop owned by {role}", f"drop role {role}")

    assert created.outcome is Outcome.ERROR
    assert "permission denied for sequence loads_id_seq" in created.reason
    assert "GRANT pg_read_all_data" in created.reason
    assert "Reader-1" not in created.reason
    assert bench.own == []


def test_no_backup_says_what_to_run(bench: Bench) -> None:
    restored = bench.restored()

    assert restored.outcome is Outcome.FAIL
    assert restored.reason == (
        "there is no backup of rehearsal in the folder reports/backups; a backup job, or the gate backup.created, makes one"
    )
    bench.backup = {"files": "out/*.dump"}
    assert "in backup.files = 'out/*.dump'" in bench.created().reason


def test_a_job_whose_dump_restores_exactly(bench: Bench) -> None:
    bench.job()

    created = bench.created()
    restored = bench.restored()

    assert created.outcome is Outcome.PASS, created.reason
    assert created["dumps that it wrote"].actual == 1
    assert b"backup to out/fleet-" in created.evidence["job.txt"]
    assert b"status 0" in created.evidence["job.txt"]
    assert restored.outcome is Outcome.PASS, restored.reason
    assert restored["other rows"].n == 502


def test_rows_that_change_while_the_job_runs(bench: Bench) -> None:
    psql = f"{bench.server.bin}/psql -qXc"
    bench.job(f"{psql} 'insert into loads (vehicle) select 1 from generate_series(1, 5)' '{bench.url}'")
    created = bench.created()
    assert created.outcome is Outcome.PASS, created.reason

    restored = bench.restored()

    assert restored.outcome is Outcome.PASS, restored.reason
    assert restored["(3 of 4 did not change)"].n == 202


def test_volatile_tables_must_be_there_and_nothing_more(bench: Bench) -> None:
    bench.job("", after=f"{bench.server.bin}/psql -qXc 'truncate heartbeats' '{bench.url}'")
    assert bench.created().outcome is Outcome.PASS
    bench.backup["volatile"] = ["heartbeats"]
    restored = bench.restored()
    assert restored.outcome is Outcome.PASS, restored.reason
    assert restored["(rows of heartbeats are not compared)"].ok

    bench.job(dump="-Fc --exclude-table=heartbeats")
    created = bench.created()
    assert created.bad == {
        "tables that are not in it": ["heartbeats"],
        "tables whose rows are not in it": ["heartbeats"],
    }
    restored = bench.restored()
    assert restored["number of rows"].actual == ["heartbeats: the table is missing, the source has 0 rows"]


def test_a_plain_dump_does_not_name_its_database_and_is_compared_all_the_same(bench: Bench) -> None:
    bench.job(dump="-Fp")

    created = bench.created()
    restored = bench.restored()

    assert created.outcome is Outcome.PASS, created.reason
    assert not [taken for taken in created.measurements if "database" in taken.name]
    assert restored.outcome is Outcome.PASS, restored.reason


def test_a_query_index_that_is_broken_is_not_the_dumps_fault(bench: Bench) -> None:
    bench.run("insert into heartbeats values (3, '2026-01-01'), (4, '2026-01-01')")
    with pytest.raises(psycopg.errors.UniqueViolation):
        bench.run("create unique index concurrently heartbeats_at_idx on heartbeats (at)")
    assert bench.created().outcome is Outcome.PASS

    restored = bench.restored()

    assert restored.outcome is Outcome.PASS, restored.reason


def test_a_restore_slower_than_its_bound(bench: Bench) -> None:
    assert bench.created().outcome is Outcome.PASS
    bench.backup["restore_s"] = 0.01

    restored = bench.restored()

    assert restored.outcome is Outcome.FAIL
    assert restored["time to restore"].ok is False


def test_a_dump_that_is_still_being_written(bench: Bench) -> None:
    # Without a pause: on a busy machine a writer that sleeps may not write between the gate's two looks.
    bench.job(after="export OUT; timeout 6 sh -c 'while :; do echo >> $OUT; done' > /dev/null 2>&1 &")

    created = bench.created()

    assert created.outcome is Outcome.FAIL
    assert created["sha256"].ok is False
    assert "a dump that is still being written is none yet" in created.reason


def test_a_server_with_tls_and_a_connection_without(bench: Bench) -> None:
    """The dump is made, and the gate says that everybody on the way could read it."""
    with psycopg.connect(bench.url, autocommit=True) as admin:
        row = admin.execute("show hba_file").fetchone()
        assert row is not None
        rules = Path(row[0])
        before = rules.read_text()
        try:
            rules.write_text("host all all 127.0.0.1/32 scram-sha-256\n" + before)
            admin.execute("select pg_reload_conf(), pg_sleep(0.2)")
            bench.url = bench.url.replace("sslmode=verify-full", "sslmode=disable")
            created = bench.created()
        finally:
            rules.write_text(before)
            admin.execute("select pg_reload_conf()")

    assert list(created.bad) == ["the connection was encrypted"], created.reason


def test_a_dump_from_the_future(bench: Bench) -> None:
    bench.job(dump="-Fp", after="touch -d '3 hours' $OUT")

    created = bench.created()

    assert created.outcome is Outcome.FAIL
    assert "from now; set the clocks right" in created.reason
