"""Faults of names: the healthy target is green in both gates of the zone, each fault is red in the gate meant for it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dns.message
import dns.rcode
import pytest
from pydantic import ValidationError

from fleet import edge
from fleetboard.dns_server import CachingResolver
from fleetboard.faults import FAULTS
from fleetboard.faults.dns import FAULTS as OURS
from gate_calls import Called, call, target_at
from gate_runs import ROOT
from gonogo.bounds import Bound, equals, measurement
from gonogo.dnswire import Server
from gonogo.dnszones import NameServer, ZoneServers
from gonogo.model import Measurement, Outcome
from gonogo.probes.dns_records import Statement
from gonogo.tables.dns import Dns

sys.path.append(str(ROOT))  # where the gates' own folder is a package

from tests.infra import test_dns as gates
from tests.infra import test_tls as tls_gates
from tests.infra import zones

GATES: dict[str, Callable[..., None]] = {
    "dns.records": gates.test_records,
    "dns.delegation": gates.test_delegation,
    "tls.certificate": tls_gates.test_certificate,
}
# By fault and gate: what the reason must name.
TOLD = {
    "dns-long-ttl": {"dns.records": "app.fleet.test A TTL at ns2.fleet.test (127.0.0.54 port"},
    "dns-wrong-address": {"dns.records": ": 127.0.0.2, 127.0.0.66; required = 127.0.0.2"},
    "dns-nxdomain": {
        "dns.records": "app.fleet.test does not exist (NXDOMAIN); required = 127.0.0.2",
        "dns.delegation": "app.fleet.test A: NXDOMAIN, no record to check",
        "tls.certificate": "app.fleet.test does not exist",
    },
    "dns-stale-server": {
        "dns.records": "app.fleet.test A at ns2.fleet.test (127.0.0.54 port",
        "dns.delegation": "serial of fleet.test at ns2.fleet.test (127.0.0.54 port",
    },
    "dns-caa-forbids": {"dns.records": "fleet.test allows ca.elsewhere.test alone (issue)"},
    "dns-dangling-cname": {"dns.records": "www.fleet.test > edge.fleet.test: edge.fleet.test does not exist"},
    "dns-wildcard": {"dns.records": "ns1.fleet.test (127.0.0.53 port"},
    "dns-resolver-slow": {
        "dns.records": "took 3.0 s and 3.0 s to answer, longer than 2 s",
        "dns.delegation": "took 3.0 s and 3.0 s to answer, longer than 2 s",
    },
    "dns-resolver-down": {
        "dns.records": "over UDP: nobody listens there",
        "dns.delegation": "over UDP: nobody listens there",
        "tls.certificate": "nobody listens there",
    },
    "dns-one-server": {"dns.delegation": "name servers of fleet.test: 1; required >= 2"},
    "dnssec-expired": {"dns.delegation": "fleet.test DNSKEY at ns1.fleet.test (127.0.0.53 port"},
    # Another domain's, but the zone is what gives the name its second address.
    "old-certificate-on-second-address": {"dns.records": ": 127.0.0.2, 127.0.0.3; required = 127.0.0.2"},
}


@pytest.fixture(scope="module")
def healthy() -> Iterator[dict[str, Any]]:
    with edge() as info:
        yield info


def test_every_fault_of_names_is_tried() -> None:
    """In each gate of the zone that it must turn red."""
    wanted = {fault.name: {gate for gate in fault.gates if gate.startswith("dns.")} for fault in OURS}

    assert {name: gates - set(TOLD[name]) for name, gates in wanted.items()} == {name: set() for name in wanted}
    assert all(set(TOLD[fault.name]) <= set(fault.gates) for fault in OURS)


def test_healthy(healthy: dict[str, Any]) -> None:
    """Twenty times in a row, both gates, within a second for both."""
    for _ in range(20):
        begun = time.monotonic()
        for gate in ("dns.records", "dns.delegation"):
            called = call(GATES[gate], target_at(healthy))
            assert called.outcome is Outcome.PASS, called.reason
            assert called.measurements
        assert time.monotonic() - begun < 5  # 0.1 s on a quiet machine


@pytest.mark.parametrize("fault", TOLD)
def test_fault(fault: str) -> None:
    """Each gate meant for it is red and names the server, the record or the name."""
    assert fault in FAULTS
    with edge(fault) as info, ThreadPoolExecutor() as pool:
        found = dict(zip(TOLD[fault], pool.map(lambda gate: changed(info, gate), TOLD[fault]), strict=True))

    for gate, called in found.items():
        assert called.outcome is Outcome.FAIL, called.reason
        assert TOLD[fault][gate] in called.reason
        assert "exchanges.json" in called.evidence or gate == "tls.certificate"


def test_a_type_that_leads_nobody_may_live_long() -> None:
    """Providers give name servers a day, and no rollback waits for that."""
    server, taken = Server("127.0.0.53"), list[str]()
    target = target_at({"base_url": "https://app.fleet.test"})

    def measure(name: str, actual: Any, bound: Bound, *, unit: str = "", n: int = 1) -> Measurement:
        taken.append(name)
        return measurement(name, actual, bound, unit=unit, n=n)

    for kind in ("NS", "A"):
        one = Statement(server, "UDP", "fleet.test", kind, "fleet.test", values=("x",), ttl=86_400)
        gates.judge_statements(target, measure, [one], equals(["x"], ""))

    assert taken == [f"fleet.test {kind} at {server}" for kind in ("NS", "A")] + [f"fleet.test A TTL at {server}"]


def changed(info: dict[str, Any], gate: str, **tables: Any) -> Called:
    return call(GATES[gate], target_at(info, **tables))


@pytest.mark.parametrize(
    ("gate", "keys", "told"),
    [
        (
            "dns.records",
            {"records": [{"name": "www.fleet.test", "type": "A", "values": ["127.0.0.2"]}]},
            "base_url",
        ),
        ("dns.records", {"ca": "ca.elsewhere.test"}, "fleet.test allows ca.fleet.test alone (issue)"),
        ("dns.records", {"max_ttl_s": 59}, "60 s; required <= 59 s"),
        (
            "dns.records",
            {"resolvers": ["127.0.0.1:$FLEETBOARD_DNS_PORT", "127.0.0.99"]},
            "127.0.0.99 port 53 over UDP",
        ),
        ("dns.delegation", {"nameservers": ["ns1.fleet.test", "ns3.fleet.test"]}, "required = ns1.fleet.test, ns3"),
        ("dns.delegation", {"min_nameservers": 3}, "name servers of fleet.test: 2; required >= 3"),
        ("dns.delegation", {"min_signature_days": 31.0}, "29.9"),
        ("dns.delegation", {"trust_anchors": [f"test. DS 1 13 2 {'ab' * 32}"]}, "whose digest is trusted (DS 1)"),
    ],
)
def test_expectations_are_the_plans(healthy: dict[str, Any], gate: str, keys: dict[str, Any], told: str) -> None:
    """Each key of the table turns the healthy target red."""
    called = changed(healthy, gate, dns=keys)

    assert called.outcome is Outcome.FAIL, called.reason
    assert told in called.reason


@pytest.mark.parametrize(
    ("gate", "keys", "told"),
    [
        ("dns.records", {"authority_port": "dns"}, "dns.authority_port: found 'dns'"),
        ("dns.records", {"authority_port": "$NOT_SET_ANYWHERE"}, "NOT_SET_ANYWHERE"),
        ("dns.records", {"resolvers": ["ns.example:53"]}, "dns.resolvers: found 'ns.example:53'"),
        (
            "dns.records",
            {"records": [{"name": "app.fleet.test", "type": "A", "values": ["127.0.2"]}]},
            "is no A record",
        ),
        ("dns.delegation", {"trust_anchors": ["test. KEY"]}, "dns.trust_anchors: found 'test. KEY'"),
        (
            "dns.delegation",
            {"trust_anchors": [f"other. DS 1 13 2 {'ab' * 32}"]},
            "none of them is above fleet.test",
        ),
    ],
)
def test_mistakes_of_the_plan_are_ours(healthy: dict[str, Any], gate: str, keys: dict[str, Any], told: str) -> None:
    """They are no finding about the target."""
    called = changed(healthy, gate, dns=keys)

    assert called.outcome is Outcome.ERROR, called.reason
    assert told in called.reason


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"trust_anchors": [". DS 1 8 2 ab"]}, "add signed = true"),
        (
            {"records": [{"name": name, "type": "A", "values": ["10.0.0.1"]} for name in ("a.test", "A.test.")]},
            "a.test A more than",
        ),
        ({"max_ttl_s": 0}, "max_ttl_s"),
    ],
)
def test_plans_that_make_no_sense_are_refused(keys: dict[str, Any], told: str) -> None:
    """Before any network."""
    with pytest.raises(ValidationError, match=told):
        Dns.model_validate({"records": [{"name": "a.test", "type": "A", "values": ["10.0.0.1"]}], **keys})


def test_unsigned_plan_of_a_signed_zone() -> None:
    """The zone above says that it is signed, so broken signatures are found without the plan's word."""
    unsigned = {"signed": False, "trust_anchors": None}
    with edge("dnssec-expired") as info:
        called = changed(info, "dns.delegation", dns=unsigned)

    assert called.outcome is Outcome.FAIL
    assert "expired" in called.reason


def test_address_that_dns_does_not_give(healthy: dict[str, Any]) -> None:
    """With another address in launch.toml the other gates never saw what users see: that proves nothing."""
    called = changed(healthy, "dns.records")
    assert called["app.fleet.test as the other gates know it"].ok
    target = target_at(healthy)
    target._addresses["app.fleet.test"] = ["10.0.0.10"]
    called = call(gates.test_records, target)

    assert called.outcome is Outcome.INCONCLUSIVE
    assert list(called.bad) == ["app.fleet.test as the other gates know it"]


def test_name_servers_that_were_not_asked() -> None:
    """One without an address is a finding; one that this machine has no way to is unknown, and no pass."""
    kept: dict[str, Measurement] = {}

    def measure(name: str, actual: object, bound: Bound, *, unit: str = "", n: int = 1) -> None:
        kept[name.partition(",")[0]] = measurement(name, actual, bound, unit=unit, n=n)

    known = (
        NameServer("a", (Server("127.0.0.1"),), unreachable=("2001:db8::1",)),
        NameServer("b", unreachable=("2001:db8::1",)),
        NameServer("c", problem="c has no address"),
    )
    zones.measure_not_asked(ZoneServers("example.test", known), measure)  # type: ignore[arg-type]

    assert {name: taken.ok for name, taken in kept.items()} == {"b": None, "c": False}
    assert kept["b"].actual == "this machine has no way to 2001:db8::1"


@pytest.mark.parametrize(("host", "outcome"), [("127.0.0.2", Outcome.PASS), ("127.0.0.9", Outcome.FAIL)])
def test_target_without_a_name(healthy: dict[str, Any], host: str, outcome: Outcome) -> None:
    """An address must be one to which a planned name leads."""
    called = call(gates.test_records, target_at({**healthy, "base_url": f"https://{host}"}, dns={"ca": None}))

    assert called.outcome is outcome, called.reason
    unknown = call(gates.test_records, target_at({**healthy, "base_url": f"https://{host}"}))
    assert unknown["names on the certificate"].ok is None


class Deaf(CachingResolver):
    """A resolver of a private network: it gets no answer from the zone above."""

    def answer(self, query: dns.message.Message) -> dns.message.Message:
        reply = super().answer(query)
        if str(query.question[0].name) == "test.":
            reply.answer.clear()
            reply.set_rcode(dns.rcode.SERVFAIL)
        return reply


def test_parent_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The zone above can't be asked: unknown, unless the plan says that there is none."""
    monkeypatch.setattr("fleetboard.zone.CachingResolver", Deaf)
    with edge() as info:
        plan = {"signed": False, "trust_anchors": None}
        called = changed(info, "dns.delegation", dns=plan)
        private = changed(info, "dns.delegation", dns={**plan, "parent": False})

    assert called.outcome is Outcome.INCONCLUSIVE, called.reason
    assert "parent = false" in str(called.bad["fleet.test in the zone above"])
    assert private.outcome is Outcome.PASS, private.reason
