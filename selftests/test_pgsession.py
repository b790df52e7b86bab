"""A session reads, and only reads; it never hangs, and never tells a password."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

import servers
from gonogo.errors import TargetError, ToolError
from gonogo.pgsession import place, reading
from postgres_server import PostgresServer


def one(connection: psycopg.Connection[Any]) -> Any:
    return connection.execute("SELECT 1").fetchone()


def run(statement: str) -> Any:
    return lambda connection: connection.execute(statement).fetchone()


def test_it_reads_over_an_encrypted_connection(database_url: str) -> None:
    assert reading(database_url, 5.0, one) == (1,)
    assert reading(database_url, 5.0, lambda connection: connection.pgconn.ssl_in_use)


def test_it_sees_one_moment_and_can_not_write(database_url: str) -> None:
    isolation = "SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only')"
    assert reading(database_url, 5.0, run(isolation)) == ("repeatable read", "on")
    with pytest.raises(TargetError, match="read-only transaction"):
        reading(database_url, 5.0, run("CREATE TABLE t (a int)"))


def test_a_slow_query_is_ended_within_the_limit(database_url: str) -> None:
    started = time.monotonic()
    with pytest.raises(
        TargetError, match="database test_.* on 127.0.0.1 port .*(timeout|did not answer within 0.5 s)"
    ):
        reading(database_url, 0.5, run("SELECT pg_sleep(20)"))

    assert time.monotonic() - started < 1.5


def test_slow_work_of_our_own_is_cut(database_url: str) -> None:
    def dawdle(connection: psycopg.Connection[Any]) -> Any:
        time.sleep(0.4)
        return one(connection)

    with pytest.raises(TargetError, match="did not answer within 0.2 s"):
        reading(database_url, 0.2, dawdle)


def test_wrong_password_is_not_told(database_url: str) -> None:
    password = urlsplit(database_url).password or ""
    with pytest.raises(TargetError, match="password authentication failed") as failure:
        reading(database_url.replace(password, "wrong-Secret.1"), 5.0, one)

    assert "wrong-Secret" not in str(failure.value)
    assert password not in str(failure.value)
    assert "\n" not in str(failure.value)


def test_a_database_that_does_not_exist_is_told(database_url: str) -> None:
    with pytest.raises(TargetError, match='database nowhere on 127.0.0.1 port .* "nowhere" does not exist'):
        reading(database_url.replace("/test_", "/nowhere?x=", 1).partition("?x=")[0] + "?sslmode=require", 5.0, one)


def test_unknown_authority(database_url: str, tmp_path: Any) -> None:
    other = servers.authority(tmp_path)
    with pytest.raises(TargetError, match="certificate verify failed"):
        reading(database_url.partition("&sslrootcert")[0] + f"&sslrootcert={other.ca_file}", 5.0, one)


@pytest.mark.parametrize(
    ("handler", "limit_s"),
    [(servers.hang, 1.0), (servers.garbage, 2.0), (servers.hang_up, 2.0), (servers.drip(b"S", b"\0"), 1.0)],
)
def test_bad_server(handler: servers.Handler, limit_s: float) -> None:
    started = time.monotonic()
    with (
        servers.serve(handler) as server,
        pytest.raises(TargetError, match="database fleet on 127") as failure,
    ):
        reading(f"postgresql://me:secret@127.0.0.1:{server.port}/fleet", limit_s, one)

    assert time.monotonic() - started < limit_s + 1
    assert "secret" not in str(failure.value)


def test_closed_port() -> None:
    with pytest.raises(TargetError, match="Connection refused"):
        reading(f"postgresql://me@127.0.0.1:{servers.free_port()}/fleet", 2.0, one)


def test_unreadable_address() -> None:
    for use in (place, lambda url: reading(url, 1.0, one)):
        with pytest.raises(ToolError, match="can't be read") as failure:
            use("postgresql://me:s%ecret@host/db?nonsense=1")

        assert "ecret" not in str(failure.value)


def test_the_place_has_no_password() -> None:
    assert place("postgresql://me:secret@db.example:6543/fleet") == "database fleet on db.example port 6543"


def test_what_our_own_work_raises_is_handed_on(database_url: str) -> None:
    def fail(connection: psycopg.Connection[Any]) -> None:
        raise TargetError("the target said nonsense")

    with pytest.raises(TargetError, match="^the target said nonsense$"):
        reading(database_url, 5.0, fail)


@pytest.mark.parametrize(
    ("statement", "grant"),
    [
        ("SELECT * FROM hidden", "GRANT SELECT ON hidden TO test_nobody"),
        ("SELECT * FROM closed.hidden", "GRANT USAGE ON SCHEMA closed TO test_nobody"),
        ("SELECT private()", "GRANT EXECUTE ON FUNCTION private TO test_nobody"),
        ("SELECT rolpassword FROM pg_authid", "GRANT SELECT ON pg_authid TO test_nobody"),
        ("SELECT pg_read_file('postgresql.conf')", "GRANT EXECUTE ON FUNCTION pg_read_file TO test_nobody"),
    ],
)
def test_a_right_that_is_missing_is_our_own_fault_and_says_what_to_grant(
    statement: str, grant: str, postgres: PostgresServer, database_url: str
) -> None:
    nobody(database_url)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE hidden (a int); CREATE SCHEMA closed; CREATE TABLE closed.hidden (a int);"
            "CREATE FUNCTION private() RETURNS int LANGUAGE sql AS 'SELECT 1';"
            "REVOKE EXECUTE ON FUNCTION private() FROM PUBLIC"
        )
    with pytest.raises(ToolError) as failure:
        reading(as_nobody(database_url), 5.0, run(statement))

    assert grant in str(failure.value)
    assert "no-Body.1" not in str(failure.value)


def test_a_database_that_is_closed_to_the_role_says_what_to_grant(database_url: str) -> None:
    nobody(database_url)
    name = urlsplit(database_url).path.strip("/")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC".encode())
    with pytest.raises(ToolError, match=f'GRANT CONNECT ON DATABASE "{name}" TO test_nobody'):
        reading(as_nobody(database_url), 5.0, one)


def nobody(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'test_nobody'").fetchone():
            connection.execute("CREATE ROLE test_nobody LOGIN PASSWORD 'no-Body.1'")


def as_nobody(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://test_nobody:no-Body.1@{rest.rpartition('@')[2]}"
