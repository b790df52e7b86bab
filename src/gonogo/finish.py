"""The end of a session: from the ledger's union to reports and verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from gonogo.ledger import read_ledger
from gonogo.model import Ask, LaunchState, Records, Verdict
from gonogo.plan import Plan
from gonogo.report import write_reports
from gonogo.selection import Matcher, marker_matcher
from gonogo.verdict import judge, scope_verdict


@dataclass(frozen=True)
class Decision:
    """What a session ends with."""

    state: LaunchState
    scope: Verdict
    """Verdict of what ``-m`` matches."""
    in_scope: Callable[[Ask], bool]
    """Whether ``-m`` matches an ask."""


def decide(plan: Plan, ledger: Path, reports: Path, *, base_url: str, expression: str) -> Decision:
    """Judge the ledger, this run included, and write the reports.

    Args:
        plan: of this session.
        ledger: folder with all runs.
        reports: where the reports go.
        base_url: where the target was found; empty if no gate needed it.
        expression: what was given to ``-m``.

    Raises:
        LedgerError: ledger or reports can't be read or written.
    """
    records = read_ledger(ledger)
    state = judge(plan, records, datetime.now(UTC))
    state = replace(state, base_url=base_url) if base_url else state
    write_reports(state, reports, ledger)
    matches = marker_matcher(expression)
    in_scope = _asks_that_match(matches, records)
    scope = scope_verdict(state, in_scope, lambda phase: matches(frozenset({phase, "people"})))
    return Decision(state, scope, in_scope)


def _asks_that_match(matches: Matcher, records: Records) -> Callable[[Ask], bool]:
    """Which asks an expression speaks of: by phase, and by the markers that the ledger has of gates."""
    infos = {gate: info for run in records.runs for gate, info in run.gates.items()}

    def in_scope(ask: Ask) -> bool:
        markers = infos[ask.gate].markers if ask.gate in infos else ()
        return matches(frozenset({ask.phase, *markers}))

    return in_scope
