"""Whatever is wrong with a dump is found: when it is read, and again when it is restored."""

from __future__ import annotations

import gzip
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from dump_source import dumped, filled_database, look, own_dump, restore
from gonogo.pgsession import libpq_environment
from gonogo.probes.rows import count_rows
from postgres_server import PostgresServer


@pytest.fixture(scope="module")
def source(postgres: PostgresServer) -> Iterator[str]:
    with filled_database(postgres) as url:
        yield url


@pytest.fixture(scope="module")
def custom(source: str, postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return own_dump(source, postgres, tmp_path_factory.mktemp("dumps") / "fleet.dump")


@pytest.mark.parametrize("kept", [0.02, 0.5, 0.9, 0.999])
def test_a_truncated_archive(
    kept: float, custom: Path, database_url: str, postgres: PostgresServer, tmp_path: Path
) -> None:
    """Wherever it is cut, it is not complete, and restoring it is an error."""
    path = tmp_path / "cut.dump"
    data = custom.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])

    facts = look(path, postgres)

    assert facts.format == "custom"
    assert not facts.complete
    assert "error:" in facts.problem
    done = restore(path, database_url, postgres)
    assert done.status not in (0, None)
    assert done.errors


def test_a_flipped_bit_in_the_rows_is_found(custom: Path, postgres: PostgresServer, tmp_path: Path) -> None:
    data = bytearray(custom.read_bytes())
    data[len(data) // 2] ^= 0x10
    path = tmp_path / "rotten.dump"
    path.write_bytes(data)

    assert not look(path, postgres).complete


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is empty: 0 bytes"),
        (b"\x7fELF" + bytes(600), "is no dump of pg_dump"),
        (b"CREATE TABLE t (id int);\n", "is no dump of pg_dump"),
        (
            gzip.compress(b"--\n-- PostgreSQL database dump\n--\n", mtime=0),
            "compressed by gzip; use pg_dump --format=custom",
        ),
        (b"--\n-- PostgreSQL database cluster dump\n--\n", "dump of a whole server by pg_dumpall"),
    ],
)
def test_what_is_no_dump(
    data: bytes, problem: str, database_url: str, postgres: PostgresServer, tmp_path: Path
) -> None:
    path = tmp_path / "backup.sql"
    path.write_bytes(data)

    facts = look(path, postgres)

    assert (facts.format, facts.complete, facts.size_bytes) == ("none", False, len(data))
    assert problem in facts.problem
    assert dict(facts.entries) == {}
    done = restore(path, database_url, postgres)
    assert done.status != 0
    assert done.errors


def test_a_folder_that_is_no_dump(postgres: PostgresServer, tmp_path: Path) -> None:
    assert look(tmp_path, postgres).problem.endswith("holds no toc.dat")


def test_a_plain_dump_without_its_end(
    source: str, database_url: str, postgres: PostgresServer, tmp_path: Path
) -> None:
    """psql would take the end of the file for the end of a table's rows, and end with 0."""
    path = dumped(source, postgres, tmp_path / "backup.sql")
    path.write_bytes(path.read_bytes()[:50_000])

    assert "ends without the line" in look(path, postgres).problem
    done = restore(path, database_url, postgres)
    assert done.status is None
    assert "ends without the line" in done.errors[0]


def test_failed_statements_of_a_plain_dump_are_errors(
    source: str, database_url: str, postgres: PostgresServer, tmp_path: Path
) -> None:
    """Without our options psql runs over them and ends with 0."""
    path = dumped(source, postgres, tmp_path / "backup.sql")
    path.write_text(path.read_text().replace("CREATE TABLE public.vehicles", "CREATE TABLE nowhere.vehicles"))
    environment = {**os.environ, **libpq_environment(database_url)}
    plain = subprocess.run(
        [postgres.bin / "psql", "-qXf", path], env=environment, check=False, capture_output=True, timeout=60
    )
    assert plain.returncode == 0
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("drop schema public cascade; create schema public; drop extension if exists pgcrypto")

    done = restore(path, database_url, postgres)

    assert done.status == 3
    assert len(done.errors) == 1
    assert 'schema "nowhere" does not exist' in done.errors[0]


def test_a_plain_dump_that_leads_to_another_database_is_not_run(
    source: str, database_url: str, postgres: PostgresServer, tmp_path: Path
) -> None:
    path = dumped(source, postgres, tmp_path / "backup.sql", "--create")

    done = restore(path, database_url, postgres)

    assert done.status is None
    assert "without pg_dump --create" in done.errors[0]
    assert count_rows(database_url).tables == {}
