"""What a launch state comes down to: the sentence that says why, what blocks, counts, box marks.

Pure functions of `LaunchState`; every report kind takes its words from here, so none can differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from gonogo.model import Box, BoxKind, GateState, LaunchState, Outcome, PhaseState, Verdict
from gonogo.report.text import clean, one_line, phase_label, plural

REHEARSAL = "REHEARSAL: this is not production, and no signature under it counts."
"""Said by every report of a target that is not production."""

MEANING: dict[Outcome, str] = {
    Outcome.PASS: "proven",
    Outcome.FAIL: "measured, and out of bounds",
    Outcome.ERROR: "could not be measured, through our own fault",
    Outcome.INCONCLUSIVE: "measured too little to claim it",
    Outcome.BLOCKED: "not tried, because an earlier phase is not GO",
    Outcome.MISSING: "asked for, never run",
    Outcome.STALE: "out of date, or of another release or plan",
    Outcome.PENDING: "waits for a person's attestation",
}
"""Each outcome in words, as the legend and the messages say it."""

_SHORT: dict[Outcome, str] = {
    Outcome.FAIL: "failed",
    Outcome.ERROR: "could not be measured",
    Outcome.INCONCLUSIVE: "measured too little",
    Outcome.BLOCKED: "blocked",
    Outcome.MISSING: "never ran",
    Outcome.STALE: "out of date",
    Outcome.PENDING: "not attested",
}
_TOLD_ALONE = (Outcome.FAIL, Outcome.ERROR, Outcome.INCONCLUSIVE)


class Mark(StrEnum):
    """How a box of the playbook is drawn."""

    DONE = "done"
    WAIVED = "waived"
    OPEN = "open"
    FAILED = "failed"
    SCOPE = "scope"


@dataclass(frozen=True)
class Tally:
    """Gates of a phase by what they mean for the launch."""

    passed: int
    waived: int
    failed: int
    unproven: int

    @property
    def total(self) -> int:
        """All gates asked for."""
        return self.passed + self.waived + self.failed + self.unproven


@dataclass(frozen=True)
class Obstacle:
    """One line of what keeps the launch from GO."""

    word: str
    """An outcome, ``HOLD`` for a box that holds its phase, or ``LEDGER``."""
    where: str
    """The phase as people say it (``T-3``); empty for the ledger."""
    text: str
    gates: tuple[GateState, ...] = ()
    owner: str | None = None


def tally(gates: Iterable[GateState]) -> Tally:
    """Count gates; a waived one is neither passed nor failed."""
    passed = waived = failed = unproven = 0
    for gate in gates:
        if gate.outcome is Outcome.PASS:
            passed += 1
        elif gate.waived:
            waived += 1
        elif gate.outcome is Outcome.FAIL:
            failed += 1
        else:
            unproven += 1
    return Tally(passed, waived, failed, unproven)


def named(gate: GateState) -> str:
    """``tls.certificate at T-3``, with the companion it ran on, if any."""
    on = f" on {gate.ask.on}" if gate.ask.on else ""
    return f"{gate.ask.gate}{on} at {phase_label(gate.ask.phase)}"


def reason_of(gate: GateState) -> str:
    """The gate's reason; never empty, so that no line of a report ends in nothing."""
    return clean(gate.reason).strip() or MEANING[gate.outcome]


def tries_of(gate: GateState) -> str:
    """What a reader should know of earlier tries; empty if none failed."""
    if not gate.failed_tries:
        return ""
    tries = "1 failed try" if gate.failed_tries == 1 else f"{gate.failed_tries} failed tries"
    return f"{'passed after' if gate.outcome is Outcome.PASS else 'after'} {tries}"


def faults_of(state: LaunchState) -> tuple[str, ...]:
    """Names of all faults behind any result that counts; those of runs since repeated stand with the run alone."""
    names: set[str] = set()
    for phase in state.phases:
        for gate in phase.gates:
            names.update(gate.result.faults if gate.result else ())
    return tuple(sorted(names))


def mark_of(box: Box, phase: PhaseState) -> Mark:
    """How to draw a box: done only if every gate it names is PASS, waived counting as such.

    A box that a person attests is done only through a gate state of its own: no record, no tick.
    """
    if box.kind is BoxKind.SCOPE:
        return Mark.SCOPE
    states = {(g.ask.gate, g.ask.on): g for g in phase.gates}
    found = [states.get((gate, box.on)) for gate in box.gates]
    if any(g is not None and g.outcome is Outcome.FAIL and not g.waived for g in found):
        return Mark.FAILED
    if not found or any(g is None or not (g.outcome is Outcome.PASS or g.waived) for g in found):
        return Mark.OPEN
    if any(g is not None and g.outcome is not Outcome.PASS for g in found):
        return Mark.WAIVED
    return Mark.DONE


def obstacles(state: LaunchState) -> tuple[Obstacle, ...]:
    """What keeps the launch from GO: failed gates, the ledger, then the rest grouped by phase.

    Gates that were never tried are told in one line a phase: forty blocked ones would bury the
    single failure behind them.
    """
    owners = {p.phase.id: p.phase.owner for p in state.phases}
    told = [
        Obstacle(g.outcome, phase_label(g.ask.phase), reason_of(g), (g,), owners.get(g.ask.phase))
        for g in state.blockers
        if g.outcome in _TOLD_ALONE
    ]
    failed = [item for item in told if item.word == Outcome.FAIL]
    ledger = [Obstacle("LEDGER", "", one_line(problem)) for problem in state.problems]
    out = [*failed, *ledger, *told[len(failed) :]]
    for phase_state in state.phases:
        p = phase_state.phase
        where = phase_label(p.id)
        out += [Obstacle("HOLD", where, one_line(hold), (), p.owner) for hold in _holds(phase_state)]
        rest = [
            g
            for g in phase_state.gates
            if not g.waived and g.outcome is not Outcome.PASS and g.outcome not in _TOLD_ALONE
        ]
        rest.sort(key=lambda g: g.outcome)
        for outcome, same in groupby(rest, key=lambda g: g.outcome):
            group = tuple(same)
            reasons = {reason_of(g) for g in group}
            text = reasons.pop() if len(reasons) == 1 else MEANING[outcome]
            out.append(Obstacle(outcome, where, text, group, p.owner))
    return tuple(out)


def why(state: LaunchState) -> str:
    """The one sentence under the verdict, e.g. ``NO-GO: 1 gate failed: tls.certificate at T-3: …``."""
    if state.verdict is Verdict.GO:
        return f"GO: {_why_go(state)}"
    if state.verdict is Verdict.HOLD:
        return f"HOLD: {_why_hold(state)}"
    return f"{state.verdict}: {_why_failed(state)}"


def _why_failed(state: LaunchState) -> str:
    failed = [g for g in state.blockers if g.outcome is Outcome.FAIL]
    if not failed:
        return f"no failed gate is on record; {_missing(state)}"
    text = f"{plural(len(failed), 'gate')} failed: {named(failed[0])}: {_brief(failed[0])}"
    return text if len(failed) == 1 else f"{text}; also {_names(failed[1:])}"


def _why_hold(state: LaunchState) -> str:
    failed = any(g.outcome is Outcome.FAIL for g in state.blockers)
    start = "" if failed else "no gate failed, but "
    return start + _missing(state)


def _missing(state: LaunchState) -> str:
    """What is not proven, by kind of gap."""
    parts = []
    for outcome, words in _SHORT.items():
        group = [g for g in state.blockers if g.outcome is outcome]
        if group:
            parts.append(f"{plural(len(group), 'gate')} {words} ({_names(group)})")
    holds = [hold for p in state.phases for hold in _holds(p)]
    if holds:
        verb = "holds its phase" if len(holds) == 1 else "hold their phases"
        parts.append(f"{plural(len(holds), 'box')} {verb} ({_listed([one_line(h, 160) for h in holds], 1)})")
    if state.problems:
        parts.append(f"the ledger itself: {_listed([one_line(p, 160) for p in state.problems], 1)}")
    return "; ".join(parts) or "no reason is on record"


def _why_go(state: LaunchState) -> str:
    gates = [g for p in state.phases for g in p.gates]
    count = tally(gates)
    if not gates:
        return "no gate was asked for"
    text = f"{plural(count.passed, 'gate')} passed in {plural(len(state.phases), 'phase')}"
    if count.waived:
        waived = [g for g in gates if g.waived and g.outcome is not Outcome.PASS]
        text += f"; waived: {_names(waived)}"
    return text if count.waived else f"all {text}" if count.passed > 1 else text


def _holds(phase: PhaseState) -> tuple[str, ...]:
    """The phase's own sentences; a phase that isn't GO for no visible reason gets one that says so."""
    open_gate = any(not g.waived and g.outcome is not Outcome.PASS for g in phase.gates)
    if phase.holds or open_gate or phase.verdict is Verdict.GO:
        return phase.holds
    return (f"nothing in {phase_label(phase.phase.id)} proves it: no gate was asked for",)


def _brief(gate: GateState) -> str:
    return one_line(reason_of(gate), 400).rstrip(".")


def _names(gates: list[GateState]) -> str:
    return _listed([named(g) for g in gates], 3)


def _listed(items: list[str], limit: int) -> str:
    head = ", ".join(items[:limit])
    return head if len(items) <= limit else f"{head} and {len(items) - limit} more"
