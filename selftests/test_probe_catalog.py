"""The catalog probe reads a whole schema in a fixed number of round trips, with no right on any table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

import servers
from delayed import delayed
from gonogo.errors import TargetError
from gonogo.probes.catalog import read_catalog
from gonogo.schema import KINDS, Catalog
from postgres_server import PostgresServer

RICH = (Path(__file__).parent / "rich_schema.sql").read_text(encoding="utf-8")
MOST_ROUND_TRIPS = 10


@pytest.fixture(scope="module")
def rich_url(postgres: PostgresServer) -> Iterator[str]:
    with postgres.database() as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(RICH.encode())
            connection.execute("CREATE EXTENSION pg_trgm")
        yield url


@pytest.fixture(scope="module")
def rich(rich_url: str) -> Catalog:
    return read_catalog(rich_url)


def test_everything_of_the_schema_is_there(rich: Catalog) -> None:
    assert {one.kind for one in rich.objects} == set(KINDS)
    assert rich.encrypted
    assert rich.major == 17
    assert rich.silenced == ()
    names = {f"{one.kind}:{one.name}" for one in rich.objects}
    assert {
        "extension:pg_trgm",
        "type:mood",
        "sequence:Order_counter_seq",
        "table:Order",
        "view:kept_labels",
        "column:Order.select",
        "constraint:child.child_owner_fkey",
        "index:order_label",
        "function:look()",
        "function:other.look()",
        "function:add_up(integer)",
        "trigger:child.second",
    } <= names


def test_what_an_extension_or_a_constraint_brings_is_not_told_twice(rich: Catalog) -> None:
    names = [one.name for one in rich.objects]

    assert not [name for name in names if "trgm" in name and name != "pg_trgm"]
    assert not [one for one in rich.objects if one.kind == "index" and one.name in ("child_pkey", "Order_pkey")]
    assert "Order_number_seq" not in names  # part of its identity column
    assert len({(one.kind, one.name) for one in rich.objects}) == len(names)


def test_the_facts_of_one_of_each_kind(rich: Catalog) -> None:
    facts = {f"{one.kind}:{one.name}": dict(one.facts) for one in rich.objects}

    assert facts["column:Order.select"] == {
        "type": "text",
        "nullable": False,
        "default": "public.next_id()",
        "identity": None,
        "generated": None,
        "collation": None,
    }
    assert facts["column:Order.label"]["collation"] == '"C"'
    assert facts["column:Order.size"]["generated"] == "length(label) stored"
    assert facts["index:order_label"]["on"].startswith("(lower(label)) INCLUDE (feeling) WHERE")  # type: ignore[union-attr]
    assert facts["index:order_label"]["unique"] is True
    assert facts["constraint:child.positive"] == {
        "type": "check",
        "definition": "CHECK ((id > 0))",
        "validated": False,
        "enforced": True,
        "index valid": True,
    }
    assert facts["trigger:Order.first"] == {
        "fires": "BEFORE UPDATE OF feeling ON public.\"Order\" FOR EACH ROW WHEN ((new.label <> ''::text))",
        "calls": "look()",
        "arguments": "'a', 'b'",
        "mode": "O",
    }
    assert facts["trigger:child.second"]["mode"] == "A"
    assert facts["sequence:lone"]["cycle"] is True
    assert facts["table:part"]["partition by"] == "RANGE (at)"
    assert facts["table:part_1"]["partition of"] == "public.part FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')"


def test_tables_of_other_schemas_are_told_by_name(rich_url: str) -> None:
    facts = read_catalog(rich_url, "other")

    assert [one.name for one in facts.objects if one.kind == "function"] == ["look()"]
    assert facts.elsewhere["child"] == ("public",)


def test_a_schema_that_does_not_exist_is_empty(rich_url: str) -> None:
    objects = read_catalog(rich_url, "nowhere").objects

    assert {one.kind for one in objects} <= {"extension"}


def test_what_the_role_or_the_database_prefers_does_not_change_what_is_read(rich_url: str, rich: Catalog) -> None:
    name = urlsplit(rich_url).path.strip("/")
    settings = {"search_path": "other, public", "DateStyle": "'German'", "quote_all_identifiers": "on"}
    with psycopg.connect(rich_url, autocommit=True) as connection:
        for key, value in settings.items():
            connection.execute(f"ALTER DATABASE {name} SET {key} = {value}".encode())
        try:
            other = read_catalog(rich_url)
        finally:
            connection.execute(f"ALTER DATABASE {name} RESET ALL".encode())

    assert other.objects == rich.objects


def test_a_role_without_any_right_reads_the_same(rich_url: str, rich: Catalog) -> None:
    with psycopg.connect(rich_url, autocommit=True) as connection:
        connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        connection.execute("CREATE ROLE test_reader LOGIN PASSWORD 'read-Only.1'")
    scheme, _, rest = rich_url.partition("://")
    try:
        other = read_catalog(f"{scheme}://test_reader:read-Only.1@{rest.rpartition('@')[2]}")
    finally:
        with psycopg.connect(rich_url, autocommit=True) as connection:
            connection.execute("DROP ROLE test_reader")

    assert other.objects == rich.objects


@pytest.mark.parametrize("setting", ["DATABASE {name}", "ROLE postgres IN DATABASE {name}"])
def test_a_setting_that_silences_triggers_is_seen(setting: str, database_url: str) -> None:
    owner = setting.format(name=urlsplit(database_url).path.strip("/"))
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"ALTER {owner} SET session_replication_role = 'local'".encode())
        assert read_catalog(database_url).silenced == ()  # triggers fire all the same
        connection.execute(f"ALTER {owner} SET session_replication_role = replica".encode())

    (told,) = read_catalog(database_url).silenced
    assert told.endswith(": session_replication_role=replica")


def test_round_trips_do_not_grow_with_the_schema(postgres: PostgresServer) -> None:
    counted = []
    for tables in (0, 300):
        with postgres.database() as url, psycopg.connect(url, autocommit=True) as connection:
            for number in range(tables):
                connection.execute(f"CREATE TABLE t{number} (a int PRIMARY KEY, b text)".encode())
            address = urlsplit(url)
            with delayed("127.0.0.1", address.port or 0, 0.05) as line:
                through = url.replace(f":{address.port}/", f":{line.port}/")
                facts = read_catalog(through)
            counted.append(line.round_trips)
            assert sum(one.kind == "table" for one in facts.objects) == tables

    assert max(counted) <= MOST_ROUND_TRIPS, counted
    assert max(counted) - min(counted) <= 1, counted  # a goodbye need not be answered


def test_a_server_that_is_none_is_the_targets_fault() -> None:
    with servers.serve(servers.garbage) as server, pytest.raises(TargetError, match="database fleet on 127"):
        read_catalog(f"postgresql://me:secret@127.0.0.1:{server.port}/fleet", timeout_s=2.0)
