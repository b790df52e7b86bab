"""The end of a session: from the ledger's union to reports, verdict and exit status."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gonogo.ledger import read_ledger
from gonogo.model import Ask, LaunchState, Records, Verdict
from gonogo.report import write_reports
from gonogo.selection import marker_matcher
from gonogo.verdict import combine, judge, scope_verdict

if TYPE_CHECKING:
    import pytest

    from gonogo.session import GateSession


def finish(gates: GateSession, session: pytest.Session, exitstatus: int) -> None:
    """Judge the ledger, this run included, and set the exit status to the verdict of the scope.

    pytest's own statuses 2 (interrupted), 3 (internal error), 4 (usage) and 5 (nothing selected) stay.

    Raises:
        LedgerError: ledger or reports can't be read or written.
    """
    records = read_ledger(gates.ledger)
    base_url = gates.targets.base_url
    state = judge(gates.loaded.plan, records, datetime.now(UTC))
    gates.state = replace(state, base_url=base_url) if base_url else state
    write_reports(gates.state, gates.reports, gates.ledger)
    gates.scope = verdict_of_markers(gates.state, records, gates.config.getoption("markexpr") or "")
    if gates.other_failures:
        gates.scope = combine([gates.scope, Verdict.NO_GO])
    if exitstatus in (0, 1):
        session.exitstatus = gates.scope.exit_code


def verdict_of_markers(state: LaunchState, records: Records, expression: str) -> Verdict:
    """Verdict of the gates that a ``-m`` expression matches."""
    matches = marker_matcher(expression)
    infos = {gate: info for run in records.runs for gate, info in run.gates.items()}

    def matches_ask(ask: Ask) -> bool:
        markers = infos[ask.gate].markers if ask.gate in infos else ()
        return matches(frozenset({ask.phase, *markers}))

    return scope_verdict(state, matches_ask, lambda phase: matches(frozenset({phase, "people"})))
