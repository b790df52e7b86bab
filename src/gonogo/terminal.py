"""What people see in the terminal: a line a gate, grouped by phase, and the board at the end."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from gonogo.model import Ask, LaunchState, Outcome, Phase, PhaseState, Result, Verdict
from gonogo.options import reports_folder

if TYPE_CHECKING:
    from gonogo.finish import Decision

_COLOURS = {
    Verdict.GO: {"green": True},
    Verdict.HOLD: {"yellow": True},
    Outcome.PASS: {"green": True},
    Outcome.FAIL: {"red": True},
    Outcome.ERROR: {"red": True},
}
_REASONS_SHOWN = 12
SENTENCE = "gonogo_sentence"
"""Attribute of a report whose failure is one sentence, which the gate's line and the board have."""


class Progress:
    """Writes to pytest's own terminal reporter."""

    def __init__(
        self,
        config: pytest.Config,
        reporter: pytest.TerminalReporter,
        phases: tuple[Phase, ...],
        redact: Callable[[str], str],
    ) -> None:
        self.decision: Decision | None = None
        """Set at the end of the session."""
        self._config = config
        self._reporter = reporter
        self._phases = {phase.id: phase for phase in phases}
        self._redact = redact
        self._quiet = config.get_verbosity() < 0
        self._verbose = config.get_verbosity() > 0
        self._phase = ""
        self._told: Ask | None = None
        """The gate whose own lines are being written, below a line that names it."""
        self._reporter.showfspath = False  # the path of a gate's file tells a release engineer nothing

    def begin(self, ask: Ask) -> None:
        """Print the phase that a gate opens, and on a terminal the gate that runs."""
        if self._quiet:
            return
        write = self._reporter
        write.ensure_newline()
        if ask.phase != self._phase:
            self._phase = ask.phase
            write.write_line(phase_title(self._find(ask.phase)), bold=True)
        self._told = None
        if write.isatty and not self._verbose:
            write.rewrite(_running(ask), erase=True)
        write.flush()

    def seen(self, ask: Ask, text: str) -> None:
        """Print what a gate saw, below a line that says which gate that is."""
        if self._quiet:
            return
        write = self._reporter
        capture = self._config.pluginmanager.get_plugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            if self._told != ask:
                self._told = ask
                if write.isatty and not self._verbose:
                    write.write("\n")  # the line that says what runs stays
                else:
                    write.ensure_newline()
                    write.write_line(_running(ask))
            write.write(f"{'':15}{' '.join(self._redact(text).split())}\n", light=True)
            write.flush()

    def gate(self, result: Result, failed_tries: int = 0) -> None:
        """Print one gate's line, below its phase.

        Args:
            result: what became of it.
            failed_tries: how often it failed in this launch before.
        """
        if self._quiet:
            return
        write = self._reporter
        if write.isatty and not self._verbose and self._told is None:
            write.rewrite("", erase=True)
            write.write("\r")
        else:
            write.ensure_newline()
        on = f" on {result.ask.on}" if result.ask.on else ""
        write.write(f"  {result.outcome:<12}", **_COLOURS.get(result.outcome, {"yellow": True}))
        write.write(f" {result.ask.gate + on:<28} {result.duration_s:7.2f} s  {result.title}\n")
        if failed_tries:
            times = "once" if failed_tries == 1 else f"{failed_tries} times"
            write.write(f"{'':15}it failed {times} in this launch before\n", yellow=True)
        if self._verbose:
            for taken in result.measurements:
                write.write(f"{'':15}{self._redact(taken.sentence)}\n", light=True)
        elif result.outcome is not Outcome.PASS:
            write.write(f"{'':15}{result.reason}\n")
        write.flush()

    def pytest_terminal_summary(self) -> None:
        """Print the board: one line a phase, then the verdict and where the report is."""
        if self.decision is None:
            return
        state = self.decision.state
        write = self._reporter
        write.section("go/no-go board")
        for line, verdict in board(state):
            write.write(line + " ")
            write.write(f"{verdict}\n", **_COLOURS.get(verdict, {"red": True}), bold=True)
        for problem in state.problems:
            write.write_line(f"ledger: {problem}", yellow=True)
        # What failed is shown wherever it stands; what is merely not proven elsewhere is counted.
        shown = [g for g in state.blockers if g.outcome is Outcome.FAIL or self.decision.in_scope(g.ask)]
        for gate in shown[:_REASONS_SHOWN]:
            write.write_line(f"  {gate.outcome} {gate.ask.key}: {gate.reason}")
        if len(shown) > _REASONS_SHOWN:
            write.write_line(f"  and {len(shown) - _REASONS_SHOWN} more, see the report")
        if len(shown) < len(state.blockers):
            write.write_line(f"  outside this scope, not proven: {len(state.blockers) - len(shown)}")
        for phase in state.phases:
            for hold in phase.holds:
                write.write_line(f"  HOLD {phase.phase.id}: {hold}")
        write.write_line("")
        write.write(f"{state.verdict}", **_COLOURS.get(state.verdict, {"red": True}), bold=True)
        write.write_line(f"  {launched(state)}{_faults(state)}")
        scope = self._config.getoption("markexpr") or ""
        if scope:
            write.write_line(f"{self.decision.scope}  in the scope -m '{scope}', which sets the exit status")
        write.write_line(f"report: {self._shown(reports_folder(self._config))}/go-no-go.html")

    def _find(self, phase_id: str) -> Phase:
        return self._phases.get(phase_id, Phase(phase_id, phase_id, 0))

    def _shown(self, path: object) -> str:
        text, root = str(path), str(self._config.invocation_params.dir)
        return text.removeprefix(root + "/")


class SaidOnce:
    """Leaves failures that gate's line and board tell out of pytest's own list, which would tell them once more."""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> Generator[None]:
        """Hide them while the summary is written; the counts at the end have them all."""
        stats = terminalreporter.stats
        every: dict[str, list[Any]] = {name: stats[name] for name in ("failed", "error") if name in stats}
        for name, reports in every.items():
            # What a gate printed is to be had nowhere else.
            stats[name] = [one for one in reports if one.sections or not getattr(one, SENTENCE, False)]
        try:
            return (yield)
        finally:
            stats.update(every)


def _running(ask: Ask) -> str:
    return f"  {'running':<12} {ask.gate}" + (f" on {ask.on}" if ask.on else "")


def launched(state: LaunchState) -> str:
    """What is judged, and whether it is only a rehearsal."""
    rehearsal = " (REHEARSAL, not production)" if state.rehearsal else ""
    return f"{state.launch.project} {state.launch.version} on {state.target}{rehearsal}"


def phase_title(phase: Phase) -> str:
    """Title of a phase with its owner."""
    return phase.title + (f" ({phase.owner})" if phase.owner else "")


def _faults(state: LaunchState) -> str:
    faults = sorted({f for p in state.phases for g in p.gates if g.result for f in g.result.faults})
    return f", with faults on purpose: {', '.join(faults)}" if faults else ""


def board(state: LaunchState) -> list[tuple[str, Verdict]]:
    """One line a phase: title, owner, how many gates are proven; with its verdict."""
    titles = [phase_title(p.phase) for p in state.phases]
    width = max(map(len, titles), default=0)
    return [
        (f"  {title:<{width}}  {_count(phase)}", phase.verdict)
        for title, phase in zip(titles, state.phases, strict=True)
    ]


def _count(phase: PhaseState) -> str:
    proven = sum(g.outcome is Outcome.PASS or g.waived for g in phase.gates)
    counted = f"{proven:>3} of {len(phase.gates):>3} gates proven" if phase.gates else "no gate asked for"
    return f"{counted:<24}"
