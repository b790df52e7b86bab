"""The embedded target's migrations: up, down, by command, and the faults of schema and migrations."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from fleetboard import backups, breakage, migrate, migrating, postgres, releases
from fleetboard.errors import MigrationError, OperationError, UnknownReleaseError
from fleetboard.releases import NEW, OLD
from postgres_server import PostgresServer

ALL = [
    "0000_history",
    "0001_fleet",
    "0002_work",
    "0003_audit",
    "0004_instances",
    "0005_priority",
    "0006_search",
]


def schema(server: PostgresServer, url: str) -> str:
    """What pg_dump says of the schema; its random guard keys left out."""
    command = [str(server.bin / "pg_dump"), "--schema-only"]
    done = subprocess.run(command, env=backups.environment(url), capture_output=True, text=True, check=True)
    return "\n".join(line for line in done.stdout.splitlines() if "restrict" not in line)


def made(server: PostgresServer, last: str) -> Iterator[str]:
    """The name of a database with the schema up to a migration, to be copied."""
    with psycopg.connect(server.admin_url, autocommit=True) as admin:
        for role in postgres.ROLES:
            if not admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone():
                admin.execute(f"CREATE ROLE {role}".encode())
    with server.database() as url:
        with psycopg.connect(url, autocommit=True) as connection:
            migrate.migrate(connection, last)
        yield url.partition("?")[0].rpartition("/")[2]


@pytest.fixture(scope="module")
def old(postgres: PostgresServer) -> Iterator[str]:
    yield from made(postgres, OLD.last_migration)


@pytest.fixture(scope="module")
def new(postgres: PostgresServer) -> Iterator[str]:
    yield from made(postgres, NEW.last_migration)


@pytest.fixture
def old_url(postgres: PostgresServer, old: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with postgres.database(old) as url:
        monkeypatch.setenv("DATABASE_URL", url)
        yield url


@pytest.fixture
def new_url(postgres: PostgresServer, new: str) -> Iterator[str]:
    with postgres.database(new) as url:
        yield url


def one(url: str, query: str) -> object:
    """The first value of a query."""
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


def test_each_migration_has_a_way_back_and_a_release() -> None:
    assert migrate.names() == ALL
    assert all((migrate.FOLDER / f"{name}.down.sql").is_file() for name in ALL)
    assert [release.last_migration for release in releases.RELEASES.values()] == ["0004_instances", "0006_search"]


def test_up_again_changes_nothing_and_down_and_up_make_the_same_schema(
    postgres: PostgresServer, old_url: str
) -> None:
    said: list[str] = []
    with psycopg.connect(old_url, autocommit=True) as connection:
        before = schema(postgres, old_url)
        assert migrate.migrate(connection, say=said.append) == ALL[5:]
        after = schema(postgres, old_url)
        assert migrate.migrate(connection) == []
        assert migrate.down(connection, 2, say=said.append) == ALL[:4:-1]
        assert schema(postgres, old_url) == before
        migrate.migrate(connection)
    assert schema(postgres, old_url) == after
    assert [line.rsplit(" ", 2)[0] for line in said] == [
        "applied 0005_priority in",
        "applied 0006_search in",
        "took back 0006_search in",
        "took back 0005_priority in",
    ]


def test_all_the_way_down_leaves_nothing(postgres: PostgresServer, new_url: str, database_url: str) -> None:
    with psycopg.connect(new_url, autocommit=True) as connection:
        assert migrate.down(connection, len(ALL)) == ALL[::-1]
        assert migrate.applied(connection) == []
    # What is left is the owner's own line of default rights, which mean nothing.
    left = [
        line for line in schema(postgres, new_url).splitlines() if line.startswith(("CREATE", "ALTER", "GRANT"))
    ]
    assert left == []


def test_more_steps_down_than_there_are_is_refused(new_url: str) -> None:
    with psycopg.connect(new_url, autocommit=True) as connection:
        with pytest.raises(MigrationError, match=r"8 migrations can't be taken back: .* this database has 7"):
            migrate.down(connection, 8)
        with pytest.raises(MigrationError, match=r"-1 migrations"):
            migrate.down(connection, -1)
        assert migrate.applied(connection) == ALL


def test_readers_see_what_later_migrations_create(new_url: str) -> None:
    with psycopg.connect(new_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE later (id bigint GENERATED ALWAYS AS IDENTITY)")
        rights = connection.execute(
            "SELECT has_table_privilege('fleet_readonly', 'later', 'SELECT'),"
            " has_sequence_privilege('fleet_readonly', 'later_id_seq', 'SELECT'),"
            " has_sequence_privilege('fleet_readonly', 'audit_log_id_seq', 'SELECT'),"
            " has_table_privilege('fleet_app', 'schema_migrations', 'INSERT')"
        ).fetchone()
    assert rights == (True, True, True, False)


def run_command(url: str | None, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``python -m fleetboard migrate`` with nothing but a database."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FLEETBOARD")}
    environment.pop("DATABASE_URL", None)
    if url is not None:
        environment["DATABASE_URL"] = url
    command = [sys.executable, "-m", "fleetboard", "migrate", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_needs_nothing_but_a_database(database_url: str, old: str) -> None:
    up = run_command(database_url)
    assert (up.returncode, up.stderr) == (0, "")
    assert [line.split()[:2] for line in up.stdout.splitlines()] == [["applied", name] for name in ALL]
    back = run_command(database_url, "--down", "2")
    assert back.stdout.startswith("took back 0006_search in ")
    assert run_command(database_url, "--to", "0.9.0").stdout == "nothing to apply\n"


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        (None, "DATABASE_URL is not set"),
        ("postgresql://me:s3cret@127.0.0.1:1/x", "the database of DATABASE_URL can't be reached: connection"),
    ],
)
def test_without_a_database_the_command_says_one_sentence(url: str | None, sentence: str) -> None:
    done = run_command(url)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(sentence)
    assert len(done.stderr.splitlines()) == 1
    assert "s3cret" not in done.stderr


def test_a_migration_that_fails_half_way_keeps_what_came_before(old_url: str) -> None:
    with pytest.raises(MigrationError, match=r"migration 0006_search failed and was taken back: .*gin_trigram_ops"):
        migrating.run(NEW, ["migration-fails-half-way"], steps_down=None)
    with psycopg.connect(old_url) as connection:
        assert migrate.applied(connection) == ALL[:6]
    assert one(old_url, "SELECT count(*) FROM pg_extension WHERE extname = 'pg_trgm'") == 0


def test_a_migration_that_is_not_repeatable_fails_the_second_time(old_url: str) -> None:
    migrating.run(NEW, ["migration-not-repeatable"], steps_down=None)
    with pytest.raises(MigrationError, match=r"migration 0006_search failed"):
        migrating.run(NEW, ["migration-not-repeatable"], steps_down=None)


def test_psql_without_stop_exits_0_over_many_errors_and_leaves_nothing(
    old_url: str, postgres: PostgresServer
) -> None:
    before = schema(postgres, old_url)
    done = run_command(old_url, "--fault", "psql-without-stop")
    assert done.returncode == 0
    assert done.stderr.count("ERROR:") > 20
    assert schema(postgres, old_url) == before


def test_a_rewrite_leaves_the_schema_as_it_should_be(old_url: str, postgres: PostgresServer, new_url: str) -> None:
    file = one(old_url, "SELECT pg_relation_filenode('loads')")
    migrating.run(NEW, ["migration-rewrites-table"], steps_down=None)
    assert one(old_url, "SELECT pg_relation_filenode('loads')") != file
    assert schema(postgres, old_url) == schema(postgres, new_url)


def test_an_incomplete_way_back_leaves_its_column(
    old_url: str, capsys: pytest.CaptureFixture[str], postgres: PostgresServer
) -> None:
    before = schema(postgres, old_url)
    migrating.run(NEW, [], steps_down=None)
    migrating.run(NEW, ["down-incomplete"], steps_down=2)
    assert schema(postgres, old_url) != before
    assert (
        one(old_url, "SELECT 1 FROM pg_attribute WHERE attrelid = 'loads'::regclass AND attname = 'priority'") == 1
    )


@pytest.mark.parametrize(
    "fault",
    ["migration-fails-half-way", "migration-not-repeatable", "psql-without-stop", "migration-rewrites-table"],
)
def test_faults_of_migrations_leave_a_schema_made_from_nothing_alone(
    fault: str, database_url: str, new_url: str, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    migrating.run(NEW, [fault], steps_down=None)
    assert schema(postgres, database_url) == schema(postgres, new_url)
    with psycopg.connect(database_url) as connection:
        assert migrate.applied(connection) == ALL


@pytest.mark.parametrize("fault", breakage.SCHEMA_FAULTS)
def test_each_schema_fault_changes_the_schema_and_may_be_repeated(
    fault: str, new_url: str, postgres: PostgresServer
) -> None:
    before = schema(postgres, new_url)
    breakage.break_schema(new_url, [fault])
    broken = schema(postgres, new_url)
    assert broken != before
    breakage.break_schema(new_url, [fault])
    assert schema(postgres, new_url) == broken


def test_all_schema_faults_together_fit_either_release(old_url: str, new_url: str) -> None:
    for url in (old_url, new_url):
        breakage.break_schema(url, ["health-500", *breakage.SCHEMA_FAULTS])


def test_an_invalid_index_differs_in_nothing_but_that(new_url: str) -> None:
    query = "SELECT pg_get_indexdef('vehicles_status_idx'::regclass)"
    definition = one(new_url, query)
    breakage.break_schema(new_url, ["invalid-index"])
    assert one(new_url, query) == definition
    assert (
        one(new_url, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'vehicles_status_idx'::regclass") is False
    )


def test_a_trigger_without_effect_is_there_and_enabled(new_url: str) -> None:
    insert = (
        "INSERT INTO drivers (id, name, phone, licence_class, hired_on, updated_at)"
        " VALUES ('D-001', 'A', '1', 'B', '2026-01-01', '2026-01-01')"
    )
    breakage.break_schema(new_url, ["trigger-without-effect"])
    with psycopg.connect(new_url, autocommit=True) as connection:
        connection.execute(insert)
        connection.execute("UPDATE drivers SET name = 'B'")
        assert connection.execute("SELECT updated_at::date::text FROM drivers").fetchone() == ("2026-01-01",)
        enabled = connection.execute("SELECT tgenabled FROM pg_trigger WHERE tgname = 'drivers_touch'").fetchone()
    assert enabled in {(b"O",), ("O",)}


def test_an_unknown_release_names_the_known_ones() -> None:
    with pytest.raises(UnknownReleaseError, match=r"there is no release '2.0.0'; allowed are: 0.9.0, 1.0.0"):
        releases.find("2.0.0")


def test_a_database_address_with_more_than_an_address_is_refused() -> None:
    with pytest.raises(OperationError, match=r"may not have options"):
        backups.environment("postgresql://a@b/c?options=-cx")


def test_dumps_are_listed_newest_first_and_other_files_are_not(tmp_path: Path) -> None:
    for name in ("20260101T000000Z-0.9.0", "20260102T000000Z-1.0.0"):
        (tmp_path / f"fleet-{name}.dump").write_bytes(b"12345")
    (tmp_path / "fleet-20260103T000000Z-1.0.0.partial").touch()
    (tmp_path / "other.dump").touch()
    found = backups.listing(tmp_path)
    assert [(backup.release, backup.size, backup.at.day) for backup in found] == [("1.0.0", 5, 2), ("0.9.0", 5, 1)]
