"""Every fault of health, statistics and the live channel, told by the gates that should tell it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fleet import Fleet, fleet
from fleetboard.faults import health
from gate_calls import Called, call, target_at
from gate_runs import ROOT
from gonogo.model import Outcome

sys.path.append(str(ROOT))  # where the gates' own folder is a package

from tests.infra import test_health, test_stats, test_websocket

GATES = {
    "health.endpoint": test_health.test_health,
    "health.endpoints-all": test_health.test_endpoints,
    "health.truthful": test_health.test_truthful,
    "stats.database": test_stats.test_database,
    "stats.performance": test_stats.test_performance,
    "stats.websocket": test_stats.test_websocket,
    "websocket.live": test_websocket.test_live,
}
TRACE = "a Python traceback in line 1"
PASSWORD = "an address with a password in line 1"
REFUSED = "answered the WebSocket handshake with HTTP 403"
SILENT = "sent no complete message within 0.5 s"
FAKE = (
    "101, but not as RFC 6455, section 4.1, asks: invalid Sec-WebSocket-Accept header: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)
LIES = "health says websocket healthy, yet a WebSocket to /ws/positions: "
# What each gate of a fault must say, in the order of the fault's gates; release.deployed is tried elsewhere.
SAYS: dict[str, tuple[str, ...]] = {
    "health-degraded": ("status: degraded; required = healthy",),
    "health-500": ("HTTP status: 500; required = 200",),
    "slow-health": ("p95: ",),
    "health-as-html": (
        "body that is not JSON; it starts with '<!DOCTYPE html><title>Oops",
        "GET /api/health: answers that are not as planned: media type text/html, planned application/json (60 of 60)",
    ),
    "health-hides-check": (
        "unhealthy among 2 checks: database: degraded",
        "health says database not healthy in 7 of 7 answers, yet GET /api/fleet/vehicles?limit=1 works",
    ),
    "health-lies-database": (
        "health says database healthy, yet GET /api/fleet/vehicles?limit=1: HTTP 500, planned 200",
        "GET /api/fleet/vehicles: answers that are not as planned: HTTP 500, planned 200",
    ),
    "trace-in-body": (TRACE, f"GET /api/health: secrets and traces: a Python stack frame in line 1, {TRACE}"),
    "secret-in-body": (PASSWORD, f"GET /api/health: secrets and traces: {PASSWORD}"),
    "one-slow-endpoint": ("GET /api/fleet/maintenance: p95: ",),
    "two-percent-slow": ("slowest: 2",),
    "endpoint-500-every-tenth": (
        "GET /api/fleet/drivers: answers that are not as planned: HTTP 500, planned 200 (",
    ),
    "openapi-promises-more": (
        "GET /api/fleet/trips: answers that are not as planned: HTTP 404, planned 200 (5 of 5)",
    ),
    "pooling-disabled": ("poolingEnabled: no; required = yes",),
    "pool-exhausted": ("pool.usagePercent: 100 %; required < 80 %",),
    "stats-field-missing": ("pool.usagePercent: none",),
    "performance-errors": ("metrics.errorRate: 0.0",),
    "performance-frozen": ("requests counted once more were made: 0; required >= 1",),
    "ws-count-stuck": ("more counted while held: 0; required >= 3",),
    "ws-refused": (REFUSED, REFUSED, LIES),
    "ws-silent": (SILENT, SILENT, LIES),
    "ws-fake-101": (FAKE, FAKE, LIES),
    "ws-drops": ("stays open for 6 s: after ",),
    "ws-one-way": ("""sent no message that matches '"type":"location".*"id":"V-001"' within 0.5 s""",),
    "ws-stops-pushing": ("messages pushed meanwhile: 0; required >= 4",),
    "ws-empty-pong": ("answered a ping with no pong of the same 16 bytes within 0.6 s",),
    "ws-any-path": ("/gonogo-no-such-channel is refused: https://app.fleet.test:",),
}
# Faults that do not hide each other share a start of the application, and each of their gates one call.
TOGETHER = (
    (
        *("health-degraded", "health-hides-check", "trace-in-body", "openapi-promises-more"),
        *("stats-field-missing", "performance-frozen", "ws-refused"),
    ),
    ("health-500", "pool-exhausted", "ws-silent", "ws-any-path"),
    ("health-as-html", "endpoint-500-every-tenth", "performance-errors", "ws-empty-pong"),
    (
        *("slow-health", "one-slow-endpoint", "two-percent-slow", "pooling-disabled"),
        *("ws-count-stuck", "ws-drops", "ws-one-way", "ws-stops-pushing"),
    ),
    ("health-lies-database", "secret-in-body", "ws-fake-101"),
)
SLOW = [{"path": f"/api/fleet/{name}"} for name in ("maintenance", "vehicles?limit=5", "drivers")]
BROKEN = [{"path": f"/api/{name}"} for name in ("health", "fleet/drivers")]
Tables = dict[str, dict[str, Any]]
IMPATIENT: Tables = {
    "http": {"timeout_s": 3.0, "figures_s": 0.5, "samples": 60},
    "websocket": {"timeout_s": 0.6, "first_message_s": 0.5, "count_s": 0.3, "hold_s": 1.3, "min_messages": 1},
}
FEW: Tables = {"http": {"endpoint_samples": 5}}
OTHERWISE: dict[tuple[str, str], Tables] = {
    ("slow-health", "health.endpoint"): {"http": {"timeout_s": 1.5}},
    ("two-percent-slow", "health.endpoints-all"): {
        "http": {"endpoints": SLOW, "openapi": None, "endpoint_samples": 55}
    },
    ("health-as-html", "health.endpoints-all"): {"http": {"endpoints": BROKEN, "openapi": None}},
    ("openapi-promises-more", "health.endpoints-all"): FEW,
    ("health-lies-database", "health.endpoints-all"): FEW,
    ("ws-drops", "websocket.live"): {"websocket": {"hold_s": 6.0, "min_messages": 4}},
    ("ws-count-stuck", "stats.websocket"): {"websocket": {"rounds": 1}},
    ("ws-empty-pong", "websocket.live"): {"websocket": {"hold_s": 0.1}},
}
"""Of a fault, for one of its gates: no longer than it takes to see it, but long enough."""


@pytest.fixture(scope="module")
def up() -> Iterator[Fleet]:
    with fleet() as running:
        yield running


def called(gate: str, info: dict[str, Any], **tables: dict[str, Any]) -> Called:
    with contextlib.closing(target_at(info, **tables)) as target:
        return call(GATES[gate], target)


def side_by_side(info: dict[str, Any], wanted: Mapping[str, Tables]) -> dict[str, Called]:
    """Several gates at once: most of their time is spent on waiting."""
    with ThreadPoolExecutor(len(wanted)) as pool:
        calls = {gate: pool.submit(called, gate, info, **tables) for gate, tables in wanted.items()}
        return {gate: one.result() for gate, one in calls.items()}


def impatient(gate: str, names: tuple[str, ...]) -> Tables:
    """The plan's tables for one gate before these faults."""
    own = [OTHERWISE.get((name, gate), {}) for name in names]
    return {
        table: {
            key: value for one in (keys, *(other.get(table, {}) for other in own)) for key, value in one.items()
        }
        for table, keys in IMPATIENT.items()
    }


def test_every_fault_of_the_domain_is_tried_by_name() -> None:
    assert {fault.name for fault in health.FAULTS} == set(SAYS) == {name for names in TOGETHER for name in names}
    assert {gate for fault in health.FAULTS for gate in fault.gates} == {*GATES, "release.deployed"}


def test_the_healthy_target_is_green(up: Fleet) -> None:
    plans: dict[str, Tables] = {gate: {} for gate in GATES}
    plans["websocket.live"] = {"websocket": {"hold_s": 1.3, "min_messages": 1}}
    counted = called("stats.websocket", up.info)  # by itself: the others' connections come and go
    calls = side_by_side(up.info, {gate: tables for gate, tables in plans.items() if gate != "stats.websocket"})
    for gate, found in {**calls, "stats.websocket": counted}.items():
        assert (found.outcome, found.reason) == (Outcome.PASS, ""), gate
        assert found.evidence, gate

    assert calls["websocket.live"]["messages pushed meanwhile"].actual >= 1
    assert "V-001" in calls["websocket.live"].evidence["messages.txt"].decode()


@pytest.mark.parametrize("names", TOGETHER, ids="+".join)
def test_each_fault_turns_its_gates_red(names: tuple[str, ...], up: Fleet) -> None:
    faults = {fault.name: fault for fault in health.FAULTS}
    expected: dict[str, list[tuple[str, str]]] = {}
    for name in names:
        gates = [gate for gate in faults[name].gates if gate in GATES]
        for gate, says in zip(gates, SAYS[name], strict=True):
            expected.setdefault(gate, []).append((name, says))
    with up.faults(*names) as info:
        calls = side_by_side(info, {gate: impatient(gate, names) for gate in expected})
    for gate, words in expected.items():
        found = calls[gate]
        assert found.outcome is Outcome.FAIL, (names, gate)
        assert [name for name, says in words if says not in found.reason] == [], (gate, found.reason)
        assert b"fleet_app:" not in b"".join(found.evidence.values()).replace(b"fleet_app:[removed]@", b"")
