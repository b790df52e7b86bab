"""A database to dump, and the programs that a team's job and our probe run on it."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg

from gonogo.pgsession import libpq_environment
from gonogo.probes.dump import (
    DumpFacts,
    RestoreFacts,
    inspect_dump,
    make_dump,
    restore_dump,
)
from postgres_server import PostgresServer

SCHEMA = """
create extension pgcrypto;
create table vehicles (id int primary key, plate text not null unique, note text);
create table loads (id bigint generated always as identity primary key, vehicle int references vehicles);
create index loads_vehicle_idx on loads (vehicle);
create function touch() returns trigger language plpgsql as $$ begin return new; end $$;
create trigger vehicles_touch before update on vehicles for each row execute function touch();
create materialized view counts as select count(*) from vehicles;
insert into vehicles select i, 'P-' || i, sha256(i::text::bytea)::text from generate_series(1, 2000) i;
insert into loads (vehicle) select 1 + i % 2000 from generate_series(1, 3000) i;
"""
PROGRAM_S = 60.0


@contextlib.contextmanager
def filled_database(postgres: PostgresServer) -> Iterator[str]:
    """The superuser's address of a database with 5,000 rows."""
    with postgres.database() as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(SCHEMA.encode())
        yield url


def own_dump(source: str, postgres: PostgresServer, path: Path) -> Path:
    """A dump as the probe makes it."""
    done = make_dump(source, path, pg_dump=postgres.bin / "pg_dump", timeout_s=PROGRAM_S)
    assert done.status == 0, done.output
    return path


def dumped(source: str, postgres: PostgresServer, path: Path, *options: str) -> Path:
    """A dump as a team's own job makes it."""
    environment = {**os.environ, **libpq_environment(source)}
    subprocess.run([postgres.bin / "pg_dump", f"--file={path}", *options], env=environment, check=True, timeout=60)
    return path


def look(path: Path, postgres: PostgresServer) -> DumpFacts:
    return inspect_dump(path, pg_restore=postgres.bin / "pg_restore", timeout_s=PROGRAM_S)


def restore(path: Path, url: str, postgres: PostgresServer, timeout_s: float = PROGRAM_S) -> RestoreFacts:
    return restore_dump(
        path,
        environment={**os.environ, **libpq_environment(url)},
        pg_restore=postgres.bin / "pg_restore",
        psql=postgres.bin / "psql",
        timeout_s=timeout_s,
    )
