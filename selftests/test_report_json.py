"""go-no-go.json: the contract's shape, strict JSON whatever was measured, a digest that stays."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonogo.model import LaunchState, Outcome, PhaseState, Verdict
from gonogo.report.json_report import document, render, state_digest, strict
from sample_state import all_go, fact, gate, sample, t3_phase


def loads(text: str) -> Any:
    """Parse as a strict reader would: no NaN, no Infinity, no key twice."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({key for key, _ in pairs}) == len(pairs)
        return dict(pairs)

    text.encode()  # UTF-8 can hold it
    return json.loads(text, parse_constant=refuse, object_pairs_hook=once)


def with_actual(actual: object, margin: float | None = None) -> LaunchState:
    measured = (fact("odd", actual, "anything", "x", margin=margin),)
    phase = t3_phase()
    odd = gate("odd.gate", "t3", "Odd", measured=measured)
    return sample(phases=(PhaseState(phase.phase, Verdict.GO, (odd,)),))


def test_contract_keys() -> None:
    report = loads(render(sample()))

    assert {"schema", "launch", "target", "rehearsal", "verdict", "generated_at", "phases"} <= set(report)
    assert report["schema"] == 1
    assert set(report["launch"]) == {"project", "version", "at"}
    phase = report["phases"][1]
    assert {"id", "title", "owner", "verdict", "boxes", "gates"} <= set(phase)
    assert set(phase["boxes"][0]) == {"text", "kind", "gates"}
    contract = {
        "id",
        "title",
        "outcome",
        "waived",
        "reason",
        "duration_s",
        "finished_at",
        "run",
        "measurements",
        "evidence",
    }
    assert contract <= set(phase["gates"][0])
    assert {"name", "actual", "unit", "bound", "source", "ok", "n"} <= set(phase["gates"][0]["measurements"][0])


def test_every_outcome_is_told() -> None:
    outcomes = {g["outcome"] for p in loads(render(sample()))["phases"] for g in p["gates"]}

    assert outcomes == {o.value for o in Outcome}


def test_an_undecided_measurement_is_null() -> None:
    gates = loads(render(sample()))["phases"][2]["gates"]

    assert next(g for g in gates if g["id"] == "ramp.errors")["measurements"][0]["ok"] is None


def test_rehearsal_is_said_before_the_verdict() -> None:
    text = render(sample())

    assert '"rehearsal": true' in text[: text.index('"verdict"')]
    assert loads(render(all_go()))["rehearsal"] is False


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        ([1.5, math.nan], [1.5, "NaN"]),
        ("\ud800", "\ufffd"),
        (b"x", "b'x'"),
        (None, None),
        (True, True),
    ],
)
def test_odd_values(actual: object, expected: object) -> None:
    report = loads(render(with_actual(actual, margin=math.inf)))

    item = report["phases"][0]["gates"][0]["measurements"][0]
    assert item["actual"] == expected
    assert item["margin"] is None


plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters())


@given(st.recursive(plain, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8))
def test_anything_becomes_strict_json(value: object) -> None:
    loads(json.dumps(strict(value), ensure_ascii=False, allow_nan=False))


@given(st.one_of(plain, st.lists(plain)), st.floats() | st.none())
def test_any_measurement_renders(actual: object, margin: float | None) -> None:
    loads(render(with_actual(actual, margin)))


def test_digest_ignores_when_the_report_was_made() -> None:
    later = sample(generated_at=datetime(2027, 1, 1, tzinfo=UTC))

    assert state_digest(later) == state_digest(sample())


def test_digest_changes_with_any_gate() -> None:
    state = sample()
    seen = {state_digest(state)}
    for p, phase in enumerate(state.phases):
        for g, item in enumerate(phase.gates):
            gates = list(phase.gates)
            gates[g] = replace(item, reason="other")
            phases = list(state.phases)
            phases[p] = replace(phase, gates=tuple(gates))
            seen.add(state_digest(replace(state, phases=tuple(phases))))

    assert len(seen) == 1 + sum(len(p.gates) for p in state.phases)


def test_times_are_utc() -> None:
    at = datetime(2026, 11, 23, 16, 0, tzinfo=timezone(timedelta(hours=2)))

    assert document(sample(generated_at=at))["generated_at"] == "2026-11-23T14:00:00Z"
