"""A backup job that goes wrong turns the gates red, in the measurement that is meant to see it."""

from __future__ import annotations

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
        words="exit status of the backup job: 1",
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
