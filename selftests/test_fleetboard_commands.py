"""The team's commands against a running target: backup, deploy, rollback, and the faults of each."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from fleetboard import (
    archive,
    backing_up,
    backups,
    breakage,
    cli,
    control,
    deploying,
    health,
    releases,
    rolling_back,
    state,
)
from fleetboard.errors import OperationError
from fleetboard.state import State
from fleetboard_target import UP, Running, descendants, running, wait_until_gone, work_folder

pytestmark = pytest.mark.slow

LINES = """\
✓ Pre-flight checks passed
✓ Backup created
✓ Code updated
✓ Dependencies installed
✓ Tests passed
✓ Build completed
✓ Application deployed
✓ Health check passed
""".splitlines()


@pytest.fixture(scope="module")
def target() -> Iterator[Running]:
    """One that runs the old release; each test leaves it as it found it."""
    with running("--release", "0.9.0") as up:
        yield up


def state_of(target: Running) -> State:
    """What the target's commands know of it."""
    data = json.loads(Path(target.info["env"][state.STATE]).read_text())
    return State(**{**data, "faults": tuple(data["faults"])})


def command(target: Running, *arguments: str, answers: str = "") -> subprocess.CompletedProcess[str]:
    """One of the team's commands, as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "fleetboard", *arguments],
        env={**os.environ, **target.info["env"]},
        input=answers,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def back(target: Running) -> None:
    """Roll back to the release that the target began with."""
    done = command(target, "rollback", answers="0.9.0\n")
    assert done.returncode == 0, done.stderr


def versions(target: Running) -> dict[str, str]:
    """Version by instance."""
    return {name: health.status_and_version(at)[1] for name, at in state_of(target).instances.items()}


def processes_of(target: Running) -> list[int]:
    """Ids of its application processes."""
    pids = [pid for pid in descendants(target.process.pid) if Path(f"/proc/{pid}/cmdline").exists()]
    return [pid for pid in pids if "fleetboard.app" in Path(f"/proc/{pid}/cmdline").read_text()]


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    """All rows of a query."""
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


def rights(url: str) -> list[tuple[Any, ...]]:
    """Who owns and may do what, in the whole database."""
    return rows(
        url,
        "SELECT relname, relowner::regrole::text, relacl::text FROM pg_class"
        " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'S')"
        " UNION ALL SELECT 'default', defaclrole::regrole::text, defaclacl::text FROM pg_default_acl"
        " UNION ALL SELECT datname, datdba::regrole::text, datacl::text FROM pg_database WHERE datname = 'fleet'"
        " UNION ALL SELECT nspname, nspowner::regrole::text, nspacl::text FROM pg_namespace WHERE nspname = 'public'"
        " ORDER BY 1, 2, 3",
    )


@contextmanager
def watched(target: Running) -> Iterator[list[int | str]]:
    """Clients that ask for health without a pause; the list receives what they got."""
    answers: list[int | str] = []
    stop = threading.Event()

    def ask() -> None:
        with target.client() as client:
            while not stop.is_set():
                try:
                    answers.append(client.get("/api/health").status_code)
                except httpx.HTTPError as error:
                    answers.append(repr(error))

    clients = [threading.Thread(target=ask) for _ in range(3)]
    for client in clients:
        client.start()
    try:
        yield answers
    finally:
        stop.set()
        for client in clients:
            client.join()


def test_what_holds_passwords_or_takes_orders_is_private(target: Running) -> None:
    files = [Path(target.info["env"][state.STATE]), Path(state_of(target).control)]
    assert [path.stat().st_mode & 0o777 for path in files] == [0o600, 0o600]
    assert (work_folder(target.info) / "haproxy").stat().st_mode & 0o777 == 0o700
    assert Path(target.info["env"][state.BACKUPS]).stat().st_mode & 0o777 == 0o700


def test_the_old_release_is_built_as_it_was(target: Running) -> None:
    assert target.info["version"] == "0.9.0"
    assert target.info["commit"] == releases.commit(releases.NEW)  # of what is to be launched
    with target.client() as client:
        answer = client.get("/api/health").json()
        assert (answer["version"], answer["commit"]) == ("0.9.0", "3f9c1d27ab54")
        assert "priority" not in client.get("/api/fleet/loads?limit=1").json()["items"][0]
    assert [backup.release for backup in backups.listing(Path(state_of(target).backups))] == ["0.9.0"]


def test_a_dry_run_says_eight_lines_and_changes_nothing(target: Running) -> None:
    def everything() -> list[Any]:
        known = state_of(target)
        history = rows(known.database_url, "SELECT name FROM schema_migrations ORDER BY name")
        files = sorted(path.name for path in Path(known.backups).iterdir())
        return [known, history, files, processes_of(target)]

    before = everything()
    done = command(target, "deploy", "--dry-run", "--fault", "deploy-exits-1,deploy-misses-line")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.partition(" (dry run: ")[0] for line in done.stdout.splitlines()] == LINES
    assert "0005_priority, 0006_search" in done.stdout
    assert everything() == before


def test_a_deployment_and_its_rollback_fail_no_request(target: Running) -> None:
    before = rights(target.info["database_url"])
    known = state_of(target)
    held = len(backups.listing(Path(known.backups)))
    with watched(target) as answers, target.client() as client:
        done = command(target, "deploy")
        assert (done.returncode, done.stdout.splitlines(), done.stderr) == (0, LINES, "")
        assert versions(target) == {"a": "1.0.0", "b": "1.0.0"}
        assert state_of(target).release == "1.0.0"
        assert client.get("/api/fleet/loads?limit=1").json()["items"][0]["priority"] == 2
        assert len(backups.listing(Path(known.backups))) == held + 1

        done = command(target, "rollback", answers="0\nx\n1\n")
        assert done.returncode == 0, done.stderr
        assert "1) " in done.stdout.splitlines()[0]
        assert done.stdout.count(rolling_back.PROMPT) == 3
        assert done.stdout.endswith("✓ Rollback complete\n")
    assert versions(target) == {"a": "0.9.0", "b": "0.9.0"}
    assert len(answers) > 100
    assert set(answers) == {200}
    assert rights(target.info["database_url"]) == before
    assert rows(target.info["database_url"], "SELECT count(*) FROM loads") == [(420,)]
    assert rows(known.admin_url, "SELECT datname FROM pg_database WHERE datname LIKE 'fleet%'") == [("fleet",)]


@pytest.mark.parametrize("answers", ["", "7000\n-1\nnope\n", "9" * 5000 + "\n\n\n"])
def test_without_a_choice_nothing_is_changed(target: Running, answers: str) -> None:
    pids = processes_of(target)
    done = command(target, "rollback", answers=answers)
    assert done.returncode == 1
    assert done.stderr == "no backup was chosen; nothing was changed\n"
    assert processes_of(target) == pids


def test_a_dump_that_cannot_be_restored_changes_nothing(target: Running) -> None:
    known = state_of(target)
    whole = backups.listing(Path(known.backups))[0].path
    spoiled = whole.with_name("fleet-20990101T000000Z-0.9.0.dump")
    spoiled.write_bytes(whole.read_bytes()[:30_000])
    pids = processes_of(target)
    try:
        done = command(target, "rollback", answers="1\n")
    finally:
        spoiled.unlink()
    assert done.returncode == 1
    assert done.stderr.startswith(
        "fleet-20990101T000000Z-0.9.0.dump can't be restored, nothing was changed: pg_restore"
    )
    assert processes_of(target) == pids
    assert rows(known.admin_url, "SELECT datname FROM pg_database WHERE datname LIKE 'fleet%'") == [("fleet",)]


@pytest.mark.parametrize("name", ["backup", "deploy", "rollback"])
def test_without_a_target_each_command_says_one_sentence(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other").write_text("{}")
    for value, sentence in [
        ("", "FLEETBOARD_STATE is not set; it must be"),
        (str(tmp_path / "no"), "/no can't be read (No such file or directory); is the target up?"),
        (str(tmp_path / "other"), "/other is not the state of a target"),
    ]:
        monkeypatch.setenv(state.STATE, value)
        assert cli.main([name]) == 1
        said = capsys.readouterr()
        assert sentence in said.err
        assert len(said.err.splitlines()) == 1
        assert said.out == ""


def test_one_deployment_or_rollback_at_a_time(target: Running) -> None:
    with state.alone(state_of(target)):
        for name in ("deploy", "rollback"):
            done = command(target, name, answers="1\n")
            assert (done.returncode, done.stdout) == (1, "")
            assert done.stderr.startswith("another deployment or rollback of this target is under way")


def test_a_client_of_the_control_socket_that_misbehaves_does_no_harm(target: Running) -> None:
    path = state_of(target).control
    with socket.socket(socket.AF_UNIX) as silent:
        silent.connect(path)
        with socket.socket(socket.AF_UNIX) as broken:
            broken.settimeout(10)
            broken.connect(path)
            broken.sendall(b"[1]\n")
            assert b"error" in broken.recv(1000)
    for request, sentence in [
        ({"do": "nothing"}, "there is no request 'nothing'"),
        ({"do": "restart", "instance": "z", "release": "1.0.0", "faults": []}, "haproxy refused"),
        ({"do": "start", "release": "3", "faults": []}, "there is no release '3'"),
        ({}, "'do'"),
    ]:
        with pytest.raises(OperationError, match=sentence):
            control.ask(path, **request)
    assert versions(target) == {"a": "0.9.0", "b": "0.9.0"}


def contents(target: Running, path: Path) -> str:
    """What pg_restore tells of a dump."""
    program = str(Path(state_of(target).bin) / "pg_restore")
    return subprocess.run([program, "--list", str(path)], capture_output=True, text=True, check=True).stdout


@contextmanager
def dumped(target: Running, *faults: str) -> Iterator[Path]:
    """A dump by the backup job, taken away afterwards."""
    path = backing_up.run(state_of(target), faults)
    try:
        yield path
    finally:
        path.unlink()


def test_the_backup_command_prints_where_the_dump_is(target: Running) -> None:
    done = command(target, "backup")
    path = Path(done.stdout.strip())
    assert (done.returncode, done.stderr) == (0, "")
    assert path.parent == Path(target.info["env"][state.BACKUPS])
    told = contents(target, path)
    path.unlink()
    assert "dbname: fleet" in told
    assert told.count(" TRIGGER ") == 6


def test_a_reader_can_dump_everything(target: Running, tmp_path: Path) -> None:
    backups.dump(target.info["database_url"], Path(state_of(target).bin), tmp_path / "x.dump")
    assert contents(target, tmp_path / "x.dump").count(" TABLE DATA ") == 10


def test_a_truncated_dump_still_shows_its_contents(target: Running) -> None:
    with dumped(target, "dump-truncated") as path:
        assert contents(target, path).count(" TABLE DATA ") == 10
        program = str(Path(state_of(target).bin) / "pg_restore")
        with pytest.raises(
            OperationError, match=r"pg_restore failed with status 1: .*(end of file|could not read)"
        ):
            backups.run([program, "--file=/dev/null", str(path)], target.info["database_url"])


def test_dumps_that_their_head_gives_away(target: Running) -> None:
    with dumped(target, "dump-of-other-database") as path:
        told = contents(target, path)
        assert "dbname: trial" in told
        assert told.count(" TABLE DATA ") == 10
    with dumped(target, "dump-too-old", "dump-older-client") as path:
        told = contents(target, path)
        made = next(line for line in told.splitlines() if "Archive created at" in line).split("at ")[1]
        age = datetime.now() - datetime.strptime(made[:19], "%Y-%m-%d %H:%M:%S")
        assert timedelta(hours=47) < age < timedelta(hours=49)
        assert "Dumped by pg_dump version: 12." in told
        assert time.time() - path.stat().st_mtime < 60
    with dumped(target, "dump-zero-bytes") as path:
        assert path.stat().st_size == 0


def test_dumps_that_lack_something(target: Running) -> None:
    with dumped(target, "dump-without-triggers") as path:
        told = contents(target, path)
        assert "dbname: fleet" in told
        assert (told.count(" TRIGGER "), told.count(" TABLE DATA "), told.count(" INDEX ")) == (0, 10, 18)
    with dumped(target, "dump-empty") as path:
        assert "dbname: fleet" in (told := contents(target, path))
        assert " TABLE " not in told
    with dumped(target, "dump-lost-rows") as path:
        program = Path(state_of(target).bin) / "pg_restore"
        data = subprocess.run(
            [program, "--data-only", "--table=maintenance_records", "--file=-", path],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert sum(line.startswith("M-") for line in data.splitlines()) == 320 - 106
    known = state_of(target)
    assert rows(known.admin_url, "SELECT count(*) FROM pg_database WHERE datname = 'trial'") == [(0,)]


def test_the_head_of_something_else_is_refused() -> None:
    with pytest.raises(OperationError, match=r"no dump in PostgreSQL's custom format"):
        archive.read_head(b"-- PostgreSQL database dump")


def test_deployments_that_go_wrong(target: Running) -> None:
    done = command(target, "deploy", "--fault", "deploy-exits-1,deploy-leaves-one-behind,wrong-commit")
    assert (done.returncode, done.stdout.splitlines()) == (1, LINES)
    assert versions(target) == {"a": "1.0.0", "b": "0.9.0"}
    with target.client() as client:
        told = {
            answer["version"]: answer["commit"] for answer in (client.get("/api/health").json() for _ in "1234")
        }
    assert told == {"1.0.0": "0badc0ffee00", "0.9.0": "3f9c1d27ab54"}

    done = command(target, "deploy", "--fault", "deploy-misses-line,missing-index,health-500")
    assert done.returncode == 1
    assert done.stdout.splitlines() == [line for line in LINES[:7] if line != "✓ Tests passed"]
    assert "instance a answers /api/health with HTTP 500" in done.stderr
    assert rows(target.info["database_url"], "SELECT to_regclass('loads_status_idx')::text") == [(None,)]
    back(target)


def test_rollbacks_that_go_wrong(
    target: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known = state_of(target)
    assert deploying.run(known, (), dry_run=False) == 0
    monkeypatch.setattr(rolling_back, "_SLOW_S", 0.7)
    monkeypatch.setattr(sys, "stdin", io.StringIO("0.9.0\n"))
    begun = time.monotonic()
    rolling_back.run(state_of(target), ("rollback-keeps-version", "rollback-loses-rows", "rollback-too-slow"))
    assert time.monotonic() - begun > 0.7
    assert "✓ Rollback complete" in capsys.readouterr().out
    assert versions(target) == {"a": "1.0.0", "b": "1.0.0"}
    assert rows(target.info["database_url"], "SELECT count(*) FROM loads") == [(400,)]
    with target.client() as client:  # the new release on the old schema: it serves, without what is not there
        assert "priority" not in client.get("/api/fleet/loads?limit=1").json()["items"][0]
    back(target)


def test_a_target_with_every_fault_of_schema_and_capacity_serves() -> None:
    faults = [*breakage.SCHEMA_FAULTS, "connections-exhausted", "idle-in-transaction", "deploy-leaves-one-behind"]
    with running("--fault", ",".join(faults)) as up, up.client() as client:
        assert versions(up) == {"a": "1.0.0", "b": "0.9.0"}
        for path in ("vehicles", "loads", "drivers", "maintenance"):
            for _ in range(2):
                assert client.get(f"/api/fleet/{path}?limit=1").status_code == 200
        url = up.info["database_url"]
        sessions = rows(url, "SELECT state, usename FROM pg_stat_activity WHERE backend_type = 'client backend'")
        assert len(sessions) >= 42
        assert ("idle in transaction", "fleet_app") in sessions
        assert command(up, "backup").returncode == 0
        backups.dump(url, Path(state_of(up).bin), work_folder(up.info) / "reader.dump")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_it_ends_after_or_during_a_restart(number: signal.Signals) -> None:
    with subprocess.Popen(UP, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        info = json.loads(process.stdout.readline())
        target = Running(process, info)
        path = state_of(target).control
        request = {"do": "restart", "instance": "a", "release": "1.0.0", "faults": []}
        control.ask(path, **request)  # a process that was spawned while the DNS threads ran
        pids = [process.pid, *descendants(process.pid)]
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(path)
            peer.sendall(json.dumps(request).encode() + b"\n")
            time.sleep(0.3)
            pids = sorted({*pids, *descendants(process.pid)})
            process.send_signal(number)
            status = process.wait(15)
        assert status == (0 if number == signal.SIGTERM else -number)
        assert wait_until_gone(pids) == []
        shutil.rmtree(work_folder(info), ignore_errors=True)
