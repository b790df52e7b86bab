"""From plan and records to the verdict: a pure function.

Absence is never a pass. Whatever was not measured, not finished, measured on another release or under
another plan, or is older than its shelf life keeps the launch from GO; taking a gate, a measurement, a
file or a run away never moves the verdict towards GO.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from gonogo.model import (
    PHASES,
    Ask,
    Box,
    BoxKind,
    GateInfo,
    GateState,
    LaunchState,
    Measurement,
    Outcome,
    Phase,
    PhaseState,
    Records,
    Result,
    RunRecord,
    Verdict,
)
from gonogo.plan import Plan

CLOCK_SKEW = timedelta(minutes=5)
"""How far ahead another machine's clock may run before its result is not believed."""

_BADNESS = {Outcome.FAIL: 0, Outcome.ERROR: 1, Outcome.INCONCLUSIVE: 2, Outcome.PASS: 9}


def judge(plan: Plan, records: Records, now: datetime) -> LaunchState:
    """State of the whole launch at ``now``."""
    runs = sorted(
        (r for r in records.runs if r.info.target == plan.target), key=lambda r: (r.info.started_at, r.info.id)
    )
    tried = [_Tried.of(run) for run in runs]
    infos = {gate: info for run in runs for gate, info in run.gates.items()}
    states = {ask: _state(plan, ask, tried, infos, now) for ask in plan.asks()} | {
        ask: _dropped_state(ask, tried, infos) for ask in _dropped(plan, tried)
    }
    phases = _phases(plan, states)
    return LaunchState(
        launch=plan.launch,
        target=plan.target,
        target_kind=plan.target_kind,
        rehearsal=plan.rehearsal,
        verdict=combine((p.verdict for p in phases), holds=bool(records.problems) or not phases),
        generated_at=now,
        phases=phases,
        plan_digest=plan.digest,
        problems=records.problems,
        runs=tuple(run.info for run in runs),
        base_url=plan.base_url,
    )


def failures(records: Records, target: str, version: str, faults: tuple[str, ...] = ()) -> Counter[Ask]:
    """How often each ask failed in a launch; failures by faults on purpose count only among their like.

    Args:
        records: the whole ledger.
        target: what is launched on.
        version: release that is launched.
        faults: of the tries that count.
    """
    same = [run for run in records.runs if run.info.target == target and run.version == version]
    return Counter(
        result.ask
        for run in same
        for result in run.results
        if result.outcome is Outcome.FAIL and result.faults == faults
    )


def scope_verdict(state: LaunchState, matches: Callable[[Ask], bool], covers: Callable[[str], bool]) -> Verdict:
    """Verdict of a part of the launch.

    Args:
        state: the whole launch.
        matches: whether a gate belongs to the part.
        covers: whether a phase's boxes for people (unmapped, not yet attested) belong to it.

    A part that matches nothing is HOLD.
    """
    verdicts = [gate_verdict(g) for p in state.phases for g in p.gates if matches(g.ask)]
    covered = [p for p in state.phases if covers(p.phase.id)]
    verdicts += [Verdict.HOLD for p in covered if p.holds]
    verdicts += [p.verdict for p in covered if not p.gates]
    return combine(verdicts, holds=bool(state.problems))


def gate_verdict(gate: GateState) -> Verdict:
    """What one gate alone says: PASS or a live waiver GO, FAIL NO-GO, all else HOLD."""
    if gate.outcome is Outcome.PASS or gate.waived:
        return Verdict.GO
    return Verdict.NO_GO if gate.outcome is Outcome.FAIL else Verdict.HOLD


def combine(verdicts: Iterable[Verdict], *, holds: bool = False) -> Verdict:
    """The worst of several verdicts; of none at all HOLD."""
    order = (Verdict.ROLLBACK, Verdict.CONSIDER_ROLLBACK, Verdict.NO_GO, Verdict.HOLD, Verdict.GO)
    found = list(verdicts) or [Verdict.HOLD]
    return min([*found, Verdict.HOLD] if holds else found, key=order.index)


def outcome_of(measurements: Iterable[Measurement]) -> tuple[Outcome, str]:
    """Outcome and reason that a gate's measurements speak for by themselves."""
    taken = list(measurements)
    bad = [m for m in taken if m.ok is not None and m.ok is not True]
    undecided = [m for m in taken if m.ok is None]
    if bad:
        return Outcome.FAIL, "; ".join(m.sentence for m in bad)
    if undecided:
        return Outcome.INCONCLUSIVE, "; ".join(m.sentence for m in undecided)
    if not taken:
        return Outcome.INCONCLUSIVE, "the gate ended without a single measurement, so nothing is proven"
    return Outcome.PASS, ""


@dataclass(frozen=True)
class _Tried:
    """One run, by what it tried."""

    run: RunRecord
    until: datetime
    """Latest moment at which the run is known to have been going on."""
    planned: Counter[Ask]
    results: dict[Ask, list[Result]]

    @classmethod
    def of(cls, run: RunRecord) -> _Tried:
        """Sort a run's results by what they answer."""
        results: dict[Ask, list[Result]] = {}
        for result in run.results:
            results.setdefault(result.ask, []).append(result)
        moments = [run.info.started_at, run.info.finished_at or run.info.started_at]
        return cls(run, max([*moments, *(r.finished_at for r in run.results)]), Counter(run.planned), results)


def _state(plan: Plan, ask: Ask, tried: list[_Tried], infos: dict[str, GateInfo], now: datetime) -> GateState:
    title = infos[ask.gate].title if ask.gate in infos else ask.gate
    result, unfinished = _latest(ask, tried)
    if unfinished is not None:
        done, wanted = len(unfinished.results.get(ask, ())), unfinished.planned[ask]
        what = f"measured {done} of its {wanted} variants; run all of them" if done else "ended before it did"
        reason = f"run {unfinished.run.info.id} was to measure it and {what}"
        return GateState(ask, title, Outcome.MISSING, reason)
    if result is None:
        return GateState(ask, title, Outcome.MISSING, "asked for, never run")
    outcome, reason = _believed(result)
    failed = sum(
        one.outcome is Outcome.FAIL and one.faults == result.faults and _recency(one) < _recency(result)
        for run in tried
        if run.run.version == plan.launch.version
        for one in run.results.get(ask, ())
    )
    stale = _why_stale(plan, ask, result, outcome, now)
    if stale:
        return GateState(ask, title, Outcome.STALE, f"{stale}; was {outcome}", result=result, failed_tries=failed)
    return GateState(ask, result.title or title, outcome, reason, result=result, failed_tries=failed)


def _latest(ask: Ask, tried: Iterable[_Tried]) -> tuple[Result | None, _Tried | None]:
    """The newest result of an ask, or the run that should have brought a newer one.

    A run that tried an ask several times (two browsers, say) answers with the worst of them, and before each
    is there only if one has failed. Ties go to the worse outcome, so the order in which files arrive never matters.
    """
    newest: Result | None = None
    unfinished: _Tried | None = None
    for run in tried:
        results = run.results.get(ask, [])
        if len(results) < run.planned[ask] and all(r.outcome is not Outcome.FAIL for r in results):
            if unfinished is None or run.until > unfinished.until:
                unfinished = run
        elif results:
            worst = min(results, key=lambda r: (_BADNESS.get(_believed(r)[0], 3), r.finished_at))
            newest = worst if newest is None or _recency(worst) > _recency(newest) else newest
    if unfinished and newest and newest.started_at >= unfinished.until:
        return newest, None
    return newest, unfinished


def _recency(result: Result) -> tuple[datetime, int, str]:
    return result.finished_at, -_BADNESS.get(result.outcome, 3), result.run


def _believed(result: Result) -> tuple[Outcome, str]:
    """A recorded PASS counts only as far as its measurements carry it."""
    if result.outcome is not Outcome.PASS:
        return result.outcome, result.reason
    outcome, reason = outcome_of(result.measurements)
    return (outcome, reason) if outcome is not Outcome.PASS else (Outcome.PASS, result.reason)


def _why_stale(plan: Plan, ask: Ask, result: Result, outcome: Outcome, now: datetime) -> str:
    if result.version != plan.launch.version:
        return f"measured on release {result.version}, the launch is {plan.launch.version}"
    if result.ask_digest != plan.ask_digest(ask):
        return f"measured under other settings of target {plan.target} than launch.toml has now"
    if result.finished_at > now + CLOCK_SKEW:
        return f"dated {result.finished_at:%Y-%m-%d %H:%M} UTC, which lies in the future"
    within = next((p.within for p in plan.phases if p.id == ask.phase), None)
    age = now - result.finished_at
    if outcome is Outcome.PASS and within is not None and age >= within:
        return f"measured {_span(age)} ago, its shelf life is {_span(within)}"
    return ""


def _dropped(plan: Plan, tried: list[_Tried]) -> list[Ask]:
    """Asks of this release that are not proven and were taken out of the plan without a reason."""
    same_release = [t for t in tried if t.run.version == plan.launch.version]
    asked = {ask for t in same_release for ask in (*t.run.asked, *t.run.planned)}
    gone = {ask for ask in asked.difference(plan.asks()) if not plan.scopes_out(ask.gate)}
    return sorted((ask for ask in gone if not _proven(*_latest(ask, same_release))), key=lambda ask: ask.key)


def _proven(result: Result | None, unfinished: _Tried | None) -> bool:
    return result is not None and unfinished is None and _believed(result)[0] is Outcome.PASS


def _dropped_state(ask: Ask, tried: list[_Tried], infos: dict[str, GateInfo]) -> GateState:
    result, _ = _latest(ask, tried)
    outcome = _believed(result)[0] if result else Outcome.MISSING
    reason = (
        f"taken out of the plan while {outcome}"
        + (f" ({result.reason})" if result and result.reason else "")
        + f"; put it back, or scope it out with a reason: <!-- scope: why gate: {ask.gate} -->"
    )
    title = infos[ask.gate].title if ask.gate in infos else ask.gate
    return GateState(ask, title, outcome, reason, result=result)


def _phases(plan: Plan, states: dict[Ask, GateState]) -> tuple[PhaseState, ...]:
    by_id = {phase.id: phase for phase in plan.phases}
    for ask in states:
        by_id.setdefault(ask.phase, Phase(ask.phase, ask.phase, 0))
    return tuple(
        _phase_state(by_id[phase_id], [s for s in states.values() if s.ask.phase == phase_id])
        for phase_id in PHASES
        if phase_id in by_id
    )


def _phase_state(phase: Phase, gates: list[GateState]) -> PhaseState:
    holds = tuple(sentence for box in phase.boxes if (sentence := _hold(box)))
    return PhaseState(
        phase=phase,
        verdict=combine(map(gate_verdict, gates), holds=bool(holds)) if gates else _gateless(phase, holds),
        gates=tuple(gates),
        holds=holds,
    )


def _gateless(phase: Phase, holds: tuple[str, ...]) -> Verdict:
    """A phase whose boxes are all scoped out holds nothing up; one without any box does."""
    return Verdict.HOLD if holds or not phase.boxes else Verdict.GO


def _hold(box: Box) -> str:
    if box.kind is BoxKind.UNMAPPED:
        return f"'{box.text}' (line {box.line}) is mapped to no gate, no role and no reason"
    if box.kind is BoxKind.ATTEST:
        return f"'{box.text}' (line {box.line}) waits for {box.role}: {Outcome.PENDING}"
    if box.kind is BoxKind.GATE and not box.gates:
        return f"'{box.text}' (line {box.line}) names no gate"
    return ""


def _span(span: timedelta) -> str:
    minutes = int(span.total_seconds() // 60)
    for unit, size in (("d", 1440), ("h", 60)):
        if minutes >= size:
            return f"{minutes / size:.3g} {unit}"
    return f"{minutes} min"


__all__ = ["combine", "failures", "gate_verdict", "judge", "outcome_of", "scope_verdict"]
