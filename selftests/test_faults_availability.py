"""The prober sees what users see: refusals, gaps, a live channel that is lost; and it says when it was blind itself."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from fleetboard_target import Running, running
from gate_calls import Called, call, closed, kept, target_at  # noqa: F401 - closed is a fixture
from gate_runs import ROOT
from gonogo.model import Outcome
from gonogo.probes import availability
from gonogo.probes.availability import Asking, Place
from gonogo.target import Target
from servers import Server, answer, serve

sys.path.append(str(ROOT))  # where the gates' own folder is a package

from tests.infra import test_availability as gates
from tests.infra import test_release as release_gates
from tests.infra import watching


def asking(server: Server, **changes: Any) -> Asking:
    place = Place("127.0.0.1", server.port, "127.0.0.1", secure=False)
    asked = Asking(place, "/health", "/page", per_s=20.0, timeout_s=0.5, max_s=30.0, follow=os.getpid())
    return replace(asked, **changes)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "availability" / "t.jsonl"
    yield path
    availability.stop(path)


def runs(file: Path) -> bool:
    return availability._is_ours(pid_of(file), file)


def pid_of(file: Path) -> int:
    return int(json.loads(file.read_text().splitlines()[0])["pid"])


def test_a_service_that_answers_has_no_gap(file: Path) -> None:
    with serve(answer(b"{}")) as server:
        availability.begin(asking(server), file)
        availability.mark(file, "something")
        time.sleep(1.5)
        availability.stop(file)
    facts = availability.read(file)

    assert facts is not None
    assert not runs(file)
    assert (facts.failed, facts.kinds, facts.sockets_opened) == (0, {}, 0)
    assert facts.asked == pytest.approx(40 * (facts.ended - facts.began), rel=0.25)
    assert facts.longest_gap_s < 1
    assert facts.saw("something")
    assert not facts.saw("something else")


def test_a_stop_of_the_service_is_one_gap_and_so_many_failures(file: Path) -> None:
    with serve(answer(b"{}")) as server:
        availability.begin(asking(server), file)
    time.sleep(1.2)  # nobody listens
    availability.stop(file)
    facts = availability.read(file)

    assert facts is not None
    assert facts.failed >= 10
    assert any("connection refused" in kind for kind in facts.kinds)
    assert 1.0 < facts.longest_gap_s < 15


def test_errors_and_answers_that_never_come_are_failures(file: Path) -> None:
    for handler, kind in ((answer(b"{}", "503 Busy"), "HTTP 503"), (answer(b"{}", delay_s=2.0), "timeout")):
        with serve(handler) as server:
            availability.begin(asking(server), file)
            time.sleep(0.5)
            availability.stop(file)
        facts = availability.read(file)

        assert facts is not None
        assert facts.failed == facts.asked > 0
        assert all(kind in one for one in facts.kinds)


def test_it_ends_with_whom_it_follows_and_after_its_time(file: Path, tmp_path: Path) -> None:
    with serve(answer(b"{}")) as server:
        availability.begin(asking(server, follow=0, max_s=1.0), file)
        other = tmp_path / "other.jsonl"
        gone = psutil.Popen([sys.executable, "-c", "import time; time.sleep(1.5)"])
        availability.begin(asking(server, follow=gone.pid), other)
        gone.wait(5)
        end = time.monotonic() + 5
        while any(runs(one) for one in (file, other)) and time.monotonic() < end:
            time.sleep(0.05)

        assert not runs(file)
        assert not runs(other)


def test_nobody_else_is_ended_because_a_number_was_used_again(file: Path) -> None:
    file.parent.mkdir()
    file.write_text(json.dumps({"kind": "begin", "at": 0.0, "pid": os.getpid()}) + "\n")

    availability.stop(file)  # we are still here

    assert availability.read(file) is None


# The gate, over a real deployment


_REFUSED = "connection refused"


@pytest.fixture(scope="module")
def up() -> Iterator[Running]:
    with running("--release", "0.9.0", "--without", "inboxes,cache,monitoring,source") as target:
        yield target


def target_of(up: Running, folder: Path, **tables: dict[str, Any] | None) -> Target:
    tables = {"deploy": {"settle_s": 1.0, "samples": 8}, "ramp": None, **tables}
    target = kept(target_at(up.info, **tables))
    target.reports = folder
    return target


def judged(target: Target) -> Called:
    return call(gates.test_deployment, target)


@pytest.mark.slow
def test_a_deployment_that_was_watched_loses_nothing_and_the_channel_comes_back(
    up: Running, tmp_path: Path
) -> None:
    target = target_of(up, tmp_path)
    assert call(release_gates.test_run, target).outcome is Outcome.PASS
    called = judged(target)

    assert (called.outcome, called.bad) == (Outcome.PASS, {}), called.reason
    assert called.measurements[0].n >= 40
    assert " times lost)" in called["longest time until the live channel"].name
    assert "(0 times" not in called["longest time until the live channel"].name
    assert called["budget"].actual == 0
    told = json.loads(called.evidence["availability.json"])
    assert [one["name"] for one in told["marks"]] == [watching.BEGUN, watching.ENDED]
    # With a ramp in the plan it must have seen that as well.
    again = judged(target_of(up, tmp_path, ramp={}))
    assert again.outcome is Outcome.INCONCLUSIVE
    assert again.reason.endswith("not while this came about: ramp.100 held")


@pytest.mark.slow
def test_deploy_refuses_connections(up: Running, tmp_path: Path) -> None:
    run = ["{python}", "-m", "fleetboard", "deploy", "--fault", "deploy-refuses-connections"]
    target = target_of(up, tmp_path, deploy={"run": run, "settle_s": 1.0, "samples": 8})
    deployed = call(release_gates.test_run, target)
    called = judged(target)

    assert deployed.outcome is Outcome.FAIL
    assert called.outcome is Outcome.FAIL
    lost = called.measurements[0]
    assert lost.name.startswith("failed requests (")
    refused = [
        one for one in json.loads(called.evidence["availability.json"])["failures"] if _REFUSED in one["why"]
    ]
    assert {one["path"] for one in refused} == {"/api/health", "/guide"}  # over new connections and the kept one
    assert 0.6 < max(one["due"] for one in refused) - min(one["due"] for one in refused) < 2
    assert lost.actual >= 5
    assert called["longest time without a good answer"].actual >= 0.9


@pytest.mark.slow
def test_what_nobody_has_watched_is_not_praised(up: Running, tmp_path: Path) -> None:
    target = target_of(up, tmp_path)
    never = judged(target)
    watching.begin(target)
    unseen = judged(target)

    assert never.outcome is Outcome.INCONCLUSIVE
    assert "nobody has watched" in never.reason
    assert unseen.outcome is Outcome.INCONCLUSIVE
    assert "not while this came about: deployment begun, deployment ended" in unseen.reason


@pytest.mark.slow
def test_a_prober_that_slept_or_died_is_our_own_fault(up: Running, tmp_path: Path) -> None:
    target = target_of(up, tmp_path)
    file = watching.file_of(target)
    watching.begin(target)
    os.kill(pid_of(file), signal.SIGSTOP)
    time.sleep(2.5)
    os.kill(pid_of(file), signal.SIGCONT)
    time.sleep(0.3)
    slept = judged(target)

    watching.begin(target)
    os.kill(pid_of(file), signal.SIGKILL)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text("".join(json.dumps({**line, "at": line["at"] - 60}) + "\n" for line in lines))
    died = judged(target)

    assert (slept.outcome, died.outcome) == (Outcome.ERROR, Outcome.ERROR)
    assert "was itself" in slept.reason
    assert "ended 6" in died.reason
