"""Every fault of health, statistics and the live channel, told by the gates that should tell it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
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
    "slow-health": ("p95: 7",),
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
    "one-slow-endpoint": ("GET /api/fleet/maintenance: p95: 7",),
    "two-percent-slow": ("slowest: 22",),
    "endpoint-500-every-tenth": (
        "GET /api/fleet/drivers: answers that are not as planned: HTTP 500, planned 200 (",
    ),
    "openapi-promises-more": (
        "GET /api/fleet/trips: answers that are not as planned: HTTP 404, planned 200 (60 of 60)",
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
    "ws-drops": ("stays open for 6 s: after 5.0 s: ",),
    "ws-one-way": ("""sent no message that matches '"type":"location".*"id":"V-001"' within 0.5 s""",),
    "ws-stops-pushing": ("messages pushed meanwhile: 0; required >= 1",),
    "ws-empty-pong": ("answered a ping with no pong of the same 16 bytes within 0.6 s",),
    "ws-any-path": ("/gonogo-no-such-channel is refused: https://app.fleet.test:",),
}
# Faults that do not hide each other share a start of the application.
TOGETHER = (
    ("health-degraded", "stats-field-missing", "performance-frozen", "ws-refused", "one-slow-endpoint"),
    ("health-500", "pool-exhausted", "ws-silent"),
    ("slow-health", "pooling-disabled", "two-percent-slow", "ws-empty-pong"),
    ("health-as-html", "performance-errors", "ws-stops-pushing", "endpoint-500-every-tenth"),
    ("health-hides-check", "trace-in-body", "ws-any-path", "openapi-promises-more"),
    ("health-lies-database", "ws-one-way"),
    ("secret-in-body", "ws-fake-101"),
    ("ws-count-stuck", "ws-drops"),
)
LISTS = [{"path": f"/api/fleet/{name}"} for name in ("loads", "drivers", "vehicles?limit=5")]
IMPATIENT: dict[str, dict[str, Any]] = {
    "http": {"timeout_s": 3.0, "figures_s": 0.5},
    "websocket": {"timeout_s": 0.6, "first_message_s": 0.5, "count_s": 0.3, "hold_s": 1.3, "min_messages": 1},
}
OTHERWISE: dict[str, dict[str, dict[str, Any]]] = {
    "slow-health": {"http": {"timeout_s": 1.5}},
    "two-percent-slow": {"http": {"endpoints": LISTS, "openapi": None}},
    "ws-drops": {"websocket": {"hold_s": 6.0, "min_messages": 4}},
    "ws-empty-pong": {"websocket": {"hold_s": 0.1}},
}
"""Of single faults: no longer than it takes to see them, but long enough."""


@pytest.fixture(scope="module")
def up() -> Iterator[Fleet]:
    with fleet() as running:
        yield running


def called(gate: str, info: dict[str, Any], **tables: dict[str, Any]) -> Called:
    with contextlib.closing(target_at(info, **tables)) as target:
        return call(GATES[gate], target)


def test_every_fault_of_the_domain_is_tried_by_name() -> None:
    assert {fault.name for fault in health.FAULTS} == set(SAYS) == {name for names in TOGETHER for name in names}
    assert {gate for fault in health.FAULTS for gate in fault.gates} == {*GATES, "release.deployed"}


@pytest.mark.parametrize("gate", [gate for gate in GATES if gate != "websocket.live"])
def test_the_healthy_target_is_green(gate: str, up: Fleet) -> None:
    found = called(gate, up.info)

    assert (found.outcome, found.reason) == (Outcome.PASS, "")
    assert found.evidence


@pytest.mark.parametrize("names", TOGETHER, ids="+".join)
def test_each_fault_turns_its_gates_red(names: tuple[str, ...], up: Fleet) -> None:
    faults = {fault.name: fault for fault in health.FAULTS}
    with up.faults(*names) as info:
        for name in names:
            gates = [gate for gate in faults[name].gates if gate in GATES]
            for gate, says in zip(gates, SAYS[name], strict=True):
                own = OTHERWISE.get(name, {})
                found = called(gate, info, **{key: {**keys, **own.get(key, {})} for key, keys in IMPATIENT.items()})
                assert found.outcome is Outcome.FAIL, (name, gate)
                assert says in found.reason, (name, gate)
                assert b"fleet_app:" not in b"".join(found.evidence.values()).replace(b"fleet_app:[removed]@", b"")


def test_the_healthy_channel_is_green(up: Fleet) -> None:
    found = called("websocket.live", up.info, websocket={"hold_s": 2.3, "min_messages": 2})

    assert (found.outcome, found.reason) == (Outcome.PASS, "")
    assert found["messages pushed meanwhile"].actual >= 2
    assert "V-001" in found.evidence["messages.txt"].decode()
