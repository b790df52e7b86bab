"""A small database, a job that saves it, and the gates that look at its backup."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from gate_calls import Called, call, scratch_for, target_at
from gate_runs import ROOT
from gonogo.target import Target
from postgres_server import PostgresServer

sys.path.append(str(ROOT))  # where the gates' own folder is a package

from tests.infra import test_backup as gates

SCHEMA = """
create table vehicles (id int primary key, plate text not null unique);
create table loads (id bigint generated always as identity primary key, vehicle int references vehicles);
create table heartbeats (id int primary key, at timestamptz not null default clock_timestamp());
create table empty (id int);
create index loads_vehicle_idx on loads (vehicle);
create function touch() returns trigger language plpgsql as $$ begin return new; end $$;
create trigger vehicles_touch before update on vehicles for each row execute function touch();
insert into vehicles select i, 'P-' || i from generate_series(1, 200) i;
insert into loads (vehicle) select 1 + i % 200 from generate_series(1, 300) i;
insert into heartbeats select i from generate_series(1, 2) i;
"""


@dataclass
class Bench:
    """A database to be saved, and the gates that look at its backup."""

    url: str
    server: PostgresServer
    root: Path
    backup: dict[str, Any] = field(default_factory=dict)
    database: dict[str, Any] = field(default_factory=dict)

    def target(self) -> Target:
        info = {"base_url": "https://app.fleet.test", "database_url": self.url}
        base: dict[str, Any] = {"command": None, "files": None, "volatile": None}
        return target_at(info, root=self.root, backup=base | self.backup, database=self.database)

    def created(self) -> Called:
        target = self.target()
        return call(gates.test_created, target, scratch=scratch_for(target, self.server))

    def restored(self) -> Called:
        target = self.target()
        return call(gates.test_restore, target, scratch=scratch_for(target, self.server))

    def run(self, *statements: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    @property
    def name(self) -> str:
        return urlsplit(self.url).path[1:]

    @property
    def own(self) -> list[Path]:
        return sorted((self.root / "reports/backups").glob("*.dump"))

    def job(self, *lines: str, dump: str = "-Fc", after: str = "") -> None:
        """Sets up a job: a shell script around pg_dump, with these options and these lines before and after."""
        script = self.root / "job.sh"
        text = f"{self.server.bin}/pg_dump {dump} --file=$OUT '{self.url}'" if dump else ""
        head = 'mkdir -p out; OUT=out/fleet-$(date +%s%N).dump; echo "backup to $OUT"'
        script.write_text("\n".join(["set -e", head, *lines, text, after, ""]))
        self.backup |= {"command": ["sh", str(script)], "files": "out/*.dump"}


@contextlib.contextmanager
def new_bench(postgres: PostgresServer, root: Path) -> Iterator[Bench]:
    """A database of its own, with the schema above."""
    with postgres.database() as url:
        bench = Bench(url, postgres, root)
        bench.run(SCHEMA)
        yield bench
