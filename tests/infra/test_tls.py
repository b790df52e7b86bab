"""TLS: certificates, protocol versions and suites, at every address behind the name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest
from tests.infra.tls_bounds import accepted, judge, judge_policy

from gonogo import (
    EvidenceKeeper,
    InconclusiveError,
    Measure,
    Target,
    TargetError,
    at_least,
    empty,
    equals,
    is_true,
    one_of,
)
from gonogo.probes.tls import TlsFacts, inspect_each
from gonogo.probes.tls_policy import VERSIONS, policy, protocols
from gonogo.probes.tls_revocation import revocation, stapled

SERVES = "every published address must serve"
Seen = TypeVar("Seen")
SHORT = timedelta(days=7)
"""A certificate that lives no longer needs nobody to ask (CA/Browser Forum Baseline Requirements, 4.9.7)."""
STAPLE = "RFC 7633, 4.2.3: the certificate asks for it"


@pytest.mark.gate("tls.certificate")
def test_certificate(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """The certificate is trusted, complete, for this name, not revoked, and lasts beyond the launch."""
    tls = target.settings("tls")
    found = at_each(target, measure, lambda ip: inspect_each(*server(target, ip), target.ca_file, tls.timeout_s))
    seen = {facts.where: facts for each in found.values() for facts in each}
    now = datetime.now(UTC)
    for where, facts in seen.items():
        evidence.text(f"chain-{where.replace(':', '-').replace(' asked for ', '-')}.pem", facts.chain_pem)
        judge(target, measure, facts, now)
    evidence.json(
        "certificates.json", {where: {**asdict(one), "root_sent": one.root_sent} for where, one in seen.items()}
    )
    compare(target, measure, seen)
    if tls.revocation != "off":
        ask_for_revocation(target, measure, evidence, seen)
    ask_for_staples(target, measure, seen)


def compare(target: Target, measure: Measure, seen: Mapping[str, TlsFacts]) -> None:
    """All addresses serve the same leaf, unless the plan says that they need not."""
    if not target.settings("tls").same_certificate or not seen:
        return
    firsts: dict[str, TlsFacts] = {}
    for one in seen.values():
        firsts.setdefault(one.asked_for, one)
    differing = [
        f"{one.where} serves one that ends {one.leaf.not_after:%Y-%m-%d} (SHA-256 {one.leaf.fingerprint[:16]}), "
        f"{first.where} one that ends {first.leaf.not_after:%Y-%m-%d} ({first.leaf.fingerprint[:16]})"
        for one in seen.values()
        if one.leaf.fingerprint != (first := firsts[one.asked_for]).leaf.fingerprint
    ]
    measure("certificates across addresses", differing, empty(target.source("tls.same_certificate")), n=len(seen))


def ask_for_revocation(
    target: Target, measure: Measure, evidence: EvidenceKeeper, seen: Mapping[str, TlsFacts]
) -> None:
    """No certificate below the root was revoked, as far as its responders can be asked."""
    tls = target.settings("tls")
    pairs = {
        one.fingerprint: (one, issuer)
        for facts in seen.values()
        for one, issuer in zip(facts.path, facts.path[1:], strict=False)
        if not one.is_root
    }
    found = [revocation(one.pem, issuer.pem, tls.timeout_s) for one, issuer in pairs.values()]
    leaves = {facts.leaf.fingerprint for facts in seen.values()}
    for fingerprint, one in zip(pairs, found, strict=True):
        # Intermediates are often without a responder that answers: for them to name none is no fault.
        needed = tls.revocation == "required" and (fingerprint in leaves or one.detail)
        described, _ = pairs[fingerprint]
        if not one.detail and described.not_after - described.not_before <= SHORT:
            needed = False
        allowed = ("good",) if needed else ("good", "unknown")
        name = f"{one.subject} revocation ({one.detail or 'it names no responder'})"
        measure(name, one.status, one_of(allowed, target.source("tls.revocation")))
    for facts in seen.values():
        if tls.revocation == "required" and len(facts.path) < 2:
            name = f"{facts.where} {facts.leaf.subject} revocation (no issuer on its path)"
            measure(name, "unknown", one_of(("good",), target.source("tls.revocation")))
    evidence.json("revocation.json", [asdict(one) for one in found])


def ask_for_staples(target: Target, measure: Measure, seen: Mapping[str, TlsFacts]) -> None:
    """A certificate that asks for a fresh answer from its issuer comes with one."""
    limit = target.settings("tls").timeout_s
    for where, facts in seen.items():
        if facts.leaf.must_staple:
            # Where the path ends at the leaf, nobody but itself can have signed the answer.
            leaf, issuer = facts.path[0].pem, facts.path[min(1, len(facts.path) - 1)].pem
            found = stapled(target.host, facts.address, target.port, pem=leaf, issuer_pem=issuer, timeout_s=limit)
            measure(f"{where} stapled OCSP answer ({found.detail})", found.status, equals("good", STAPLE))


@pytest.mark.gate("tls.protocols")
def test_protocols(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """Only modern versions of TLS are accepted."""
    tls = target.settings("tls")
    source = target.source("tls.protocols")
    seen = at_each(target, measure, lambda ip: protocols(*server(target, ip), tls.timeout_s))
    for ip, versions in seen.items():
        old = [v for v in versions if v not in tls.protocols]
        measure(f"{ip} old versions accepted", old, empty(source), n=len(VERSIONS))
        modern = len(versions) - len(old)
        measure(f"{ip} modern versions accepted", modern, at_least(1, source), n=len(VERSIONS))
    evidence.json("protocols.json", seen)


@pytest.mark.gate("tls.policy")
def test_policy(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """Suites and key exchanges are those of the profile, tried with handshakes of our own."""
    tls = target.settings("tls")
    seen = at_each(target, measure, lambda ip: policy(*server(target, ip), tls.timeout_s))
    for ip, facts in seen.items():
        judge_policy(target, measure, ip, facts)
    evidence.json("policy.json", {ip: {**asdict(one), "accepted": accepted(one)} for ip, one in seen.items()})


def server(target: Target, ip: str) -> tuple[str, str, int]:
    """Name, address and port to be asked."""
    return target.host, ip, target.port


def at_each(target: Target, measure: Measure, look: Callable[[str], Seen]) -> dict[str, Seen]:
    """What is seen at each address; one that is down must not hide what the others serve.

    Raises:
        TargetError: the plan's address is one without TLS.
    """
    if target.scheme != "https":
        raise TargetError(
            f"{target.base_url} is plain HTTP, so there is no certificate to look at; serve it by https and set "
            f"targets.{target.name}.base_url in launch.toml, or scope the box out with a reason"
        )
    seen = {}
    for ip in target.addresses:
        try:
            seen[ip] = look(ip)
        except TargetError as error:
            measure(f"{ip} handshake", str(error), is_true(SERVES))
        except InconclusiveError as error:
            measure(f"{ip} handshakes", str(error), is_true(SERVES), n=0)
    return seen
