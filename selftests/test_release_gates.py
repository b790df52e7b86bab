"""The gates of a deployment turn red for what it can do wrong: small scripts as the team's commands."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gate_calls import call
from gate_runs import ROOT
from gonogo.model import Outcome
from team import COMMIT, SAYS, TICKS, Team, green, red, working_team

sys.path.append(str(ROOT))  # where the gates' own folder is a package

from tests.infra import release
from tests.infra import test_release as gates


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    with working_team(tmp_path) as running:
        yield running


# release.deployed


def test_the_release_everywhere_is_green(team: Team) -> None:
    called = call(gates.test_deployed, team.target())

    green(called)
    assert called["instances that answered"].actual == ["a", "b"]
    assert json.loads(called.evidence["releases.json"]) == {"a": [f"1.0.0 ({COMMIT})"], "b": [f"1.0.0 ({COMMIT})"]}


def test_an_instance_that_stayed_behind_is_named(team: Team) -> None:
    team.runs("1.0.0", "0.9.0")
    red(call(gates.test_deployed, team.target()), "do not run 1.0.0", "b: 0.9.0")


def test_another_commit_is_named(team: Team) -> None:
    team.runs("1.0.0", commit="0badc0ffee00")
    red(
        call(gates.test_deployed, team.target()),
        f"not built from {COMMIT[:12]}",
        "a: 0badc0ffee00",
        "b: 0badc0ffee00",
    )


def test_an_instance_that_never_answers_is_missing(team: Team) -> None:
    called = call(gates.test_deployed, team.target(instances=["a", "b", "c"]))

    red(called, "instances that answered", "a")
    assert called["instances that answered"].note == "missing: c"


def test_health_that_tells_no_release_proves_nothing(team: Team) -> None:
    team.state.write_text("   healthy\n   healthy\n")
    called = call(gates.test_deployed, team.target(instances=None))

    assert called.outcome is Outcome.FAIL
    assert called["do not run 1.0.0"].actual == ["an instance without a name: tells no version"]
    assert called["instances that answered"].actual == 0


def test_answers_other_than_200_are_no_proof(team: Team) -> None:
    team.runs("1.0.0", status="down")
    red(call(gates.test_deployed, team.target()), "answers other than 200", "a: 503", "b: 503")


@pytest.mark.parametrize(
    ("told", "expected", "same"),
    [
        (COMMIT, COMMIT, True),
        (COMMIT[:7], COMMIT, True),
        (COMMIT, COMMIT[:7], True),
        (COMMIT.upper(), COMMIT, True),
        (COMMIT[:6], COMMIT, False),
        ("", COMMIT, False),
        ("a1b2c3e", COMMIT, False),
    ],
)
def test_commits_may_be_abbreviated_to_seven_digits(told: str, expected: str, same: bool) -> None:
    assert release.same_commit(told, expected) is same


# deploy.dry-run


def test_a_dry_run_that_says_what_it_should_is_green(team: Team) -> None:
    called = call(gates.test_dry_run, team.target(dry_run=SAYS))

    green(called)
    assert called.evidence["output.txt"].decode().splitlines() == list(TICKS)


def test_a_dry_run_that_changes_what_runs(team: Team) -> None:
    target = team.target(dry_run=f"{SAYS}; {team.becomes('1.0.1', '1.0.0')}")
    red(call(gates.test_dry_run, target), "changed in the dry run", "a: 1.0.1")


def test_a_dry_run_that_is_missing_is_our_fault(team: Team) -> None:
    called = call(gates.test_dry_run, team.target(dry_run=None))

    assert called.outcome is Outcome.ERROR
    assert "deploy.dry_run is missing" in called.reason


def test_a_command_that_is_not_there_is_our_fault(team: Team) -> None:
    called = call(gates.test_dry_run, team.target(dry_run=["no-such-deploy", "--dry-run"]))

    assert called.outcome is Outcome.ERROR
    assert "no-such-deploy does not exist" in called.reason


# deploy.run


def test_a_deployment_that_goes_through_is_green(team: Team) -> None:
    team.runs("0.9.0")
    called = call(gates.test_run, team.target(f"{SAYS}; sleep 0.6; {team.becomes('1.0.0')}"))

    green(called)
    assert called["failed health requests"].n >= 2
    assert called["expected lines"].n == 8
    assert "before the deployment" not in called["do not run 1.0.0"].name


def test_a_release_that_ran_before_is_no_fault_and_is_said(team: Team) -> None:
    called = call(gates.test_run, team.target(SAYS))

    green(called)
    assert called["do not run 1.0.0"].name.startswith("which ran everywhere before the deployment as well: ")
    team.runs("1.0.0", commit="0badc0ffee00")
    called = call(gates.test_run, team.target(f"{SAYS}; {team.becomes('1.0.0')}"))
    green(called)
    assert called["do not run 1.0.0"].name == "instances that do not run 1.0.0"


def test_a_target_that_does_not_answer_yet_is_deployed_to(team: Team) -> None:
    team.state.write_text("nonsense\n")
    called = call(gates.test_run, team.target(f"{SAYS}; {team.becomes('1.0.0')}"))
    assert not called["do not run 1.0.0"].actual


def test_a_tick_is_no_exit_status(team: Team) -> None:
    red(call(gates.test_run, team.target(f"{SAYS}; exit 1")), "exit status", "1")


def test_a_line_that_is_missing_is_named(team: Team) -> None:
    said = SAYS.replace("echo '✓ Tests passed'; ", "")
    red(call(gates.test_run, team.target(said)), "expected lines", "Tests passed")


def test_lines_in_another_order_are_named(team: Team) -> None:
    said = "; ".join(f"echo '{tick}'" for tick in (TICKS[4], *TICKS[:4], *TICKS[5:]))
    red(call(gates.test_run, team.target(said)), "expected lines", "Tests passed (out of order)")


def test_an_error_among_the_ticks_is_named(team: Team) -> None:
    said = SAYS + "; echo 'psql: error: connection refused' >&2"
    red(call(gates.test_run, team.target(said)), "report an error", "psql: error: connection refused")


def test_a_deployment_that_takes_too_long(team: Team) -> None:
    slow = team.target(f"{SAYS}; sleep 0.5", max_s=0.4)
    called = call(gates.test_run, slow)

    red(called, "time of the deployment")
    assert called["exit status"].actual == 0  # half as long again is allowed before it is ended


def test_a_deployment_that_never_ends_is_ended(team: Team) -> None:
    called = call(gates.test_run, team.target(f"{SAYS}; sleep 60", max_s=0.4))

    assert called.outcome is Outcome.FAIL
    assert "it was ended after" in called["exit status"].actual


def test_requests_that_are_lost_meanwhile_are_counted(team: Team) -> None:
    down = team.becomes("1.0.0", status="down")
    called = call(gates.test_run, team.target(f"{SAYS}; {down}; sleep 0.8; {team.becomes('1.0.0')}"))

    red(called, "failed health requests")
    seen = json.loads(called.evidence["health.json"])
    assert seen["failures"] == called["failed health requests"].actual > 0
    assert seen["outages"][0]["reason"] == "/api/health answered 503"


def test_an_instance_that_comes_up_late_is_waited_for(team: Team) -> None:
    team.runs("0.9.0")
    later = f"{SAYS}; (sleep 0.6; {team.becomes('1.0.0')}) > /dev/null 2>&1 &"
    green(call(gates.test_run, team.target(later, settle_s=5.0)))


def test_unhealthy_after_the_deployment(team: Team) -> None:
    sick = team.becomes("1.0.0", status="degraded")
    called = call(gates.test_run, team.target(f"{SAYS}; {sick}"))

    assert called.outcome is Outcome.FAIL
    assert called["health: status"].actual == "degraded"


@pytest.mark.parametrize(
    ("kind", "way"),
    [
        ("production", "give --gonogo-arm deploy"),
        ("staging", "deploy staging as you always do, and let release.dep"),
    ],
)
def test_only_an_armed_launch_deploys(team: Team, kind: str, way: str) -> None:
    marker = team.folder / "deployed"
    called = call(gates.test_run, team.target(f"touch {marker}", kind=kind))

    assert called.outcome is Outcome.ERROR
    assert way in called.reason
    assert f"(kind {kind})" in called.reason
    assert not marker.exists()


# What a command said


def test_lines_are_read_as_people_see_them() -> None:
    output = "\x1b[32m✓\x1b[0m  Tests passed\r\n10 %\r50 %\r100 %\n\n✔\ufe0f done\x1b]0;title\x07\n"

    assert release.output_lines(output) == ["✓ Tests passed", "10 %", "50 %", "100 %", "✔ done"]


@pytest.mark.parametrize(
    ("lines", "absent"),
    [
        (["a", "b", "c"], []),
        (["x a", "y", "b and more", "c"], []),
        (["a", "c"], ["b"]),
        (["b", "a", "c"], ["b (out of order)"]),
        (["a b c"], ["b (out of order)", "c (out of order)"]),
        ([], ["a", "b", "c"]),
    ],
)
def test_each_text_stands_in_a_line_after_the_one_before(lines: list[str], absent: list[str]) -> None:
    assert release.missing_lines(lines, ["a", "b", "c"]) == absent


@pytest.mark.parametrize(
    "line",
    [
        "✗ Tests failed",
        "Error: cannot find module 'x'",
        'ERROR:  relation "loads" does not exist',
        "psql:schema.sql:12: ERROR:  syntax error",
        "pg_restore: error: could not execute query",
        "fatal: not a git repository",
        "npm ERR! code 1",
        "npm error code ENOENT",
        "Traceback (most recent call last):",
        "2026-11-25 12:00:01,123 ERROR: no space left",
        "[12:00:01] Error: no space",
        "[ERROR] Build failure",
    ],
)
def test_lines_that_report_an_error(line: str) -> None:
    assert release.error_lines([line]) == [line]


@pytest.mark.parametrize(
    "line",
    [
        "✓ Tests passed: 0 errors, 0 failures",
        "Errors: 0",
        "error: 0",
        "Error: none",
        "errors.py compiled",
        "error-prone 2.3 installed",
        "checking for fatal errors ... none",
        "No errors in logs",
        "✓ Error handling tests passed",
        "12:00:01 0 error(s)",
    ],
)
def test_lines_that_only_speak_of_errors(line: str) -> None:
    assert release.error_lines([line]) == []
