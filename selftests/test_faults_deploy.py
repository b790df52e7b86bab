"""Deployment and rollback of the embedded target: green when healthy, red for each of their faults."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from fleetboard_target import Running, running, work_folder
from gate_calls import Called, call, scratch_for, target_at
from gate_runs import ROOT
from gonogo.model import Outcome
from gonogo.scratch import Scratch
from gonogo.target import Target
from postgres_server import PostgresServer

sys.path.append(str(ROOT))  # where the gates' own folder is a package

from tests.infra import test_release as release_gates
from tests.infra import test_rollback as rollback_gates
from tests.infra.release import running_releases

FLEET = ["{python}", "-m", "fleetboard"]
LIMIT_S = 60.0
# Faults leave dumps of either release behind, so that the newest need not be the one to go back to.
NUMBER = [{"prompt": "Enter backup number", "text": "{number}"}]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def up() -> Iterator[Running]:
    """The target before the deployment."""
    with running("--release", "0.9.0") as target:
        yield target


def target_of(up: Running, kind: str = "disposable", **tables: dict[str, Any]) -> Target:
    tables["deploy"] = {"settle_s": 1.0, "samples": 8, **tables.get("deploy", {})}
    tables["rollback"] = {"answers": NUMBER, **tables.get("rollback", {})}
    target = target_at(up.info, **tables)
    target.kind = kind  # type: ignore[assignment]
    target.reports = work_folder(up.info) / "reports"  # what was watched here must not be judged elsewhere
    return target


def bring_to(up: Running, release: str) -> None:
    """Deploy or roll back, unless that release runs already."""
    target = target_of(up)
    if running_releases(target).versions == [release]:
        return
    if release == "0.9.0":
        answers = rollback_gates.typed_answers(target, rollback_gates.newest_dump(target))
        done = target.run(target.settings("rollback").command, timeout_s=LIMIT_S, answers=answers)
    else:
        done = target.run(target.settings("deploy").run, timeout_s=LIMIT_S)
    assert done.status == 0, done.output
    assert running_releases(target).versions == [release], done.output


def green(called: Called) -> None:
    assert (called.outcome, called.bad) == (Outcome.PASS, {}), called.reason
    assert called.measurements


def red(called: Called, *names: str) -> None:
    """Exactly these measurements do not hold, and the first of them is the gate's reason."""
    assert called.outcome is Outcome.FAIL, called.reason
    assert [name for name in called.bad if not any(word in name for word in names)] == [], called.bad
    assert len(called.bad) == len(names), called.bad
    assert called.reason


# Deployment


def test_before_the_deployment_the_dry_run_is_green_and_the_release_is_not_there(up: Running) -> None:
    bring_to(up, "0.9.0")
    called = call(release_gates.test_dry_run, target_of(up))

    green(called)
    assert called["expected lines"].n == 8
    there = call(release_gates.test_deployed, target_of(up))
    assert there.outcome is Outcome.FAIL
    assert there["do not run 1.0.0"].actual == ["a: 0.9.0", "b: 0.9.0"]


def test_dry_run_migrates(up: Running) -> None:
    bring_to(up, "0.9.0")
    called = call(
        release_gates.test_dry_run,
        target_of(up, deploy={"dry_run": [*FLEET, "deploy", "--dry-run", "--fault", "dry-run-migrates"]}),
    )

    red(called, "changes of the schema in the dry run")
    assert any("priority" in line for line in called["changes of the schema"].actual)
    bring_to(up, "1.0.0")


def test_a_deployment_loses_no_request_and_the_release_runs_everywhere(up: Running) -> None:
    bring_to(up, "0.9.0")
    called = call(release_gates.test_run, target_of(up))

    green(called)
    assert called["failed health requests"].n >= 2
    green(call(release_gates.test_deployed, target_of(up)))


def deployed_with(up: Running, fault: str) -> Called:
    return call(release_gates.test_run, target_of(up, deploy={"run": [*FLEET, "deploy", "--fault", fault]}))


def test_deploy_exits_1(up: Running) -> None:
    called = deployed_with(up, "deploy-exits-1")

    red(called, "exit status of the deployment")
    assert called["exit status"].actual == 1


def test_deploy_misses_line(up: Running) -> None:
    called = deployed_with(up, "deploy-misses-line")

    red(called, "expected lines that are missing")
    assert called["expected lines"].actual == ["Tests passed"]


def test_deploy_leaves_one_behind(up: Running) -> None:
    bring_to(up, "0.9.0")
    called = deployed_with(up, "deploy-leaves-one-behind")

    red(called, "instances that do not run 1.0.0", "not built from")
    assert called["do not run 1.0.0"].actual == ["b: 0.9.0"]
    there = call(release_gates.test_deployed, target_of(up))
    red(there, "instances that do not run 1.0.0", "not built from")


def test_wrong_commit(up: Running) -> None:
    called = deployed_with(up, "wrong-commit")

    red(called, "not built from")
    assert [one.partition(":")[0] for one in called["not built from"].actual] == ["a", "b"]
    red(call(release_gates.test_deployed, target_of(up)), "not built from")


# Rollback


@pytest.fixture
def scratch(up: Running, postgres: PostgresServer) -> Scratch:
    return scratch_for(target_of(up), postgres)


def rehearsed(up: Running, scratch: Scratch, fault: str = "", kind: str = "staging", **rollback: Any) -> Called:
    bring_to(up, "1.0.0")
    if fault:
        rollback["command"] = [*FLEET, "rollback", "--fault", fault]
    return call(rollback_gates.test_rehearsal, target_of(up, kind, rollback=rollback), scratch=scratch)


def brought_back(up: Running) -> bool:
    return running_releases(target_of(up)).versions == ["1.0.0"]


def test_a_rollback_that_works_is_green_and_leaves_the_release_as_it_was(up: Running, scratch: Scratch) -> None:
    called = rehearsed(up, scratch)

    green(called)
    assert called["dump's schema"].n > 50
    assert called["lack or changed rows"].n > 300
    assert called["longest time without"].n >= 2
    assert json.loads(called.evidence["releases.json"]).keys() == {"a", "b"}
    assert brought_back(up)


def test_rollback_keeps_version(up: Running, scratch: Scratch) -> None:
    called = rehearsed(up, scratch, "rollback-keeps-version")

    assert called.outcome is Outcome.FAIL
    assert called["do not run 0.9.0"].actual == ["a: 1.0.0", "b: 1.0.0"]
    assert brought_back(up)


def test_rollback_loses_rows(up: Running, scratch: Scratch) -> None:
    called = rehearsed(up, scratch, "rollback-loses-rows")

    red(called, "tables that lack or changed rows")
    assert "loads: " in str(called["lack or changed rows"].actual)
    assert brought_back(up)


def test_rollback_too_slow_with_a_prompt_that_never_comes(up: Running, scratch: Scratch) -> None:
    started = time.monotonic()
    answers = [*NUMBER, {"prompt": "Really?", "text": "yes"}]
    called = rehearsed(up, scratch, "rollback-too-slow", max_s=2.0, answers=answers)

    assert called.outcome is Outcome.FAIL
    assert "it was ended after" in called["exit status of the rollback"].actual
    assert called["time of the rollback"].ok is False
    assert called["prompts that never came"].actual == ["Really?"]
    assert time.monotonic() - started < 30
    assert brought_back(up)


def test_a_rollback_without_a_dump_changes_nothing(up: Running, scratch: Scratch) -> None:
    called = rehearsed(up, scratch, restores="$FLEETBOARD_BACKUPS/nothing-*.dump")

    assert called.outcome is Outcome.FAIL
    assert "no dump to roll back to" in called.reason
    assert called.measurements == []


def test_a_rollback_from_another_release_is_no_rehearsal(up: Running, scratch: Scratch) -> None:
    bring_to(up, "0.9.0")
    called = call(rollback_gates.test_rehearsal, target_of(up, "staging"), scratch=scratch)

    assert called.outcome is Outcome.FAIL
    assert "runs 0.9.0, not 1.0.0" in called.reason
    assert called.measurements == []


def test_production_is_never_rolled_back_by_a_rehearsal(up: Running, scratch: Scratch) -> None:
    called = call(rollback_gates.test_rehearsal, target_of(up, "production"), scratch=scratch)

    assert called.outcome is Outcome.ERROR
    assert "on: staging" in called.reason
    assert called.measurements == []
