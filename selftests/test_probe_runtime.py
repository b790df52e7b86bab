"""Processes as their managers tell them: pid files and PM2 for real, systemd by what it prints."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gate_calls import Called, call, target_at
from gate_runs import ROOT
from gonogo.errors import TargetError, ToolError
from gonogo.model import Outcome
from gonogo.probes.runtime import Seen, Watched, by_pid_files, by_pm2, by_systemd, watch
from gonogo.tables.service import Process
from pm2_daemon import Pm2, daemon

sys.path.append(str(ROOT))  # where the gates' own folder is a package

from tests.infra import test_process as process_gates

SERVES = "setInterval(() => {}, 1000)"
CRASHES = "setTimeout(() => process.exit(1), 60)"


def judged(env: dict[str, str] | None = None, **keys: Any) -> Called:
    """The gate's opinion of processes that belong to no embedded target."""
    nothing = dict.fromkeys(("pid_files", "match", "memory_mb", "instances"))
    info = {"base_url": "https://127.0.0.1:1", "env": env or {}}
    return call(process_gates.test_running, target_at(info, process={**nothing, "window_s": 0.3, **keys}))


# Pid files


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process
        process.kill()


def written(folder: Path, content: str) -> Path:
    file = folder / "app.pid"
    file.write_text(content)
    return file


def test_a_running_process_has_its_pid_start_memory_and_time(
    sleeper: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    (seen,) = by_pid_files([written(tmp_path, f"{sleeper.pid}\n")], match="time.sleep")

    assert (seen.name, seen.up, seen.pid) == ("app", True, sleeper.pid)
    assert seen.memory_bytes is not None
    assert 1e6 < seen.memory_bytes < 1e8
    assert seen.cpu_s is not None
    assert seen.started_at == pytest.approx(time.time(), abs=10)


def test_memory_and_time_include_what_the_process_started(tmp_path: Path) -> None:
    child = "x = bytearray(b'1') * 60_000_000; print(flush=True); input()"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        (seen,) = by_pid_files([written(tmp_path, str(parent.pid))])
        assert parent.stdin is not None
        parent.stdin.close()

    assert seen.memory_bytes is not None
    assert seen.memory_bytes > 65_000_000


@pytest.mark.parametrize(
    ("content", "state"),
    [
        ("", "app.pid holds no number of a process"),
        ("soon", "app.pid holds no number of a process"),
        ("0", "app.pid holds no number of a process"),
        ("-1", "app.pid holds no number of a process"),
        ("99999999999999999999", "app.pid holds no number of a process"),
        ("4194303", "gone: there is no process 4194303"),
    ],
)
def test_a_pid_file_without_a_process_is_down(content: str, state: str, tmp_path: Path) -> None:
    (seen,) = by_pid_files([written(tmp_path, content)])

    assert (seen.up, seen.state) == (False, state)


def test_a_number_that_another_program_has_by_now_is_down(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    file = written(tmp_path, str(sleeper.pid))
    (other,) = by_pid_files([file], match="gunicorn")
    os.utime(file, (time.time() - 3600,) * 2)
    (reused,) = by_pid_files([file])

    assert not other.up
    assert "without 'gunicorn' in its command line" in other.state
    assert not reused.up
    assert "started after app.pid was written" in reused.state


def test_stopped_and_zombie_are_down(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    file = written(tmp_path, str(sleeper.pid))
    sleeper.send_signal(signal.SIGSTOP)
    states = []
    for end in (sleeper.kill, lambda: None):
        deadline = time.monotonic() + 5
        while (state := by_pid_files([file])[0]).up and time.monotonic() < deadline:
            time.sleep(0.01)
        states.append(state.state)
        end()
        time.sleep(0.05)

    assert states == ["stopped", "zombie"]


def test_files_that_vanish_or_are_closed_to_us(tmp_path: Path) -> None:
    assert by_pid_files([tmp_path / "gone.pid"])[0].state == "gone.pid has gone"
    with pytest.raises(ToolError, match="can't be read"):
        by_pid_files([tmp_path])


# The window


def seen(pid: int | None, *, up: bool = True, **keys: Any) -> Seen:
    return Seen("a", keys.pop("state", "online" if up else "stopped"), up, pid, **keys)


def watched(*looks: Seen | None) -> Watched:
    return Watched("a", tuple(float(number) for number in range(len(looks))), looks)


@pytest.mark.parametrize(
    ("looks", "restarts", "down"),
    [
        ((seen(7), seen(7)), 0, []),
        ((seen(7), seen(8)), 1, []),
        ((seen(7), None, seen(8), seen(9)), 2, ["gone"]),
        ((seen(7, started_at=100.0), seen(7, started_at=100.4)), 0, []),
        ((seen(7, started_at=100.0), seen(7, started_at=160.0)), 1, []),
        ((seen(7, restarts=12), seen(7, restarts=12)), 0, []),
        ((seen(7, restarts=3), seen(9, restarts=8)), 5, []),
        ((seen(None, up=False), seen(None, up=False, state="errored")), 0, ["stopped", "errored"]),
        ((seen(7), seen(None, up=False, restarts=4), seen(8, restarts=5)), 1, ["stopped"]),
    ],
)
def test_restarts_and_states_through_the_looks(
    looks: tuple[Seen | None, ...], restarts: int, down: list[str]
) -> None:
    assert (watched(*looks).restarts, watched(*looks).down) == (restarts, down)


def test_load_is_the_time_between_the_looks_or_the_most_that_was_told() -> None:
    assert watched(seen(7, cpu_s=10.0), seen(7, cpu_s=10.2), seen(7, cpu_s=11.0)).cpu_percent == pytest.approx(50)
    assert watched(seen(7, cpu_percent=3.0), seen(7, cpu_percent=90.0)).cpu_percent == 90.0
    # A new process begins at 0: what the old one had used must not make it negative.
    assert watched(seen(7, cpu_s=10.0), seen(8, cpu_s=0.1), seen(8, cpu_s=0.6)).cpu_percent == pytest.approx(50)
    assert watched(seen(7, cpu_s=10.0)).cpu_percent is None
    assert watched(seen(7), None).cpu_percent is None
    assert watched(seen(7, memory_bytes=5), seen(7, memory_bytes=9), seen(7, memory_bytes=4)).memory_bytes == 9
    assert watched(seen(7, started_at=50.0), None).uptime_s(now=80.0) == 30.0
    assert watched(None).uptime_s(now=80.0) is None


def test_a_slow_manager_is_asked_twice_at_least() -> None:
    def look() -> list[Seen]:
        time.sleep(0.1)
        return [seen(7)]

    (one,) = watch(look, window_s=0.05)

    assert len(one.looks) == 2


def test_a_process_that_appears_or_vanishes_is_gone_at_the_other_looks() -> None:
    answers = iter([[seen(7)], []])
    (one,) = watch(lambda: next(answers), window_s=0.05, interval_s=0.05)

    assert one.down == ["gone"]


# systemd

UNIT = """Id=fleet.service
LoadState=loaded
ActiveState=active
SubState=running
Result=success
MainPID=812
NRestarts=0
MemoryCurrent=73400320
CPUUsageNSec=1500000000
ExecMainStartTimestamp=Wed 2026-11-25 09:30:00 UTC
"""


def unit(**changed: str) -> str:
    lines = dict(line.split("=", 1) for line in UNIT.splitlines())
    return "".join(f"{key}={value}\n" for key, value in {**lines, **changed}.items())


def test_a_unit_of_systemd() -> None:
    first, second = by_systemd(UNIT + "\n" + unit(Id="worker.service", MainPID="900"))

    assert first == Seen("fleet.service", "active (running)", True, 812, 0, 1795599000.0, 73400320, 1.5)
    assert (second.name, second.pid) == ("worker.service", 900)


@pytest.mark.parametrize(
    ("changed", "state"),
    [
        ({"LoadState": "not-found", "ActiveState": "inactive", "SubState": "dead", "MainPID": "0"}, "not-found"),
        ({"ActiveState": "inactive", "SubState": "dead", "MainPID": "0"}, "inactive (dead)"),
        ({"ActiveState": "activating", "SubState": "auto-restart"}, "activating (auto-restart)"),
        (
            {"ActiveState": "failed", "SubState": "failed", "MainPID": "0", "Result": "oom-kill"},
            "failed (failed), last result oom-kill",
        ),
        ({"ActiveState": "active", "SubState": "exited", "MainPID": "0"}, "active (exited)"),
        ({"ActiveState": "reloading", "SubState": "reload"}, "reloading (reload)"),
        ({"LoadState": "masked"}, "masked"),
    ],
)
def test_a_unit_that_does_not_run_is_down(changed: dict[str, str], state: str) -> None:
    (seen_unit,) = by_systemd(unit(**changed))

    assert seen_unit.state == state
    assert seen_unit.up is (state == "masked")


@pytest.mark.parametrize("value", ["[not set]", "18446744073709551615", "", "infinity"])
def test_what_systemd_does_not_count_is_unknown_and_no_pass(value: str) -> None:
    (seen_unit,) = by_systemd(unit(MemoryCurrent=value, CPUUsageNSec=value, ExecMainStartTimestamp="n/a"))
    print_it = f"print({unit(MemoryCurrent=value, CPUUsageNSec=value)!r})"
    called = judged(
        manager="systemd",
        names=["fleet"],
        command=[sys.executable, "-c", print_it],
        memory_mb=100.0,
        max_uptime_s=1e9,
    )

    assert (seen_unit.memory_bytes, seen_unit.cpu_s, seen_unit.started_at) == (None, None, None)
    assert called.outcome is Outcome.FAIL
    assert list(called.bad) == ["fleet.service: memory, of 100 MB", "fleet.service: processor, of 1"]


def test_times_of_systemd() -> None:
    (epoch,) = by_systemd(unit(ExecMainStartTimestamp="@1795599000"))

    assert epoch.started_at == 1795599000
    with pytest.raises(ToolError, match="begin process.command with env TZ=UTC"):
        by_systemd(unit(ExecMainStartTimestamp="Wed 2026-11-25 10:30:00 CET"))
    with pytest.raises(TargetError, match="printed no unit"):
        by_systemd("Failed to connect to bus: No such file or directory\n")


# PM2

ENTRY = {
    "pid": 41,
    "name": "fleet",
    "pm_id": 0,
    "monit": {"memory": 50_000_000, "cpu": 0.4},
    "pm2_env": {"status": "online", "restart_time": 2, "pm_uptime": 1795599000000, "DATABASE_URL": "hunter2"},
}


def test_the_list_of_pm2_after_its_chatter() -> None:
    output = "[PM2] Spawning PM2 daemon\n[PM2] [0] done\n" + json.dumps([ENTRY, {**ENTRY, "name": "other"}]) + "\n"
    (one,) = by_pm2(output, ["fleet"])

    assert one == Seen("fleet [0]", "online", True, 41, 2, 1795599000.0, 50_000_000, None, 0.4, "fleet")


@pytest.mark.parametrize("output", ["", "command not found", "[PM2] error\n{}", "[1, 2]", '{"name": "fleet"}'])
def test_what_is_no_list_is_a_finding_without_a_word_of_the_output(output: str) -> None:
    with pytest.raises(TargetError, match="printed no list of processes"):
        by_pm2(output, ["fleet"])


@pytest.mark.parametrize("status", ["errored", "stopped", "stopping", "launching", "waiting restart"])
def test_whatever_is_not_online_is_down(status: str) -> None:
    entry = {**ENTRY, "pm2_env": {**ENTRY["pm2_env"], "status": status}}  # type: ignore[dict-item]

    assert not by_pm2(json.dumps([entry]), ["fleet"])[0].up
    assert not by_pm2(json.dumps([{"name": "fleet"}]), ["fleet"])[0].up


def test_two_of_one_application_do_not_stand_for_a_missing_other() -> None:
    listed = json.dumps([{**ENTRY, "pm_id": 0}, {**ENTRY, "pm_id": 1}])
    called = judged(
        manager="pm2",
        names=["fleet", "worker"],
        command=[sys.executable, "-c", f"print({listed!r})"],
        memory_mb=500.0,
    )

    assert called.outcome is Outcome.FAIL
    assert called.bad == {"fleet: processes": 2, "worker: processes": 0}
    assert b"hunter2" not in b"".join(called.evidence.values())


@pytest.mark.parametrize(
    ("code", "outcome", "words"),
    [
        ("raise SystemExit(3)", Outcome.FAIL, "failed with status 3"),
        ("import time; time.sleep(9)", Outcome.FAIL, "did not end within 0.5 s"),
        ("print('[]')", Outcome.FAIL, "fleet: processes"),
    ],
)
def test_a_manager_that_does_not_answer_is_red(code: str, outcome: Outcome, words: str) -> None:
    called = judged(
        manager="pm2", names=["fleet"], command=[sys.executable, "-c", code], memory_mb=500.0, timeout_s=0.5
    )

    assert called.outcome is outcome
    assert words in called.reason


def test_a_missing_program_or_a_missing_bound_is_our_fault() -> None:
    listed = [sys.executable, "-c", f"print({json.dumps([ENTRY])!r})"]

    assert judged(manager="pm2", names=["fleet"], command=["/nowhere/pm2"]).outcome is Outcome.ERROR
    unbounded = judged(manager="pm2", names=["fleet"], command=listed)
    assert unbounded.outcome is Outcome.ERROR
    assert "process.memory_mb is missing" in unbounded.reason


@pytest.mark.parametrize(
    "keys",
    [
        {"manager": "pm2"},
        {"manager": "pidfile"},
        {"manager": "pidfile", "pid_files": "a", "names": ["b"]},
        {"manager": "pm2", "names": ["a"], "pid_files": "b"},
        {"manager": "systemd", "names": ["a"], "instances": 2},
        {"manager": "cron", "names": ["a"]},
        {"manager": "pm2", "names": ["a"], "min_uptime_s": 9.0, "max_uptime_s": 8.0},
    ],
)
def test_plans_that_make_no_sense_are_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Process(**keys)


# PM2 for real


@pytest.fixture(scope="module")
def pm2() -> Iterator[Pm2]:
    with daemon() as running:
        running.start("fleet", SERVES, ("-i", "2"))
        yield running


def under(pm2: Pm2, name: str, **keys: Any) -> Called:
    keys = {"window_s": 0.6, "memory_mb": 300.0, "instances": 1, **keys}
    return judged(pm2.environment, manager="pm2", names=[name], command=list(pm2.command), **keys)


@pytest.mark.slow
def test_pm2_with_two_healthy_instances_is_green(pm2: Pm2) -> None:
    called = under(pm2, "fleet", instances=2, max_uptime_s=300.0)

    assert (called.outcome, called.bad) == (Outcome.PASS, {}), called.reason
    assert {taken.name.partition(":")[0] for taken in called.measurements} == {"fleet", "fleet [0]", "fleet [1]"}
    assert called["fleet [0]: memory"].actual > 5
    assert 0 <= called["fleet [1]: started by"].actual < 120
    assert under(pm2, "fleet", instances=3, window_s=0.05).bad == {"fleet: processes": 2}


@pytest.mark.slow
def test_pm2_with_a_program_that_keeps_crashing_is_red(pm2: Pm2) -> None:
    pm2.start("crashing", CRASHES, ("--max-restarts", "1000"))
    called = under(pm2, "crashing")

    assert called.outcome is Outcome.FAIL
    assert any(taken.name.endswith("restarts in 0.6 s") and taken.actual >= 1 for taken in called.measurements)
    pm2.run("stop", "crashing")
    stopped = under(pm2, "crashing", window_s=0.1)
    assert [taken.actual for taken in stopped.measurements if "states" in taken.name] == [["stopped"]]
