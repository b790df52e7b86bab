"""junit.xml: nothing unproven reads as green."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonogo.model import LaunchState, Outcome, PhaseState, Verdict
from gonogo.report.junit import render
from sample_state import all_go, gate, sample, t3_phase


def parsed(state: LaunchState) -> ET.Element:
    return ET.fromstring(render(state).encode())


def only(outcome: Outcome, *, waived: bool = False, reason: str = "because") -> ET.Element:
    item = gate("some.gate", "t3", "Some gate", outcome, reason, waived=waived)
    phase = PhaseState(t3_phase().phase, Verdict.HOLD, (item,))
    case = parsed(sample(phases=(phase,), problems=())).find(".//testcase")
    assert case is not None
    return case


@pytest.mark.parametrize("outcome", list(Outcome))
def test_outcome_mapping(outcome: Outcome) -> None:
    """PASS is green, FAIL a failure, all else an error; nothing is ever skipped."""
    expected = {Outcome.PASS: [], Outcome.FAIL: ["failure"]}.get(outcome, ["error"])

    assert [child.tag for child in only(outcome)] == expected


@pytest.mark.parametrize("outcome", [o for o in Outcome if o is not Outcome.PASS])
def test_a_waived_gate_stays_red_and_says_so(outcome: Outcome) -> None:
    (child,) = only(outcome, waived=True)

    assert child.get("message") == f"{outcome}: waived: because"


def test_one_case_an_ask_named_by_phase() -> None:
    state = sample()
    cases = parsed(state).findall(".//testcase")

    asks = {(g.ask.phase, g.ask.gate + (f"/{g.ask.on}" if g.ask.on else "")) for p in state.phases for g in p.gates}
    held = {("t3", "box held (1)"), ("t1", "box held (1)"), ("phase5", "box held (1)"), ("ledger", "problem (1)")}
    found = [(c.get("classname"), c.get("name")) for c in cases]
    assert len(found) == len(set(found))
    assert set(found) == asks | held


def test_a_state_held_only_by_boxes_or_the_ledger_is_not_green() -> None:
    go = all_go()
    held = replace(go.phases[0], holds=("'x' (line 3) waits for QA Lead: PENDING",))

    assert int(parsed(go).get("errors", "")) == 0
    assert int(parsed(replace(go, phases=(held,))).get("errors", "")) == 1
    assert int(parsed(replace(go, problems=("a file is missing",))).get("errors", "")) == 1


def test_counts_add_up() -> None:
    root = parsed(sample())

    assert int(root.get("tests", "")) == len(root.findall(".//testcase"))
    assert int(root.get("failures", "")) == len(root.findall(".//failure")) == 2
    assert int(root.get("errors", "")) == len(root.findall(".//error"))
    assert not root.findall(".//skipped")


def test_rehearsal_is_on_the_first_line_and_in_every_name() -> None:
    first, root = render(sample()).splitlines()[0], parsed(sample())

    assert first.startswith("<?xml")
    assert "REHEARSAL" in first
    assert all("REHEARSAL" in (e.get("name") or "") for e in [root, *root.findall("testsuite")])
    assert "REHEARSAL" not in render(all_go())


@given(st.text(st.characters()))
def test_any_reason_is_well_formed(reason: str) -> None:
    (child,) = only(Outcome.FAIL, reason=reason)

    assert (child.get("message") or "").startswith("FAIL: ")


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1.0])
def test_an_odd_duration_is_zero(seconds: float) -> None:
    item = gate("some.gate", "t3", "Some gate")
    assert item.result
    item = replace(item, result=replace(item.result, duration_s=seconds))
    case = parsed(sample(phases=(PhaseState(t3_phase().phase, Verdict.GO, (item,)),))).find(".//testcase")

    assert case is not None
    assert case.get("time") == "0.000"
