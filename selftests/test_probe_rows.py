"""Rows are counted and digested so that an equal copy is equal, and nothing else is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest

from gonogo.errors import TargetError, ToolError
from gonogo.probes import rows
from gonogo.probes.rows import RowFacts, count_rows, in_snapshot, list_tables
from postgres_server import PostgresServer

THINGS = """
create table things (id bigint generated always as identity primary key, name text, at timestamptz, weight float8,
                     payload bytea, price money, span interval, home regclass);
insert into things (name, at, weight, payload, price, span, home)
select 'näme ' || i, '2026-01-01 00:00+00'::timestamptz + i * interval '1 hour', i / 3.0, decode('00ff', 'hex'), i,
       i * interval '90 minutes', 'things'::regclass
from generate_series(1, 50) i;
"""


def run(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def copied(source: str, copy: str, table: str) -> None:
    """Every row by its text, in reverse order."""
    with (
        psycopg.connect(source) as one,
        one.cursor() as cursor,
        cursor.copy(f"copy {table} to stdout".encode()) as out,
    ):
        lines = b"".join(bytes(part) for part in out).splitlines(keepends=True)
    with (
        psycopg.connect(copy) as one,
        one.cursor() as cursor,
        cursor.copy(f"copy {table} from stdin".encode()) as into,
    ):
        into.write(b"".join(reversed(lines)))


@contextlib.contextmanager
def role(url: str, *grants: str) -> Iterator[str]:
    """The address for a new role with these rights; ``{}`` stands for its name."""
    name, split = f"reader_{urlsplit(url).path[6:14]}", urlsplit(url)
    run(url, f"create role {name} login password 'Reader-1'", *(grant.format(name) for grant in grants))
    try:
        yield url.replace(f"{split.username}:{split.password}@", f"{name}:Reader-1@")
    finally:
        run(url, f"drop owned by {name}", f"drop role {name}")


def test_every_table_has_its_count_and_digest(database_url: str) -> None:
    run(database_url, THINGS, "create table nothing (id int)")

    facts = count_rows(database_url)

    assert {name: (table.rows, table.sampled) for name, table in facts.tables.items()} == {
        "nothing": (0, 0),
        "things": (50, 50),
    }
    assert len(facts.tables["things"].digest) == 16
    assert facts.tables["nothing"].digest == "0" * 16
    assert facts.sequences == {"things_id_seq": 50}
    assert facts.used == {"things_id_seq": 50}
    listed = list_tables(database_url)
    assert listed.tables == ("nothing", "things")
    assert listed.database == urlsplit(database_url).path[1:]
    assert listed.server_version.startswith("17.")


def test_a_copy_in_another_order_is_equal_and_one_changed_value_is_not(
    postgres: PostgresServer, database_url: str
) -> None:
    run(database_url, THINGS, "alter table things drop column home")
    with postgres.database() as copy:
        run(copy, THINGS, "alter table things drop column home", "truncate things")
        copied(database_url, copy, "things")
        source = count_rows(database_url).tables
        assert count_rows(copy).tables == source

        run(copy, "update things set name = name || '.' where id = 7")
        assert count_rows(copy).tables["things"].rows == 50
        assert count_rows(copy).tables != source


def test_a_row_that_is_there_twice_is_not_a_row_that_is_missing(database_url: str) -> None:
    run(database_url, "create table pairs (a int)", "insert into pairs values (1), (1), (2)")
    before = count_rows(database_url).tables["pairs"]
    run(database_url, "truncate pairs", "insert into pairs values (2), (2), (1)")

    after = count_rows(database_url).tables["pairs"]
    assert (after.rows, before.rows) == (3, 3)
    assert after.digest != before.digest


@pytest.mark.parametrize(
    "setting",
    [
        "datestyle = 'German'",
        "timezone = 'Asia/Tokyo'",
        "extra_float_digits = -5",
        "bytea_output = 'escape'",
        "intervalstyle = 'iso_8601'",
        "search_path = 'pg_catalog'",
    ],
)
def test_settings_of_the_database_do_not_change_the_digest(database_url: str, setting: str) -> None:
    run(database_url, THINGS)
    before = count_rows(database_url).tables
    run(database_url, f"alter database {urlsplit(database_url).path[1:]} set {setting}")

    assert count_rows(database_url).tables == before


def test_of_a_large_table_the_same_sample_is_taken_in_the_copy(postgres: PostgresServer, database_url: str) -> None:
    make = (
        "create table big (id int primary key, t text); insert into big select i, 'row ' || i from generate_series"
    )
    run(database_url, f"{make}(1, 100001) i", "analyze big")
    with postgres.database() as copy:
        run(copy, f"{make}(100001, 1, -1) i")
        source = count_rows(database_url).tables["big"]
        assert count_rows(copy).tables["big"] == source
        assert source.rows == 100_001
        assert 4_000 < source.sampled < 12_000

        run(copy, "update big set t = 'other' where id % 100 = 0")
        assert count_rows(copy).tables["big"].digest != source.digest
    assert count_rows(database_url, full_rows=200_000).tables["big"].sampled == 100_001


def test_a_large_table_without_a_key_is_sampled_by_its_rows(database_url: str) -> None:
    run(database_url, "create table log as select 'line ' || i as line from generate_series(1, 30000) i")

    facts = count_rows(database_url, full_rows=20_000).tables["log"]

    assert facts.rows == 30_000
    assert 6_000 < facts.sampled < 9_000


def test_partitions_and_heirs_count_once(database_url: str) -> None:
    run(
        database_url,
        "create table events (at date, n int) partition by range (at)",
        "create table events_1 partition of events for values from ('2026-01-01') to ('2026-02-01')",
        "create table events_2 partition of events for values from ('2026-02-01') to ('2026-03-01')",
        "insert into events values ('2026-01-05', 1), ('2026-02-05', 2), ('2026-02-06', 3)",
        "create table parent (n int)",
        "create table child () inherits (parent)",
        "insert into parent values (1)",
        "insert into child values (2), (3)",
    )

    counted = {name: table.rows for name, table in count_rows(database_url).tables.items()}

    assert counted == {"events_1": 1, "events_2": 2, "parent": 1, "child": 2}


def test_names_that_need_quotes(database_url: str) -> None:
    run(
        database_url,
        'create schema "My %s Schema"',
        'create table "My %s Schema"."Odd {} ""Table" ("select" int primary key, gonogo_row int, "%s" text)',
        'insert into "My %s Schema"."Odd {} ""Table" values (1, 2, \'x\')',
    )

    facts = count_rows(database_url, "My %s Schema", full_rows=0)

    assert {name: table.rows for name, table in facts.tables.items()} == {'Odd {} "Table': 1}


def test_a_schema_that_is_not_there_has_no_tables(database_url: str) -> None:
    assert count_rows(database_url, "elsewhere") == RowFacts({}, {}, {})


def test_sequences_that_were_used_and_not_and_fall(database_url: str) -> None:
    run(
        database_url,
        "create table a (id serial primary key)",
        "insert into a values (12)",
        "create sequence down increment -1",
        "create table b (id int default nextval('down'))",
        "alter sequence down owned by b.id",
        "insert into b values (default), (default), (default)",
    )

    facts = count_rows(database_url)

    assert facts.sequences == {"a_id_seq": None, "down": -3}
    assert facts.used == {"a_id_seq": 12, "down": -3}
    assert facts.falling == ("down",)
    assert facts.is_behind("a_id_seq", 12)
    assert not facts.is_behind("a_id_seq", None)
    assert not facts.is_behind("down", -3)
    assert facts.is_behind("down", -4)
    assert facts.is_behind("gone", 1)


def test_a_table_that_may_not_be_read_is_named_with_the_grant(database_url: str) -> None:
    run(database_url, THINGS, "create table other (id int)")
    with role(database_url, "grant select on other to {}") as url, pytest.raises(ToolError) as failure:
        count_rows(url)

    sentence = str(failure.value)
    assert "may not read public.things;" in sentence
    assert "GRANT SELECT ON public.things TO reader_" in sentence
    assert "GRANT pg_read_all_data TO reader_" in sentence
    assert "Reader-1" not in sentence


def test_a_reader_of_all_data_suffices(database_url: str) -> None:
    run(database_url, THINGS)
    with role(database_url, "grant pg_read_all_data to {}") as url:
        assert count_rows(url) == count_rows(database_url)


def test_rows_that_a_policy_hides_are_an_error_not_a_smaller_count(database_url: str) -> None:
    run(
        database_url,
        THINGS,
        "alter table things enable row level security",
        "create policy own on things using (id < 10)",
    )
    with (
        role(database_url, "grant pg_read_all_data to {}") as url,
        pytest.raises((TargetError, ToolError), match="row-level security policy") as failure,
    ):
        count_rows(url)
    assert "things" in str(failure.value)


def test_bytes_that_are_no_utf_8_are_digested_too(postgres: PostgresServer) -> None:
    with postgres.database("template0") as admin:
        name = f"ascii_{urlsplit(admin).path[6:14]}"
        run(admin, f"create database {name} template template0 encoding 'SQL_ASCII' locale 'C'")
        try:
            run(postgres.url(name), "create table t (x text)", "insert into t select chr(255)")
            assert count_rows(postgres.url(name)).tables["t"].rows == 1
        finally:
            run(admin, f"drop database {name} with (force)")


def test_a_snapshot_does_not_see_what_comes_later(database_url: str) -> None:
    run(database_url, THINGS)

    def work(snapshot: rows.Snapshot) -> tuple[rows.Snapshot, RowFacts, int]:
        run(database_url, "delete from things where id > 10")
        with psycopg.connect(database_url, autocommit=True) as other, other.transaction():
            other.execute("set transaction isolation level repeatable read")
            other.execute(f"set transaction snapshot '{snapshot.id}'".encode())
            seen = other.execute("select count(*) from things").fetchone()
        assert seen is not None
        return snapshot, snapshot.count_rows(), int(seen[0])

    snapshot, facts, imported = in_snapshot(database_url, 20.0, work)

    assert (facts.tables["things"].rows, imported) == (50, 50)
    assert count_rows(database_url).tables["things"].rows == 10
    assert snapshot.encrypted
    assert snapshot.has_tls
    assert snapshot.server_version.startswith("17.")


def test_a_snapshot_outlives_the_limit_for_idle_transactions(database_url: str) -> None:
    name = urlsplit(database_url).path[1:]
    run(database_url, THINGS, f"alter database {name} set idle_in_transaction_session_timeout = '200ms'")

    def work(snapshot: rows.Snapshot) -> RowFacts:
        run(database_url, "select pg_sleep(0.6)")
        return snapshot.count_rows()

    assert in_snapshot(database_url, 20.0, work).tables["things"].rows == 50


def test_too_slow_is_said_within_the_limit(database_url: str) -> None:
    run(database_url, THINGS)
    with psycopg.connect(database_url) as other:
        other.execute("lock table things in access exclusive mode")
        with pytest.raises(TargetError, match=r"statement timeout|did not answer within 1 s"):
            count_rows(database_url, timeout_s=1.0)


def test_a_sequence_that_feeds_a_text_has_no_furthest_value(database_url: str) -> None:
    run(
        database_url,
        "create table codes (code text primary key)",
        "create sequence code_numbers owned by codes.code",
        "insert into codes select 'C-' || nextval('code_numbers') from generate_series(1, 3)",
    )

    facts = count_rows(database_url)

    assert (facts.sequences, facts.used) == ({"code_numbers": 3}, {})


def test_tables_of_other_schemas_are_listed_apart(database_url: str) -> None:
    run(database_url, "create table here (id int)", "create schema there", "create table there.too (id int)")

    found = list_tables(database_url)

    assert (found.tables, found.elsewhere, found.large_objects) == (("here",), ("there.too",), False)
