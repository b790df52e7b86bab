"""Every fault that shows under load turns its gate red within seconds, by a call of the gate; those of the generator are ERROR."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from fleet import Fleet, fleet
from fleetboard.faults import FAULTS, load
from gate_calls import Called, call, closed, gates, kept, load_run, target_at  # noqa: F401 - closed is a fixture
from gonogo.model import Outcome

pytestmark = pytest.mark.alone

ALL = {"load.throughput", "load.endurance", "load.spike"}
SHORT = {
    "rps": 60.0,
    "min_rps": 50.0,
    "duration_s": 6.0,
    "warmup_s": 1.0,
    "timeout_s": 4.0,
    "websockets": 0,
    "max_late_ms": 2000.0,
}
SPIKE = {"rps": 170.0, "duration_s": 2.0, "settle_s": 1.0, "recover_s": 2.0}
BRIEF = {"rps": 65.0, "duration_s": 0.5, "settle_s": 0.0, "recover_s": 0.5}
LATE = {"duration_s": 1.2, "warmup_s": 0.5, "max_late_ms": 100.0}
MIX = [{"path": f"/api/fleet/{kind}?limit=20"} for kind in ("vehicles", "loads")]
WRITE = {
    "method": "POST",
    "path": "/api/fleet/loads",
    "account": "dispatcher",
    "undo": True,
    "body": '{"cargo": "Paper", "weightKg": 800, "origin": "Kamppi", "destination": "Kallio", "dueAt": "{tomorrow}"}',
}
ONE_KIND = [{"path": "/api/fleet/maintenance?limit=1"}]


@pytest.fixture(scope="module")
def running() -> Iterator[Fleet]:
    with fleet() as running:
        yield running


def called(info: dict[str, Any], gate: str, **options: Any) -> Called:
    """One gate with a run of its own."""
    settings = {**SHORT, "spike": None, "requests": MIX, **options}
    target = kept(target_at(info, load=settings))
    return call(gates()[gate], target, load_run=load_run(target, gate))


EXPECTED: dict[str, tuple[str, dict[str, Any]]] = {
    "slow-under-load": ("ms or more among", {}),
    "errors-under-load": ("error rate", {}),
    "throughput-45": ("ms or more among", {}),
    "stall-once": ("p95", {}),
    "one-percent-2s": ("slowest request", {}),
    "errors-two-in-a-thousand": ("maintenance", {"requests": ONE_KIND, "rps": 80.0}),
    "errors-on-writes": ("POST /api/fleet/loads", {"requests": [*MIX, WRITE]}),
    "forbids-under-load": ("HTTP 403", {}),
    "throttles-under-load": ("throttled", {}),
    "health-red-under-load": ("health", {"requests": [*MIX, {"path": "/api/fleet/drivers?limit=1"}]}),
    "slower-and-slower": ("growth", {"duration_s": 7.0, "endurance": {"max_growth_ms": 25.0}}),
    "topples-in-spike": ("in the spike", {"spike": SPIKE, "duration_s": 1.0, "warmup_s": 1.0}),
}


def test_writes_by_somebody_who_signed_in_are_taken_away_again(running: Fleet) -> None:
    count = "SELECT count(*) FROM loads"
    with psycopg.connect(running.info["database_url"]) as database:
        before = database.execute(count).fetchone()
        found = called(running.info, "load.throughput", requests=[*MIX, WRITE], duration_s=2.0, websockets=2)
        database.rollback()
        after = database.execute(count).fetchone()

    assert found.outcome is Outcome.INCONCLUSIVE, found.reason  # too short to prove anything, and nothing is bad
    assert set(found.bad) <= {"error rate", "throttled (429, or 503 with Retry-After)", "p99 from due time"}
    assert found["what writes made"].n == 60
    assert after == before


GENERATOR: dict[str, tuple[str, dict[str, Any]]] = {
    "generator-starved": ("generator limited: 1 % of its requests left more than", {}),
    "worker-killed": (
        r"generator limited: worker \d of 2 ended in mid-run with status -9",
        {"workers": 2, "duration_s": 6.0},
    ),
    "locustfile-raises": ("left no result; its last words: RuntimeError: the list of trucks is not there", {}),
}


def test_every_fault_is_tried() -> None:
    assert set(EXPECTED) | set(GENERATOR) == {fault.name for fault in load.FAULTS}
    assert {fault.name: set(fault.gates) for fault in load.GENERATOR} == dict.fromkeys(GENERATOR, ALL)


@pytest.mark.parametrize("name", GENERATOR)
def test_a_load_that_could_not_be_made_is_no_word_about_the_target(running: Fleet, name: str) -> None:
    sentence, options = GENERATOR[name]
    with running.disturbing(name) as info:
        target = kept(target_at(info, load={**SHORT, "requests": MIX, "spike": BRIEF, **LATE, **options}))
        made = load_run(target, *FAULTS[name].gates)
        found = [call(gates()[gate], target, load_run=made) for gate in FAULTS[name].gates]

    assert {one.outcome for one in found} == {Outcome.ERROR}, [one.reason for one in found]
    assert all(re.search(sentence, one.reason) for one in found), found[0].reason
    assert [one.measurements for one in found] == [[], [], []]


def test_memory_that_grows_under_load_is_red_although_nothing_is_slow_yet(running: Fleet) -> None:
    with running.faults("memory-leak") as info:
        found = called(info, "load.endurance", duration_s=3.0, warmup_s=0.5, look_s=0.2)

    assert "load.endurance" in FAULTS["memory-leak"].gates
    assert found.outcome is Outcome.FAIL, found.reason
    leaks = [one for one in found.measurements if "growth of its memory" in one.name]
    assert [one.ok for one in leaks] == [False, False]
    assert all(one.actual > 60 and one.n >= 5 for one in leaks)


def test_memory_without_a_source_holds_the_gate(running: Fleet) -> None:
    settings = {**SHORT, "spike": None, "requests": MIX, "duration_s": 1.0, "warmup_s": 0.0}
    target = kept(target_at(running.info, load=settings, process=None))
    found = call(gates()["load.endurance"], target, load_run=load_run(target, "load.endurance"))

    assert found.outcome is Outcome.ERROR, found.reason
    assert "[targets.rehearsal.process] is missing" in found.reason
    assert "growth of the median latency" in found.measurements[0].name


@pytest.mark.parametrize("name", EXPECTED)
def test_a_fault_under_load_turns_its_gate_red(running: Fleet, name: str) -> None:
    sentence, options = EXPECTED[name]
    (gate,) = FAULTS[name].gates
    with running.faults(name) as info:
        found = called(info, gate, **options)

    assert found.outcome is Outcome.FAIL, (found.reason, found.measurements)
    said = " ".join(
        [
            found.reason,
            *(taken.sentence for taken in found.measurements),
            *map(bytes.decode, found.evidence.values()),
        ]
    )
    assert sentence in said
