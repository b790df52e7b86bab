"""TLS: the certificate and the protocol versions, at every address behind the name."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

from gonogo import EvidenceKeeper, Measure, Target, TargetError, at_least, empty, is_true, one_of
from gonogo.probes.tls import VERSIONS, TlsFacts, inspect, protocols

KEYS = "CA/Browser Forum Baseline Requirements, 6.1.5 and RFC 8410"
HASHES = "CA/Browser Forum Baseline Requirements, 7.1.3.2"


@pytest.mark.gate("tls.certificate")
def test_certificate(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """The certificate is trusted, complete, for this name, and lasts."""
    tls = target.settings("tls")
    for ip in target.addresses:
        try:
            facts = inspect(target.host, ip, target.port, ca_file=target.ca_file, timeout_s=tls.timeout_s)
        except TargetError as error:
            # One address that is down must not hide what the others serve.
            measure(f"{ip} handshake", str(error), is_true("every published address must serve"))
            continue
        evidence.text(f"chain-{ip.replace(':', '-')}.pem", facts.chain_pem)
        judge(target, measure, ip, facts)


def judge(target: Target, measure: Measure, ip: str, facts: TlsFacts) -> None:
    """Holds one address's certificate against the bounds."""
    tls = target.settings("tls")
    measure(f"{ip} trusted path", facts.trusted or facts.trust_error, is_true("RFC 5280, section 6"))
    names = facts.name_matches or f"no, only for {', '.join(facts.names) or 'no name'}"
    measure(f"{ip} is for {target.host}", names, is_true("RFC 9525, section 6.3"))
    lasts = at_least(tls.min_days, target.source("tls.min_days"))
    left = math.floor(facts.days_left(datetime.now(UTC)) * 100) / 100  # never rounded up to the bound
    measure(f"{ip} days left", left, lasts, unit="d")
    measure(f"{ip} key", facts.key_type, one_of(("RSA", "EC", "Ed25519"), KEYS))
    if facts.key_type == "RSA":
        strong = at_least(tls.min_rsa_bits, target.source("tls.min_rsa_bits"))
        measure(f"{ip} key size", facts.key_bits, strong, unit="bit")
    if facts.signature_hash:
        measure(f"{ip} signature", facts.signature_hash, one_of(("sha256", "sha384", "sha512"), HASHES))


@pytest.mark.gate("tls.protocols")
def test_protocols(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """Only modern versions of TLS are accepted."""
    tls = target.settings("tls")
    source = target.source("tls.protocols")
    seen = {}
    for ip in target.addresses:
        try:
            seen[ip] = protocols(target.host, ip, target.port, timeout_s=tls.timeout_s)
        except TargetError as error:
            measure(f"{ip} handshakes", str(error), is_true("every published address must serve"))
            continue
        old = [v for v in seen[ip] if v not in tls.protocols]
        measure(f"{ip} old versions accepted", old, empty(source), n=len(VERSIONS))
        modern = len(seen[ip]) - len(old)
        measure(f"{ip} modern versions accepted", modern, at_least(1, source), n=len(VERSIONS))
    evidence.json("protocols.json", seen)
