"""Every fault of certificate and handshake, carried out by a real HAProxy, one call a gate."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleet import edge
from fleetboard.faults import FAULTS
from fleetboard.faults import tls as domain
from gate_calls import Called, call, target_at
from gate_runs import ROOT
from gonogo.model import Outcome

sys.path.append(str(ROOT))  # where the gates' own folder is a package

from tests.infra import test_edge, test_health, test_release, test_stats, test_websocket
from tests.infra.test_tls import test_certificate as certificate
from tests.infra.test_tls import test_policy as policy
from tests.infra.test_tls import test_protocols as protocols

GATES = {"tls.certificate": certificate, "tls.protocols": protocols, "tls.policy": policy}
BEHIND = {
    "http.edge": test_edge.test_http_edge,
    "edge.exposure": test_edge.test_exposure,
    "release.deployed": test_release.test_deployed,
    "health.endpoint": test_health.test_health,
    "health.endpoints-all": test_health.test_endpoints,
    "health.truthful": test_health.test_truthful,
    "stats.database": test_stats.test_database,
    "stats.performance": test_stats.test_performance,
    "stats.websocket": test_stats.test_websocket,
    "websocket.live": test_websocket.test_live,
}
"""Gates that are called here for what the handshake does to them; nothing but it can be wrong first."""
WITH_PAGES_OR_LOAD = {"smoke.api", "smoke.access", "smoke.tracking", "load.throughput"}

LEAF = "127.0.0.2 CN=app.fleet.test,O=Fleet Rehearsal"
PATH = "127.0.0.2 trusted path"
NAME = "127.0.0.2 is for app.fleet.test"
ORDER = "127.0.0.2 order of the chain"
SAYS: dict[str, dict[str, dict[str, str]]] = {
    "expired-certificate": {"tls.certificate": {PATH: "expired on", f"{LEAF} days left": "-2.01"}},
    "not-yet-valid-certificate": {
        "tls.certificate": {PATH: "is not valid before", f"{LEAF} has begun": "begins on"}
    },
    "certificate-expires-soon": {"tls.certificate": {f"{LEAF} days left": "4.99"}},
    "missing-intermediate": {
        "tls.certificate": {
            PATH: "Fleet Rehearsal Intermediate,O=Fleet Rehearsal, was not sent",
            f"{LEAF} revocation (no issuer on its path)": "unknown",
        }
    },
    "wrong-chain-order": {
        "tls.certificate": {f"{ORDER} (3 certificates)": "Root,O=Fleet Rehearsal follows CN=app.fleet.test"}
    },
    "wrong-name-certificate": {"tls.certificate": {NAME: "no, only for other.fleet.test"}},
    "wildcard-one-level-off": {"tls.certificate": {NAME: "no, only for *.app.fleet.test"}},
    "self-signed-certificate": {
        "tls.certificate": {PATH: "signed by itself", f"{LEAF} revocation (no issuer on its path)": "unknown"}
    },
    "unknown-authority": {
        "tls.certificate": {PATH: "the path ends at", "CN=app.fleet.test,O=Fleet Rehearsal revocation": "unknown"}
    },
    "weak-key-certificate": {"tls.certificate": {PATH: "key too weak", f"{LEAF} key size": "1024"}},
    "sha1-certificate": {"tls.certificate": {PATH: "digest algorithm too weak", f"{LEAF} signature": "sha1"}},
    "must-staple-without-staple": {"tls.certificate": {"127.0.0.2 stapled OCSP answer": "missing"}},
    "certificate-revoked": {
        "tls.certificate": {"CN=app.fleet.test,O=Fleet Rehearsal revocation (by http://127.0.0.1:": "revoked"}
    },
    "old-certificate-on-second-address": {
        "tls.certificate": {
            "127.0.0.3 CN=app.fleet.test,O=Fleet Rehearsal days left": "4.99",
            "certificates across addresses": "127.0.0.3 serves one that ends",
        }
    },
    "tls-1.0-enabled": {
        "tls.protocols": {"127.0.0.2 old versions accepted": "['TLSv1', 'TLSv1.1']"},
        "tls.policy": {"127.0.0.2 suites beyond the profile": "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA"},
    },
    "weak-suite-enabled": {
        "tls.policy": {
            "127.0.0.2 suites beyond the profile": "['TLS_RSA_WITH_AES_128_CBC_SHA']",
            "127.0.0.2 suites without forward secrecy": "['TLS_RSA_WITH_AES_128_CBC_SHA']",
        }
    },
}
"""By fault and gate: how the names of all measurements that do not hold begin, and what their values say."""


@pytest.fixture(scope="module")
def healthy() -> Iterator[dict[str, Any]]:
    with edge() as info:
        yield info


def assert_says(called: Called, expected: dict[str, str]) -> None:
    bad = called.bad
    assert called.outcome is (Outcome.FAIL if expected else Outcome.PASS), called.reason
    assert len(bad) == len(expected), bad
    for name, word in expected.items():
        values = [str(value) for key, value in bad.items() if key.startswith(name)]
        assert len(values) == 1, (name, bad)
        assert word in values[0]
        assert name in called.reason


@pytest.mark.parametrize("fault", [fault.name for fault in domain.FAULTS])
def test_a_fault_is_found_by_its_gates_and_named(fault: str) -> None:
    with edge(fault) as info:
        for gate, body in GATES.items():
            assert_says(call(body, target_at(info)), SAYS[fault].get(gate, {}))
        # What a second address does to dns.records is tried in test_faults_dns.py.
        behind = set(FAULTS[fault].gates) - {*GATES, "dns.records"} - WITH_PAGES_OR_LOAD
        assert behind in (set(), set(BEHIND))
        for gate in behind:
            called = call(BEHIND[gate], target_at(info, deploy={"commit": "c0ffee" * 6 + "c0ff"}))
            assert called.outcome is Outcome.FAIL
            assert "certificate verify failed" in called.reason


def test_every_fault_of_the_domain_is_tried_with_its_gates() -> None:
    assert set(SAYS) == {fault.name for fault in domain.FAULTS}
    for name, expected in SAYS.items():
        assert set(FAULTS[name].gates) & set(GATES) == set(expected)


def test_the_healthy_target_is_green_every_time(healthy: dict[str, Any]) -> None:
    target = target_at(healthy)
    for _ in range(20):
        for body in GATES.values():
            called = call(body, target)
            assert (called.outcome, called.bad) == (Outcome.PASS, {}), called.reason


def test_evidence_is_there_for_another_to_judge(healthy: dict[str, Any]) -> None:
    kept = [set(call(body, target_at(healthy)).evidence) for body in GATES.values()]

    assert kept == [
        {"chain-127.0.0.2.pem", "certificates.json", "revocation.json"},
        {"protocols.json"},
        {"policy.json"},
    ]


def test_an_address_that_is_down_does_not_hide_the_other() -> None:
    with edge("dns-wrong-address", "certificate-expires-soon", "weak-suite-enabled") as info:
        calls = {gate: call(body, target_at(info)) for gate, body in GATES.items()}

    assert all(called.outcome is Outcome.FAIL for called in calls.values())
    assert all("127.0.0.66 port" in str(called["127.0.0.66 handshake"].actual) for called in calls.values())
    assert set(calls["tls.certificate"].bad) == {"127.0.0.66 handshake", f"{LEAF} days left"}
    assert "127.0.0.2 suites beyond the profile" in calls["tls.policy"].bad


def test_time_is_counted_from_the_launch_on(healthy: dict[str, Any]) -> None:
    target = target_at(healthy)
    target.at = datetime.now(UTC) + timedelta(days=75)
    late = call(certificate, target)
    target.at = datetime.now(UTC) - timedelta(days=75)
    past = call(certificate, target)

    (name,) = late.bad
    assert name.startswith(f"{LEAF} days left after the launch on 20")
    assert late.bad[name] == pytest.approx(15, abs=0.02)
    assert past.outcome is Outcome.PASS


def test_addresses_may_differ_if_the_plan_says_so() -> None:
    with edge("old-certificate-on-second-address") as info:
        called = call(certificate, target_at(info, tls={"same_certificate": False, "min_days": 3}))

    assert (called.outcome, called.bad) == (Outcome.PASS, {})


def test_what_the_plan_asks_of_revocation() -> None:
    with edge("unknown-authority") as info:
        required, reachable, off = (
            call(certificate, target_at(info, tls={"revocation": asked}))
            for asked in ("required", "reachable", "off")
        )

    assert [name for name in required.bad if "revocation" in name]
    assert not [name for name in reachable.bad if "revocation" in name]
    assert "revocation" in str([taken.name for taken in reachable.measurements])
    assert "revocation" not in str([taken.name for taken in off.measurements])


def test_the_plan_may_allow_suites_and_groups() -> None:
    weak = "TLS_RSA_WITH_AES_128_CBC_SHA"
    with edge("weak-suite-enabled") as info:
        assert call(policy, target_at(info, tls={"allow_suites": [weak]})).outcome is Outcome.PASS
    with edge("tls-1.0-enabled") as info:
        called = call(policy, target_at(info, tls={"allow_groups": []}))

    assert "x448" in str(called["groups beyond the profile"].actual)


def test_plain_http_has_no_certificate(healthy: dict[str, Any]) -> None:
    for body in GATES.values():
        called = call(body, target_at({**healthy, "base_url": "http://app.fleet.test:80"}))
        assert called.outcome is Outcome.FAIL
        assert "http://app.fleet.test:80 is plain HTTP" in called.reason
