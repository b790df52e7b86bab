"""The watch names what migrations do to a real database: times, rewrites, locks, and what they leave undone."""

from __future__ import annotations

import time

import psycopg
import pytest

from gonogo.errors import TargetError, ToolError
from gonogo.migrations import UNSEEN, MigrationFacts
from gonogo.probes.migrating import watch

BEFORE = """
CREATE TABLE history (name text PRIMARY KEY);
INSERT INTO history VALUES ('0001_start');
CREATE TABLE loads (id integer PRIMARY KEY, status text NOT NULL, weight integer NOT NULL);
INSERT INTO loads SELECT i, 'planned', i FROM generate_series(1, 1000) i;
CREATE TABLE empty (id integer);
"""
HISTORY = "history.name"
NO_OP = "suppress_redundant_updates_trigger"


def run(url: str, *transactions: str, history: str | None = HISTORY) -> MigrationFacts:
    """What is told of these transactions, each sent as one string."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(BEFORE.encode())
        with watch(url, history) as placed:
            for statements in transactions:
                connection.execute(statements.encode())
            return placed.read()


def test_a_rewrite_is_named_with_its_reason(database_url: str) -> None:
    facts = run(
        database_url,
        "ALTER TABLE loads ALTER COLUMN weight TYPE bigint; INSERT INTO history VALUES ('0002_wide')",
        "ALTER TABLE loads ADD COLUMN priority integer NOT NULL DEFAULT 2",
    )

    assert [(r.table, r.rows, r.command, r.reason, r.migration) for r in facts.rewrites] == [
        ("loads", 1000, "ALTER TABLE", "type of a column", "0002_wide")
    ]
    assert facts.tables == {"history": 1, "loads": 1000, "empty": 0}


def test_a_default_that_must_be_computed_for_every_row_is_a_rewrite(database_url: str) -> None:
    facts = run(database_url, "ALTER TABLE loads ADD COLUMN token float8 DEFAULT random()")

    assert [(r.table, r.reason) for r in facts.rewrites] == [("loads", "default of a column")]


@pytest.mark.parametrize("statement", ["VACUUM FULL loads", "CLUSTER loads USING loads_pkey", "TRUNCATE loads"])
def test_a_rewrite_that_is_no_ddl_is_seen_by_the_file(statement: str, database_url: str) -> None:
    facts = run(database_url, statement)

    assert [(r.table, r.rows, r.command) for r in facts.rewrites] == [("loads", 1000, UNSEEN)]


@pytest.mark.parametrize(
    ("statement", "mode", "blocks"),
    [
        ("CREATE INDEX i ON loads (status)", "ShareLock", "writes"),
        (f"CREATE TRIGGER t BEFORE UPDATE ON loads FOR EACH ROW EXECUTE FUNCTION {NO_OP}()", "ShareRowExclusiveLock", "writes"),
        ("ALTER TABLE loads ADD CHECK (weight > 0)", "AccessExclusiveLock", "reads and writes"),
        ("DROP TABLE loads", "AccessExclusiveLock", "reads and writes"),
    ],
)  # fmt: skip
def test_a_lock_is_named_with_what_it_blocks(statement: str, mode: str, blocks: str, database_url: str) -> None:
    facts = run(database_url, f"{statement}; INSERT INTO history VALUES ('0002_lock')")

    told = [(k.table, k.rows, k.mode, k.blocks, k.migration) for k in facts.locks]
    assert told == [("loads", 1000, mode, blocks, "0002_lock")]
    assert statement.startswith(facts.locks[0].command)
    assert 0 < facts.locks[0].held_s < 5


def test_a_concurrent_build_blocks_nobody(database_url: str) -> None:
    facts = run(
        database_url, "CREATE INDEX CONCURRENTLY i ON loads (status)", "INSERT INTO history VALUES ('0002')"
    )

    assert facts.locks == ()
    assert [(m.name, [(c.tag, c.objects) for c in m.commands]) for m in facts.migrations] == [
        ("0002", [("CREATE INDEX", ("public.i",))])
    ]
    assert facts.migrations[0].duration_s >= facts.migrations[0].commands[0].duration_s > 0


def test_a_concurrent_build_that_fails_does_not_hide_what_follows(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(BEFORE.encode())
        with watch(database_url, HISTORY) as placed:
            with pytest.raises(psycopg.errors.UniqueViolation):
                connection.execute("CREATE UNIQUE INDEX CONCURRENTLY i ON loads (status)")
            connection.execute("CREATE INDEX j ON loads (status)")
            facts = placed.read()

    assert [(c.tag, c.objects) for m in facts.migrations for c in m.commands] == [("CREATE INDEX", ("public.j",))]


def test_a_lock_is_held_to_the_end_of_its_transaction(database_url: str) -> None:
    facts = run(
        database_url,
        "ALTER TABLE loads ADD COLUMN priority integer; SELECT pg_sleep(0.4); INSERT INTO history VALUES ('0002')",
    )

    assert [(k.table, k.command) for k in facts.locks] == [("loads", "ALTER TABLE")]
    assert 0.25 < facts.locks[0].held_s < 5
    assert facts.migrations[0].duration_s >= facts.locks[0].held_s


def test_a_lock_without_a_command_is_seen_from_outside(database_url: str) -> None:
    facts = run(database_url, "LOCK TABLE loads IN SHARE MODE; SELECT pg_sleep(0.4)")

    assert [(k.table, k.mode, k.command) for k in facts.locks] == [("loads", "ShareLock", UNSEEN)]
    assert facts.locks[0].held_s > 0.2


def test_a_lock_taken_before_the_first_command_is_not_laid_at_its_door(database_url: str) -> None:
    facts = run(database_url, "LOCK TABLE loads IN EXCLUSIVE MODE; CREATE TABLE other (id integer)")

    assert [(k.table, k.command) for k in facts.locks] == [("loads", UNSEEN)]


def test_locks_of_tables_that_are_new_do_not_count(database_url: str) -> None:
    facts = run(database_url, "CREATE TABLE fresh (id integer)", "CREATE INDEX ON fresh (id)", "DROP TABLE fresh")

    assert (facts.locks, facts.rewrites) == ((), ())
    assert [m.commands[0].objects for m in facts.migrations] == [
        ("public.fresh",), ("public.fresh_id_idx",), ("public.fresh",)
    ]  # fmt: skip


def test_a_migration_that_is_undone_leaves_its_lock_and_nothing_else(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(BEFORE.encode())
        connection.commit()
        with watch(database_url, HISTORY) as placed:
            connection.execute("CREATE TABLE kept (id integer)")
            connection.execute("INSERT INTO history VALUES ('0002_kept')")
            connection.commit()
            connection.execute("CREATE INDEX i ON loads (status)")
            connection.execute("INSERT INTO history VALUES ('0003_undone')")
            time.sleep(0.3)
            connection.rollback()
            facts = placed.read()

    assert facts.applied == ("0002_kept",)
    assert [m.name for m in facts.migrations] == ["0002_kept"]
    assert [(k.table, k.command, k.migration) for k in facts.locks] == [("loads", UNSEEN, "")]


def test_names_come_from_the_transaction_that_wrote_them(database_url: str) -> None:
    """A savepoint has a number of its own, and a migration of data alone no DDL at all."""
    with psycopg.connect(database_url) as connection:
        connection.execute(BEFORE.encode())
        connection.commit()
        with watch(database_url, HISTORY) as placed:
            with connection.transaction():
                connection.execute("CREATE TABLE second (id integer)")
                with connection.transaction():
                    connection.execute("INSERT INTO history VALUES ('0002_second')")
            with connection.transaction():
                connection.execute("CREATE TABLE third (id integer)")
                connection.execute("INSERT INTO history VALUES ('0003_third')")
            with connection.transaction():
                connection.execute("UPDATE loads SET status = 'done'")
                connection.execute("INSERT INTO history VALUES ('0004_data')")
            with connection.transaction():
                connection.execute("DELETE FROM history WHERE name = '0001_start'")
            facts = placed.read()

    told = [(m.name, [o for c in m.commands for o in c.objects]) for m in facts.migrations]
    assert told == [("0002_second", ["public.second"]), ("0003_third", ["public.third"]), ("0004_data", [])]
    assert facts.applied == ("0002_second", "0003_third", "0004_data")
    assert facts.removed == ("0001_start",)


def test_several_migrations_in_one_transaction_share_it(database_url: str) -> None:
    facts = run(database_url, "CREATE TABLE a (id integer); INSERT INTO history VALUES ('0002'), ('0003')")

    assert [m.name for m in facts.migrations] == ["0002, 0003"]


def test_without_a_history_the_commands_are_told_all_the_same(database_url: str) -> None:
    facts = run(database_url, "CREATE INDEX i ON loads (status)", history=None)

    assert (facts.history, facts.applied) == ((), ())
    assert [(m.name, [c.tag for c in m.commands]) for m in facts.migrations] == [("", ["CREATE INDEX"])]


def test_a_history_that_the_first_migration_makes(database_url: str) -> None:
    with watch(database_url, "versions.version") as placed:
        with psycopg.connect(database_url) as connection:
            connection.execute("CREATE TABLE versions (version integer); INSERT INTO versions VALUES (7)")
        facts = placed.read()

    assert facts.applied == ("7",)
    assert facts.migrations[0].name == "7"


def test_a_column_that_the_history_does_not_have(database_url: str) -> None:
    with pytest.raises(ToolError, match='column "nonsense" does not exist'):
        run(database_url, history="history.nonsense")


def test_nothing_to_do_is_a_command_without_objects(database_url: str) -> None:
    facts = run(database_url, "CREATE TABLE IF NOT EXISTS loads (id integer)", "DROP TABLE IF EXISTS nobody")

    assert [(c.tag, c.objects) for m in facts.migrations for c in m.commands] == [
        ("CREATE TABLE", ()),
        ("DROP TABLE", ()),
    ]
    assert facts.locks == ()


def test_an_extension_is_one_command(database_url: str) -> None:
    facts = run(database_url, "CREATE EXTENSION pg_trgm")

    assert [(c.tag, "pg_trgm" in c.objects) for m in facts.migrations for c in m.commands] == [
        ("CREATE EXTENSION", True)
    ]


def test_a_role_without_rights_and_a_session_without_triggers_are_watched_too(database_url: str) -> None:
    facts = run(
        database_url,
        "SET session_replication_role = replica; CREATE INDEX i ON loads (status)",
        "ALTER TABLE loads OWNER TO pg_database_owner; SET ROLE pg_database_owner; CREATE INDEX j ON loads (weight)",
    )

    assert [c.objects for m in facts.migrations for c in m.commands if c.tag == "CREATE INDEX"] == [
        ("public.i",),
        ("public.j",),
    ]


def test_other_schemas_keep_their_name(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute('CREATE SCHEMA "Odd one"; CREATE TABLE "Odd one"."my table" (id integer)')
        with watch(database_url) as placed:
            connection.execute('CREATE INDEX ON "Odd one"."my table" (id)')
            facts = placed.read()

    assert [k.table for k in facts.locks] == ["Odd one.my table"]


def test_nothing_of_the_watch_stays_and_it_can_be_used_again(database_url: str) -> None:
    run(database_url, "CREATE TABLE a (id integer)")
    with watch(database_url, HISTORY) as placed:
        facts = placed.read()

    assert (facts.migrations, facts.applied, facts.history) == ((), (), ("0001_start",))
    with psycopg.connect(database_url) as connection:
        left = connection.execute(
            "SELECT evtname::text FROM pg_event_trigger UNION ALL "
            "SELECT nspname::text FROM pg_namespace WHERE nspname = 'gonogo_watch'"
        ).fetchall()
    assert left == []


def test_a_command_that_makes_everything_anew_is_the_teams_mistake(database_url: str) -> None:
    with watch(database_url) as placed, psycopg.connect(database_url) as connection:
        connection.execute("DROP SCHEMA gonogo_watch CASCADE")
        connection.commit()
        with pytest.raises(TargetError, match="made the database anew"):
            placed.read()


def test_sessions_that_a_command_left_behind_are_ended(database_url: str) -> None:
    with psycopg.connect(database_url) as connection, watch(database_url) as placed:
        connection.execute("CREATE TABLE other (id integer)")
        placed.end_sessions()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
        assert placed.read().migrations == ()


def test_a_role_that_is_no_superuser_is_refused_in_a_sentence(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS watch_weak")
        connection.execute("CREATE ROLE watch_weak LOGIN PASSWORD 'weak-Secret.1'")
    try:
        weak = psycopg.conninfo.make_conninfo(database_url, user="watch_weak", password="weak-Secret.1")
        with pytest.raises(ToolError, match="permission denied") as failure, watch(weak):
            pass
        assert "weak-Secret" not in str(failure.value)
    finally:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("DROP ROLE watch_weak")
