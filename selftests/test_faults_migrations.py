"""database.migrations-tested: green where the migrations work, red for each thing that they can do wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from fleetboard import migrate, releases, seed
from fleetboard.postgres import ROLES
from gate_calls import Called, call, scratch_for, target_at
from gate_runs import ROOT
from gonogo.model import Outcome
from gonogo.scratch import Scratch
from postgres_server import PostgresServer

sys.path.append(str(ROOT))  # where the gates' own folder is a package

from tests.infra.test_migrations import test_migrations as gate

UP = ["{python}", "-m", "fleetboard", "migrate"]


@dataclass(frozen=True)
class Source:
    """A database at one release, and its dump where the team's job would put it."""

    info: dict[str, Any]
    scratch: Scratch

    def call(self, **database: Any) -> Called:
        return call(gate, target_at(self.info, database=database), scratch=self.scratch)


def source(postgres: PostgresServer, folder: Path, url: str, release: str) -> Source:
    """The database at ``url``, filled as release ``release`` leaves it, with its dump in ``folder``."""
    with psycopg.connect(url, autocommit=True) as connection:
        for role in ROLES:
            if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
                connection.execute(f"CREATE ROLE {role}")
        migrate.migrate(connection, releases.OLD.last_migration)
        seed.seed(connection)
        migrate.migrate(connection, releases.find(release).last_migration)
    dump = folder / f"fleet-20261125T120000Z-{release}.dump"
    command = [str(postgres.bin / "pg_dump"), "--format=custom", f"--file={dump}", url]
    subprocess.run(command, check=True, timeout=30)
    info = {
        "base_url": "https://app.fleet.test",
        "database_url": url,
        "env": {"FLEETBOARD_BACKUPS": str(folder)},
    }
    return Source(info, scratch_for(target_at(info), postgres))


@pytest.fixture(scope="module")
def old(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source]:
    """Release 0.9.0: two migrations are pending."""
    with postgres.database() as url:
        yield source(postgres, tmp_path_factory.mktemp("old"), url, "0.9.0")


@pytest.fixture(scope="module")
def new(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source]:
    """Release 1.0.0: nothing is pending."""
    with postgres.database() as url:
        yield source(postgres, tmp_path_factory.mktemp("new"), url, "1.0.0")


def then(postgres: PostgresServer, statements: str) -> list[str]:
    """A team's command that runs the release's migrations and then SQL of its own."""
    script = '"$0" -m fleetboard migrate && "$1" --no-psqlrc --quiet --command="$2"'
    return ["sh", "-c", script, "{python}", str(postgres.bin / "psql"), statements]


def test_pending_migrations_that_work(old: Source) -> None:
    called = old.call()

    assert (called.outcome, called.bad) == (Outcome.PASS, {}), called.reason
    assert called["migrations that were pending"].actual == 2
    assert called["slowest migration, 000"].n == 2
    assert called["differences to the release's schema"].n > 50
    assert called["differences to the schema before"].actual == []
    assert called["tables that lost rows on the way back"].n == 10
    assert called["changes by a second run"].n > 60


def test_the_evidence_names_every_command_and_lock(old: Source) -> None:
    kept = json.loads(old.call().evidence["migrations.json"])

    first = kept["the migrations"]
    assert first["applied"] == ["0005_priority", "0006_search"]
    commands = [(m["name"], c["tag"]) for m in first["migrations"] for c in m["commands"]]
    assert commands[:2] == [("0005_priority", "ALTER TABLE"), ("0005_priority", "CREATE INDEX")]
    assert ("0006_search", "CREATE EXTENSION") in commands
    locked = {(k["migration"], k["table"], k["blocks"]) for k in first["locks"]}
    assert ("0005_priority", "loads", "reads and writes") in locked
    assert kept["the way back"]["removed"] == ["0005_priority", "0006_search"]
    assert kept["a second run"]["migrations"] == []


def test_a_history_that_tells_nothing_is_no_history(old: Source) -> None:
    """Or nothing would seem pending, and the way back would never be tried."""
    called = old.call(history="schema_migration.name")

    assert called.outcome is Outcome.ERROR, called.bad
    assert "public.schema_migration.name (launch.toml: database.history)" in called.reason


def test_what_ignores_everything_is_never_green(old: Source) -> None:
    called = old.call(ignore=["*"])

    assert called.outcome is Outcome.INCONCLUSIVE, called.bad
    assert called["differences to the release's schema"].n == 0


def test_nothing_pending(new: Source) -> None:
    called = new.call()

    assert (called.outcome, called.bad) == (Outcome.PASS, {}), called.reason
    assert called["migrations that were pending"].actual == 0
    assert not [taken.name for taken in called.measurements if "way back" in taken.name]


def test_without_history_and_way_back(old: Source) -> None:
    called = old.call(history=None, migrate_down=None)

    assert (called.outcome, called.bad) == (Outcome.PASS, {}), called.reason
    assert called["slowest migration, without a name"].n == 2


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            "migration-fails-half-way",
            {"exit status of the migrations": "1", "differences to the release's schema": "pg_trgm"},
        ),
        ("migration-not-repeatable", {"exit status of a second run": "1"}),
        (
            "psql-without-stop",
            {
                "errors reported by the migrations": "ERROR:",
                "differences to the release's schema": "loads.priority",
            },
        ),
        (
            "migration-rewrites-table",
            {"rewrites of tables": "0005_priority: ALTER TABLE rewrites loads (420 rows), type of a column"},
        ),
        ("down-incomplete", {"differences to the schema before": "loads.priority"}),
    ],
)
def test_a_fault_turns_it_red_and_is_named(fault: str, said: dict[str, str], old: Source) -> None:
    down = [*UP, "--down", "{steps}", "--fault", fault]
    called = old.call(migrate=[*UP, "--fault", fault], migrate_down=down, large_rows=100)

    assert called.outcome is Outcome.FAIL, called.reason
    assert [(name, text) for name, text in said.items() if text not in str(called[name].actual)] == []
    assert all(called[name].ok is False for name in said)
    assert called.reason
    assert b"Traceback" not in called.evidence["output.txt"]


@pytest.mark.parametrize(
    ("statements", "measured", "said"),
    [
        ("DELETE FROM loads WHERE id IN (SELECT id FROM loads LIMIT 5)", "tables that lost rows", "loads: 415 rows"),
        ("BEGIN; LOCK TABLE loads IN SHARE MODE; SELECT pg_sleep(1.3) FROM loads LIMIT 1; COMMIT", "locks of more than", "blocks writes"),
        ("UPDATE drivers SET phone = phone || '1'", "changes by a second run", "table drivers: 220 rows, 220 before; other values"),
        ("DO $$ BEGIN IF EXISTS (SELECT FROM loads) THEN CREATE TABLE IF NOT EXISTS extra (); END IF; END $$", "differences to the release's schema", "extra"),
    ],
)  # fmt: skip
def test_harm_that_is_no_ddl(
    statements: str, measured: str, said: str, old: Source, postgres: PostgresServer
) -> None:
    """The expected schema comes from an empty database, where these statements find nothing."""
    called = old.call(migrate=then(postgres, statements), large_rows=100)

    assert called.outcome is Outcome.FAIL, called.reason
    assert said in str([taken.actual for taken in called.measurements if measured in taken.name])


def test_a_command_that_takes_too_long(old: Source, postgres: PostgresServer) -> None:
    """What it left running on the server would keep its locks, and everybody waiting."""
    stalls = "BEGIN; ALTER TABLE loads ADD COLUMN x integer; SELECT pg_sleep(60) FROM loads LIMIT 1"
    called = old.call(migrate=then(postgres, stalls), migrate_s=3.0)

    assert called.outcome is Outcome.FAIL
    assert called["exit status of the migrations"].actual is None
    assert called["time of the migrations"].ok is False


def test_a_backup_that_cannot_be_restored(old: Source, tmp_path: Path) -> None:
    whole = next(Path(old.info["env"]["FLEETBOARD_BACKUPS"]).glob("*.dump")).read_bytes()
    (tmp_path / "fleet-cut.dump").write_bytes(whole[: len(whole) * 2 // 3])
    info = {**old.info, "env": {**old.info["env"], "FLEETBOARD_BACKUPS": str(tmp_path)}}
    called = Source(info, old.scratch).call()

    assert called.outcome is Outcome.FAIL
    assert list(called.bad) == ["errors while the backup was restored"]
