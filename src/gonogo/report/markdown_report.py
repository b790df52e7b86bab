"""``go-no-go.md``: the launch state for a CI job's summary, at most 1 MiB."""

from __future__ import annotations

import re

from gonogo.model import GateState, LaunchState, Outcome, PhaseState
from gonogo.report.facts import REHEARSAL, Obstacle, faults_of, obstacles, reason_of, tally, tries_of, why
from gonogo.report.text import one_line, took, when

LIMIT = 1024 * 1024
"""Bytes that CI summaries take at most; a larger one is refused as a whole."""

_TAIL = 2000  # bytes kept free for the line that says what was left out
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|~>-])")
_SIGN = {
    Outcome.PASS: "✅",
    Outcome.FAIL: "❌",
    Outcome.ERROR: "⚠️",
    Outcome.INCONCLUSIVE: "❔",
    Outcome.BLOCKED: "⛔",
    Outcome.MISSING: "⬜",
    Outcome.STALE: "⌛",
    Outcome.PENDING: "✍️",
}


class _Paper:
    """Lines up to a number of bytes; what doesn't fit is counted, not written."""

    def __init__(self, limit: int) -> None:
        self.left = limit - _TAIL
        self.lines: list[str] = []
        self.dropped = 0

    def add(self, *lines: str) -> None:
        for line in lines:
            size = len(line.encode()) + 1
            # Once something was left out, all after it is too: a table with a hole would mislead.
            if self.dropped or size > self.left:
                self.dropped += 1
                continue
            self.left -= size
            self.lines.append(line)


def render(state: LaunchState, limit: int = LIMIT) -> str:
    """The report as Markdown of at most ``limit`` bytes, verdict first.

    When there is more than fits, the last line says how many lines were left out and where they are.
    """
    paper = _Paper(limit)
    _head(paper, state)
    _blocks(paper, obstacles(state))
    _board(paper, state)
    for phase in state.phases:
        _phase(paper, phase)
    paper.add("", f"Plan `{_code(state.plan_digest)}` · generated {when(state.generated_at)}")
    text = "\n".join(paper.lines) + "\n"
    if paper.dropped:
        text += f"\n**Cut short: {paper.dropped} more lines did not fit; go-no-go.html has them all.**\n"
    return text


def escape(text: str, limit: int = 600) -> str:
    """Text on one line that Markdown shows as it is: no markup, no HTML, no table break."""
    safe = one_line(text, limit).replace("&", "&amp;").replace("<", "&lt;")
    return _SPECIAL.sub(r"\\\1", safe)


def _code(text: str) -> str:
    return one_line(text, 200).replace("`", "'").replace("|", "/") or "—"


def _head(paper: _Paper, state: LaunchState) -> None:
    prefix = "REHEARSAL " if state.rehearsal else ""
    launch = state.launch
    paper.add(f"# {prefix}{state.verdict}: {escape(launch.project, 120)} {escape(launch.version, 60)}", "")
    if state.rehearsal:
        paper.add(f"> **{REHEARSAL}**", "")
    if faults := faults_of(state):
        paper.add(f"> **Results with faults on purpose: {escape(', '.join(faults))}**", "")
    paper.add(f"**{escape(why(state), 1200)}**", "")
    paper.add(
        f"Target {escape(state.target, 80)} ({escape(state.target_kind, 40)}) · "
        f"launch {when(launch.at)} · generated {when(state.generated_at)}"
    )


def _blocks(paper: _Paper, items: tuple[Obstacle, ...]) -> None:
    if not items:
        return
    paper.add("", "## What blocks it", "")
    for item in items[:60]:
        names = ", ".join(f"`{_code(_name(g))}`" for g in item.gates[:12])
        more = f" and {len(item.gates) - 12} more" if len(item.gates) > 12 else ""
        place = f" {escape(item.where, 80)}" if item.where else ""
        owner = f" _({escape(item.owner, 60)})_" if item.owner else ""
        label = f" {names}{more}" if names else ""
        paper.add(f"- **{item.word}**{place}{label}: {escape(item.text)}{owner}")
    if len(items) > 60:
        paper.add(f"- … and {len(items) - 60} more, under their phases")


def _board(paper: _Paper, state: LaunchState) -> None:
    paper.add("", "## Board", "")
    paper.add("| Phase | Owner | Verdict | Passed | Failed | Not proven | Waived |")
    paper.add("| --- | --- | --- | ---: | ---: | ---: | ---: |")
    for item in state.phases:
        count = tally(item.gates)
        paper.add(
            f"| {escape(item.phase.title, 80)} | {escape(item.phase.owner or '—', 60)} | **{item.verdict}** "
            f"| {count.passed}/{count.total} | {count.failed} | {count.unproven} | {count.waived} |"
        )


def _phase(paper: _Paper, item: PhaseState) -> None:
    if not item.gates and not item.holds:
        return
    paper.add("", f"## {escape(item.phase.title, 80)}: {item.verdict}", "")
    for hold in item.holds:
        paper.add(f"- **HOLD** {escape(hold)}")
    if item.holds:
        paper.add("")
    if item.gates:
        paper.add("| Gate | Outcome | Found | Took |", "| --- | --- | --- | ---: |")
    for gate in item.gates:
        waived = " (waived)" if gate.waived else ""
        tries = f" ({tries_of(gate)})" if gate.failed_tries else ""
        seconds = took(gate.result.duration_s) if gate.result else "—"
        paper.add(
            f"| `{_code(_name(gate))}` | {_SIGN[gate.outcome]} {gate.outcome}{waived}{tries} "
            f"| {escape(_found(gate))} | {seconds} |"
        )


def _name(gate: GateState) -> str:
    return gate.ask.gate + (f"/{gate.ask.on}" if gate.ask.on else "")


def _found(gate: GateState) -> str:
    """Why it isn't proven, or what was measured."""
    if gate.outcome is not Outcome.PASS:
        return reason_of(gate)
    facts = gate.result.measurements if gate.result else ()
    return "; ".join(m.sentence for m in facts[:3]) + (f"; and {len(facts) - 3} more" if len(facts) > 3 else "")
