"""One gate session: runs gates phase by phase, records each result, decides at the end."""

from __future__ import annotations

import platform
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Generator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import pytest

from gonogo.errors import GonogoError, InconclusiveError, LedgerError, TargetError
from gonogo.keys import ASK, EVIDENCE, KEEP, MEASUREMENTS, OUTCOME, PROGRESS, REDACT, TARGETS, TRIES
from gonogo.ledger import RunWriter, read_ledger
from gonogo.model import (
    PHASES,
    Ask,
    Evidence,
    GateInfo,
    Measurement,
    Outcome,
    Result,
    RunInfo,
    Verdict,
)
from gonogo.options import fault_names, reports_folder
from gonogo.targets import Targets
from gonogo.terminal import SENTENCE, Progress, SaidOnce
from gonogo.verdict import combine, failures, outcome_of

if TYPE_CHECKING:
    from gonogo.loading import LoadedPlan

_PACKAGES = ("pytest-gonogo", "pytest", "pytest-playwright", "playwright", "locust", "httpx", "psycopg")
_CATEGORY = {Outcome.PASS: "passed", Outcome.FAIL: "failed", Outcome.ERROR: "error"}
_EXIT_INTERNAL = 3


if TYPE_CHECKING:
    _Failed = Exception
else:
    _Failed = pytest.fail.Exception  # public, yet unknown to type checkers


class _Refused(_Failed):
    """A gate that ended with a sentence; carries its outcome where a fixture serves many gates."""

    def __init__(self, outcome: Outcome, sentence: str) -> None:
        super().__init__(sentence, False)
        self.outcome = outcome


_Refused.__module__, _Refused.__qualname__ = "builtins", "Gate"  # how pytest's own lines call it


class GateSession:
    """All state of one running session."""

    def __init__(self, config: pytest.Config, loaded: LoadedPlan, gates: Mapping[str, GateInfo]) -> None:
        self.config = config
        self.loaded = loaded
        self.gates = gates
        self.faults = fault_names(config)
        self.other_failures = 0
        """Failed collections and failed tests that are no gates: they keep the exit status from GO."""
        self._begun = False
        self._bad: dict[str, str] = {}
        """Phase -> why it is not GO in this session."""
        self.reports = reports_folder(config)
        self.ledger = loaded.ledger_folder(self.reports if config.getoption("gonogo_reports") else None)
        try:
            self.writer = RunWriter(self.ledger, datetime.now(UTC))
        except LedgerError as error:
            pytest.exit(str(error), returncode=_EXIT_INTERNAL)
        self.targets = Targets(config, loaded, self.writer, self.faults)
        config.stash[TARGETS], config.stash[KEEP] = self.targets, self.keep
        config.stash[REDACT] = self.writer.redact
        self.progress: Progress | None = None
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            self.progress = Progress(config, reporter, loaded.plan.phases, self.writer.redact.text)
            config.stash[PROGRESS] = self.progress
            config.pluginmanager.register(self.progress, "gonogo-progress")
            if config.get_verbosity() >= 0:  # with -q gates have no line
                config.pluginmanager.register(SaidOnce(), "gonogo-said-once")

    # ------------------------------------------------------------------ what is planned

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Write down what this run sets out to do, before anything is tried.

        Not at the end of the collection: that comes also when a wrong ``-m`` or a broken module ends the session,
        and a run that was never going to happen must not take older results with it.
        """
        self.other_failures = session.testsfailed
        if session.testsfailed and not self.config.getoption("continue_on_collection_errors"):
            return
        self._begun = True
        # All variants of a parametrised gate, also if -k or a node id selects some: those alone prove nothing.
        tries = {item.stash[ASK]: item.stash[TRIES] for item in session.items if ASK in item.stash}
        planned = [ask for ask, times in tries.items() for _ in range(times)]
        self.targets.planned = frozenset((ask.on, ask.gate) for ask in tries)
        commit, dirty = _commit(self.config)
        info = RunInfo(
            id=self.writer.run,
            started_at=datetime.now(UTC),
            finished_at=None,
            target=self.loaded.plan.target,
            faults=self.faults,
            scope=" ".join(self.config.invocation_params.args),
            commit=commit,
            dirty=dirty,
            plan_digest=self.loaded.plan.digest,
            versions={"python": platform.python_version(), **_versions()},
            host=platform.node(),
        )
        plan = self.loaded.plan
        self._guard(
            self.writer.begin, info, plan.launch.version, planned, plan.asks(), self.gates, extra=plan.extra
        )

    # ------------------------------------------------------------------ one gate

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Time a gate from the first fixture to the last, and write its result down at once."""
        if ASK not in item.stash:
            return (yield)
        if self.progress:
            self.progress.begin(item.stash[ASK])
        started_at, started = datetime.now(UTC), time.perf_counter()
        try:
            return (yield)
        finally:
            if OUTCOME in item.stash:
                self._record(item, started_at, time.perf_counter() - started)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Don't try a gate of a phase whose forerunner in this session is not GO."""
        ask = item.stash.get(ASK, None)
        if ask is None or self.config.getoption("gonogo_keep_going"):
            return
        for phase, why in self._bad.items():
            if PHASES.index(phase) < PHASES.index(ask.phase):
                reason = f"{self._title(phase)} is not GO: {why}"
                item.stash[OUTCOME] = (Outcome.BLOCKED, reason)
                pytest.skip(f"blocked: {reason}")

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self) -> Generator[None, object, object]:
        """A fixture's failure with a sentence is shown as that sentence, without a trace."""
        try:
            return (yield)
        except GonogoError as error:
            raise self._refused(error) from None

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, object, object]:
        """Judge a gate by its measurements, after all of them were taken."""
        if ASK not in pyfuncitem.stash:
            return (yield)
        try:
            answer = yield
        except GonogoError as error:
            raise self._refused(error) from None
        self._note(pyfuncitem, outcome_of(_measurements(pyfuncitem)))
        outcome, reason = pyfuncitem.stash[OUTCOME]
        if outcome is not Outcome.PASS:
            raise _Refused(outcome, reason)
        return answer

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Give each report its gate, phase and outcome."""
        report = yield
        ask = item.stash.get(ASK, None)
        if ask is None:
            self._hide_secrets(report)
            return report
        if call.excinfo is not None:
            self._note(item, _outcome_of_error(call))
            if isinstance(call.excinfo.value, GonogoError):  # from a teardown, or a fixture that failed before
                report.longrepr = str(call.excinfo.value)
            if isinstance(call.excinfo.value, GonogoError | _Refused):
                vars(report)[SENTENCE] = True
        elif hasattr(report, "wasxfail") or (report.failed and report.when == "call"):
            why = getattr(report, "wasxfail", "") or str(report.longrepr)
            self._note(item, (Outcome.MISSING, f"expected to fail, and did not ({why}); take xfail off"))
        self._hide_secrets(report)
        outcome, reason = item.stash.get(OUTCOME, (None, ""))
        reason = self.writer.redact.text(reason)
        report.user_properties += [("gate", ask.gate), ("phase", ask.phase), ("on", ask.on or "")]
        if outcome is not None and (report.when == "call" or call.excinfo is not None):
            report.user_properties += [("outcome", outcome.value), ("reason", reason)]
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: Any) -> tuple[str, str, str] | None:
        """Count a gate by its outcome; its line is printed by the terminal part."""
        properties = dict(getattr(report, "user_properties", ()))
        if "gate" not in properties:
            return None
        if "outcome" not in properties:
            return "", "", ""
        outcome = Outcome(properties["outcome"])
        return _CATEGORY.get(outcome, outcome.value.lower()), "", ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count failures of tests that are no gates."""
        if report.failed and "gate" not in dict(report.user_properties):
            self.other_failures += 1

    # ------------------------------------------------------------------ the end

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Stop the target, seal the run, judge the ledger's union, write the reports, set the exit status."""
        from gonogo.finish import decide  # noqa: PLC0415 - brings the reports

        if not self._begun:
            self.writer.abandon()
            return
        try:
            self._take_down()
            self.writer.end(datetime.now(UTC), f"pytest exit status {int(exitstatus)}")
            expression = self.config.getoption("markexpr") or ""
            decision = decide(
                self.loaded.plan,
                self.ledger,
                self.reports,
                base_url=self.targets.base_url,
                expression=expression,
            )
        except LedgerError as error:
            pytest.exit(str(error), returncode=_EXIT_INTERNAL)
        if self.other_failures:
            decision = replace(decision, scope=combine([decision.scope, Verdict.NO_GO]))
        if self.progress:
            self.progress.decision = decision
        if exitstatus in (0, 1):  # pytest's own 2 (interrupted) to 5 (nothing selected) stay
            session.exitstatus = decision.scope.exit_code

    def _take_down(self) -> None:
        """Stop the target; if that fails, what was measured is sealed and reported all the same."""
        try:
            self.targets.close()
        except Exception as error:  # noqa: BLE001 - whatever it is, the results come first
            self.other_failures += 1
            why = self.writer.redact.text(str(error) or type(error).__name__)
            sys.stderr.write(f"gonogo: the target could not be taken down: {why}; look for what it left running\n")

    def _record(self, item: pytest.Item, started_at: datetime, duration_s: float) -> None:
        ask = item.stash[ASK]
        outcome, reason = item.stash[OUTCOME]
        if outcome is Outcome.PASS:  # a fixture may have measured something on its way out
            outcome, reason = outcome_of(_measurements(item))
        if outcome is not Outcome.PASS:
            self._bad.setdefault(ask.phase, f"{ask.gate} {outcome}")
        result = Result(
            ask=ask,
            outcome=outcome,
            reason=self.writer.redact.text(reason),
            run=self.writer.run,
            target=self.loaded.plan.target,
            version=self.loaded.plan.launch.version,
            ask_digest=self.loaded.plan.ask_digest(ask),
            started_at=started_at,
            finished_at=datetime.now(UTC),
            duration_s=round(duration_s, 3),
            title=self.gates[ask.gate].title,
            measurements=tuple(_measurements(item)),
            evidence=tuple(_evidence(item)),
            faults=self.faults,
        )
        failed = self._failed[ask]
        self._guard(self.writer.result, result)
        self._failed[ask] += outcome is Outcome.FAIL
        if self.progress:
            self.progress.gate(result, failed)

    @cached_property
    def _failed(self) -> Counter[Ask]:
        """How often each gate failed in this launch so far."""
        plan = self.loaded.plan
        try:
            return failures(read_ledger(self.ledger), plan.target, plan.launch.version, self.faults)
        except LedgerError:  # told at the end, when the whole of it is judged
            return Counter()

    def keep(self, ask: Ask, name: str, data: bytes) -> Evidence:
        """Keep a file as evidence; a ledger that can't take it ends the session."""
        kept: Evidence = self._guard(self.writer.keep, ask, name, data)
        return kept

    def _hide_secrets(self, report: pytest.TestReport) -> None:
        """Take the target's secrets out of what pytest and its plugins show and store of a test."""
        hide = self.writer.redact.text
        report.sections = [(name, hide(text)) for name, text in report.sections]
        if isinstance(report.longrepr, tuple):  # a skip: file, line, reason
            report.longrepr = (*report.longrepr[:2], hide(report.longrepr[2]))
        elif (shown := report.longreprtext) != hide(shown):
            report.longrepr = hide(shown)

    def _refused(self, error: GonogoError) -> _Refused:
        outcome, sentence = _classify(error)
        return _Refused(outcome, self.writer.redact.text(sentence))

    def _note(self, item: pytest.Item, found: tuple[Outcome, str]) -> None:
        """Remember an outcome; the first that is not PASS stays, and what was measured bad is FAIL."""
        before = item.stash.get(OUTCOME, None)
        if ASK not in item.stash or (before is not None and before[0] is not Outcome.PASS):
            return
        measured = outcome_of(_measurements(item))
        if measured[0] is Outcome.FAIL and found != measured:
            found = (Outcome.FAIL, f"{measured[1]}; then: {found[1]}")
        item.stash[OUTCOME] = found

    def _title(self, phase_id: str) -> str:
        return next((p.title for p in self.loaded.plan.phases if p.id == phase_id), phase_id)

    def _guard(self, write: Any, *arguments: Any, **named: Any) -> Any:
        """A ledger that can't be written ends the session: going on would lose results."""
        try:
            return write(*arguments, **named)
        except LedgerError as error:
            pytest.exit(str(error), returncode=_EXIT_INTERNAL)


def _measurements(item: pytest.Item) -> list[Measurement]:
    return item.stash.get(MEASUREMENTS, list[Measurement]())


def _evidence(item: pytest.Item) -> list[Evidence]:
    return item.stash.get(EVIDENCE, list[Evidence]())


def _classify(error: BaseException) -> tuple[Outcome, str]:
    """By whose fault a gate could not finish."""
    if isinstance(error, TargetError):
        return Outcome.FAIL, str(error)
    if isinstance(error, InconclusiveError):
        return Outcome.INCONCLUSIVE, str(error)
    if isinstance(error, GonogoError):
        return Outcome.ERROR, str(error)
    if isinstance(error, _Refused):
        return error.outcome, str(error)
    first = str(error).strip().partition("\n")[0]
    if isinstance(error, AssertionError | pytest.fail.Exception):
        return Outcome.FAIL, first or "an assertion failed"
    if type(error).__module__.startswith("playwright."):
        return Outcome.FAIL, f"the browser could not do it: {first}"
    return Outcome.ERROR, f"the gate itself broke ({type(error).__name__}: {first}); mend the gate"


def _outcome_of_error(call: pytest.CallInfo[None]) -> tuple[Outcome, str]:
    assert call.excinfo is not None
    error = call.excinfo.value
    if isinstance(error, pytest.skip.Exception):
        return Outcome.MISSING, f"skipped: {error.msg or 'no reason given'}"
    if type(error).__name__ == "XFailed":
        return Outcome.MISSING, f"expected to fail: {error}"
    outcome, reason = _classify(error)
    if call.when != "call" and outcome is Outcome.FAIL and not isinstance(error, TargetError | _Refused):
        outcome = Outcome.ERROR  # a fixture's own assertion says nothing of the target
    return outcome, reason


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _commit(config: pytest.Config) -> tuple[str, bool]:
    """Commit of the folder with the plan, and whether there are changes on top; empty outside git."""
    git = ["git", "-C", str(config.rootpath)]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=False)  # noqa: S603
        changes = subprocess.run(  # noqa: S603
            [*git, "status", "--porcelain"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return "", False
    return (head.stdout.strip(), bool(changes.stdout.strip())) if head.returncode == 0 else ("", False)
