"""Scratch databases: where migrations, dumps and rollbacks are tried, and the only place that gates write to."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from gonogo.errors import TargetError, ToolError
from gonogo.pgsession import libpq_environment, reading
from gonogo.pgtools import Programs

_PREFIX = "gonogo_scratch_"
_ORIGIN = """
select current_setting('server_version_num')::int / 10000,
       extract(epoch from pg_catalog.pg_postmaster_start_time())::text,
       (select coalesce(array_agg(rolname::text order by 1), '{}') from pg_catalog.pg_roles where rolname !~ '^pg_')
"""


@dataclass(frozen=True)
class Origin:
    """What a scratch server must know of the target's."""

    major: int
    identifier: str
    """When it was started, to the microsecond: no other server was."""
    roles: tuple[str, ...]


@dataclass(frozen=True)
class ScratchDatabase:
    """One database that nobody misses."""

    name: str
    url: str
    """The superuser's connection URL or string; contains the password."""
    environment: dict[str, str]
    """Environment for programs: ours, with ``DATABASE_URL`` and ``PG...`` naming this database and no other."""


@dataclass
class Scratch:
    """A server for scratch databases, of the same major version as the target's."""

    admin_url: str
    major: int
    """Major version of the target's server, and of this one."""
    roles: tuple[str, ...]
    """Roles of the target's server: owners and grants in migrations and dumps name them."""
    clients: Programs
    cache: dict[object, Any] = field(default_factory=dict)
    """What was found out on it and serves several gates of the session."""

    def tool(self, name: str) -> Path:
        """Path of ``pg_dump``, ``pg_restore`` or ``psql``, not older than the target's server."""
        return self.clients.folder / name

    @contextmanager
    def database(self, roles: Sequence[str] = ()) -> Iterator[ScratchDatabase]:
        """A new, empty database, dropped at the end.

        Args:
            roles: made, without login, where the server does not have them.

        Raises:
            ToolError: the server refuses; says what it said.
        """
        name = _PREFIX + uuid.uuid4().hex[:16]
        self._create(name, roles)
        url = make_conninfo(self.admin_url, dbname=name)
        try:
            yield ScratchDatabase(name, url, environment_for(url))
        finally:
            self._drop(name)

    def _create(self, name: str, roles: Sequence[str]) -> None:
        try:
            with psycopg.connect(self.admin_url, autocommit=True, connect_timeout=10) as admin:
                there = {row[0] for row in admin.execute("select rolname from pg_catalog.pg_roles")}
                for role in dict.fromkeys(roles):
                    if role not in there:
                        admin.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
                admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        except psycopg.Error as error:
            said = " ".join(str(error).split())
            raise ToolError(
                f"the scratch server did not make a database: {said}; database.scratch_url needs a superuser"
            ) from None

    def _drop(self, name: str) -> None:
        try:
            with psycopg.connect(self.admin_url, autocommit=True, connect_timeout=10) as admin:
                admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        except psycopg.Error as error:
            said = " ".join(str(error).split())
            raise ToolError(f"the scratch server did not drop {name}: {said}; drop it by hand") from None


def look_at(url: str, timeout_s: float) -> Origin:
    """Version, identity and roles of a server.

    Raises:
        TargetError: it does not answer within ``timeout_s`` seconds.
        ToolError: the address can't be read.
    """

    def read(connection: psycopg.Connection[Any]) -> Origin:
        row = connection.execute(_ORIGIN).fetchone()
        assert row is not None
        return Origin(row[0], row[1], tuple(row[2]))

    return reading(url, timeout_s, read)


def check(url: str, origin: Origin, timeout_s: float) -> None:
    """Refuse a scratch server that is the target's own, or of another version.

    Raises:
        ToolError: says which, and what to do.
    """
    try:
        found = look_at(url, timeout_s)
    except TargetError as error:
        raise ToolError(f"the scratch server can't be used: {error}") from None
    if found.identifier == origin.identifier:
        raise ToolError(
            "database.scratch_url leads to the target's own server, which gates never write to; name another one, "
            "or leave the key out"
        )
    if found.major != origin.major:
        raise ToolError(
            f"the scratch server is PostgreSQL {found.major}, the target's {origin.major}; only the same major "
            "version writes definitions in the same words; name such a server in database.scratch_url"
        )


def environment_for(url: str) -> dict[str, str]:
    """Our environment, in which ``DATABASE_URL`` and libpq's variables name one database, and nothing else does."""
    parts = {key: str(value) for key, value in conninfo_to_dict(url).items() if value is not None}
    # Without a password in the URL, ours is the one with which the server was reached.
    secrets = () if "password" in parts else ("PGPASSWORD", "PGPASSFILE")
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PG") or k in secrets}
    return {**kept, **libpq_environment(url), "DATABASE_URL": as_url(parts)}


def as_url(parts: dict[str, str]) -> str:
    """A connection URL, which more programs can read than libpq's own form."""

    def safe(key: str) -> str:
        return quote(parts.get(key, ""), safe="")

    who = (
        f"{safe('user')}:{safe('password')}@"
        if "password" in parts
        else f"{safe('user')}@"
        if "user" in parts
        else ""
    )
    host = parts.get("host", "localhost")
    place = quote(host, safe="") if host.startswith("/") else f"[{host}]" if ":" in host else host
    named = ("host", "port", "user", "password", "dbname")
    more = urlencode({k: v for k, v in parts.items() if k not in named}, quote_via=quote)  # "+" is no blank there
    port = f":{parts['port']}" if "port" in parts else ""
    return f"postgresql://{who}{place}{port}/{safe('dbname')}" + (f"?{more}" if more else "")
