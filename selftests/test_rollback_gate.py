"""The parts of a rollback's rehearsal that need no database, with small scripts as the team's commands."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gate_calls import Called, call
from gate_runs import ROOT
from gonogo.errors import ToolError
from gonogo.model import Outcome
from gonogo.probes.outage import WatchFacts
from gonogo.probes.rows import RowFacts, TableRows
from gonogo.target import Target
from team import Team, green, red, working_team

sys.path.append(str(ROOT))  # where the gates' own folder is a package

from tests.infra import release
from tests.infra import test_rollback as rollback_gates


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    with working_team(tmp_path) as running:
        yield running


def brought_back(target: Target, *, everywhere: bool = True) -> Called:
    """What the end of a rehearsal measures."""

    def gate(target: Target, measure: Any, evidence: Any) -> None:
        rollback_gates.bring_back(target, measure, evidence, everywhere=everywhere)

    return call(gate, target)


def rolled_back(target: Target) -> Called:
    def gate(target: Target, measure: Any, evidence: Any) -> None:
        rollback_gates.roll_back(target, Path("some.dump"), measure, evidence)

    return call(gate, target)


def test_the_release_is_brought_back_or_the_rehearsal_is_red(team: Team) -> None:
    team.runs("0.9.0")
    red(brought_back(team.target("true")), "brought back", "a: 0.9.0", "b: 0.9.0")
    green(brought_back(team.target(team.becomes("1.0.0"))))
    red(brought_back(team.target("exit 3")), "exit status of the way forward", "3")


def test_what_ran_on_one_instance_before_need_not_run_on_both_after(team: Team) -> None:
    team.runs("1.0.0", "0.9.0")
    green(brought_back(team.target("true"), everywhere=False))
    red(brought_back(team.target("true")), "brought back", "b: 0.9.0")
    team.runs("0.9.0")
    red(brought_back(team.target("true"), everywhere=False), "brought back", "a: 0.9.0")


def test_an_outage_that_lasts_is_measured_and_says_why(team: Team) -> None:
    script = f"echo nonsense > {team.state}; sleep 0.5; {team.becomes('0.9.0')}"
    target = team.target(rollback={"command": ["/bin/sh", "-c", script], "answers": [], "max_outage_s": 0.2})
    called = rolled_back(target)

    red(called, "longest time without")
    assert 0.2 < called["longest time without"].actual < 5
    assert json.loads(called.evidence["health.json"])["outages"][0]["reason"]


def test_a_target_that_never_answers_again(team: Team) -> None:
    script = f"echo nonsense > {team.state}"
    called = rolled_back(team.target(rollback={"command": ["/bin/sh", "-c", script], "answers": []}))

    assert called.outcome is Outcome.FAIL
    assert "after the rollback, rehearsal did not answer: GET http" in called.reason
    assert called["longest time without"].actual > 0
    assert "health.json" in called.evidence
    down = brought_back(team.target("true"))
    assert "GET http" in down["brought back"].actual
    assert down.outcome is Outcome.FAIL


def test_a_rollback_to_the_release_itself_proves_nothing(team: Team) -> None:
    called = call(rollback_gates.test_rehearsal, team.target(rollback={"version": "1.0.0"}), scratch=None)

    assert called.outcome is Outcome.ERROR
    assert "rollback.version is 1.0.0, the release to be launched itself" in called.reason


def test_the_number_of_a_dump_is_its_place_from_the_newest(team: Team) -> None:
    for age_s, name in enumerate(("fleet-3-1.0.0", "fleet-2-0.9.0", "fleet-1-0.9.0")):
        file = team.folder / f"{name}.dump"
        file.touch()
        os.utime(file, (1e9 - age_s, 1e9 - age_s))
    prompts = [{"prompt": "Number?", "text": "{number}"}, {"prompt": "Sure?", "text": "yes"}]
    target = team.target(
        rollback={"answers": prompts, "restores": "*-0.9.0.dump"}, backup={"files": "fleet-*.dump", "command": None}
    )
    dump = rollback_gates.newest_dump(target)

    assert dump.name == "fleet-2-0.9.0.dump"
    assert rollback_gates.typed_answers(target, dump) == [("Number?", "2"), ("Sure?", "yes")]
    with pytest.raises(ToolError, match="its number is unknown"):
        rollback_gates.typed_answers(target, team.folder / "elsewhere.dump")


def test_tables_that_changed_are_named() -> None:
    def facts(**tables: tuple[int, str]) -> RowFacts:
        return RowFacts({name: TableRows(rows, digest, rows) for name, (rows, digest) in tables.items()}, {}, {})

    saved = facts(a=(1, "x"), b=(2, "y"), c=(3, "z"), d=(4, "d"))
    now = facts(a=(1, "x"), b=(1, "y"), c=(3, "Z"))

    assert rollback_gates.changed_rows(saved, now, ["a", "b", "c", "d"]) == [
        "b: 1 rows, 2 in the dump",
        "c: as many rows, but not the same",
        "d: there is no such table",
    ]


def test_a_watch_that_slept_through_is_our_fault_unless_it_saw_a_failure() -> None:
    late = WatchFacts(10.0, 5, 0, 0.1, 6.0, ())

    with pytest.raises(ToolError, match=r"not asked for 6\.0 s"):
        release.judge_watch(late)
    release.judge_watch(replace(late, failures=1))
    release.judge_watch(replace(late, late_s=1.0))
