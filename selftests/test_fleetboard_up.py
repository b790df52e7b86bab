"""The embedded target end to end: up, every endpoint over verified TLS, and down without a trace."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from fleetboard_target import UP, Running, descendants, running, stream, wait_until_gone, work_folder

pytestmark = pytest.mark.slow

VEHICLE_KEYS = {
    "id",
    "name",
    "plate",
    "type",
    "status",
    "lat",
    "lon",
    "heading",
    "speedKmh",
    "fuelPercent",
    "driver",
    "load",
}


@pytest.fixture(scope="module")
def target() -> Iterator[Running]:
    with running() as up:
        yield up


@pytest.fixture(scope="module")
def client(target: Running) -> Iterator[httpx.Client]:
    with target.client() as ready:
        yield ready


def test_json_line_says_how_to_reach_it(target: Running) -> None:
    """All keys of the contract, and files that exist."""
    assert set(target.info) == {
        "base_url",
        "resolver",
        "ca_file",
        "database_url",
        "logs",
        "version",
        "commit",
        "faults",
        "pid",
        "env",
    }
    assert target.info["pid"] == target.process.pid
    assert target.info["faults"] == []
    assert Path(target.info["ca_file"]).read_text().startswith("-----BEGIN CERTIFICATE-----")
    assert {path.name for path in Path(target.info["logs"]).iterdir()} >= {
        "postgres.log",
        "haproxy.log",
        "app-a.log",
    }


def test_health_of_both_instances(client: httpx.Client) -> None:
    """Requests go to the two processes in turn, and both are healthy."""
    answers = [client.get("/api/health").json() for _ in range(4)]
    assert {answer["instance"] for answer in answers} == {"a", "b"}
    for answer in answers:
        assert answer["status"] == "healthy"
        assert answer["version"] == "1.0.0"
        assert answer["uptimeSeconds"] > 0
        assert answer["checks"] == {"database": {"status": "healthy"}, "websocket": {"status": "healthy"}}


def test_statistics(client: httpx.Client) -> None:
    """The pool and the server are told; requests are counted."""
    database = client.get("/api/fleet/db-stats").json()
    assert database["poolingEnabled"] is True
    assert set(database["pool"]) == {"min", "max", "size", "inUse", "waiting", "usagePercent"}
    assert database["pool"]["usagePercent"] < 80
    assert database["server"]["maxConnections"] == 50
    before = client.get("/api/fleet/performance-stats").json()["metrics"]["requests"]
    for _ in range(10):
        client.get("/api/fleet/drivers?limit=1")
    time.sleep(1.2)  # the sibling's counts arrive with its next heartbeat
    after = client.get("/api/fleet/performance-stats").json()
    assert after["metrics"]["requests"] >= before + 10
    assert after["metrics"]["errorRate"] == 0
    assert after["metrics"]["memoryPercent"] > 0
    assert after["errors"] == []


def test_vehicles_in_pages(client: httpx.Client) -> None:
    """Pages fit together, filters filter, details equal the list's."""
    first = client.get("/api/fleet/vehicles?limit=100").json()
    rest = client.get("/api/fleet/vehicles?limit=500&offset=100").json()
    assert (first["total"], first["limit"], first["offset"]) == (240, 100, 0)
    assert [v["id"] for v in first["items"] + rest["items"]] == [f"V-{n:03d}" for n in range(1, 241)]
    assert all(set(vehicle) == VEHICLE_KEYS for vehicle in first["items"])
    idle = client.get("/api/fleet/vehicles?status=idle&limit=500").json()
    assert idle["total"] == len(idle["items"]) > 0
    assert {vehicle["status"] for vehicle in idle["items"]} == {"idle"}
    listed = idle["items"][0]
    assert client.get(f"/api/fleet/vehicles/{listed['id']}").json() == listed
    assert client.get("/api/fleet/vehicles?offset=1000").json()["items"] == []


@pytest.mark.parametrize(("name", "total"), [("loads", 420), ("drivers", 220), ("maintenance", 320)])
def test_other_lists(client: httpx.Client, name: str, total: int) -> None:
    """Same shape of page for every list."""
    page = client.get(f"/api/fleet/{name}?limit=3&offset=2").json()
    assert (page["total"], page["limit"], page["offset"], len(page["items"])) == (total, 3, 2, 3)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/fleet/vehicles/V-999", 404),
        ("/api/nope", 404),
        ("/api/fleet/vehicles?limit=0", 422),
        ("/api/fleet/vehicles?limit=501", 422),
        ("/api/fleet/loads?offset=-1", 422),
        ("/api/fleet/drivers?status=nope", 422),
        ("/static/../migrations/0001_fleet.sql", 404),
    ],
)
def test_errors_are_json_sentences(client: httpx.Client, path: str, status: int) -> None:
    """A wrong request gets a status and a sentence."""
    answer = client.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["error"]


def test_vehicles_are_not_written(client: httpx.Client, target: Running) -> None:
    """A stranger may not write, nor may a machine, and vehicles not even a manager."""
    with target.stranger() as stranger:
        assert stranger.post("/api/fleet/vehicles", json={}).status_code == 401
    assert client.post("/api/fleet/vehicles", json={}).status_code == 403
    with target.signed_in("manager") as manager:
        assert manager.post("/api/fleet/vehicles", json={}).status_code == 405


def test_page_and_security_headers(client: httpx.Client) -> None:
    """The home page leads to the dashboard; script may come from nowhere else."""
    home = client.get("/")
    assert (home.status_code, home.headers["location"]) == (302, "/fleet/dashboard")
    page = client.get("/fleet/dashboard")
    assert page.status_code == 200
    assert 'data-faults=""' in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'self';")
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "max-age=" in page.headers["strict-transport-security"]
    assert client.get("/favicon.ico").status_code == 200
    assert client.get("/static/extras.js").status_code == 200


def test_live_feed_and_its_count(target: Running, client: httpx.Client) -> None:
    """A snapshot at once, positions a second later, and the count follows the connections."""
    with stream(target) as first, stream(target) as second:
        snapshot = json.loads(first.recv(timeout=3))
        json.loads(second.recv(timeout=3))
        counts = client.get("/api/fleet/ws-stats").json()
        update = json.loads(first.recv(timeout=3))
    assert snapshot["type"] == "snapshot"
    assert update["type"] == "positions"
    assert len(snapshot["vehicles"]) == len(update["vehicles"]) == 240
    assert set(update["vehicles"][0]) == {"id", "lat", "lon", "heading", "speedKmh", "status"}
    assert datetime.fromisoformat(update["at"]) > datetime.fromisoformat(snapshot["at"])
    moved = [a for a, b in zip(snapshot["vehicles"], update["vehicles"], strict=True) if a["lat"] != b["lat"]]
    assert len(moved) > 100
    assert counts["totalConnections"] == sum(counts["instances"].values()) == 2
    end = time.monotonic() + 5
    while (left := client.get("/api/fleet/ws-stats").json()["totalConnections"]) and time.monotonic() < end:
        time.sleep(0.1)
    assert left == 0


def positions_known(connection: psycopg.Connection[tuple[Any, ...]]) -> int:
    """How many vehicles have a stored position of the last minute."""
    query = "SELECT count(*) FROM vehicle_positions WHERE recorded_at > now() - interval '1 minute'"
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def test_database_for_readers(target: Running) -> None:
    """Verified TLS, the whole schema to see, nothing to change."""
    with psycopg.connect(target.info["database_url"], autocommit=True) as connection:
        rows = connection.execute("SELECT count(*) FROM vehicles").fetchall()
        assert rows == [(240,)]
        end = time.monotonic() + 5  # written by a job beside the requests, soon after the start
        while not (known := positions_known(connection)) and time.monotonic() < end:
            time.sleep(0.1)
        assert known == 240
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("DELETE FROM vehicles")
        connection.execute("SET default_transaction_read_only = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM vehicles")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(target.info["database_url"].replace("verify-full", "disable"))


def test_no_password_in_logs_or_arguments(target: Running) -> None:
    """The password is in the JSON line and nowhere else that others can read."""
    password = target.info["database_url"].split(":")[2].split("@")[0]
    logs = "".join(path.read_text() for path in Path(target.info["logs"]).iterdir())
    arguments = "".join(
        Path(f"/proc/{pid}/cmdline").read_text()
        for pid in descendants(target.process.pid)
        if Path(f"/proc/{pid}").exists()
    )
    assert password not in logs
    assert password not in arguments


def test_two_side_by_side(target: Running, client: httpx.Client, tmp_path: Path) -> None:
    """Two targets share nothing; logs of a given folder stay, the state does not."""
    with (
        running("--state-dir", str(tmp_path), "--fault", "dns-long-ttl,health-500") as other,
        other.client() as there,
    ):
        assert other.info["faults"] == ["dns-long-ttl", "health-500"]
        assert there.get("/api/health").status_code == 500
        assert client.get("/api/health").status_code == 200
        folder = work_folder(other.info)
    assert other.process.returncode == 0
    assert not folder.exists()
    assert {path.name for path in (tmp_path / "logs").iterdir()} >= {"postgres.log", "app-b.log"}


def start() -> tuple[subprocess.Popen[str], dict[str, Any], list[int]]:
    """A target without a guard, its line, and all of its processes."""
    process = subprocess.Popen(UP, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    info = json.loads(process.stdout.readline())
    return process, info, [process.pid, *descendants(process.pid)]


def close(process: subprocess.Popen[str]) -> None:
    """Close the pipes of a process that has ended."""
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        pipe.close()


def test_sigterm_leaves_nothing() -> None:
    """Status 0, no process, no folder."""
    process, info, pids = start()
    assert len(pids) >= 6
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert wait_until_gone(pids) == []
    assert not work_folder(info).exists()
    close(process)


def folder_of_initdb(pid: int) -> Path | None:
    """The work folder, from the arguments of the initdb below this process; ``None`` before it runs."""
    for child in descendants(pid):
        with contextlib.suppress(OSError):
            arguments = Path(f"/proc/{child}/cmdline").read_text().split("\0")
            for argument in arguments:
                if argument.startswith("--pgdata="):
                    return Path(argument.removeprefix("--pgdata=")).parent
    return None


def test_sigterm_while_starting_leaves_nothing() -> None:
    """Also in the middle of the start there is an orderly end."""
    process = subprocess.Popen(UP, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    end = time.monotonic() + 10
    while not (folder := folder_of_initdb(process.pid)) and time.monotonic() < end:
        time.sleep(0.02)
    assert folder is not None
    pids = descendants(process.pid)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert wait_until_gone(pids) == []
    assert not folder.exists()
    close(process)


def test_an_unusable_state_folder_is_a_sentence(tmp_path: Path) -> None:
    """A file in the way, status 1, no traceback."""
    (tmp_path / "taken").write_text("")
    command = [sys.executable, "-m", "fleetboard", "up", "--state-dir", str(tmp_path / "taken")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("the target could not start: ")
    assert len(done.stderr.splitlines()) == 1


def test_kill_9_leaves_no_process() -> None:
    """The kernel takes the children along; the next start clears the folder away."""
    process, info, pids = start()
    process.kill()
    process.wait(5)
    assert wait_until_gone(pids) == []
    with running():
        assert not work_folder(info).exists()
    close(process)


def test_kill_9_of_the_parent_leaves_nothing() -> None:
    """The end of standard input stops a target whose parent is gone."""
    script = (
        "import json, subprocess, sys, time\n"
        f"p = subprocess.Popen({UP!r}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)\n"
        "print(p.stdout.readline(), end='', flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    info = json.loads(parent.stdout.readline())
    pids = [info["pid"], *descendants(info["pid"])]
    parent.kill()
    parent.wait(5)
    parent.stdout.close()
    assert wait_until_gone(pids) == []
    assert not work_folder(info).exists()


def test_a_child_that_dies_ends_the_target() -> None:
    """One sentence that names it, status 1, nothing left."""
    process = subprocess.Popen(UP, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    info = json.loads(process.stdout.readline())
    pids = descendants(process.pid)
    victim = next(pid for pid in pids if "fleetboard.app" in Path(f"/proc/{pid}/cmdline").read_text())
    os.kill(victim, signal.SIGKILL)
    assert process.wait(10) == 1
    assert process.stderr.read().startswith("app-a ended by itself with status -9")
    assert wait_until_gone(pids) == []
    assert not work_folder(info).exists()
    process.stderr.close()
    close(process)
