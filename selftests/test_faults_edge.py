"""Every fault of the outer side, carried out by a real HAProxy before the real application, one call each."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from fleet import Fleet, edge, fleet
from fleetboard.faults import FAULTS
from fleetboard.faults import edge as domain
from gate_calls import AUTHORIZATION, Called, call, target_at
from gate_runs import ROOT
from gonogo.model import Outcome

sys.path.append(str(ROOT))  # where the gates' own folder is a package

from tests.infra.test_edge import test_exposure as exposure
from tests.infra.test_edge import test_http_edge as http_edge
from tests.infra.test_websocket import test_live as live

GATES = {"http.edge": http_edge, "edge.exposure": exposure}
LOOP = "redirect-loop"
RED = {
    "no-redirect": {
        "http.edge": {"plain HTTP answers": "200", "plain HTTP leads to": "nowhere", "redirects": "unencrypted"}
    },
    "redirect-loop": {
        "http.edge": {
            "redirects": "more than 5",
            "200 and HTML": "/sign-in: 302 to https://app.fleet.test:",
        },
        "edge.exposure": {"/sign-in answers": "302 to"},
    },
    "no-hsts": {"http.edge": {"strict-transport-security": "/sign-in: the header is absent"}},
    "hsts-short": {"http.edge": {"strict-transport-security": "300"}},
    "missing-csp": {"http.edge": {"agreed content-security-policy": "absent", "may be framed": "frame-ancestors"}},
    "server-banner": {"http.edge": {"versions told": "server: nginx/1.18.0"}},
    "unknown-path-200": {
        "http.edge": {"unknown paths": "/gonogo-"},
        "edge.exposure": {"not refused": "/admin: 200"},
    },
    "json-as-html": {"http.edge": {"200 and JSON": "/api/health: 200 with content type text/html"}},
    "no-compression": {"http.edge": {"uncompressed": "/sign-in: identity"}},
    "no-http2": {"http.edge": {"protocol": "HTTP/1.1"}},
    "redirect-to-parking": {"http.edge": {"unknown paths": "302 to https://parking.example/"}},
    "database-exposed": {"edge.exposure": {"127.0.0.2 open ports": "{FLEETBOARD_DATABASE_PORT}"}},
    "metrics-exposed": {"edge.exposure": {"paths that are not refused": "/metrics: 200"}},
    "write-without-session": {"edge.exposure": {"writes": "POST /api/fleet/loads: 201"}},
}
"""By fault and gate: parts of the names of all measurements that do not hold, and what their values say."""


@pytest.fixture(scope="module")
def whole() -> Iterator[Fleet]:
    with fleet() as running:
        yield running


@pytest.fixture(scope="module")
def application(whole: Fleet) -> dict[str, Any]:
    """What an edge of its own needs to stand before the application, and gates to be known to it."""
    env = whole.info["env"]
    backends = {name: int(env[f"FLEETBOARD_APP_{name.upper()}_PORT"]) for name in "ab"}
    return {"backends": backends, "env": {AUTHORIZATION: env[AUTHORIZATION]}}


def found_bad(called: Called) -> dict[str, str]:
    return {one.name: str(one.actual) for one in called.measurements if one.ok is False}


@pytest.mark.parametrize("fault", RED)
def test_a_fault_is_found_by_its_gates_and_named(fault: str, application: dict[str, Any]) -> None:
    with edge(fault, **application) as info:
        calls = {gate: call(body, target_at(info)) for gate, body in GATES.items()}

    assert {gate for gate, called in calls.items() if called.outcome is Outcome.FAIL} == set(RED[fault])
    for gate, expected in RED[fault].items():
        bad = found_bad(calls[gate])
        assert len(bad) == len(expected), bad
        for name, word in expected.items():
            values = [value for key, value in bad.items() if name in key]
            assert len(values) == 1, (name, bad)
            assert word.format(**info["env"]) in values[0]
        assert all(name.startswith("127.0.0.2") for name in bad)
    if fault != LOOP:
        assert all(
            called.bad == found_bad(called) or len(called.bad) == len(found_bad(called))
            for called in calls.values()
        )


def test_every_fault_of_the_domain_is_tried_with_its_gates() -> None:
    assert {fault.name for fault in domain.FAULTS} == set(RED)
    for name, expected in RED.items():
        assert set(FAULTS[name].gates) & set(GATES) == set(expected)


def test_the_healthy_target_is_green_every_time(whole: Fleet) -> None:
    for _ in range(20):
        for body in GATES.values():
            called = call(body, target_at(whole.info))
            assert (called.outcome, called.bad) == (Outcome.PASS, {}), called.reason


def test_no_page_no_word_about_its_headers(application: dict[str, Any]) -> None:
    with edge(LOOP, **application) as info:
        called = call(http_edge, target_at(info, edge={"pages": ["/sign-in"]}))

    assert called.outcome is Outcome.FAIL
    assert called["agreed content-security-policy"].ok is None
    assert called["strict-transport-security"].ok is None


def test_an_application_that_is_gone_turns_both_red() -> None:
    with edge(backends={}) as info:
        calls = [call(body, target_at(info)) for body in GATES.values()]

    assert [called.outcome for called in calls] == [Outcome.FAIL] * 2
    assert "503" in str(calls[1]["/sign-in answers"].actual)


def test_a_closed_port_of_plain_http_is_what_the_plan_says_it_is(application: dict[str, Any]) -> None:
    with edge(**application) as info:
        open_port = call(http_edge, target_at(info, edge={"redirect": False}))
        closed = dict(info, env={**info["env"], "FLEETBOARD_HTTP_PORT": "1"})
        wanted = call(http_edge, target_at(closed))
        allowed = call(http_edge, target_at(closed, edge={"redirect": False}))

    assert list(open_port.bad.values()) == [True]
    assert "could not be connected" in str(wanted.bad["127.0.0.2 plain HTTP answers"])
    assert allowed.outcome is Outcome.PASS


def test_an_address_that_serves_nothing_does_not_hide_the_other(application: dict[str, Any]) -> None:
    with edge("dns-wrong-address", **application) as info:
        calls = [call(body, target_at(info)) for body in GATES.values()]
        channel = call(live, target_at(info, websocket={"hold_s": 1.3, "min_messages": 1}))

    assert list(channel.bad) == ["127.0.0.66"]
    assert "could not be opened (127.0.0.66" in str(channel.bad["127.0.0.66"])
    for called in calls:
        assert called.outcome is Outcome.FAIL
        assert {name.partition(" ")[0] for name in called.bad} == {"127.0.0.66"}
        assert any(name.startswith("127.0.0.2 ") for name in (one.name for one in called.measurements))


def test_an_open_port_of_the_plan_must_not_be_the_targets_own(application: dict[str, Any]) -> None:
    with edge(**application) as info:
        port = int(info["base_url"].rpartition(":")[2])
        own = call(exposure, target_at(info, edge={"closed_ports": [port]}))
        unset = call(exposure, target_at(info, edge={"closed_ports": ["$NO_SUCH_PORT"]}))

    assert own.outcome is Outcome.ERROR
    assert "closed_ports" in own.reason
    assert unset.outcome is Outcome.ERROR
    assert "NO_SUCH_PORT" in unset.reason
