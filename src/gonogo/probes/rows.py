"""Counts the rows of a PostgreSQL database and digests them, so that a copy can be compared. Never writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg
from psycopg import sql
from psycopg.rows import namedtuple_row

from gonogo.errors import ToolError
from gonogo.pgsession import place, reading

T = TypeVar("T")

FULL_ROWS = 100_000
SAMPLE_ROWS = 10_000

# Of a partitioned table the partitions are listed, which hold the rows; what belongs to an extension
# comes with it and is in no dump.
TABLES = """
select c.oid::bigint as oid, c.relname as name,
       has_table_privilege(c.oid, 'select') and has_schema_privilege(n.oid, 'usage') as readable,
       array(select a.attname::text from pg_catalog.pg_index i
             cross join lateral unnest(i.indkey::int2[]) with ordinality as k(attnum, place)
             join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
             where i.indrelid = c.oid and i.indisprimary order by k.place) as key
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = %s and c.relkind = 'r' and not exists (
  select from pg_catalog.pg_depend d
  where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
order by 2
"""
# What pg_dump takes along beside the schema.
ELSEWHERE = """
select array(
  select n.nspname || '.' || c.relname
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where n.nspname <> %s and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and c.relkind = 'r'
    and not exists (
      select from pg_catalog.pg_depend d
      where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
  order by 1) as tables,
  exists (select from pg_catalog.pg_largeobject_metadata) as large_objects, current_database() as name
"""
# last_value is null for a sequence that was never used, or that the role may not read.
SEQUENCES = """
select s.sequencename as name, s.last_value, s.increment_by < 0 as falls,
       d.refobjid::bigint as "table", a.attname as "column"
from pg_catalog.pg_sequences s
join pg_catalog.pg_namespace n on n.nspname = s.schemaname
join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = s.sequencename
left join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid
  and d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjsubid > 0 and d.deptype in ('a', 'i')
left join pg_catalog.pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
  and a.atttypid in (select t.oid from pg_catalog.pg_type t  -- a text with a number in it tells no furthest one
    where coalesce(nullif(t.typbasetype, 0), t.oid) in (20, 21, 23, 1700))
where s.schemaname = %s order by 1
"""
# A row as text must read the same whatever a role or a server has set.
SETTINGS = {
    "search_path": "",
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "timezone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "xmlbinary": "base64",
    "lc_monetary": "C",
    # Instead of counting only those rows that a policy lets the role see, the query fails.
    "row_security": "off",
}
# An open snapshot idles while it is dumped from; not every version has every one of these.
PATIENCE = """
select set_config(name, '0', true) from pg_catalog.pg_settings
where name in ('idle_in_transaction_session_timeout', 'transaction_timeout', 'idle_session_timeout')
"""
# One pass where every row counts. Beyond that the step follows from the exact number of rows, so that a copy
# of the same rows gives the same sample; an estimate would not be the same in both. It is a power of
# two, so that a few rows more or less seldom change it. A sum depends on no order and counts what is twice.
COUNT = """
with counted as materialized (select count(*) as rows from only {table}),
stepped as materialized (
  select rows, case when rows <= {full} then 1
    else 2 ^ ceil(log(2, greatest(rows, {sample})::numeric / {sample})) end::bigint as step from counted),
digested as (
  select {digest} as digest from only {table} as gonogo_row, stepped
  where step = 1 or {key} & (step - 1) = 0)
select (select rows from counted) as rows, count(*) as sampled, coalesce(sum(digest), 0)::text as digest
from digested
"""
# The first 8 bytes of SHA-256, which every version has, in whatever mode of cryptography, as a number.
NUMBER = "('x' || encode(substr(sha256(convert_to({text}, {encoding})), 1, 8), 'hex'))::bit(64)::bigint"


@dataclass(frozen=True)
class TableRows:
    """The rows of one table."""

    rows: int
    digest: str
    """Depends on the sampled rows' values, not on their order; equal for an equal copy."""
    sampled: int
    """Rows behind the digest: all of them, or those of a large table whose key's hash says so."""


@dataclass(frozen=True)
class RowFacts:
    """The rows of one schema at one moment."""

    tables: Mapping[str, TableRows]
    """By name; a partitioned table by its partitions."""
    sequences: Mapping[str, int | None]
    """The last value that each gave out; ``None`` if it gave none, or the role may not see it. Unlike rows
    they are as of now, not of the transaction's beginning."""
    used: Mapping[str, int | None]
    """By sequence that feeds a column: the furthest value in that column; ``None`` without rows."""
    falling: tuple[str, ...] = ()
    """Sequences that count downwards."""

    def is_behind(self, sequence: str, mark: int | None) -> bool:
        """Whether a sequence has not reached ``mark`` and would give out a value again."""
        last = self.sequences.get(sequence)
        if mark is None:
            return False
        if last is None:
            return True
        return last > mark if sequence in self.falling else last < mark


@dataclass(frozen=True)
class TableList:
    """The tables of one schema."""

    database: str
    """The server's own name of the database, whatever a pooler in between calls it."""
    server_version: str
    tables: tuple[str, ...]
    elsewhere: tuple[str, ...]
    """``schema.table`` of all others in the database, without those of extensions and of the server itself."""
    large_objects: bool
    """The database holds some, which are in no schema."""


@dataclass(frozen=True)
class Snapshot:
    """One moment of a database, held open so that others can look at it too."""

    id: str
    """What ``pg_dump --snapshot`` takes; valid as long as the work with it lasts."""
    encrypted: bool
    has_tls: bool
    """The server offers TLS; what never leaves its machine (a Unix socket) needs none."""
    server_version: str
    _connection: psycopg.Connection[Any]
    _place: str

    def count_rows(self, schema: str = "public", *, full_rows: int = FULL_ROWS) -> RowFacts:
        """Rows of this moment; see :func:`count_rows`."""
        return _count(self._connection, self._place, schema, full_rows)


def list_tables(database_url: str, schema: str = "public", *, timeout_s: float = 10.0) -> TableList:
    """The tables that hold rows: ordinary ones and partitions, without those of extensions.

    Raises:
        TargetError: refused, too slow, or not a PostgreSQL server.
        ToolError: the connection string can't be read.
    """

    def read(connection: psycopg.Connection[Any]) -> TableList:
        with connection.cursor(row_factory=namedtuple_row) as cursor:
            tables: list[Any] = cursor.execute(TABLES, [schema]).fetchall()
            row: Any = cursor.execute(ELSEWHERE, [schema]).fetchone()
        version = connection.info.parameter_status("server_version") or ""
        names = tuple(table.name for table in tables)
        return TableList(row.name, version, names, tuple(row.tables), row.large_objects)

    return reading(database_url, timeout_s, read)


def count_rows(
    database_url: str, schema: str = "public", *, full_rows: int = FULL_ROWS, timeout_s: float = 600.0
) -> RowFacts:
    """Counts and digests every table, one query each, all as of one moment.

    Args:
        database_url: libpq connection string or URL.
        schema: the schema to look at.
        full_rows: tables up to this size are digested whole; of larger ones, about 5,000 to 10,000 rows.
        timeout_s: limit in seconds for everything together.

    Raises:
        TargetError: refused, too slow, or not a PostgreSQL server.
        ToolError: the connection string can't be read, or the role may not read a table; says what to grant.
    """
    where = place(database_url)
    return reading(database_url, timeout_s, lambda connection: _count(connection, where, schema, full_rows))


def in_snapshot(database_url: str, timeout_s: float, work: Callable[[Snapshot], T]) -> T:
    """Runs ``work`` while one moment of the database is held open.

    Args:
        database_url: libpq connection string or URL.
        timeout_s: limit in seconds for ``work`` and all; holding a moment keeps the server from tidying up.
        work: its result is handed on. Runs in a thread of its own.

    Raises:
        TargetError: refused, too slow, or not a PostgreSQL server.
        ToolError: the connection string can't be read, or a right is missing; and what ``work`` raises.
    """
    where = place(database_url)

    def hold(connection: psycopg.Connection[Any]) -> T:
        connection.execute(PATIENCE)
        with connection.cursor(row_factory=namedtuple_row) as cursor:
            row: Any = cursor.execute(
                "select pg_catalog.pg_export_snapshot() as id, current_setting('ssl')::boolean as has_tls"
            ).fetchone()
        return work(
            Snapshot(
                id=row.id,
                encrypted=bool(connection.pgconn.ssl_in_use),
                has_tls=row.has_tls and not connection.info.host.startswith("/"),
                server_version=connection.info.parameter_status("server_version") or "",
                _connection=connection,
                _place=where,
            )
        )

    return reading(database_url, timeout_s, hold)


def _count(connection: psycopg.Connection[Any], where: str, schema: str, full_rows: int) -> RowFacts:
    values = sql.SQL(", ").join(
        sql.SQL("set_config({}, {}, true)").format(sql.Literal(name), sql.Literal(value))
        for name, value in SETTINGS.items()
    )
    connection.execute(sql.SQL("select {}").format(values))
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        tables: list[Any] = cursor.execute(TABLES, [schema]).fetchall()
        sequences: list[Any] = cursor.execute(SEQUENCES, [schema]).fetchall()
        _require_readable(tables, schema, where, connection.info.user)
        encoding = connection.info.parameter_status("server_encoding") or "UTF8"
        found = {}
        used: dict[str, int | None] = {}
        for table in tables:
            fed = [s for s in sequences if s.table == table.oid and s.column is not None]
            row: Any = cursor.execute(_query(schema, table, encoding, full_rows)).fetchone()
            found[table.name] = TableRows(row.rows, f"{int(row.digest) % 2**64:016x}", row.sampled)
            for sequence in fed:
                end: Any = cursor.execute(_furthest(schema, table.name, sequence)).fetchone()
                used[sequence.name] = end.furthest
    return RowFacts(
        tables=found,
        sequences={s.name: s.last_value for s in sequences},
        used=used,
        falling=tuple(s.name for s in sequences if s.falls),
    )


def _require_readable(tables: list[Any], schema: str, where: str, role: str) -> None:
    hidden = [f"{schema}.{table.name}" for table in tables if not table.readable]
    if hidden:
        names = ", ".join(hidden)
        grants = f"GRANT USAGE ON SCHEMA {schema} TO {role}; GRANT SELECT ON {names} TO {role}"
        raise ToolError(
            f"{where}: {role} may not read {names}; its owner can run {grants}, "
            f"or from PostgreSQL 14 on GRANT pg_read_all_data TO {role}"
        )


def _query(schema: str, table: Any, encoding: str, full_rows: int) -> sql.Composed:
    # A database without an encoding holds bytes that may be no UTF-8.
    to = sql.Literal("SQL_ASCII" if encoding == "SQL_ASCII" else "UTF8")
    whole = sql.SQL("(gonogo_row.*)::text")
    key = sql.SQL("row({})::text").format(
        sql.SQL(", ").join(sql.Identifier("gonogo_row", name) for name in table.key)
    )
    return sql.SQL(COUNT).format(
        table=sql.Identifier(schema, table.name),
        full=sql.Literal(full_rows),
        sample=sql.Literal(SAMPLE_ROWS),
        digest=sql.SQL(NUMBER).format(text=whole, encoding=to),
        key=sql.SQL(NUMBER).format(text=key if table.key else whole, encoding=to),
    )


def _furthest(schema: str, table: str, sequence: Any) -> sql.Composed:
    return sql.SQL("select {function}({column})::bigint as furthest from only {table}").format(
        function=sql.SQL("min" if sequence.falls else "max"),
        column=sql.Identifier(sequence.column),
        table=sql.Identifier(schema, table),
    )
