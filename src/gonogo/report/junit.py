"""``junit.xml``: the launch state for CI systems, in which nothing unproven can read as green."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from gonogo.model import GateState, LaunchState, Outcome, PhaseState
from gonogo.report.facts import REHEARSAL, reason_of, why
from gonogo.report.text import clean, one_line, stamp


def render(state: LaunchState) -> str:
    """The report as XML text.

    One test case an ask, its class name the phase. FAIL is a failure; every other outcome but PASS
    is an error, as are boxes that hold a phase and problems of the ledger: JUnit's "skipped" is
    counted as success by most readers, and absence is never a pass. A waived gate stays red here
    and says that it is waived.
    """
    prefix = "REHEARSAL " if state.rehearsal else ""
    title = f"{prefix}{state.verdict}: {state.launch.project} {state.launch.version} on {state.target}"
    root = ET.Element("testsuites", {"name": one_line(title)})
    for phase in state.phases:
        root.append(_suite(phase, state, prefix))
    if state.problems:
        root.append(_ledger_suite(state, prefix))
    for count in ("tests", "failures", "errors"):
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in root)))
    ET.indent(root)
    # The notice shares the declaration's line: nothing may stand before the declaration.
    notice = f"<!-- {REHEARSAL} -->" if state.rehearsal else ""
    head = f'<?xml version="1.0" encoding="utf-8"?>{notice}\n'
    return head + ET.tostring(root, encoding="unicode") + "\n"


def _suite(phase: PhaseState, state: LaunchState, prefix: str) -> ET.Element:
    suite = ET.Element("testsuite", {"name": one_line(f"{prefix}{phase.phase.title}")})
    _properties(suite, state, phase)
    for gate in phase.gates:
        suite.append(_case(gate))
    for number, hold in enumerate(phase.holds, 1):
        suite.append(_error_case(phase.phase.id, f"box held ({number})", "HOLD", hold))
    return _counted(suite)


def _ledger_suite(state: LaunchState, prefix: str) -> ET.Element:
    suite = ET.Element("testsuite", {"name": f"{prefix}ledger"})
    for number, problem in enumerate(state.problems, 1):
        suite.append(_error_case("ledger", f"problem ({number})", "LEDGER", problem))
    return _counted(suite)


def _counted(suite: ET.Element) -> ET.Element:
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("errors", str(len(suite.findall("testcase/error"))))
    suite.set("skipped", "0")
    suite.set("time", f"{sum(float(case.get('time', '0')) for case in cases):.3f}")
    return suite


def _properties(suite: ET.Element, state: LaunchState, phase: PhaseState) -> None:
    values = {
        "verdict": state.verdict.value,
        "phase_verdict": phase.verdict.value,
        "rehearsal": str(state.rehearsal).lower(),
        "target": state.target,
        "target_kind": state.target_kind,
        "plan_digest": state.plan_digest,
        "generated_at": stamp(state.generated_at) or "",
        "why": why(state),
    }
    box = ET.SubElement(suite, "properties")
    for name, value in values.items():
        ET.SubElement(box, "property", {"name": name, "value": one_line(value)})


def _case(gate: GateState) -> ET.Element:
    name = gate.ask.gate + (f"/{gate.ask.on}" if gate.ask.on else "")
    seconds = gate.result.duration_s if gate.result else 0.0
    # "not (>= 0)" also catches NaN, which a reader of the time attribute would choke on.
    seconds = seconds if 0 <= seconds < float("inf") else 0.0
    case = ET.Element(
        "testcase", {"classname": clean(gate.ask.phase), "name": one_line(name), "time": f"{seconds:.3f}"}
    )
    if gate.outcome is not Outcome.PASS:
        waived = "waived: " if gate.waived else ""
        tag = "failure" if gate.outcome is Outcome.FAIL else "error"
        reason = reason_of(gate)
        message = one_line(f"{gate.outcome}: {waived}{reason}", 2000)
        ET.SubElement(case, tag, {"message": message, "type": gate.outcome.value}).text = clean(reason)
    if gate.result and gate.result.measurements:
        lines = "\n".join(one_line(m.sentence) for m in gate.result.measurements)
        ET.SubElement(case, "system-out").text = lines
    return case


def _error_case(classname: str, name: str, word: str, sentence: str) -> ET.Element:
    case = ET.Element("testcase", {"classname": clean(classname), "name": name, "time": "0.000"})
    message = one_line(f"{word}: {sentence}", 2000)
    ET.SubElement(case, "error", {"message": message, "type": word}).text = clean(sentence)
    return case
