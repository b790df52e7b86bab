"""Scratch databases: on a server of the right version, never on the target's, and gone at the end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

import servers
from gonogo.errors import ToolError
from gonogo.pgtools import Programs, clients_for, find_programs, server_for
from gonogo.processes import run_command
from gonogo.scratch import Origin, Scratch, as_url, check, environment_for, look_at
from gonogo.scratching import passwords_in, secrets_in
from postgres_server import PostgresServer


@pytest.fixture
def scratch(postgres: PostgresServer) -> Scratch:
    origin = look_at(postgres.admin_url, 10.0)
    return Scratch(postgres.admin_url, origin.major, origin.roles, clients_for(origin.major, find_programs()))


def names(server: PostgresServer) -> set[str]:
    with psycopg.connect(server.admin_url) as connection:
        return {row[0] for row in connection.execute("select datname from pg_database")}


def test_a_database_is_empty_has_the_roles_and_is_dropped_also_after_a_failure(
    scratch: Scratch, postgres: PostgresServer
) -> None:
    before = names(postgres)

    def use() -> None:
        with scratch.database(["owner of 'it'", "owner of 'it'"]) as database:
            with psycopg.connect(database.url) as connection:
                connection.execute("""CREATE TABLE t (); ALTER TABLE t OWNER TO "owner of 'it'" """)
                assert connection.info.dbname == database.name
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        use()
    assert names(postgres) == before


def test_a_program_reaches_the_database_by_its_environment_alone(
    scratch: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGHOST", "another.example")
    with scratch.database() as database:
        asked = "select current_database(), ssl from pg_stat_ssl where pid = pg_backend_pid()"
        done = run_command(
            [str(scratch.tool("psql")), "-XAtc", asked], timeout_s=30, environment=database.environment
        )
    assert done.output.strip() == f"{database.name}|t"


def test_the_target_s_own_server_is_refused(postgres: PostgresServer) -> None:
    origin = look_at(postgres.admin_url, 10.0)
    with pytest.raises(ToolError, match="leads to the target's own server"):
        check(postgres.admin_url, origin, 10.0)


def test_another_major_version_is_refused(postgres: PostgresServer) -> None:
    origin = replace(look_at(postgres.admin_url, 10.0), identifier="another", major=13)
    with pytest.raises(ToolError, match="the scratch server is PostgreSQL 17, the target's 13"):
        check(postgres.admin_url, origin, 10.0)


def test_a_scratch_server_that_is_not_there_is_our_own_fault() -> None:
    url = f"postgresql://me:secret-word@127.0.0.1:{servers.free_port()}/postgres"
    with pytest.raises(ToolError, match="the scratch server can't be used: .*Connection refused") as caught:
        check(url, Origin(17, "x", ()), 5.0)
    assert "secret-word" not in str(caught.value)


def test_a_user_that_may_not_make_databases_is_told(postgres: PostgresServer, scratch: Scratch) -> None:
    with psycopg.connect(postgres.admin_url, autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS nobody; CREATE ROLE nobody LOGIN PASSWORD 'pass-of-nobody'")
    password = str(conninfo_to_dict(postgres.admin_url)["password"])
    url = postgres.admin_url.replace("//postgres:", "//nobody:").replace(password, "pass-of-nobody")
    with (
        pytest.raises(ToolError, match=r"permission denied .* needs a superuser"),
        replace(scratch, admin_url=url).database(),
    ):
        raise AssertionError


PROGRAMS = (Programs(Path("/a"), 15, True), Programs(Path("/b"), 17, False), Programs(Path("/c"), 18, True))


@pytest.mark.parametrize(("server", "folder"), [(13, "/a"), (15, "/a"), (16, "/b"), (17, "/b"), (18, "/c")])
def test_clients_are_never_older_than_the_server(server: int, folder: str) -> None:
    assert clients_for(server, PROGRAMS).folder == Path(folder)


def test_a_server_newer_than_every_client_is_refused_with_what_to_install() -> None:
    with pytest.raises(
        ToolError, match=r"needs pg_dump of version 19 .* 15 in /a, 17 in /b, .* postgresql-client-19"
    ):
        clients_for(19, PROGRAMS)


def test_a_scratch_server_has_exactly_the_version() -> None:
    assert server_for(15, PROGRAMS).folder == Path("/a")
    with pytest.raises(ToolError, match=r"PostgreSQL 17, the target's version, .* 15 in /a, 18 in /c"):
        server_for(17, PROGRAMS)


def test_programs_are_where_they_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = find_programs()
    assert 17 in [programs.major for programs in found]
    monkeypatch.setenv("GONOGO_PG_BIN", str(found[0].folder))
    assert find_programs() == (found[0],)
    with pytest.raises(ToolError, match="holds no PostgreSQL programs"):
        find_programs(str(tmp_path))


part = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)


@given(user=part, password=part, database=part, host=st.sampled_from(["localhost", "::1", "/run/pg", "h.example"]))
def test_a_url_says_what_the_parts_say(user: str, password: str, database: str, host: str) -> None:
    parts = {"user": user, "password": password, "dbname": database, "host": host, "sslmode": "verify-full"}
    assert {k: str(v) for k, v in conninfo_to_dict(as_url(parts)).items()} == parts


def test_nothing_of_another_database_is_left_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSFILE", "/somewhere")
    monkeypatch.setenv("DATABASE_URL", "postgresql://production")
    environment = environment_for("host=h port=1 user=u password='p w' dbname=d")
    assert {k: v for k, v in environment.items() if k.startswith("PG")} == {
        "PGHOST": "h",
        "PGPORT": "1",
        "PGUSER": "u",
        "PGPASSWORD": "p w",
        "PGDATABASE": "d",
        "PGCONNECT_TIMEOUT": "10",
        "PGAPPNAME": "gonogo",
    }
    assert environment["DATABASE_URL"] == "postgresql://u:p%20w@h:1/d"


def test_options_of_a_url_keep_their_blanks() -> None:
    parts = {"host": "h", "dbname": "d", "options": "-c search_path=a+b"}
    assert {k: str(v) for k, v in conninfo_to_dict(as_url(parts)).items()} == parts


def test_a_url_without_a_password_keeps_the_one_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "ours")
    monkeypatch.setenv("PGPASSFILE", "/ours")
    monkeypatch.setenv("PGHOST", "another.example")
    environment = environment_for("postgresql://u@h/d")
    assert (environment["PGPASSWORD"], environment["PGPASSFILE"], environment["PGHOST"]) == ("ours", "/ours", "h")
    assert environment_for("host=h passfile=/theirs")["PGPASSFILE"] == "/theirs"


@pytest.mark.parametrize(
    ("address", "password"),
    [
        ("postgresql://u:p%40ss+w%20rd@h/d", "p@ss+w rd"),
        ("postgresql://u:p%40ss+w%20rd@h/d", "p%40ss+w%20rd"),
        ("postgresql://u:pa#ss?w[rd@h:1,i:2/d", "pa#ss?w[rd"),
        ("postgresql://u@h/d?sslmode=require&password=p%40ss", "p@ss"),
        ("host=h password = pa\\'ss user=u", "pa'ss"),
        ("host=h user=u password='p @ \\'ss\\\\'", "p @ 'ss\\"),
        ("redis://:p@ss@cache:6379/0", "p@ss"),
        ("host=h password='p w'", "p%20w"),
    ],
)
def test_the_password_of_every_form_of_address_is_hidden(address: str, password: str) -> None:
    assert password in set(passwords_in(address))


def test_an_address_without_a_password_hides_nothing() -> None:
    for address in ("", "postgresql://u@h/d", "host=h user=u dbname=d", "no address at all", "https://[::1"):
        assert [one for one in passwords_in(address) if one] == []


def test_variables_are_secret_by_name_or_as_an_address() -> None:
    environment = {
        "REDIS_URL": "redis://:cache-pass@cache",
        "OTHER_DSN": "host=h password=dsn-passw",
        "MYSQL_PWD": "mysql-pwd",
        "AWS_ACCESS_KEY_ID": "AKIA-12345",
        "PWD": "/home/me/project",
        "OLDPWD": "/home/me/before",
        "HOMEPAGE": "https://example.com/a",
    }
    assert set(secrets_in(environment)) == {"cache-pass", "dsn-passw", "mysql-pwd", "AKIA-12345"}
