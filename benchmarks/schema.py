"""How long it takes to compare two schemas, against three other ways, in one run.

    .venv/bin/python benchmarks/schema.py [TABLES] [ROUNDS]

Every table has three indexes and a trigger (500 tables: 500 triggers, 1,500 indexes). Both sides are databases of
one embedded server. Prints medians over interleaved rounds: reading and comparing both sides, without imports and
without the time that sessions take to open, which are shown apart. Then one side through a line with 20 ms of
round-trip time, and how time grows from 50 to 5,000 objects.
"""

from __future__ import annotations

import difflib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

sys.path.append(str(Path(__file__).parent.parent / "selftests"))

from delayed import delayed
from gonogo.pgsession import reading
from gonogo.probes.catalog import read_catalog
from gonogo.schema import compare
from postgres_server import PostgresServer, running_server

ROUND_TRIP_S = 0.02
TIMEOUT_S = 120.0
SIZES = (50, 500, 5_000)
"""Objects (tables, indexes and triggers together) of the last table."""

TABLE = """
CREATE TABLE t{n} (id bigint GENERATED ALWAYS AS IDENTITY, name text NOT NULL, kind text DEFAULT 'a',
                   amount integer CHECK (amount > 0), at timestamptz NOT NULL DEFAULT now());
CREATE UNIQUE INDEX t{n}_name ON t{n} (name);
CREATE INDEX t{n}_kind ON t{n} (kind, at DESC) WHERE kind <> 'b';
CREATE INDEX t{n}_at ON t{n} (at);
CREATE TRIGGER t{n}_touch BEFORE UPDATE ON t{n} FOR EACH ROW EXECUTE FUNCTION touch();
"""
FUNCTION = "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.at := now(); RETURN NEW; END'"

NAMES = """
select 'table', c.oid, c.relname from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'
union all
select 'index', i.indexrelid, i.indexrelid::regclass::text from pg_index i join pg_class c on c.oid = i.indrelid
where c.relnamespace = 'public'::regnamespace
union all
select 'trigger', g.oid, g.tgname from pg_trigger g join pg_class c on c.oid = g.tgrelid
where c.relnamespace = 'public'::regnamespace and not g.tgisinternal
"""
ONE = {
    "table": """select array_agg((a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
                                  pg_get_expr(d.adbin, d.adrelid))::text order by a.attnum)
                from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
                where a.attrelid = %s and a.attnum > 0""",
    "index": "select pg_get_indexdef(indexrelid), indisvalid, indisready from pg_index where indexrelid = %s",
    "trigger": "select pg_get_triggerdef(oid), tgenabled from pg_trigger where oid = %s",
}

Compare = Callable[[str, str], int]
"""Compares two databases; returns how many differences it saw, or raises."""


def build(url: str, tables: int) -> None:
    """Fill a database with tables ``t0``, ``t1`` ..."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(FUNCTION)
        for start in range(0, tables, 100):
            many = "".join(TABLE.format(n=number) for number in range(start, min(start + 100, tables)))
            connection.execute(many.encode())
        connection.execute("ANALYZE")


def ours(one: str, other: str) -> int:
    """This project's way."""
    return len(compare(read_catalog(one, timeout_s=TIMEOUT_S), read_catalog(other, timeout_s=TIMEOUT_S)))


def object_by_object(one: str, other: str) -> int:
    """A list of names, then one query for each."""
    sides = [one_by_one(url) for url in (one, other)]
    return sum(sides[0].get(key) != sides[1].get(key) for key in {*sides[0], *sides[1]})


def one_by_one(url: str) -> dict[tuple[str, str], object]:
    """One side of it."""
    with psycopg.connect(url, autocommit=True) as connection:
        listed = connection.execute(NAMES).fetchall()
        return {
            (kind, name): connection.execute(ONE[kind].encode(), [oid]).fetchone() for kind, oid, name in listed
        }


def inspector(one: str, other: str) -> int:
    """SQLAlchemy's inspector, with the calls that take a whole schema at once; it has none for triggers."""
    from sqlalchemy import create_engine, inspect  # noqa: PLC0415 - imported before anything is timed

    sides = []
    for url in (one, other):
        engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
        try:
            look = inspect(engine)
            sides.append(
                {
                    "columns": look.get_multi_columns(),
                    "keys": look.get_multi_pk_constraint(),
                    "foreign keys": look.get_multi_foreign_keys(),
                    "unique": look.get_multi_unique_constraints(),
                    "checks": look.get_multi_check_constraints(),
                    "indexes": look.get_multi_indexes(),
                }
            )
        finally:
            engine.dispose()
    return sum(
        str(sides[0][part].get(key)) != str(sides[1][part].get(key)) for part in sides[0] for key in sides[0][part]
    )


def dumps(folder: Path) -> Compare:
    """A line-by-line difference of two ``pg_dump --schema-only``."""

    def run(one: str, other: str) -> int:
        texts = []
        for url in (one, other):
            parts = urlsplit(url)
            bare = url.replace(f":{parts.password}@", "@", 1)
            command = [str(folder / "pg_dump"), "--schema-only", "--no-owner", bare]
            environment = {**os.environ, "PGPASSWORD": parts.password or ""}
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)  # noqa: S603
            # A token that is new in every dump.
            texts.append(
                [line for line in done.stdout.splitlines() if not line.startswith(("\\restrict", "\\unr"))]
            )
        changed = [line for line in difflib.unified_diff(*texts, n=0) if line[0] in "+-"]
        return len(changed) - 2 if changed else 0

    return run


def timed(work: Callable[[], object]) -> float:
    """Seconds that it took."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def opening(ways: dict[str, Compare], url: str, bin_folder: Path, rounds: int) -> dict[str, float]:
    """Median seconds to open and close what each way opens for two sides."""
    parts = urlsplit(url)
    bare = url.replace(f":{parts.password}@", "@", 1)
    psql = [str(bin_folder / "psql"), "--no-psqlrc", "--command", "", bare]
    environment = {**os.environ, "PGPASSWORD": parts.password or ""}

    def engine() -> None:
        from sqlalchemy import create_engine  # noqa: PLC0415 - as above

        made = create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
        made.connect().close()
        made.dispose()

    opened: dict[str, Callable[[], object]] = {
        "ours": lambda: reading(url, TIMEOUT_S, lambda _: None),
        "object by object": lambda: psycopg.connect(url, autocommit=True).close(),
        "SQLAlchemy": engine,
        "pg_dump": lambda: subprocess.run(psql, env=environment, check=True, stdout=subprocess.DEVNULL),  # noqa: S603
    }
    return {name: 2 * statistics.median(timed(opened[name]) for _ in range(rounds)) for name in ways}


def imports(modules: str, rounds: int) -> float:
    """Median seconds that a new interpreter takes to import these, beyond an empty one's."""
    one = [[sys.executable, "-c", code] for code in (f"import {modules}", "pass")]
    full, bare = (
        statistics.median(timed(lambda c=command: subprocess.run(c, check=True)) for _ in range(rounds))  # type: ignore[misc]  # noqa: S603
        for command in one
    )
    return full - bare


def loopback(server: PostgresServer, tables: int, rounds: int) -> None:
    """All ways on both sides, interleaved."""
    ways: dict[str, Compare] = {"ours": ours, "object by object": object_by_object}
    try:
        import sqlalchemy  # noqa: PLC0415, F401 - only to know whether it is there
    except ImportError:
        print("SQLAlchemy is not installed (uv pip install of the dev group); its line is left out")
    else:
        ways["SQLAlchemy"] = inspector
    ways["pg_dump"] = dumps(server.bin)
    with server.database() as one, server.database() as other:
        build(one, tables)
        build(other, tables)
        with psycopg.connect(other, autocommit=True) as connection:
            connection.execute("DROP INDEX t0_kind")
        seen = {name: way(one, other) for name, way in ways.items()}  # warms caches, too
        missed = [name for name, number in seen.items() if number < 1]
        if missed:
            raise SystemExit(f"these did not see the difference: {', '.join(missed)}")
        opens = opening(ways, one, server.bin, max(rounds, 3))
        runs: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                runs[name].append(timed(lambda w=way: w(one, other)) - opens[name])  # type: ignore[misc]
    medians = {name: statistics.median(times) for name, times in runs.items()}
    print(f"\n{tables} tables, {3 * tables} indexes, {tables} triggers; both sides, {rounds} rounds, loopback")
    print(f"{'way':<18}{'compare':>10}{'sessions':>10}{'ratio':>8}")
    for name, median in medians.items():
        print(f"{name:<18}{median:>9.3f}s{opens[name]:>9.3f}s{median / medians['ours']:>8.2f}")


def far_away(server: PostgresServer, tables: int) -> None:
    """One side through a slow line, ours and object by object."""
    with server.database() as url:
        build(url, tables)
        port = urlsplit(url).port or 0
        seconds, trips = {}, {}
        for name, read in (
            ("ours", lambda u: read_catalog(u, timeout_s=TIMEOUT_S)),
            ("object by object", one_by_one),
        ):
            with delayed("127.0.0.1", port, ROUND_TRIP_S / 2) as line:
                slow = url.replace(f":{port}/", f":{line.port}/")
                connect_s = timed(lambda u=slow: psycopg.connect(u, autocommit=True).close())  # type: ignore[misc]
                before = line.round_trips
                seconds[name] = timed(lambda u=slow, r=read: r(u)) - connect_s  # type: ignore[misc]
                trips[name] = line.round_trips - before
    print(f"\none side, {ROUND_TRIP_S * 1000:.0f} ms of round-trip time; session apart, {connect_s:.2f} s")
    for name, took in seconds.items():
        print(f"{name:<18}{took:>9.3f}s{trips[name]:>7} round trips{took / seconds['ours']:>8.1f}")


def growth(server: PostgresServer, rounds: int) -> None:
    """How ours grows with the number of objects."""
    print(f"\nboth sides, ours, {rounds} rounds")
    for objects in SIZES:
        with server.database() as one, server.database() as other:
            build(one, objects // 5)
            build(other, objects // 5)
            ours(one, other)
            open_s = 2 * statistics.median(timed(lambda u=one: reading(u, 9.0, lambda _: None)) for _ in range(5))  # type: ignore[misc]
            took = statistics.median(timed(lambda a=one, b=other: ours(a, b)) for _ in range(rounds)) - open_s  # type: ignore[misc]
        print(f"{objects:>6} objects{took:>9.3f}s{took / objects * 1e6:>9.0f} us an object")


def main() -> None:
    """Measure and print."""
    tables = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    whole, driver = (imports(module, rounds) for module in ("gonogo.probes.catalog", "psycopg"))
    print(f"imports: ours {whole:.2f} s, psycopg alone {driver:.2f} s")
    with running_server() as server:
        loopback(server, tables, rounds)
        far_away(server, tables)
        growth(server, rounds)


if __name__ == "__main__":
    main()
