"""Faults of the source, its tests and its dependencies, and of what the plan names: one call each, without a session."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from fleetboard.faults import change as faults
from gate_calls import Called, call
from gate_runs import ROOT
from gonogo.model import Outcome
from source_target import target_with

sys.path.append(str(ROOT))  # where the gates' own folder is a package

from tests.infra import test_change as gates
from tests.infra import test_plan as plan_gates

GATES = {
    "release.freeze": gates.test_freeze,
    "release.tests": gates.test_tests,
    "release.audit": gates.test_audit,
    "plan.complete": plan_gates.test_complete,
}
TRIED = {
    "dirty-tree": (("changed and new files",), (" M distances.py", "?? hotfix.py")),
    "commit-after-freeze": (("commits of heads/main",), ("Mend the words",)),
    "tag-elsewhere": (
        (
            "commit of the tag v1.0.0",
            "what is checked out instead",
            "commits of heads/main",
            "at origin",
            "main at origin",
        ),
        ("Release 1.0.0",),
    ),
    "tag-not-pushed": (("commit of the tag v1.0.0 at origin",), ("there is no such tag",)),
    "pushed-after-freeze": (("main at origin has nothing",), ("no, it is at",)),
    "tests-shrank": (("tests",), (4,)),
    "tests-failed": (("failed tests",), ("test_a_degree_of_latitude",)),
    "tests-skipped": (("skipped tests (test_distances.Arrivals::test_a",), (3,)),
    "test-results-old": (("result files that this run wrote (1 are there from before",), (0,)),
    "audit-finding": (("findings",), ("starlette 0.9.1 FLEET-2026-0001",)),
    "release-notes-missing": (("files and documents that are missing",), ("/CHANGELOG.md",)),
}
"""Of each fault, the measurements that must not hold, and what they must name."""


def green(called: Called) -> None:
    assert (called.outcome, called.bad) == (Outcome.PASS, {}), called.reason


def test_every_fault_of_this_domain_is_tried() -> None:
    assert set(TRIED) == {fault.name for fault in faults.FAULTS}
    assert {gate for fault in faults.FAULTS for gate in fault.gates} == set(GATES)


@pytest.mark.parametrize("fault", faults.FAULTS, ids=lambda fault: fault.name)
def test_a_fault_turns_its_gate_red_and_is_named(fault: Any, tmp_path: Path) -> None:
    called = call(GATES[fault.gates[0]], target_with(tmp_path, fault.name))

    names, said = TRIED[fault.name]
    assert called.outcome is Outcome.FAIL, called.reason
    assert len(called.bad) == len(names), called.bad
    assert all(any(name in bad for bad in called.bad) for name in names), called.bad
    shown = [entry for value in called.bad.values() for entry in (value if isinstance(value, list) else [value])]
    for word in said:
        assert any(word == entry or str(word) in str(entry) for entry in shown), shown
    assert called.reason


def test_the_healthy_source_is_green_in_every_gate(tmp_path: Path) -> None:
    target = target_with(tmp_path)

    for _ in range(2):  # the second time beside what is remembered of the first
        for gate in GATES.values():
            green(call(gate, target))


def test_a_fault_of_one_gate_leaves_the_others_green(tmp_path: Path) -> None:
    target = target_with(tmp_path, "release-notes-missing")

    for gate in (gates.test_freeze, gates.test_tests, gates.test_audit):
        green(call(gate, target))
