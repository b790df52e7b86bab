"""Dumps are made, read and restored by PostgreSQL's own programs; a bad one is described, not trusted."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from dump_source import PROGRAM_S, dumped, filled_database, look, own_dump, restore
from gonogo.errors import TargetError, ToolError
from gonogo.pgsession import libpq_environment
from gonogo.probes.dump import (
    error_lines,
    inspect_dump,
    major,
    make_dump,
    sha256_of,
)
from gonogo.probes.rows import count_rows, in_snapshot
from postgres_server import PostgresServer


@pytest.fixture(scope="module")
def source(postgres: PostgresServer) -> Iterator[str]:
    with filled_database(postgres) as url:
        yield url


@pytest.fixture(scope="module")
def custom(source: str, postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return own_dump(source, postgres, tmp_path_factory.mktemp("dumps") / "fleet.dump")


def test_a_dump_is_for_its_owner_alone_and_holds_no_password(custom: Path, source: str) -> None:
    assert custom.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in custom.parent.iterdir()] == ["fleet.dump"]
    assert (urlsplit(source).password or "-").encode() not in custom.read_bytes()


def test_no_argument_tells_the_password(source: str, postgres: PostgresServer, tmp_path: Path) -> None:
    done = make_dump(source, tmp_path / "d", pg_dump=postgres.bin / "pg_dump", timeout_s=PROGRAM_S)

    assert str(urlsplit(source).password) not in done.command
    assert "--format=custom" in done.command


def test_a_service_of_our_environment_leads_nowhere_else(
    source: str, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "services").write_text("[production]\nhost=another.invalid\n")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    monkeypatch.setenv("PGSERVICE", "production")

    done = make_dump(source, tmp_path / "d", pg_dump=postgres.bin / "pg_dump", timeout_s=PROGRAM_S)

    assert done.status == 0, done.output


def test_what_an_archive_says(custom: Path, source: str, postgres: PostgresServer) -> None:
    facts = look(custom, postgres)

    assert (facts.format, facts.complete, facts.problem) == ("custom", True, "")
    assert facts.size_bytes == custom.stat().st_size
    assert facts.sha256 == hashlib.sha256(custom.read_bytes()).hexdigest()
    assert abs((datetime.now(UTC) - facts.created_at).total_seconds()) < 120
    assert facts.created_at.tzinfo is UTC
    assert facts.database == urlsplit(source).path[1:]
    assert (major(facts.server_version), major(facts.client_version)) == (17, 17)
    assert facts.entries["TABLE"] == ("public.loads", "public.vehicles")
    assert facts.entries["TABLE DATA"] == ("public.loads", "public.vehicles")
    assert facts.entries["INDEX"] == ("public.loads_vehicle_idx",)
    assert facts.entries["TRIGGER"] == ("public.vehicles vehicles_touch",)
    assert facts.entries["FUNCTION"] == ("public.touch()",)
    assert facts.entries["EXTENSION"] == ("pgcrypto",)
    assert facts.entries["SEQUENCE SET"] == ("public.loads_id_seq",)
    assert facts.entries["FK CONSTRAINT"] == ("public.loads loads_vehicle_fkey",)
    assert facts.entries["MATERIALIZED VIEW DATA"] == ("public.counts",)
    assert "TABLE DATA public vehicles" in facts.contents


@pytest.mark.parametrize("name", ["tar", "directory", "plain"])
def test_other_formats_are_read_and_restored(
    name: str, source: str, database_url: str, postgres: PostgresServer, tmp_path: Path
) -> None:
    path = dumped(source, postgres, tmp_path / "dump", f"--format={name}")
    facts = look(path, postgres)

    assert (facts.format, facts.complete, facts.problem) == (name, True, "")
    assert facts.entries["TABLE DATA"] == ("public.loads", "public.vehicles")
    assert facts.entries["TRIGGER"] == ("public.vehicles vehicles_touch",)
    assert (major(facts.server_version), major(facts.client_version)) == (17, 17)
    assert facts.database == ("" if name == "plain" else urlsplit(source).path[1:])
    assert facts.size_bytes > 10_000
    assert len(facts.sha256) == 64
    done = restore(path, database_url, postgres)
    assert (done.status, done.errors) == (0, ())
    assert count_rows(database_url) == count_rows(source)


def test_a_restored_archive_has_the_same_rows_and_sequences(
    custom: Path, source: str, database_url: str, postgres: PostgresServer
) -> None:
    done = restore(custom, database_url, postgres)

    assert (done.status, done.errors) == (0, ())
    assert 0 < done.duration_s < PROGRAM_S
    copy = count_rows(database_url)
    assert copy == count_rows(source)
    assert (copy.tables["vehicles"].rows, copy.sequences) == (2000, {"loads_id_seq": 3000})


def test_a_dump_of_a_snapshot_has_the_rows_of_that_moment(
    source: str, database_url: str, postgres: PostgresServer, tmp_path: Path
) -> None:
    path = tmp_path / "moment.dump"
    with postgres.database(urlsplit(source).path[1:]) as live:

        def work(snapshot: object) -> object:
            with psycopg.connect(live, autocommit=True) as other:
                other.execute("delete from loads where id > 100")
            options = {"snapshot": snapshot.id, "encrypted": snapshot.encrypted}  # type: ignore[attr-defined]
            done = make_dump(live, path, pg_dump=postgres.bin / "pg_dump", timeout_s=PROGRAM_S, **options)
            assert done.status == 0, done.output
            return snapshot.count_rows()  # type: ignore[attr-defined]

        rows = in_snapshot(live, PROGRAM_S, work)
        assert count_rows(live).tables["loads"].rows == 100
    assert restore(path, database_url, postgres).errors == ()
    assert count_rows(database_url) == rows


def test_a_restore_that_takes_too_long_is_ended(custom: Path, database_url: str, postgres: PostgresServer) -> None:
    began = time.monotonic()

    done = restore(custom, database_url, postgres, timeout_s=0.01)

    assert done.status is None
    assert time.monotonic() - began < 10


def test_restoring_over_what_is_there_is_an_error(custom: Path, source: str, postgres: PostgresServer) -> None:
    done = restore(custom, source, postgres)

    assert done.status == 1
    assert "already exists" in done.errors[0]


def test_the_earlier_of_two_times_counts(custom: Path, postgres: PostgresServer, tmp_path: Path) -> None:
    """Neither copying a dump nor touching it makes it younger, and an old file is old."""
    path = tmp_path / "fleet.dump"
    shutil.copy(custom, path)
    made = look(path, postgres).created_at
    os.utime(path, (time.time() + 3600, time.time() + 3600))
    assert look(path, postgres).created_at == made

    old = datetime.now(UTC) - timedelta(days=2)
    os.utime(path, (old.timestamp(), old.timestamp()))
    assert abs(look(path, postgres).created_at - old) < timedelta(seconds=1)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"])
def test_the_archive_states_this_machines_time_of_day(
    zone: str, source: str, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        path = dumped(source, postgres, tmp_path / "fleet.dump", "-Fc")
        age = datetime.now(UTC) - look(path, postgres).created_at
    finally:
        monkeypatch.undo()
        time.tzset()

    assert timedelta(0) <= age < timedelta(seconds=60)


def test_a_dump_that_is_not_there(postgres: PostgresServer, database_url: str, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"gone\.dump is not there"):
        look(tmp_path / "gone.dump", postgres)
    with pytest.raises(TargetError, match=r"gone\.dump is not there"):
        restore(tmp_path / "gone.dump", database_url, postgres)


def test_a_program_that_is_not_there(custom: Path, source: str, tmp_path: Path) -> None:
    missing = tmp_path / "pg_nothing"
    with pytest.raises(ToolError, match="pg_nothing does not exist"):
        inspect_dump(custom, pg_restore=missing, timeout_s=5.0)
    with pytest.raises(ToolError, match="pg_nothing does not exist"):
        make_dump(source, tmp_path / "d", pg_dump=missing, timeout_s=5.0)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_dump_leaves_no_file(source: str, postgres: PostgresServer, tmp_path: Path) -> None:
    wrong = source.replace(str(urlsplit(source).password), "wrong-Secret.1")

    done = make_dump(wrong, tmp_path / "d", pg_dump=postgres.bin / "pg_dump", timeout_s=PROGRAM_S)

    assert done.status == 1
    assert "password authentication failed" in done.output
    assert "wrong-Secret.1" not in done.output + done.command
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there(source: str, postgres: PostgresServer, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="can't be written into .*: No such file or directory"):
        make_dump(source, tmp_path / "no" / "d", pg_dump=postgres.bin / "pg_dump", timeout_s=5.0)


def test_an_encrypted_dump_never_falls_back(
    source: str, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program gets sslmode=require where the address would allow plain text."""
    spy = tmp_path / "pg_dump"
    spy.write_text('#!/bin/sh\necho "mode=$PGSSLMODE name=$PGAPPNAME"\nexit 1\n')
    spy.chmod(0o755)
    for address, mode in (
        ("postgresql://u@h/d", "require"),
        ("postgresql://u@h/d?sslmode=prefer", "require"),
        ("postgresql://u@h/d?sslmode=verify-full", "verify-full"),
    ):
        done = make_dump(address, tmp_path / "d", pg_dump=spy, timeout_s=5.0, encrypted=True)
        assert done.output == f"mode={mode} name=gonogo\n"
    monkeypatch.delenv("PGSSLMODE", raising=False)
    assert make_dump("host=h", tmp_path / "d", pg_dump=spy, timeout_s=5.0).output == "mode= name=gonogo\n"


def test_an_archive_of_a_newer_program_is_our_own_lack(postgres: PostgresServer, tmp_path: Path) -> None:
    path = tmp_path / "new.dump"
    path.write_bytes(b"PGDMP\x01\x63\x00\x04\x08\x01" + bytes(2000))

    with pytest.raises(ToolError, match="made by a newer pg_dump than this pg_restore reads"):
        look(path, postgres)


def test_libpq_environment_of_urls_and_strings() -> None:
    url = "postgresql://ann:p%40ss%20w@db.example:6432/fleet?sslmode=verify-full&sslrootcert=/ca.pem&options=-c%20a%3Db"

    assert libpq_environment(url) == {
        "PGHOST": "db.example",
        "PGPORT": "6432",
        "PGUSER": "ann",
        "PGPASSWORD": "p@ss w",
        "PGDATABASE": "fleet",
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": "/ca.pem",
        "PGOPTIONS": "-c a=b",
        "PGCONNECT_TIMEOUT": "10",
        "PGAPPNAME": "gonogo",
    }
    assert libpq_environment("host=/run/pg dbname='a b' connect_timeout=3 application_name=x") == {
        "PGHOST": "/run/pg",
        "PGDATABASE": "a b",
        "PGCONNECT_TIMEOUT": "3",
        "PGAPPNAME": "gonogo",
    }
    with pytest.raises(ToolError, match="can't be read as a PostgreSQL connection string") as failure:
        libpq_environment("postgresql://ann:Secret-1@[::1/x")
    assert "Secret-1" not in str(failure.value)


def test_names_with_blanks_and_capitals(postgres: PostgresServer, database_url: str, tmp_path: Path) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute('create schema "SALES"; create table "SALES"."Odd DATA name" (id int)')
        connection.execute("create text search dictionary fleet_words (template = simple)")
    for option in ("-Fc", "-Fp"):
        facts = look(dumped(database_url, postgres, tmp_path / "dump", option), postgres)
        assert facts.entries["TABLE"] == ("SALES.Odd DATA name",)
        assert facts.entries["TABLE DATA"] == ("SALES.Odd DATA name",)
        assert facts.entries["SCHEMA"] == ("SALES",)
        assert facts.entries["TEXT SEARCH DICTIONARY"] == ("public.fleet_words",)


def test_the_digest_of_a_folder_depends_on_names_and_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    one = sha256_of(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    other = sha256_of(tmp_path)
    (tmp_path / "b").write_bytes(b"2")

    assert len({one, other, sha256_of(tmp_path)}) == 3


def test_error_lines_are_those_that_report_one_and_few() -> None:
    output = "pg_restore: creating TABLE error_log\npg_restore: error: one\npsql:a.sql:3: ERROR:  two\nall good\n"

    assert error_lines(output) == ("pg_restore: error: one", "psql:a.sql:3: ERROR:  two")
    assert len(error_lines("ERROR: x\n" * 100)) == 50
    assert len(error_lines("ERROR: " + "x" * 5000)[0]) == 500
