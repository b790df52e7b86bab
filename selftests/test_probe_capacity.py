"""The capacity probe counts what a server has left, and says what it could not see."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

import servers
from fleetboard import processes
from gonogo.errors import TargetError
from gonogo.probes.capacity import CapacityFacts, DatabaseAge, Replica, Session, look_at_capacity
from postgres_server import PostgresServer, running_server


@pytest.fixture(scope="module")
def url(postgres: PostgresServer) -> Iterator[str]:
    with postgres.database() as one:
        yield one


def look(url: str, samples: int = 1, catch_up_s: float = 0.0) -> CapacityFacts:
    return look_at_capacity(url, samples=samples, over_s=0.2, catch_up_s=catch_up_s, timeout_s=5.0)


def as_stranger(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://test_stranger:stranger-1@{rest.rpartition('@')[2]}"


def test_a_quiet_server(url: str) -> None:
    facts = look(url, samples=3)

    assert facts.server_version.startswith("17.")
    assert (facts.role, facts.sees_all, facts.standby, facts.hidden) == ("postgres", True, False, 0)
    assert (facts.max_connections, facts.reserved, facts.available) == (50, 3, 47)
    assert len(facts.samples) == 3
    assert facts.peak >= 1
    assert facts.per_role["postgres"] >= 1
    assert facts.replicas == ()
    assert 1_000_000 < facts.database_bytes <= (facts.bytes or 0)
    assert facts.oldest
    assert 0 < facts.oldest.percent < 1


def test_connections_are_counted_by_role(url: str) -> None:
    before = look(url).per_role["postgres"]
    with psycopg.connect(url), psycopg.connect(url), psycopg.connect(url):
        during = look(url).per_role["postgres"]

    assert during == before + 3


def test_the_highest_of_all_samples_counts(url: str) -> None:
    with psycopg.connect(url):
        facts = look(url, samples=2)

    assert facts.peak == max(facts.samples)


def test_a_transaction_and_who_sits_idle_in_it_are_seen(url: str) -> None:
    with psycopg.connect(url, application_name="forgotten job") as held:
        held.execute("SELECT 'no-business-of-ours'")
        pid = held.info.backend_pid
        time.sleep(0.3)
        facts = look(url)

    for one in (facts.longest_transaction, facts.longest_idle):
        assert one
        assert one.pid == pid
        assert one.label == f"pid {one.pid}, role postgres, application forgotten job"
        assert one.transaction_s
        assert one.transaction_s >= 0.3
    assert "no-business-of-ours" not in str(dataclasses.asdict(facts))


def test_the_limits_of_a_pools_role_and_of_its_database(url: str) -> None:
    name = urlsplit(url).path.strip("/")
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("CREATE ROLE test_pool CONNECTION LIMIT 4")
        admin.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 40".encode())
        try:
            found = {
                role: look_at_capacity(url, pool_role=role, over_s=0.1)
                for role in ("test_pool", "postgres", "nobody")
            }
        finally:
            admin.execute(f"ALTER DATABASE {name} CONNECTION LIMIT -1".encode())
            admin.execute("DROP ROLE test_pool")

    assert found["test_pool"].pool_limits == {"role test_pool": 4, f"database {name}": 40}
    assert found["postgres"].pool_limits == {}  # superusers are free of limits
    assert {role: one.pool_exists for role, one in found.items()} == {
        "test_pool": True,
        "postgres": True,
        "nobody": False,
    }


def test_our_own_session_is_no_transaction_of_the_targets(url: str) -> None:
    facts = look(url)

    assert facts.longest_transaction is None
    assert facts.longest_idle is None


def test_a_role_without_pg_monitor_says_that_it_is_blind(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as admin, psycopg.connect(url) as busy:
        admin.execute("CREATE ROLE test_stranger LOGIN PASSWORD 'stranger-1'")
        busy.execute("SELECT 1")
        try:
            blind = look(as_stranger(url))
            admin.execute("GRANT pg_monitor TO test_stranger")
            seeing = look(as_stranger(url))
        finally:
            admin.execute("DROP ROLE test_stranger")

    assert (blind.sees_all, blind.longest_transaction) == (False, None)
    assert blind.hidden >= 2
    assert blind.samples[0] >= 3  # how many there are is no secret
    assert seeing.sees_all
    assert seeing.hidden == 0
    assert seeing.longest_transaction


def test_sessions_that_do_not_tell_their_state_are_counted_as_hidden(url: str) -> None:
    with psycopg.connect(url, options="-c track_activities=off") as silent:
        silent.execute("SELECT 1")
        facts = look(url)

    assert facts.sees_all
    assert facts.hidden == 1


def test_no_free_connection_is_the_targets_fault(url: str) -> None:
    held = []
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("CREATE ROLE test_stranger LOGIN CONNECTION LIMIT 1 PASSWORD 'stranger-1'")
        try:
            held.append(psycopg.connect(as_stranger(url)))
            with pytest.raises(TargetError, match="too many connections .*; end sessions that nobody needs"):
                look(as_stranger(url))
        finally:
            for one in held:
                one.close()
            admin.execute("DROP ROLE test_stranger")


@pytest.mark.parametrize(
    ("delay_s", "behind_bytes", "lag_s"),
    [(2.5, 100.0, 2.5), (None, 0.0, 0.0), (None, 5.0, None), (None, None, None)],
)
def test_the_lag_of_a_replica(delay_s: float | None, behind_bytes: float | None, lag_s: float | None) -> None:
    assert Replica("r", "streaming", delay_s, behind_bytes).lag_s == lag_s


def test_the_nearer_of_both_wraparounds_counts() -> None:
    assert DatabaseAge("a", 2**30, 1, None).percent == 50.0
    assert DatabaseAge("a", 1, 2**29, None).percent == 25.0


def test_a_session_without_a_name() -> None:
    assert Session(1, "app", "", "idle", None, 1.0).label == "pid 1, role app, application unnamed"


@pytest.fixture(scope="module")
def standby() -> Iterator[tuple[str, str]]:
    """Addresses of a server and of a replica that streams from it."""
    folder = Path(tempfile.mkdtemp(prefix="gonogo-standby-"))
    processes.give_away(folder)
    with running_server() as primary, psycopg.connect(primary.admin_url, autocommit=True) as admin:
        row = admin.execute("SELECT current_setting('data_directory')").fetchone()
        assert row
        with (Path(row[0]) / "pg_hba.conf").open("a", encoding="utf-8") as rules:
            rules.write("hostssl replication all 127.0.0.1/32 scram-sha-256\n")
        admin.execute("SELECT pg_reload_conf()")
        address = urlsplit(primary.admin_url)
        environment = {"HOME": str(folder), "LC_ALL": "C.UTF-8", "PGPASSWORD": address.password or ""}
        source = f"host=127.0.0.1 port={address.port} user={address.username} sslmode=require"
        log = folder / "log"
        copy = [str(primary.bin / "pg_basebackup"), "-D", str(folder / "data"), "-R", "-X", "stream", "-c", "fast"]
        made = processes.spawn("pg_basebackup", [*copy, "-d", source], log, unprivileged=True, env=environment)
        assert made.process.wait(60) == 0, made.last_words()
        port = servers.free_port()
        options = [
            f"--{name}={value}"
            for name, value in {
                "port": port,
                "listen_addresses": "127.0.0.1",
                "unix_socket_directories": "",
                "ssl": "on",
                "fsync": "off",
                "shared_buffers": "32MB",
                "max_connections": 50,
            }.items()
        ]
        child = processes.spawn(
            "standby",
            [str(primary.bin / "postgres"), "-D", str(folder / "data"), *options],
            log,
            unprivileged=True,
            stop_signal=signal.SIGINT,
            env=environment,
        )
        try:
            replica = primary.admin_url.replace(f":{address.port}/", f":{port}/")
            wait_until(lambda: look(replica).standby)
            yield primary.admin_url, replica
        finally:
            processes.stop_all([child])
            shutil.rmtree(folder)


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while True:
        with contextlib.suppress(TargetError):
            if holds():
                return
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


def test_a_real_replica_is_seen_from_both_ends(standby: tuple[str, str]) -> None:
    primary, replica = standby
    wait_until(lambda: [one.state for one in look(primary).replicas] == ["streaming"])
    with psycopg.connect(primary, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = on")  # or it is written to the log some time later
        connection.execute("CREATE TABLE t AS SELECT generate_series(1, 1000)")
    wait_until(lambda: look(primary).replicas[0].behind_bytes == 0)

    (one,) = look(primary).replicas
    assert one.name == "walreceiver"
    assert one.lag_s is not None
    assert one.lag_s < 5
    facts = look(replica)
    assert (facts.standby, facts.standby_lag_s, facts.replicas) == (True, 0.0, ())


def test_a_replica_that_stands_still_falls_behind(standby: tuple[str, str]) -> None:
    primary, replica = standby
    with (
        psycopg.connect(replica, autocommit=True) as paused,
        psycopg.connect(primary, autocommit=True) as connection,
    ):
        paused.execute("SELECT pg_wal_replay_pause()")
        connection.execute("SET synchronous_commit = on")
        connection.execute("CREATE TABLE u AS SELECT generate_series(1, 1000)")
        wait_until(lambda: (look(primary).replicas[0].behind_bytes or 0) > 10_000)
        wait_until(lambda: (look(replica).standby_lag_s or 0) > 0)
        (stuck,) = look(primary, catch_up_s=0.5).replicas
        assert stuck.delay_s is None or stuck.delay_s < 0.5  # what it says of itself is from before
        assert 0.5 <= (stuck.lag_s or 0) < 2
        paused.execute("SELECT pg_wal_replay_resume()")
        (free,) = look(primary, catch_up_s=15.0).replicas
        assert free.stuck_s is None


def test_an_archive_of_the_log_is_no_replica(standby: tuple[str, str], postgres: PostgresServer) -> None:
    """It applies nothing, so its lag would be unknown for ever."""
    primary, _ = standby
    folder = Path(tempfile.mkdtemp(prefix="gonogo-archive-"))
    processes.give_away(folder)
    address = urlsplit(primary)
    source = f"host=127.0.0.1 port={address.port} user={address.username} sslmode=require"
    environment = {"HOME": str(folder), "LC_ALL": "C.UTF-8", "PGPASSWORD": address.password or ""}
    command = [str(postgres.bin / "pg_receivewal"), "-D", str(folder), "-d", source, "--synchronous"]
    child = processes.spawn("archive", command, folder / "log", unprivileged=True, env=environment)
    try:
        with psycopg.connect(primary, autocommit=True) as admin:
            wait_until(
                lambda: (
                    admin.execute(
                        "SELECT FROM pg_stat_replication WHERE application_name = 'pg_receivewal' AND flush_lsn IS NOT NULL"
                    ).fetchone()
                    is not None
                )
            )
        assert [one.name for one in look(primary).replicas] == ["walreceiver"]
    finally:
        processes.stop_all([child])
        shutil.rmtree(folder)


def test_a_replica_that_lost_its_server_is_not_up_to_date(standby: tuple[str, str]) -> None:
    """All that it received is replayed, and nothing comes any more."""
    _, replica = standby
    wait_until(lambda: look(replica).standby_lag_s == 0.0)
    with psycopg.connect(replica, autocommit=True) as admin:
        row = admin.execute("SHOW primary_conninfo").fetchone()
        assert row
        for address in ("", row[0]):
            admin.execute(sql.SQL("ALTER SYSTEM SET primary_conninfo = {}").format(address))
            admin.execute("SELECT pg_reload_conf()")
            wait_until(lambda lost=not address: ((look(replica).standby_lag_s or 0) > 0) is lost)
