"""How much room a PostgreSQL server has left: connections, transactions, replicas, disk, transaction numbers.

Never writes, and never reads the text of a query: it may hold what is nobody's business.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, LiteralString

import psycopg
from psycopg.rows import class_row, tuple_row

from gonogo.pgsession import reading

WRAPAROUND = 2**31
"""Transactions after which numbers come round; PostgreSQL stops accepting writes shortly before
(PostgreSQL documentation, "Preventing Transaction ID Wraparound Failures")."""

# Some servers have no `reserved_connections` (before 16): current_setting then answers null.
SERVER: LiteralString = """
select current_user::text, pg_catalog.pg_is_in_recovery(), current_setting('max_connections')::int,
       current_setting('superuser_reserved_connections')::int
         + coalesce(current_setting('reserved_connections', true), '0')::int,
       pg_catalog.pg_has_role(current_user, 'pg_read_all_stats', 'usage'),
       pg_catalog.pg_database_size(current_database()),
       case when not pg_catalog.pg_is_in_recovery() then null
            when pg_catalog.pg_last_wal_receive_lsn() = pg_catalog.pg_last_wal_replay_lsn()
              and exists (select from pg_catalog.pg_stat_wal_receiver) then 0
            else extract(epoch from clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp())::float8 end
"""
# Limits that a server holds before max_connections; -1 is none, and superusers are free of both.
POOL: LiteralString = """
select 'role ' || r.rolname, r.rolconnlimit, r.rolsuper from pg_catalog.pg_roles r where r.rolname = %(role)s
union all
select 'database ' || d.datname, d.datconnlimit, false from pg_catalog.pg_database d
where d.datname = current_database()
order by 1 desc
"""
# Sessions of other roles show their owner to everybody, and what they do only to pg_monitor. Background workers
# have no owner; processes that serve no database hold no connection of these.
SESSIONS: LiteralString = """
select pid, usename::text as role, application_name as application, state,
       extract(epoch from clock_timestamp() - xact_start)::float8 as transaction_s,
       extract(epoch from clock_timestamp() - state_change)::float8 as state_s
from pg_catalog.pg_stat_activity
where datid is not null and usesysid is not null and coalesce(backend_type, 'client backend') = 'client backend'
"""
PREPARED: LiteralString = """
select 0 as pid, owner::text as role, 'prepared transaction ' || gid as application, 'prepared' as state,
       extract(epoch from clock_timestamp() - prepared)::float8 as transaction_s,
       extract(epoch from clock_timestamp() - prepared)::float8 as state_s
from pg_catalog.pg_prepared_xacts
"""
# A copy being made (pg_basebackup) is no replica, nor is an archive that stores the log and applies none of it
# (pg_receivewal): it tells what it has on disk, and never what it has applied.
REPLICAS: LiteralString = """
select coalesce(nullif(application_name, ''), client_addr::text, 'pid ' || pid) as name,
       coalesce(state, '') as state,
       extract(epoch from replay_lag)::float8 as delay_s,
       pg_catalog.pg_wal_lsn_diff(
         case when pg_catalog.pg_is_in_recovery() then pg_catalog.pg_last_wal_receive_lsn()
              else pg_catalog.pg_current_wal_lsn() end, replay_lsn)::float8 as behind_bytes,
       pid
from pg_catalog.pg_stat_replication
where state is distinct from 'backup' and not (flush_lsn is not null and replay_lsn is null)
order by 1
"""
POSITION: LiteralString = """
select (case when pg_catalog.pg_is_in_recovery() then pg_catalog.pg_last_wal_receive_lsn()
             else pg_catalog.pg_current_wal_lsn() end)::text
"""
WAITING: LiteralString = "select pid from pg_catalog.pg_stat_replication where replay_lsn < %s::pg_lsn"
# Sizes of databases that this role may not connect to are closed to it without pg_read_all_stats.
DATABASES: LiteralString = """
select datname::text, age(datfrozenxid), mxid_age(datminmxid),
       case when pg_catalog.has_database_privilege(oid, 'connect')
              or pg_catalog.pg_has_role(current_user, 'pg_read_all_stats', 'usage')
            then pg_catalog.pg_database_size(oid) end
from pg_catalog.pg_database order by 1
"""


@dataclass(frozen=True)
class Session:
    """One client session, or a prepared transaction (pid 0)."""

    pid: int
    role: str
    application: str
    state: str | None
    """``None``: this role may not see it."""
    transaction_s: float | None
    """Age of its transaction in seconds; ``None`` if it has none, or may not be seen."""
    state_s: float | None
    """Seconds in this state."""

    def hidden(self, sees_all: bool) -> bool:
        """Nobody could say whether it has a transaction."""
        return self.state == "disabled" or (self.state is None and not sees_all)

    @property
    def label(self) -> str:
        """Who it is, for people."""
        return f"pid {self.pid}, role {self.role}, application {self.application or 'unnamed'}"


@dataclass(frozen=True)
class Replica:
    """One replica that is connected."""

    name: str
    state: str
    """``streaming``, ``catchup`` ...; empty if this role may not see it."""
    delay_s: float | None
    """Seconds until the replica had applied what was written; ``None`` if nothing was, or it may not be seen."""
    behind_bytes: float | None
    """Bytes of the log that it has not applied; ``None`` if unknown."""
    pid: int = 0
    stuck_s: float | None = None
    """Seconds for which we waited in vain for it to apply what had been written when we came."""

    @property
    def lag_s(self) -> float | None:
        """Seconds behind: 0 for one that is idle and has everything; ``None`` if unknown."""
        if self.stuck_s is not None:  # then its own figure is one of better days
            return max(self.stuck_s, self.delay_s or 0.0)
        if self.delay_s is None and self.behind_bytes is not None and self.behind_bytes <= 0:
            return 0.0
        return self.delay_s


@dataclass(frozen=True)
class DatabaseAge:
    """One database of the server."""

    name: str
    transactions: int
    """Transactions since the oldest row that is not frozen."""
    multixacts: int
    """The same for shared row locks."""
    bytes: int | None
    """Size on disk; ``None`` if this role may not ask."""

    @property
    def percent(self) -> float:
        """Share of the numbers before wraparound that is used up, 0 to 100."""
        return max(self.transactions, self.multixacts) / WRAPAROUND * 100


@dataclass(frozen=True)
class CapacityFacts:
    """What was found in one session of a second or so."""

    server_version: str
    role: str
    """Role that looked."""
    sees_all: bool
    """This role sees what others' sessions do (it is in pg_monitor or pg_read_all_stats, or a superuser)."""
    standby: bool
    """The server itself is a replica."""
    standby_lag_s: float | None
    """On a standby: seconds since the last transaction that it replayed was committed; 0 if it is connected and
    has replayed all that it received."""
    max_connections: int
    reserved: int
    """Connections that only superusers and chosen roles get."""
    samples: tuple[int, ...]
    """Client connections, ours included, each time that they were counted."""
    per_role: Mapping[str, int]
    """Connections by role, each the highest of all samples."""
    hidden: int
    """Sessions whose state could not be seen in the last sample: closed to this role, or with ``track_activities``
    switched off."""
    longest_transaction: Session | None
    longest_idle: Session | None
    """Longest idle inside a transaction."""
    replicas: tuple[Replica, ...]
    databases: tuple[DatabaseAge, ...]
    database_bytes: int
    """Size of this database."""
    pool_exists: bool = False
    """The server has the role that was asked for."""
    pool_limits: Mapping[str, int] = field(default_factory=dict)
    """Connections that a role or database lets that role have, where either has a limit: ``role app`` -> 5."""

    @property
    def available(self) -> int:
        """Connections that ordinary roles can have."""
        return self.max_connections - self.reserved

    @property
    def peak(self) -> int:
        """Most connections that were counted at once."""
        return max(self.samples, default=0)

    @property
    def oldest(self) -> DatabaseAge | None:
        """The database that is nearest to wraparound."""
        return max(self.databases, key=lambda one: one.percent, default=None)

    @property
    def bytes(self) -> int | None:
        """Size of all databases of the server; ``None`` if some may not be asked for."""
        sizes = [one.bytes for one in self.databases]
        return None if None in sizes else sum(size for size in sizes if size is not None)


def look_at_capacity(
    database_url: str,
    *,
    pool_role: str | None = None,
    samples: int = 5,
    over_s: float = 1.0,
    catch_up_s: float = 0.0,
    timeout_s: float = 10.0,
) -> CapacityFacts:
    """Counts connections several times, and reads everything else once, in one read-only session.

    Without pg_monitor the states of other roles' sessions are closed: ``sees_all`` is false, and what is said
    of transactions and replicas is about this role alone.

    Args:
        database_url: libpq connection string or URL; what it says of ``sslmode`` holds.
        pool_role: role whose own limits are read.
        samples: how often connections are counted, at least once.
        over_s: seconds over which the samples are spread.
        catch_up_s: seconds to wait for replicas that are behind. One that stands still goes on showing its last
            lag, so only this tells it from one that is quick; an idle one reports every 10 s
            (``wal_receiver_status_interval``).
        timeout_s: limit in seconds for connection and queries together, beside ``over_s`` and ``catch_up_s``.

    Raises:
        TargetError: refused (no connection was free, too), wrong credentials, too slow, or not PostgreSQL.
        ToolError: the connection string can't be read, or a view was closed to this role.
    """
    look = partial(_look, pool_role=pool_role, samples=max(samples, 1), over_s=over_s, catch_up_s=catch_up_s)
    return reading(database_url, timeout_s + over_s + catch_up_s, look)


def _look(
    connection: psycopg.Connection[Any], pool_role: str | None, samples: int, over_s: float, catch_up_s: float
) -> CapacityFacts:
    seen = []
    for number in range(samples):
        if number:
            time.sleep(over_s / (samples - 1))
        seen.append(_sessions(connection))
    stuck = _wait_for_replicas(connection, catch_up_s)
    with connection.pipeline():
        server = connection.cursor(row_factory=tuple_row).execute(SERVER)
        prepared = connection.cursor(row_factory=class_row(Session)).execute(PREPARED)
        replicas = connection.cursor(row_factory=class_row(Replica)).execute(REPLICAS)
        databases = connection.cursor(row_factory=tuple_row).execute(DATABASES)
        pool = connection.cursor(row_factory=tuple_row).execute(POOL, {"role": pool_role})
    role, standby, limit, reserved, sees_all, size, standby_lag_s = server.fetchone() or ()
    limits = pool.fetchall()
    known = any(holder == f"role {pool_role}" for holder, _, _ in limits)
    limited = known and not any(superuser for _, _, superuser in limits)
    ours = connection.info.backend_pid
    others = [one for sample in seen for one in sample if one.pid != ours]
    busy = [one for one in others if one.transaction_s is not None] + prepared.fetchall()
    idle = [one for one in others if (one.state or "").startswith("idle in transaction")]
    counts = [Counter(one.role for one in sample) for sample in seen]
    return CapacityFacts(
        server_version=connection.info.parameter_status("server_version") or "",
        role=role,
        sees_all=sees_all,
        standby=standby,
        standby_lag_s=standby_lag_s,
        max_connections=limit,
        reserved=reserved,
        samples=tuple(len(sample) for sample in seen),
        per_role={name: max(count[name] for count in counts) for name in sorted(set().union(*counts))},
        hidden=sum(one.hidden(sees_all) for one in seen[-1] if one.pid != ours),
        longest_transaction=max(busy, key=lambda one: one.transaction_s or 0.0, default=None),
        longest_idle=max(idle, key=lambda one: one.state_s or 0.0, default=None),
        replicas=tuple(replace(one, stuck_s=stuck.get(one.pid)) for one in replicas.fetchall()),
        databases=tuple(DatabaseAge(*row) for row in databases.fetchall()),
        database_bytes=size,
        pool_exists=known,
        pool_limits={holder: limit for holder, limit, _ in limits if limited and limit >= 0},
    )


def _sessions(connection: psycopg.Connection[Any]) -> list[Session]:
    with connection.pipeline():
        # Statistics stand still within a transaction until they are thrown away.
        connection.execute("select pg_catalog.pg_stat_clear_snapshot()")
        cursor = connection.cursor(row_factory=class_row(Session)).execute(SESSIONS)
    return cursor.fetchall()


def _wait_for_replicas(connection: psycopg.Connection[Any], limit_s: float) -> dict[int, float]:
    """Waits until replicas have applied what was written by now; seconds waited for those that did not, by pid."""
    if limit_s <= 0:
        return {}
    began = time.monotonic()
    with connection.cursor(row_factory=tuple_row) as cursor:
        position = cursor.execute(POSITION).fetchone()
        while True:
            behind = [pid for (pid,) in cursor.execute(WAITING, position).fetchall()]
            waited_s = time.monotonic() - began
            if not behind or waited_s >= limit_s:
                return dict.fromkeys(behind, waited_s)
            time.sleep(0.1)
