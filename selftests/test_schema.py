"""Two schemas compared: what differs is told in one line each, and its SQL closes it."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetboard import breakage, migrate
from gonogo.probes.catalog import read_catalog
from gonogo.schema import (
    Catalog,
    Difference,
    SchemaObject,
    closing_sql,
    closing_statements,
    compare,
    compared,
    fingerprint,
)
from postgres_server import PostgresServer, running_server

RICH = (Path(__file__).parent / "rich_schema.sql").read_text(encoding="utf-8")
OWNERS = ("fleet_owner", "fleet_app", "fleet_readonly")


def name_of(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


def execute(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def closed(expected: Catalog, url: str) -> tuple[list[str], list[str]]:
    """What differed, and what still differs after the statements that close it."""
    before = compare(expected, read_catalog(url))
    execute(url, *closing_statements(before, "public"))
    after = compare(expected, read_catalog(url))
    return [one.detail for one in before], [one.detail for one in after]


@pytest.fixture(scope="module")
def fleet(postgres: PostgresServer) -> Iterator[tuple[str, Catalog]]:
    """The release's database, to be copied, and its catalog."""
    with psycopg.connect(postgres.admin_url, autocommit=True) as admin:
        there = {row[0] for row in admin.execute("SELECT rolname FROM pg_roles")}
        for role in set(OWNERS) - there:
            admin.execute(f"CREATE ROLE {role} NOLOGIN".encode())
    with postgres.database() as url:
        with psycopg.connect(url, autocommit=True) as connection:
            migrate.migrate(connection)
        yield name_of(url), read_catalog(url)


@pytest.fixture(scope="module")
def rich(postgres: PostgresServer) -> Iterator[tuple[str, Catalog]]:
    """A database with one of everything."""
    with postgres.database() as url:
        execute(url, RICH)
        yield name_of(url), read_catalog(url)


@pytest.mark.parametrize("fault", breakage.SCHEMA_FAULTS)
def test_the_sql_closes_every_fault(fault: str, postgres: PostgresServer, fleet: tuple[str, Catalog]) -> None:
    golden, expected = fleet
    with postgres.database(golden) as url:
        breakage.break_schema(url, [fault])
        before, after = closed(expected, url)

    assert before
    assert after == []


def test_the_sql_closes_all_faults_at_once(postgres: PostgresServer, fleet: tuple[str, Catalog]) -> None:
    golden, expected = fleet
    with postgres.database(golden) as url:
        breakage.break_schema(url, breakage.SCHEMA_FAULTS)
        before, after = closed(expected, url)

    assert len(before) >= len(breakage.SCHEMA_FAULTS) - 2  # some of them break the same table
    assert after == []


def test_the_sql_builds_a_whole_schema(postgres: PostgresServer, rich: tuple[str, Catalog]) -> None:
    _, expected = rich
    with postgres.database() as url:
        before, after = closed(expected, url)
        same = fingerprint(expected) == fingerprint(read_catalog(url))

    assert "table Order: missing" in before
    assert not [line for line in before if line.startswith(("column", "constraint", "index", "trigger"))]
    assert after == []
    assert same


BREAKS = {
    "ALTER TYPE mood RENAME VALUE 'glad' TO 'mad'": "type mood: 'sad', 'it''s ok', 'mad', "
    "expected 'sad', 'it''s ok', 'glad'",
    "ALTER SEQUENCE lone INCREMENT 3 NO CYCLE": "sequence lone: increment 3, expected 2; not cycle, expected cycle",
    'ALTER SEQUENCE "Order_counter_seq" OWNED BY NONE': "sequence Order_counter_seq: belongs to no table, expected Order; "
    'owned by none, expected public."Order".counter',
    'ALTER TABLE "Order" ALTER label DROP NOT NULL': "column Order.label: may be null, expected NOT NULL",
    'ALTER TABLE "Order" ALTER feeling SET NOT NULL': "column Order.feeling: NOT NULL, expected nullable",
    'ALTER TABLE "Order" ALTER number DROP IDENTITY': "column Order.number: identity none, expected "
    "BY DEFAULT (START WITH 10 INCREMENT BY 1 MINVALUE 1 MAXVALUE 2147483647 NO CYCLE)",
    'ALTER TABLE "Order" ALTER number SET INCREMENT 5': "column Order.number: identity BY DEFAULT (START WITH 10 "
    "INCREMENT BY 5 MINVALUE 1 MAXVALUE 2147483647 NO CYCLE), expected BY DEFAULT (START WITH 10 INCREMENT BY 1 "
    "MINVALUE 1 MAXVALUE 2147483647 NO CYCLE)",
    'ALTER TABLE "Order" ALTER size DROP EXPRESSION': "column Order.size: generated none, expected length(label) stored",
    'ALTER TABLE "Order" DROP COLUMN parts': "column Order.parts: missing",
    'ALTER TABLE "Order" DROP CONSTRAINT "Order_code_check"': "constraint Order.Order_code_check: missing",
    "ALTER TABLE child DROP CONSTRAINT child_owner_fkey, "
    'ADD CONSTRAINT child_owner_fkey FOREIGN KEY (owner) REFERENCES "Order"': "constraint child.child_owner_fkey: "
    'FOREIGN KEY (owner) REFERENCES public."Order"("select"), '
    'expected FOREIGN KEY (owner) REFERENCES public."Order"("select") ON DELETE CASCADE DEFERRABLE',
    "ALTER TABLE child DISABLE TRIGGER ALL": "constraint child.child_owner_fkey: not enforced: "
    "its internal triggers are disabled",
    "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'child_pkey'::regclass": "constraint child.child_pkey: "
    "its index is invalid: queries can't use it; REINDEX INDEX CONCURRENTLY",
    "ALTER TABLE quick DISABLE ROW LEVEL SECURITY": "table quick: row security off, expected on",
    "ALTER TABLE quick SET LOGGED": "table quick: persistence logged, expected unlogged",
    'CREATE OR REPLACE VIEW labels AS SELECT label, NULL::mood AS feeling FROM "Order"': "view labels: differs in line 2: "
    "NULL::public.mood AS feeling, expected feeling",
    "REFRESH MATERIALIZED VIEW kept_labels WITH NO DATA": "view kept_labels: never filled: every query fails; "
    "REFRESH MATERIALIZED VIEW",
    "DROP MATERIALIZED VIEW kept_labels": "view kept_labels: missing",
    "DROP INDEX kept_labels_label": "index kept_labels_label on kept_labels: missing",
    "ALTER TABLE child ENABLE TRIGGER second": "trigger child.second: fires, expected: fires always, on replicas too",
    "CREATE OR REPLACE FUNCTION other.look() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'": "function "
    "other.look(): differs in line 4: AS $function$BEGIN RETURN NULL; END$function$, "
    "expected AS $function$ BEGIN RETURN NEW; END $function$",
    "DROP POLICY positive ON quick": "policy quick.positive: missing",
    "ALTER POLICY positive ON quick USING (true)": "policy quick.positive: AS RESTRICTIVE FOR UPDATE TO PUBLIC "
    "USING (true) WITH CHECK ((a < 9)), expected AS RESTRICTIVE FOR UPDATE TO PUBLIC USING ((a > 0)) WITH CHECK ((a < 9))",
    'DROP RULE "keep it" ON quick': "rule quick.keep it: missing",
    'ALTER TABLE quick DISABLE RULE "keep it"': "rule quick.keep it: disabled: it never fires, expected: fires",
    'CREATE OR REPLACE RULE "keep it" AS ON DELETE TO quick DO INSTEAD SELECT 1': "rule quick.keep it: differs in "
    'line 2: ON DELETE TO public.quick DO INSTEAD SELECT 1 AS "?column?", expected ON DELETE TO public.quick DO INSTEAD NOTHING',
    "ALTER TABLE derived REPLICA IDENTITY NOTHING": "table derived: replica identity NOTHING, "
    "expected USING INDEX derived_b",
    "DROP TABLE part_rest": "table part_rest: missing",
    "DROP SEQUENCE lone CASCADE": "sequence lone: missing",
    "DROP AGGREGATE add_up(int)": "function add_up(integer): missing",
}
# No statement leads back from these: an enum's labels and a materialised view's parents are made by hand.
BY_HAND = {"ALTER TYPE mood RENAME VALUE 'glad' TO 'mad'"}


@pytest.mark.parametrize("statement", BREAKS)
def test_each_kind_of_change_is_told_and_closed(
    statement: str, postgres: PostgresServer, rich: tuple[str, Catalog]
) -> None:
    golden, expected = rich
    with postgres.database(golden) as url:
        execute(url, statement)
        before, after = closed(expected, url)

    assert BREAKS[statement] in before
    assert (after == []) is (statement not in BY_HAND)


def test_a_label_that_an_enum_lacks_is_added_where_it_belongs(postgres: PostgresServer) -> None:
    with postgres.database() as new, postgres.database() as old:
        execute(new, "CREATE TYPE size AS ENUM ('xs', 's', 'm', 'l')")
        execute(old, "CREATE TYPE size AS ENUM ('s', 'l')")
        before, after = closed(read_catalog(new), old)

    assert before == ["type size: 's', 'l', expected 'xs', 's', 'm', 'l'"]
    assert after == []


def test_a_column_for_rows_without_a_value_says_what_comes_first(postgres: PostgresServer) -> None:
    with postgres.database() as new, postgres.database() as old:
        execute(new, "CREATE TABLE t (a int, b int NOT NULL)")
        execute(old, "CREATE TABLE t (a int)")
        expected = read_catalog(new)
        script = closing_sql(compare(expected, read_catalog(old)), "public")
        _, after = closed(expected, old)

    assert "-- first give every row of t a value for b" in script
    assert after == []


def test_what_is_not_expected_is_never_dropped(postgres: PostgresServer) -> None:
    extra = ["CREATE TABLE t (a int PRIMARY KEY)", "CREATE VIEW v AS SELECT 1", "CREATE EXTENSION pgcrypto"]
    with postgres.database() as new, postgres.database() as old:
        execute(old, *extra, "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'")
        expected, actual = read_catalog(new), read_catalog(old)
    differences = compare(expected, actual)

    assert [one.detail for one in differences] == [
        "table t: not expected",
        "view v: not expected",
        "function f(): not expected",
    ]
    assert [s for s in closing_statements(differences, "public") if "DROP" in s] == []
    assert "-- DROP TABLE public.t;" in closing_sql(differences, "public")


def test_a_materialised_view_may_be_filled_before_the_release_fills_it(postgres: PostgresServer) -> None:
    with postgres.database() as new, postgres.database() as old:
        execute(new, "CREATE MATERIALIZED VIEW v AS SELECT 1 AS a WITH NO DATA")
        execute(old, "CREATE MATERIALIZED VIEW v AS SELECT 1 AS a")
        assert compare(read_catalog(new), read_catalog(old)) == ()


def test_a_varchar_list_reads_the_same_after_it_was_restored(postgres: PostgresServer) -> None:
    with postgres.database() as new, postgres.database() as restored:
        execute(
            new, "CREATE TABLE t (a varchar(9) CHECK (a IN ('x', 'it''s', 'z')), b varchar CHECK (b IN ('p','q')))"
        )
        expected = read_catalog(new)
        with psycopg.connect(new) as connection:
            printed = connection.execute(
                "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 't'::regclass"
            ).fetchall()
        execute(restored, "CREATE TABLE t (a varchar(9), b varchar)")
        execute(
            restored,
            *(f"ALTER TABLE t ADD CONSTRAINT {name} {text}" for name, text in printed if name.endswith("_check")),
        )
        actual = read_catalog(restored)

    assert compare(expected, actual) == ()
    assert fingerprint(expected) == fingerprint(actual)


OTHER = Path("/usr/lib/postgresql/15/bin")


@pytest.mark.skipif(not OTHER.is_dir(), reason="no PostgreSQL 15 on this machine")
def test_an_older_server_is_read_and_rebuilt_as_well() -> None:
    with running_server("--bin", str(OTHER)) as server, server.database() as one, server.database() as two:
        execute(one, RICH)
        expected = read_catalog(one)
        before, after = closed(expected, two)

    assert expected.major == 15
    assert before
    assert after == []


def table(name: str, *others: SchemaObject) -> list[SchemaObject]:
    return [
        SchemaObject("table", name, "", {"form": "table", "row security": "off"}, f"CREATE TABLE {name} ()", name),
        *others,
    ]


def column(owner: str, name: str, **facts: Any) -> SchemaObject:
    given = {"type": "text", "nullable": True, **facts}
    return SchemaObject("column", f"{owner}.{name}", owner, given, f"ALTER TABLE {owner} ADD COLUMN {name}", name)


def catalog(*objects: SchemaObject, **facts: Any) -> Catalog:
    return Catalog("17.10", encrypted=True, schema="public", objects=objects, **facts)


facts = st.dictionaries(st.sampled_from(["type", "default"]), st.sampled_from(["a", "b", None]), max_size=2)
columns = st.builds(
    lambda owner, name, given: column(owner, name, **given),
    st.sampled_from(["t", "u"]),
    st.sampled_from(["x", "y", "z"]),
    facts,
)


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    names = draw(st.sets(st.sampled_from(["t", "u"])))
    chosen = {one.name: one for one in draw(st.lists(columns, max_size=5)) if one.parent in names}
    objects = [*(one for name in sorted(names) for one in table(name)), *chosen.values()]
    return catalog(*draw(st.permutations(objects)))


@given(catalogs())
def test_nothing_differs_from_itself(one: Catalog) -> None:
    shuffled = list(one.objects)
    random.Random(0).shuffle(shuffled)
    other = dataclasses.replace(one, objects=tuple(shuffled), server_version="13.1")

    assert compare(one, other) == ()
    assert closing_sql((), "public") == ""
    assert fingerprint(one) == fingerprint(other)


@given(catalogs(), catalogs())
def test_there_is_a_difference_exactly_where_fingerprints_differ(one: Catalog, other: Catalog) -> None:
    there, back = compare(one, other), compare(other, one)

    assert (there == ()) is (fingerprint(one) == fingerprint(other))
    assert {(d.kind, d.name) for d in there} == {(d.kind, d.name) for d in back}
    assert len(there) <= compared(one, other)
    assert all("\n" not in d.detail for d in there)


@given(catalogs(), catalogs())
def test_what_belongs_to_a_missing_table_is_told_with_it(one: Catalog, other: Catalog) -> None:
    differences: tuple[Difference, ...] = compare(one, other)
    alone = {d.name for d in differences if d.kind == "table"}

    assert not [d for d in differences if d.kind == "column" and d.name.partition(".")[0] in alone]


def test_an_ignored_table_takes_its_columns_along() -> None:
    extra = catalog(*table("tmp_1", column("tmp_1", "a")), *table("kept"))

    assert compare(catalog(), extra, ["table:tmp_*"])[0].name == "kept"
    assert compare(catalog(), extra, ["*:*"]) == ()
    assert compared(catalog(), extra, ignore=["table:tmp_*"]) == 1
    assert compared(catalog(), extra, ignore=["*:*"]) == 0


def test_names_with_dots_hide_nothing() -> None:
    """Column z of table "x.y" and column "y.z" of table x are written alike."""
    right = catalog(*table("x.y"), *table("x"), column("x.y", "z", type="text"), column("x", "y.z", type="text"))
    wrong = catalog(*table("x.y"), *table("x"), column("x.y", "z", type="text"), column("x", "y.z", type="int"))

    assert [one.what for one in compare(right, wrong)] == ["different"]
    assert [one.what for one in compare(wrong, right)] == ["different"]
    assert compared(right, wrong, ["column"]) == 2


def test_an_extension_may_be_there_in_addition_but_not_be_missing() -> None:
    trigrams = SchemaObject("extension", "pg_trgm", "", {}, "CREATE EXTENSION pg_trgm", "pg_trgm")

    assert compare(catalog(), catalog(trigrams)) == ()
    assert compare(catalog(trigrams), catalog())[0].sql == "CREATE EXTENSION pg_trgm;"


def test_a_table_of_another_schema_asks_for_the_search_path() -> None:
    actual = catalog(elsewhere={"geofences": ("fleet_owner", "old")})

    assert compare(catalog(*table("geofences")), actual)[0].detail == (
        "table geofences is missing in public; there is one in fleet_owner and old: "
        "was the search_path another one?"
    )


def test_a_long_definition_is_cut_for_people() -> None:
    one = compare(
        catalog(*table("t", column("t", "a", type="x" * 300))),
        catalog(*table("t", column("t", "a", type="y" * 300))),
    )

    assert len(one[0].detail) < 300
    assert "…" in one[0].detail


@pytest.mark.parametrize(
    ("version", "major"), [("17.10", 17), ("18beta1", 18), ("13.4 (Debian 13.4-1)", 13), ("", 0)]
)
def test_the_major_version(version: str, major: int) -> None:
    assert dataclasses.replace(catalog(), server_version=version).major == major
