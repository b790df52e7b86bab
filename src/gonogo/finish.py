"""The end of a session: from the ledger's union to reports, verdict and exit status."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gonogo.ledger import read_ledger
from gonogo.model import Ask, Records, Verdict
from gonogo.report import write_reports
from gonogo.selection import Matcher, marker_matcher
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
    matches = marker_matcher(gates.config.getoption("markexpr") or "")
    gates.in_scope = _asks_that_match(matches, records)
    gates.scope = scope_verdict(gates.state, gates.in_scope, lambda phase: matches(frozenset({phase, "people"})))
    if gates.other_failures:
        gates.scope = combine([gates.scope, Verdict.NO_GO])
    if exitstatus in (0, 1):
        session.exitstatus = gates.scope.exit_code


def _asks_that_match(matches: Matcher, records: Records) -> Callable[[Ask], bool]:
    """Which asks a ``-m`` expression speaks of: by phase, and by the markers that the ledger has of gates."""
    infos = {gate: info for run in records.runs for gate, info in run.gates.items()}

    def in_scope(ask: Ask) -> bool:
        markers = infos[ask.gate].markers if ask.gate in infos else ()
        return matches(frozenset({ask.phase, *markers}))

    return in_scope
