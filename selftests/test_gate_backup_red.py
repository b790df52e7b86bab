"""A backup job that goes wrong turns the gates red, in the measurement that is meant to see it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from backup_bench import Bench, new_bench
from gate_calls import Called
from gonogo.model import Outcome
from postgres_server import PostgresServer


@pytest.fixture
def bench(postgres: PostgresServer, tmp_path: Path) -> Iterator[Bench]:
    with new_bench(postgres, tmp_path) as bench:
        yield bench


@dataclass(frozen=True)
class Case:
    """A job that goes wrong, what the gates measure, and what stands in the reason."""

    id: str
    set_up: Callable[[Bench], None]
    created: tuple[str, ...] = ()
    restored: tuple[str, ...] = ()
    words: str = ""


def _silent(bench: Bench) -> None:
    bench.job()
    assert bench.created().outcome is Outcome.PASS
    bench.job(dump="")


def _old(bench: Bench) -> None:
    """Beside a good one of a minute ago."""
    bench.job()
    assert bench.created().outcome is Outcome.PASS
    bench.job(after="touch -d '3 hours ago' $OUT")


def _other_database(bench: Bench) -> None:
    bench.job(dump=f"-Fc -d '{bench.server.admin_url}' --")
    script = bench.root / "job.sh"
    script.write_text(
        script.read_text().replace(f" '{bench.url}'", "").replace(" --  --file", " --file").replace(" -- ", " ")
    )


CASES = (
    Case(
        "job-fails",
        lambda b: b.job(after="exit 1"),
        ("exit status of the backup job",),
        words="exit status of the backup job, which said at last: backup to out/",
    ),
    Case(
        "job-says-error-and-ends-with-0",
        lambda b: b.job("echo 'pg_dump: error: disk is slow'"),
        ("error lines in its output",),
        words="disk is slow",
    ),
    Case("job-writes-nothing", _silent, ("dumps that it wrote",), words="dumps that it wrote: 0"),
    Case("too-old", _old, ("age",), words="required <= 7200"),
    Case(
        "other-database",
        _other_database,
        ("database it was made of", "tables that are not in it", "tables whose rows are not in it"),
        ("differences", "number of rows", "other rows", "sequences"),
        "database it was made of: postgres",
    ),
    Case(
        "truncated",
        lambda b: b.job(after="truncate -s -100 $OUT"),
        ("read to its end",),
        ("errors while", "exit status"),
        "could not read from input file: end of file",
    ),
    Case(
        "zero-bytes",
        lambda b: b.job(after="truncate -s 0 $OUT"),
        ("size", "read to its end"),
        ("errors while", "exit status"),
        "is empty: 0 bytes",
    ),
    Case(
        "schema-only",
        lambda b: b.job(dump="-Fc --schema-only"),
        ("tables whose rows are not in it",),
        ("number of rows", "other rows", "sequences"),
        "tables whose rows are not in it: empty, heartbeats, loads, vehicles",
    ),
    Case(
        "nothing-in-it",
        lambda b: b.job(dump="-Fc --exclude-schema=public"),
        ("tables that are not in it", "tables whose rows are not in it"),
        ("differences", "number of rows", "other rows", "sequences"),
        "tables that are not in it: empty, heartbeats, loads, vehicles",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_job_that_goes_wrong_turns_the_gates_red(case: Case, bench: Bench) -> None:
    case.set_up(bench)

    created, restored = bench.created(), bench.restored()

    assert created.outcome is Outcome.FAIL
    assert case.words in created.reason
    assert_bad(created, case.created)
    assert_bad(restored, case.restored)
    assert restored.outcome is (Outcome.FAIL if case.restored else Outcome.PASS), restored.reason


def assert_bad(called: Called, parts: tuple[str, ...]) -> None:
    """Exactly these measurements do not hold."""
    assert len(called.bad) == len(parts), called.bad
    for part, name in zip(parts, called.bad, strict=True):
        assert part in name, called.bad


@pytest.mark.parametrize(
    ("spoil", "differences", "rows"),
    [
        ("alter table vehicles disable trigger all", ["trigger vehicles.vehicles_touch"], []),
        ("drop trigger vehicles_touch on vehicles", ["trigger vehicles.vehicles_touch"], []),
        ("drop index loads_vehicle_idx", ["index loads_vehicle_idx"], []),
        ("delete from loads where id = 7", [], ["loads: 299 rows, the source has 300"]),
        ("update vehicles set plate = 'other' where id = 7", [], ["vehicles: the values of its rows differ"]),
        ("select setval('loads_id_seq', 299)", [], ["loads_id_seq: at 299, the source was at 300"]),
    ],
    ids=["disabled-trigger", "missing-trigger", "missing-index", "lost-row", "changed-row", "sequence-behind"],
)
def test_a_dump_of_a_copy_with_a_defect_restores_to_something_else(
    spoil: str, differences: list[str], rows: list[str], bench: Bench
) -> None:
    """The job dumps a copy that has the database's name and all tables; only restoring tells."""
    other = bench.url.replace(bench.name, f"{bench.name}_c")
    psql = f"{bench.server.bin}/psql -qX -v ON_ERROR_STOP=1"
    bench.job(
        f"{psql} -c 'drop database if exists {bench.name}_c' -c 'create database {bench.name}_c template {bench.name}' "
        f"'{bench.server.admin_url}'",
        f"{psql} -c \"{spoil}\" '{other}' > /dev/null",
        dump="",
        after=f"{bench.server.bin}/pg_dump -Fp --file=$OUT '{other}'",
    )
    try:
        created = bench.created()
    finally:
        with psycopg.connect(bench.server.admin_url, autocommit=True) as admin:
            admin.execute(f"drop database if exists {bench.name}_c with (force)".encode())
    assert created.outcome is Outcome.PASS, created.reason

    restored = bench.restored()

    assert restored.outcome is Outcome.FAIL
    found = [line for taken in restored.measurements if taken.ok is False for line in taken.actual]
    expected = differences or rows
    assert len(found) == len(expected), found
    assert all(line.startswith(start) for line, start in zip(found, expected, strict=True)), found
    assert expected[0] in restored.reason


def test_rows_of_which_none_are_compared_prove_nothing(bench: Bench) -> None:
    bench.backup["volatile"] = ["vehicles", "loads", "heartbeats", "empty"]
    assert bench.created().outcome is Outcome.PASS
    for record in bench.own[0].parent.glob("*.json"):
        record.unlink()

    restored = bench.restored()

    assert restored.outcome is Outcome.INCONCLUSIVE
    assert list(restored.bad) == [restored["another number of rows"].name]


def test_a_dump_that_is_too_small_stays_so_and_drives_no_good_one_out(bench: Bench) -> None:
    assert bench.created().outcome is Outcome.PASS
    [good] = bench.own
    bench.run("truncate vehicles cascade", "drop table heartbeats, empty, loads, vehicles", "create table small ()")

    again = [bench.created() for _ in range(4)]

    assert [called.outcome for called in again] == [Outcome.FAIL] * 4
    assert again[-1]["size against the median"].n == 1
    assert good.exists()


def test_a_link_to_the_dump_is_no_earlier_dump(bench: Bench) -> None:
    bench.job(after="cd out && ln -sf $(basename $OUT) latest.dump")

    created = bench.created()

    assert created.outcome is Outcome.PASS, created.reason
    assert not [taken for taken in created.measurements if "median" in taken.name]


def test_a_dump_of_one_schema_lacks_the_others_and_the_large_objects(bench: Bench) -> None:
    bench.run("create schema billing", "create table billing.invoices (id int)", "select lo_from_bytea(0, 'x')")
    assert bench.created().outcome is Outcome.PASS
    bench.job(dump="-Fc --schema=public")

    created = bench.created()

    assert created.bad == {
        "tables of other schemas that are not in it, or without their rows": ["billing.invoices"],
        "the large objects are in it": False,
    }
    for form in ("-Fp", "-Ft"):
        bench.job(dump=form)
        created = bench.created()
        assert created["large objects"].ok, created.reason
        assert created["other schemas"].ok


def test_a_record_that_is_none_is_passed_over(bench: Bench) -> None:
    assert bench.created().outcome is Outcome.PASS
    [record] = bench.own[0].parent.glob("*.json")
    record.write_text(
        record.read_text().replace('"before": {', '"before": {"tables": [], "x": {').replace("[]", "[1]")
    )
    record.with_name("other.json").write_text('{"before": {"tables": []}, "after": {}}')

    assert bench.restored().outcome is Outcome.PASS


def test_a_dump_made_in_another_zone_says_which_time_counted(bench: Bench) -> None:
    bench.job()
    script = bench.root / "job.sh"
    script.write_text(script.read_text().replace("set -e", "set -e; export TZ=UTC+3", 1))  # as a container may have

    created = bench.created()

    assert created.outcome is Outcome.FAIL
    assert [name.partition(" (the file is of")[0] for name in created.bad] == [
        f"age by the time inside it, which names no zone and is taken as {time.tzname[0]}"
    ]
