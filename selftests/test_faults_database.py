"""Every fault of the schema and of the server's room, told by the gates that should tell it, and by no other."""

from __future__ import annotations

import contextlib
import re
import sys
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

import servers
from fleetboard import breakage, migrate
from fleetboard.faults import FAULTS
from gate_calls import Called, call, scratch_for, target_at
from gate_runs import ROOT
from gonogo.model import Outcome
from gonogo.scratch import Scratch
from gonogo.target import Target
from postgres_server import PostgresServer

sys.path.append(str(ROOT))  # where the gates' own folder is a package

from tests.infra import test_database as gates

# A role of its own, that may look at nothing but catalogs and statistics.
LOOKER, PASSWORD = "test_looker", "look-Only.1"
OWNERS = ("fleet_owner", "fleet_app", "fleet_readonly")
SCHEMA_GATES = {
    "database.schema": gates.test_schema,
    "database.tables": gates.test_tables,
    "database.indexes": gates.test_indexes,
    "database.triggers": gates.test_triggers,
}
SAYS = {
    "missing-table": "table geofences: missing",
    "missing-column": "column maintenance_records.created_at: missing",
    "wrong-type": "column loads.weight_kg: type bigint, expected integer",
    "dropped-default": "column drivers.status: default none, expected 'available'::text",
    "missing-index": "index loads_status_idx on loads: missing",
    "invalid-index": "index vehicles_status_idx on vehicles: invalid: queries can't use it; REINDEX INDEX CONCURRENTLY",
    "wrong-index-columns": "index loads_due_at_idx on loads: on (updated_at), expected (due_at)",
    "missing-unique": "constraint geofences.geofences_name_key: missing",
    "unvalidated-constraint": "constraint loads.loads_weight_kg_check: not validated: older rows may break it",
    "missing-trigger": "trigger loads.loads_touch: missing",
    "disabled-trigger": "trigger vehicles.vehicles_audit: disabled: it never fires, expected: fires",
    "trigger-other-function": "trigger maintenance_records.maintenance_records_touch: calls "
    "pg_catalog.suppress_redundant_updates_trigger(), expected touch_updated_at()",
    "trigger-without-effect": "function touch_updated_at(): differs in line 6: RETURN NEW;, "
    "expected NEW.updated_at := now();",
    "missing-extension": "extension pg_trgm: missing",
    "other-search-path": "table geofences is missing in public; there is one in fleet_owner: "
    "was the search_path another one?",
}


@pytest.fixture(scope="module")
def golden(postgres: PostgresServer) -> Iterator[str]:
    """Name of a database with the release's schema, to be copied."""
    with psycopg.connect(postgres.admin_url, autocommit=True) as admin:
        there = {row[0] for row in admin.execute("SELECT rolname FROM pg_roles")}
        for role in {*OWNERS, LOOKER} - there:
            admin.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
        admin.execute(
            sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(LOOKER), sql.Literal(PASSWORD))
        )
        admin.execute(sql.SQL("GRANT pg_monitor TO {}").format(sql.Identifier(LOOKER)))
    with postgres.database() as url:
        with psycopg.connect(url, autocommit=True) as connection:
            migrate.migrate(connection)
        yield url.partition("?")[0].rpartition("/")[2]


@pytest.fixture(scope="module")
def scratch(postgres: PostgresServer, golden: str) -> Scratch:
    return scratch_for(at(postgres.url(golden)), postgres)


def looking(url: str) -> str:
    """The address for the role that may only look."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{LOOKER}:{PASSWORD}@{rest.rpartition('@')[2]}"


def at(url: str, **database: Any) -> Target:
    """The rehearsal's target, with this database."""
    return target_at({"base_url": "https://app.fleet.test", "database_url": looking(url)}, database=database)


@contextlib.contextmanager
def broken(postgres: PostgresServer, golden: str, *faults: str) -> Iterator[str]:
    with postgres.database(golden) as url:
        breakage.break_schema(url, faults)
        yield url


def reasons(called: Called) -> str:
    return f"{called.outcome}: {called.reason} {called.bad}"


@pytest.fixture(autouse=True)
def all_named() -> None:
    assert set(SAYS) == set(breakage.SCHEMA_FAULTS)


@pytest.mark.parametrize("fault", SAYS)
def test_a_fault_of_the_schema_is_told_by_its_gates_and_no_other(
    fault: str, postgres: PostgresServer, golden: str, scratch: Scratch
) -> None:
    with broken(postgres, golden, fault) as url:
        called = {gate: call(run, at(url), scratch=scratch) for gate, run in SCHEMA_GATES.items()}

    red = {gate for gate, one in called.items() if one.outcome is Outcome.FAIL}
    assert red == set(FAULTS[fault].gates), {gate: reasons(one) for gate, one in called.items()}
    assert {one.outcome for gate, one in called.items() if gate not in red} <= {Outcome.PASS}
    told = called["database.schema"]
    assert SAYS[fault] in [line for lines in told.bad.values() for line in lines], told.bad
    assert SAYS[fault] in told.evidence["difference.txt"].decode()
    assert b"SET search_path" in told.evidence["close.sql"]


def test_the_release_itself_is_green_for_a_role_without_any_right_on_its_tables(
    postgres: PostgresServer, golden: str, scratch: Scratch
) -> None:
    with broken(postgres, golden) as url:
        with psycopg.connect(looking(url)) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT * FROM vehicles")
        called = {gate: call(run, at(url), scratch=scratch) for gate, run in SCHEMA_GATES.items()}

    assert {gate: reasons(one) for gate, one in called.items() if one.outcome is not Outcome.PASS} == {}
    assert called["database.schema"].evidence["difference.txt"] == b"no difference\n"
    assert {m.name: m.n for m in called["database.triggers"].measurements}["differences in triggers"] >= 6
    assert all(PASSWORD.encode() not in data for one in called.values() for data in one.evidence.values())


def test_an_ignored_object_may_differ(postgres: PostgresServer, golden: str, scratch: Scratch) -> None:
    with broken(postgres, golden, "missing-index") as url:
        called = call(gates.test_indexes, at(url, ignore=["index:loads_status_*"]), scratch=scratch)

    assert called.outcome is Outcome.PASS


@pytest.mark.parametrize("gate", SCHEMA_GATES)
def test_an_empty_database_is_never_green(
    gate: str, postgres: PostgresServer, golden: str, scratch: Scratch
) -> None:
    with postgres.database() as url:
        against_release = call(SCHEMA_GATES[gate], at(url), scratch=scratch)
        nothing = at(url, migrate=["true"])
        against_nothing = call(SCHEMA_GATES[gate], nothing, scratch=scratch)

    assert against_release.outcome is Outcome.FAIL
    assert against_nothing.outcome is Outcome.ERROR, reasons(against_nothing)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (
            ["sh", "-c", "echo 'psql:0001.sql:3: ERROR:  relation exists'; echo CREATE TABLE"],
            (Outcome.FAIL, "status 0 after a statement .* said: psql:0001.sql:3: ERROR:  relation exists$"),
        ),
        (["sh", "-c", "echo broken; exit 3"], (Outcome.FAIL, "ended with status 3 .*broken")),
        (["no-such-program"], (Outcome.ERROR, "no-such-program")),
        (["sleep", "30"], (Outcome.FAIL, "did not end within 0.2 s")),
        (
            ["true"],
            (
                Outcome.ERROR,
                r"true \(launch.toml: database.migrate\) .*made nothing in schema public .*\$DATABASE_URL",
            ),
        ),
    ],
)
def test_migrations_that_fail_on_an_empty_database_are_told(
    command: list[str], told: tuple[Outcome, str], postgres: PostgresServer, golden: str, scratch: Scratch
) -> None:
    outcome, words = told
    called = call(gates.test_schema, at(postgres.url(golden), migrate=command, migrate_s=0.2), scratch=scratch)

    assert called.outcome is outcome
    assert re.search(words, called.reason), called.reason


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("ALTER DATABASE {} SET session_replication_role = replica", "database {}, every role: "),
        ("ALTER ROLE test_looker IN DATABASE {} SET session_replication_role = 'replica'", "role test_looker: "),
    ],
)
def test_a_setting_that_silences_triggers_is_told(
    statement: str, words: str, postgres: PostgresServer, golden: str, scratch: Scratch
) -> None:
    with broken(postgres, golden) as url:
        name = url.partition("?")[0].rpartition("/")[2]
        with psycopg.connect(postgres.admin_url, autocommit=True) as admin:
            admin.execute(statement.format(name).encode())
        called = call(gates.test_triggers, at(url), scratch=scratch)

    assert called.outcome is Outcome.FAIL
    assert words.format(name) in str(called.bad)


def test_capacity_of_a_quiet_server_is_green(postgres: PostgresServer, golden: str) -> None:
    with broken(postgres, golden) as url:
        called = call(gates.test_capacity, at(url, disk_gb=10.0))

    assert called.outcome is Outcome.PASS, reasons(called)
    assert called["connections in use"].n == 5
    assert 0 < called["disk in use"].actual < 80
    assert 0 < called["transaction numbers"].actual < 1
    assert 100 * 20 / 47 < called["full pools of fleet_app"].actual < 80  # and those of others


@pytest.mark.parametrize("gate", SCHEMA_GATES)
def test_what_ignores_everything_is_never_green(
    gate: str, postgres: PostgresServer, golden: str, scratch: Scratch
) -> None:
    with broken(postgres, golden, "missing-index") as url:
        called = call(SCHEMA_GATES[gate], at(url, ignore=["*"]), scratch=scratch)

    assert called.outcome is Outcome.INCONCLUSIVE, reasons(called)


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("ALTER TABLE loads ENABLE ROW LEVEL SECURITY", "table loads: row security on, expected off"),
        ("CREATE POLICY none ON loads USING (false)", "policy loads.none: not expected"),
        ("CREATE RULE lose AS ON INSERT TO loads DO INSTEAD NOTHING", "rule loads.lose: not expected"),
        ("ALTER TABLE loads REPLICA IDENTITY NOTHING", "table loads: replica identity NOTHING, expected none"),
    ],
)
def test_what_hides_or_swallows_rows_is_told(
    statement: str, told: str, postgres: PostgresServer, golden: str, scratch: Scratch
) -> None:
    with postgres.database(golden) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(statement.encode())
        called = {
            gate: call(SCHEMA_GATES[gate], at(url), scratch=scratch)
            for gate in ("database.schema", "database.tables")
        }

    assert {gate: list(one.bad.values()) for gate, one in called.items()} == {gate: [[told]] for gate in called}


def test_a_pool_whose_role_does_not_exist_is_an_error(postgres: PostgresServer, golden: str) -> None:
    called = call(gates.test_capacity, at(postgres.url(golden), pool_role="fleet_ap"))

    assert called.outcome is Outcome.ERROR, reasons(called)
    assert "no role fleet_ap" in called.reason
    assert "database.pool_role" in called.reason


def test_a_pool_that_its_role_or_database_would_stop_is_told(postgres: PostgresServer, golden: str) -> None:
    with broken(postgres, golden) as url, psycopg.connect(postgres.admin_url, autocommit=True) as admin:
        name = url.partition("?")[0].rpartition("/")[2]
        admin.execute("ALTER ROLE fleet_app CONNECTION LIMIT 29")
        admin.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 30".encode())
        try:
            called = call(gates.test_capacity, at(url))
        finally:
            admin.execute("ALTER ROLE fleet_app CONNECTION LIMIT -1")

    assert called.bad == {"connection limit of role fleet_app": 29}, reasons(called)
    assert called[f"connection limit of database {name}"].ok is True


def test_pools_that_leave_no_room_beside_others_are_told(postgres: PostgresServer, golden: str) -> None:
    with broken(postgres, golden) as url, contextlib.ExitStack() as held:
        for _ in range(10):
            held.enter_context(psycopg.connect(looking(url), autocommit=True))
        called = call(gates.test_capacity, at(url, pool_size=30))

    assert list(called.bad) == ["connections with full pools of fleet_app"], reasons(called)
    assert called["connections in use"].actual < 40


def test_connections_that_run_out_are_told(postgres: PostgresServer, golden: str) -> None:
    with broken(postgres, golden) as url:
        held = breakage.hold_sessions(url, ["connections-exhausted"])
        try:
            called = call(gates.test_capacity, at(url, pool_role="postgres", pool_size=20))
        finally:
            breakage.release_sessions(held)

    assert called.outcome is Outcome.FAIL
    assert called["connections in use"].actual > 80
    assert called["connections of postgres"].actual >= 37


def test_no_connection_left_for_the_gate_is_told(postgres: PostgresServer, golden: str) -> None:
    with broken(postgres, golden) as url, contextlib.ExitStack() as held:
        with contextlib.suppress(psycopg.OperationalError):
            while True:
                held.enter_context(psycopg.connect(looking(url), autocommit=True))
        called = call(gates.test_capacity, at(url))

    assert called.outcome is Outcome.FAIL
    assert "connection slots" in called.reason
    assert "max_connections" in called.reason
    assert PASSWORD not in called.reason


def test_a_session_that_is_idle_in_its_transaction_is_told(postgres: PostgresServer, golden: str) -> None:
    with broken(postgres, golden) as url:
        held = breakage.hold_sessions(url, ["idle-in-transaction"])
        time.sleep(0.3)
        try:
            called = call(gates.test_capacity, at(url, max_idle_in_transaction_s=0.2, max_transaction_s=0.2))
        finally:
            breakage.release_sessions(held)

    assert called.outcome is Outcome.FAIL
    assert called["longest idle in a transaction (pid "].ok is False
    assert "application forgotten job" in called["longest transaction (pid "].name


def test_a_role_that_can_not_see_others_is_an_error_that_says_what_to_grant(
    postgres: PostgresServer, golden: str
) -> None:
    with broken(postgres, golden) as url, psycopg.connect(postgres.admin_url, autocommit=True) as admin:
        admin.execute("REVOKE pg_monitor FROM test_looker")
        try:
            quiet = call(gates.test_capacity, at(url))
            busy = call(gates.test_capacity, at(url, max_connections_percent=0.1))
        finally:
            admin.execute("GRANT pg_monitor TO test_looker")

    assert (quiet.outcome, busy.outcome) == (Outcome.ERROR, Outcome.FAIL)
    assert "GRANT pg_monitor TO test_looker" in quiet.reason


@pytest.mark.parametrize("gate", [*SCHEMA_GATES.values(), gates.test_capacity])
def test_a_database_that_does_not_answer_is_red(gate: Any, scratch: Scratch) -> None:
    unreachable = target_at(
        {
            "base_url": "https://app.fleet.test",
            "database_url": f"postgresql://me:s3cret@127.0.0.1:{servers.free_port()}/fleet",
        }
    )
    called = call(gate, unreachable, scratch=scratch)

    assert called.outcome is Outcome.FAIL
    assert "Connection refused" in called.reason
    assert "s3cret" not in called.reason
