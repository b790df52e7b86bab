"""Faults of processes, logs and services: each is caught by the gate meant for it, which says what and where."""

from __future__ import annotations

import contextlib
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from fleet import Fleet, fleet
from fleetboard import cache, inboxes, processes
from fleetboard.faults import service
from fleetboard.parts import Surroundings
from fleetboard.pki import Authority
from gate_calls import Called, call, target_at
from gate_runs import ROOT
from gonogo.model import Outcome

sys.path.append(str(ROOT))  # where the gates' own folder is a package

from tests.infra import test_logs as log_gates
from tests.infra import test_process as process_gates
from tests.infra import test_services as service_gates

WINDOW_S = 0.6
"""Long enough for two looks."""


@pytest.fixture(scope="module")
def up() -> Iterator[Fleet]:
    """A whole target, whose processes are given one fault after another."""
    with fleet(without="inboxes,monitoring") as target:
        yield target


def green(called: Called) -> None:
    assert (called.outcome, called.bad) == (Outcome.PASS, {}), called.reason
    assert called.measurements


def red(called: Called, *names: str) -> None:
    """Exactly these measurements do not hold."""
    assert called.outcome is Outcome.FAIL, called.reason
    assert len(called.bad) == len(names), called.bad
    assert [name for name in called.bad if not any(word in name for word in names)] == [], called.bad


def test_every_fault_of_this_domain_is_tried() -> None:
    tried = set(re.findall(r'"((?:process|log|redis)-[a-z-]+)"', Path(__file__).read_text()))

    assert {fault.name for fault in service.FAULTS} <= tried


# Processes


def running(info: dict[str, Any], **keys: Any) -> Called:
    return call(process_gates.test_running, target_at(info, process={"window_s": WINDOW_S, **keys}))


def test_healthy_processes_are_green_and_their_facts_are_kept(up: Fleet) -> None:
    started = time.monotonic()
    called = running(up.info, max_uptime_s=600.0, min_uptime_s=0.1)

    green(called)
    assert time.monotonic() - started < WINDOW_S + 0.5
    assert called["app-a: restarts"].n >= 2
    assert 10 < called["app-b: memory"].actual < 80
    assert 0 < called["app-a: started by the deployment"].actual < 600
    assert '"pid"' in called.evidence["processes.json"].decode()


def test_process_restarting(up: Fleet) -> None:
    with up.faults("process-restarting") as info:
        called = running(info, window_s=2.0)

    assert called.outcome is Outcome.FAIL
    assert {name.partition(":")[0] for name in called.bad} == {"app-b"}
    assert called["app-b: restarts"].actual >= 1


def test_process_gone_and_log_silent(up: Fleet) -> None:
    with up.faults("process-gone", "log-silent") as info:
        called = running(info)
        silent = clean(info, time.time() - 0.3)

    red(called, "app-b: states other than running")
    assert re.fullmatch(r"\['gone: there is no process \d+'\]", str(called["app-b: states"].actual))
    assert "app-b" in called.reason
    red(silent, "app-a.log: lines since", "app-b.log: lines since", "a.log: error lines", "b.log: error lines")
    assert silent["app-a.log: lines since"].actual == 0


def test_a_process_that_an_earlier_deployment_left_is_red(up: Fleet) -> None:
    called = running(up.info, instances=1, max_uptime_s=0.01, window_s=0.1)

    red(called, "processes", "app-a: started by", "app-b: started by")
    assert called["processes"].actual == 2


# Logs


def clean(info: dict[str, Any], since: float, **keys: Any) -> Called:
    """What the gate says of the lines since then; the logs of earlier faults are still there."""
    return call(log_gates.test_clean, target_at(info, logs={"within_s": time.time() - since, **keys}))


@contextlib.contextmanager
def logging_with(up: Fleet, *faults: str) -> Iterator[tuple[dict[str, Any], float]]:
    time.sleep(0.002)  # the log tells milliseconds
    since = time.time()
    with up.faults(*faults) as info:
        yield info, since


def test_healthy_logs_are_green_and_restarts_are_no_errors(up: Fleet) -> None:
    called = clean(up.info, time.time() - 600)

    green(called)
    assert called["app-a.log: lines since"].actual > 2
    assert called["app-b.log: error lines"].n > 2


def test_process_memory_process_busy_and_log_errors(up: Fleet) -> None:
    with logging_with(up, "process-memory", "process-busy", "log-errors") as (info, since):
        # On a machine that others use as well it gets a part of a processor only.
        taking = running(info, window_s=1.0, max_cpu_percent=20.0)
        called = clean(info, since)
        allowed = clean(info, since, allow=[{"pattern": "payment for .* refused", "reason": "known"}])

    red(taking, "app-b: memory, of 250 MB", "app-b: processor, of 1")
    assert taking["app-b: memory"].actual > 100
    red(called, "app-a.log: error lines", "app-b.log: error lines")
    (line,) = called["app-a.log: error lines"].actual
    assert re.match(r"app-a\.log:\d+: \S+Z ERROR fleetboard: POST /api/fleet/loads: payment for \[redacted\]", line)
    assert b"driver42" not in called.evidence["error-lines.txt"]
    assert b"9f8e7d6c" not in called.evidence["error-lines.txt"]
    green(allowed)
    assert b'"payment for .* refused": 1' in allowed.evidence["logs.json"]


def test_log_errors_rotated_and_an_answer_500_afterwards(up: Fleet) -> None:
    live = {"sources": [{"files": "$FLEETBOARD_LOGS/app-?.log"}], "min_lines": 0}
    with logging_with(up, "log-errors-rotated", "health-500") as (info, since):
        called = clean(info, since)
        passed_over = clean(info, since, **live)
        with contextlib.closing(target_at(info)) as target:
            assert target.http().get("/api/health").status == 500
        failed = clean(info, since, **live)

    red(called, "app-a.log: error lines", "app-b.log: error lines")
    assert str(called["app-a.log: error lines"].actual[0]).startswith("app-a.log.1:")
    ours = [str(t.actual) for t in passed_over.measurements if "error lines" in t.name]
    assert "payment" not in str(ours)
    assert failed.outcome is Outcome.FAIL
    assert "GET /api/health: answered 500" in failed.reason


# Services


@pytest.fixture
def around(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., dict[str, Any]]]:
    """Starts cache and inboxes with faults, and tells where they are."""
    work = Path(tempfile.mkdtemp(prefix="gonogo-services-", dir="/tmp"))
    work.chmod(0o755)
    children: list[processes.Child] = []
    with ExitStack() as closing:

        def start(*faults: str) -> dict[str, Any]:
            authority = Authority.create()
            (work / "root.pem").write_bytes(authority.root.pem)
            parts = Surroundings(work, work, faults, children, closing, authority, "https://app.fleet.test", {})
            env = {**cache.start(parts), **inboxes.start(parts)}
            return {"base_url": "https://127.0.0.1:1", "ca_file": str(work / "root.pem"), "env": env}

        try:
            yield start
        finally:
            processes.stop_all(children)
            shutil.rmtree(work, ignore_errors=True)


def test_healthy_services_are_green_and_quick(around: Callable[..., dict[str, Any]]) -> None:
    info = around()
    started = time.monotonic()
    called = call(service_gates.test_reachable, target_at(info))

    green(called)
    assert time.monotonic() - started < 0.5
    assert [taken.name for taken in called.measurements if "cache" in taken.name or "mail" in taken.name]
    assert called["role"].actual == "master"
    assert info["env"]["FLEETBOARD_REDIS_PASSWORD"].encode() not in called.evidence["services.json"]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("redis-down", "refused the connection: Connection refused in 2 tries"),
        ("redis-other-password", "refused AUTH: WRONGPASS"),
        ("redis-read-only", "role"),
    ],
)
def test_a_fault_of_the_cache_is_red_and_the_mail_server_is_not(
    fault: str, words: str, around: Callable[..., dict[str, Any]]
) -> None:
    info = around(fault)
    called = call(service_gates.test_reachable, target_at(info))

    assert called.outcome is Outcome.FAIL
    ((name, actual),) = called.bad.items()
    assert name.startswith(f"cache at 127.0.0.1 port {info['env']['FLEETBOARD_REDIS'].rpartition(':')[2]}")
    assert words in name + str(actual)
    assert info["env"]["FLEETBOARD_REDIS_PASSWORD"] not in called.reason
    assert any("mail" in taken.name and taken.ok for taken in called.measurements)


def test_the_whole_target_brings_its_cache_along(up: Fleet) -> None:
    needed = [one for one in target_at(up.info).settings("services").needed if one.name == "cache"]
    plain = [one.model_dump(exclude_none=True, exclude_unset=True) for one in needed]
    called = call(service_gates.test_reachable, target_at(up.info, services={"needed": plain}))

    green(called)
    assert called["role"].actual == "master"
