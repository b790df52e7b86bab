"""The verdict: tables for each outcome, and properties that no absence can break."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gonogo.model import (
    Ask,
    Box,
    BoxKind,
    GateInfo,
    Launch,
    LaunchState,
    Measurement,
    Outcome,
    Phase,
    Records,
    Result,
    RunInfo,
    RunRecord,
    Verdict,
)
from gonogo.plan import Plan
from gonogo.verdict import combine, gate_verdict, judge, outcome_of, scope_verdict

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
GOOD = Measurement("days left", 90, "d", ">= 21", "launch.toml: tls.min_days", True, 1)
BAD = replace(GOOD, actual=9, ok=False)
OPEN = replace(GOOD, ok=None, note="needs 100 more samples")
TLS, DNS, LOAD = Ask("tls.certificate", "t3"), Ask("dns.records", "t3"), Ask("load.throughput", "phase1")
TOWARDS_GO = [Verdict.NO_GO, Verdict.HOLD, Verdict.GO]


def _plan(*boxes: tuple[str, Box], within: timedelta | None = None, version: str = "1.0") -> Plan:
    given = boxes or (("t3", _box(TLS.gate)), ("t3", _box(DNS.gate)), ("phase1", _box(LOAD.gate)))
    phases = tuple(
        Phase(p, p, 1, within=within, boxes=tuple(b for q, b in given if q == p))
        for p in dict.fromkeys(p for p, _ in given)
    )
    return Plan(Launch("p", version, None), "rehearsal", "disposable", phases, {"tls": {"min_days": 21}})


def _box(*gates: str, kind: BoxKind = BoxKind.GATE) -> Box:
    return Box("box", kind, 2, gates, "QA Lead" if kind is BoxKind.ATTEST else None)


PLAN = _plan()


def _result(ask: Ask, outcome: Outcome = Outcome.PASS, *, minutes: int = 0, **more: Any) -> Result:
    at = NOW - timedelta(hours=2) + timedelta(minutes=minutes)
    taken = {Outcome.PASS: (GOOD,), Outcome.FAIL: (GOOD, BAD)}.get(outcome, ())
    fields: dict[str, Any] = {
        "reason": "" if outcome is Outcome.PASS else f"it was {outcome}",
        "run": "r",
        "target": "rehearsal",
        "version": "1.0",
        "ask_digest": PLAN.ask_digest(ask),
        "started_at": at,
        "finished_at": at + timedelta(seconds=5),
        "duration_s": 5.0,
        "title": "A gate",
        "measurements": taken,
    }
    return Result(ask=ask, outcome=outcome, **{**fields, **more})


def _run(
    *results: Result, planned: tuple[Ask, ...] = (), minutes: int = 0, number: int = 1, **more: Any
) -> RunRecord:
    started = NOW - timedelta(hours=2) + timedelta(minutes=minutes)
    info = RunInfo(f"run{number}", started, more.pop("finished_at", started + timedelta(minutes=1)), "rehearsal")
    return RunRecord(
        replace(info, target=more.pop("target", "rehearsal")),
        version=more.pop("version", "1.0"),
        planned=planned or tuple(r.ask for r in results),
        asked=more.pop("asked", PLAN.asks()),
        results=results,
        gates={ask.gate: GateInfo(f"title of {ask.gate}", ("infra",)) for ask in PLAN.asks()},
    )


def _all(outcome: Outcome = Outcome.PASS) -> RunRecord:
    return _run(*(_result(ask, outcome) for ask in PLAN.asks()))


def _judge(*runs: RunRecord, plan: Plan = PLAN, problems: tuple[str, ...] = (), now: datetime = NOW) -> LaunchState:
    return judge(plan, Records(runs, problems), now)


def _state(state: LaunchState, ask: Ask) -> tuple[Outcome, str]:
    gate = next(g for p in state.phases for g in p.gates if g.ask == ask)
    return gate.outcome, gate.reason


def test_every_gate_proven_is_go() -> None:
    state = _judge(_all())
    assert state.verdict is Verdict.GO
    assert [p.verdict for p in state.phases] == [Verdict.GO, Verdict.GO]
    assert state.blockers == ()


def test_nothing_recorded_is_hold_and_says_so() -> None:
    state = _judge()
    assert state.verdict is Verdict.HOLD
    assert {g.outcome for g in state.blockers} == {Outcome.MISSING}
    assert _state(state, TLS) == (Outcome.MISSING, "asked for, never run")


@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [(o, Verdict.NO_GO if o is Outcome.FAIL else Verdict.HOLD) for o in Outcome if o is not Outcome.PASS],
)
def test_a_single_gate_that_is_not_pass_decides(outcome: Outcome, verdict: Verdict) -> None:
    rest = [_result(ask) for ask in PLAN.asks() if ask != TLS]
    assert _judge(_run(_result(TLS, outcome), *rest)).verdict is verdict


def test_an_empty_plan_is_hold() -> None:
    assert _judge(plan=Plan(Launch("p", "1", None), "rehearsal", "disposable", ())).verdict is Verdict.HOLD


def test_the_newest_result_wins_whichever_way() -> None:
    failed, mended = _run(_result(TLS, Outcome.FAIL, minutes=1)), _run(_result(TLS, minutes=9), minutes=9, number=2)
    assert _state(_judge(_all(), failed, mended), TLS)[0] is Outcome.PASS
    broken = _run(_result(TLS, Outcome.FAIL, minutes=20), minutes=20, number=3)
    assert _state(_judge(_all(), failed, mended, broken), TLS)[0] is Outcome.FAIL


def test_at_the_same_moment_the_worse_result_wins_in_any_order() -> None:
    runs = [_run(_result(TLS, Outcome.FAIL)), _run(_result(TLS), number=2)]
    assert _state(_judge(*runs), TLS)[0] is Outcome.FAIL
    assert _state(_judge(*reversed(runs)), TLS)[0] is Outcome.FAIL


def test_a_gate_tried_several_times_in_one_run_answers_with_the_worst() -> None:
    run = _run(_result(TLS, Outcome.FAIL, minutes=1), _result(TLS, minutes=2))
    assert _state(_judge(run), TLS)[0] is Outcome.FAIL


def test_a_gate_tried_fewer_times_than_planned_is_missing() -> None:
    run = _run(_result(TLS), planned=(TLS, TLS))
    assert _state(_judge(run), TLS) == (
        Outcome.MISSING,
        "run run1 was to measure it and measured 1 of its 2 variants; run all of them",
    )


def test_a_killed_run_takes_the_earlier_pass_with_it_until_it_is_made_up_for() -> None:
    killed = _run(planned=PLAN.asks(), minutes=10, number=2, finished_at=None)
    assert _judge(_all(), killed).verdict is Verdict.HOLD
    again = _run(*(_result(ask, minutes=20) for ask in PLAN.asks()), minutes=20, number=3)
    assert _judge(_all(), killed, again).verdict is Verdict.GO


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"version": "0.9"}, "measured on release 0.9, the launch is 1.0"),
        ({"ask_digest": "other"}, "measured under other settings of target rehearsal"),
        ({"finished_at": NOW + timedelta(hours=1)}, "which lies in the future"),
    ],
)
def test_what_was_measured_elsewhere_or_otherwise_is_stale(change: dict[str, Any], why: str) -> None:
    outcome, reason = _state(_judge(_run(_result(TLS, **change))), TLS)
    assert outcome is Outcome.STALE
    assert why in reason


@pytest.mark.parametrize(("age_h", "outcome"), [(1.99, Outcome.PASS), (2.0, Outcome.STALE), (50, Outcome.STALE)])
def test_a_result_lives_for_its_phase_s_shelf_life_and_no_longer(age_h: float, outcome: Outcome) -> None:
    plan = _plan(within=timedelta(hours=2))
    result = _result(TLS)
    now = result.finished_at + timedelta(hours=age_h)
    assert _state(_judge(_run(result), plan=plan, now=now), TLS)[0] is outcome


def test_a_failure_does_not_grow_old() -> None:
    plan = _plan(within=timedelta(hours=2))
    state = _judge(_run(_result(TLS, Outcome.FAIL)), plan=plan, now=NOW + timedelta(days=9))
    assert _state(state, TLS)[0] is Outcome.FAIL


@pytest.mark.parametrize(
    ("taken", "outcome"),
    [((), Outcome.INCONCLUSIVE), ((GOOD, BAD), Outcome.FAIL), ((GOOD, OPEN), Outcome.INCONCLUSIVE)],
)
def test_a_recorded_pass_is_believed_only_as_far_as_its_measurements_carry(
    taken: tuple[Measurement, ...], outcome: Outcome
) -> None:
    assert _state(_judge(_run(_result(TLS, measurements=taken))), TLS)[0] is outcome


def test_results_of_another_target_prove_nothing() -> None:
    assert _judge(replace(_all(), info=replace(_all().info, target="staging"))).verdict is Verdict.HOLD


def test_a_problem_of_the_ledger_holds_the_launch() -> None:
    state = _judge(_all(), problems=("a file was changed",))
    assert state.verdict is Verdict.HOLD
    assert scope_verdict(state, lambda _: True, lambda _: True) is Verdict.HOLD


@pytest.mark.parametrize("kind", [BoxKind.UNMAPPED, BoxKind.ATTEST])
def test_boxes_for_people_hold_their_phase(kind: BoxKind) -> None:
    plan = _plan(("t3", _box(TLS.gate)), ("t3", _box(kind=kind)))
    state = _judge(_run(_result(TLS)), plan=plan)
    assert state.verdict is Verdict.HOLD
    assert len(state.phases[0].holds) == 1


def test_a_phase_whose_boxes_are_all_scoped_out_is_go() -> None:
    plan = _plan(("t3", _box(TLS.gate)), ("week2", replace(_box(kind=BoxKind.SCOPE), reason="finance")))
    assert _judge(_run(_result(TLS), asked=plan.asks()), plan=plan).verdict is Verdict.GO


def test_taking_a_failed_gate_out_of_the_plan_does_not_mend_the_launch() -> None:
    less = _plan(("t3", _box(DNS.gate)), ("phase1", _box(LOAD.gate)))
    run = _run(_result(TLS, Outcome.FAIL), _result(DNS), _result(LOAD))
    state = _judge(run, plan=less)
    assert state.verdict is Verdict.NO_GO
    assert "taken out of the plan while FAIL" in _state(state, TLS)[1]
    scoped = _plan(("t3", _box(DNS.gate)), ("phase1", _box(LOAD.gate)), ("t3", _box(TLS.gate, kind=BoxKind.SCOPE)))
    assert _judge(run, plan=scoped).verdict is Verdict.GO


def test_taking_a_never_run_gate_out_of_the_plan_does_not_mend_the_launch() -> None:
    less = _plan(("t3", _box(DNS.gate)), ("phase1", _box(LOAD.gate)))
    run = _run(_result(DNS), _result(LOAD))
    assert _judge(run, plan=less).verdict is Verdict.HOLD
    assert _judge(replace(run, asked=less.asks()), plan=less).verdict is Verdict.GO


def test_a_scope_speaks_for_what_matches_and_for_its_phases_people() -> None:
    plan = _plan(("t3", _box(TLS.gate)), ("t3", _box(kind=BoxKind.ATTEST)), ("phase1", _box(LOAD.gate)))
    state = _judge(_run(_result(TLS), _result(LOAD, Outcome.FAIL)), plan=plan)
    assert scope_verdict(state, lambda a: a == TLS, lambda _: False) is Verdict.GO
    assert scope_verdict(state, lambda a: a.phase == "t3", lambda p: p == "t3") is Verdict.HOLD
    assert scope_verdict(state, lambda a: a == LOAD, lambda _: False) is Verdict.NO_GO
    assert scope_verdict(state, lambda _: False, lambda _: False) is Verdict.HOLD


def test_no_verdicts_are_hold_and_rollback_is_the_worst() -> None:
    assert combine([]) is Verdict.HOLD
    assert combine(list(Verdict)) is Verdict.ROLLBACK
    assert combine([Verdict.GO], holds=True) is Verdict.HOLD
    assert [v.exit_code for v in Verdict] == [0, 1, 20, 30, 31]


@given(st.lists(st.sampled_from([GOOD, BAD, OPEN]), max_size=6), st.integers(0, 5))
def test_taking_a_good_measurement_away_never_improves_a_gate(taken: list[Measurement], index: int) -> None:
    order = [Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.PASS]
    before = outcome_of(taken)[0]
    less = [m for i, m in enumerate(taken) if i != index or m.ok is not True]
    assert order.index(outcome_of(less)[0]) <= order.index(before)


OUTCOMES = st.sampled_from([Outcome.PASS, Outcome.PASS, Outcome.PASS, Outcome.FAIL, Outcome.ERROR, Outcome.BLOCKED])
STEPS = st.lists(st.tuples(st.sampled_from(PLAN.asks()), OUTCOMES), max_size=5)


def _story(runs: list[tuple[int, list[tuple[Ask, Outcome]]]]) -> list[RunRecord]:
    """Runs that began at given minutes, possibly side by side, each with one gate a minute."""
    return [
        _run(
            *(_result(ask, outcome, minutes=start + i) for i, (ask, outcome) in enumerate(steps)),
            minutes=start,
            number=number,
            finished_at=NOW - timedelta(hours=2) + timedelta(minutes=start + len(steps)),
        )
        for number, (start, steps) in enumerate(runs)
    ]


RUNS = st.lists(st.tuples(st.integers(0, 30), STEPS), min_size=1, max_size=5).map(_story)


def _rank(state: LaunchState) -> int:
    return TOWARDS_GO.index(state.verdict)


@settings(max_examples=300)
@given(RUNS, st.randoms())
def test_the_order_in_which_runs_arrive_never_changes_the_verdict(runs: list[RunRecord], random: Any) -> None:
    shuffled = random.sample(runs, len(runs))
    first, second = _judge(*runs), _judge(*shuffled)
    assert first.verdict is second.verdict
    assert {g.ask: g.outcome for p in first.phases for g in p.gates} == {
        g.ask: g.outcome for p in second.phases for g in p.gates
    }


@settings(max_examples=500)
@given(RUNS, st.data())
def test_losing_a_result_inside_a_run_never_turns_the_verdict_into_go(
    runs: list[RunRecord], data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(runs) - 1))
    run = runs[index]
    kept = data.draw(st.integers(0, max(0, len(run.results) - 1)))
    less = replace(run, results=tuple(r for i, r in enumerate(run.results) if i != kept))
    if _judge(*runs).verdict is not Verdict.GO:
        assert _judge(*runs[:index], less, *runs[index + 1 :]).verdict is not Verdict.GO


@settings(max_examples=300)
@given(RUNS, st.data())
def test_losing_a_whole_run_never_moves_the_verdict_towards_go_because_the_ledger_notices(
    runs: list[RunRecord], data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(runs) - 1))
    before = _judge(*runs)
    after = _judge(*runs[:index], *runs[index + 1 :], problems=("run1 left evidence, but its file is gone",))
    assert after.verdict is not Verdict.GO
    if before.verdict is Verdict.GO:
        assert _rank(after) <= _rank(before)


@settings(max_examples=300)
@given(RUNS, st.data())
def test_taking_a_gate_out_of_the_plan_never_moves_the_verdict_towards_go(
    runs: list[RunRecord], data: st.DataObject
) -> None:
    boxes = [(p.id, b) for p in PLAN.phases for b in p.boxes]
    gone = data.draw(st.integers(0, len(boxes) - 1))
    less = _plan(*(b for i, b in enumerate(boxes) if i != gone))
    assert _rank(_judge(*runs, plan=less)) <= _rank(_judge(*runs))


@given(RUNS)
def test_go_means_that_every_gate_has_a_measured_pass(runs: list[RunRecord]) -> None:
    state = _judge(*runs)
    proven = all(
        g.outcome is Outcome.PASS and g.result and g.result.measurements for p in state.phases for g in p.gates
    )
    assert (state.verdict is Verdict.GO) == proven


def test_a_waived_failure_stays_a_failure_and_lets_the_phase_go() -> None:
    gate = replace(_judge(_all(Outcome.FAIL)).phases[0].gates[0], waived=True)
    assert gate.outcome is Outcome.FAIL
    assert gate_verdict(gate) is Verdict.GO
