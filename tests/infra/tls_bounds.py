"""What the gates of TLS hold a server's certificates and suites against."""

from __future__ import annotations

import math
from datetime import datetime

from gonogo import Measure, Target, at_least, empty, is_true, one_of
from gonogo.probes.tls import TlsFacts
from gonogo.probes.tls_policy import PolicyFacts, is_forward_secret, profiles

KEYS = "CA/Browser Forum Baseline Requirements, 6.1.5 and RFC 8410"
HASHES = "CA/Browser Forum Baseline Requirements, 7.1.3.2"


def judge(target: Target, measure: Measure, facts: TlsFacts, now: datetime) -> None:
    """Holds what one address serves against the bounds: path, name, order, time, keys and signatures."""
    tls, ip = target.settings("tls"), facts.where
    measure(f"{ip} trusted path", facts.trusted or facts.trust_error, is_true("RFC 5280, section 6"))
    names = facts.name_matches or f"no, only for {', '.join(facts.names) or 'no name'}"
    measure(f"{ip} is for {target.host}", names, is_true("RFC 9525, section 6.3"))
    note = ", the last one a root that clients have anyway" if facts.root_sent else ""
    sent = len(facts.certificates)
    order = empty("RFC 5246, 7.4.2: each certificate signs the one before it")
    measure(f"{ip} order of the chain ({sent} certificates{note})", facts.order_errors, order, n=sent)
    whole = empty("RFC 5246, 7.4.2: all but the root are sent, since clients know roots alone")
    measure(f"{ip} certificates of the path not sent", facts.unsent, whole, n=len(facts.path))
    _judge_time(target, measure, facts, now)
    strong = at_least(tls.min_rsa_bits, target.source("tls.min_rsa_bits"))
    for one in facts.certificates:
        where = f"{ip} {one.subject}"
        measure(f"{where} key", one.key_type, one_of(("RSA", "EC", "Ed25519"), KEYS))
        if one.key_bits:
            measure(
                f"{where} key size",
                one.key_bits,
                strong if one.key_type == "RSA" else at_least(256, KEYS),
                unit="bit",
            )
        if one.signature_hash and not one.is_root:  # nobody checks the signature of a root: it is known itself
            measure(f"{where} signature", one.signature_hash, one_of(("sha256", "sha384", "sha512"), HASHES))


def _judge_time(target: Target, measure: Measure, facts: TlsFacts, now: datetime) -> None:
    """Each certificate, those of the path that were not sent too, is valid now and long enough after the launch."""
    from_ = max(now, target.at) if target.at else now
    when = f" after the launch on {from_:%Y-%m-%d %H:%M} UTC" if from_ > now else ""
    lasts = at_least(target.settings("tls").min_days, target.source("tls.min_days"))
    for one in dict.fromkeys((*facts.certificates, *facts.path)):
        where = f"{facts.where} {one.subject}"
        begun = one.not_before <= now or f"begins on {one.not_before:%Y-%m-%d %H:%M} UTC"
        measure(f"{where} has begun", begun, is_true("RFC 5280, 4.1.2.5"))
        left = math.floor(one.days_left(from_) * 100) / 100  # never rounded up to the bound
        measure(f"{where} days left{when}", left, lasts, unit="d")


def judge_policy(target: Target, measure: Measure, ip: str, facts: PolicyFacts) -> None:
    """Holds what one address accepts against the profile that the plan names."""
    tls = target.settings("tls")
    profile = profiles()[tls.policy]
    source, n = f"{profile.source}, {target.source('tls.policy')}", facts.offered
    taken = accepted(facts)
    allowed = profile.suites | set(tls.allow_suites)
    measure(f"{ip} suites beyond the profile", [s for s in taken if s not in allowed], empty(source), n=n)
    secret = [s for s in taken if not is_forward_secret(s) and s not in tls.allow_suites]
    measure(f"{ip} suites without forward secrecy", secret, empty(source), n=n)
    good = len([s for s in taken if s in profile.suites])
    measure(f"{ip} suites of the profile", good, at_least(1, source), n=n)
    groups = dict.fromkeys(g for found in facts.groups.values() for g in found)
    strong = profile.groups | set(tls.allow_groups)
    extra = [g for g in groups if g not in strong]
    measure(f"{ip} key-exchange groups beyond the profile", extra, empty(f"{source}, tls.allow_groups"), n=n)
    if facts.dh_bits:
        measure(f"{ip} Diffie-Hellman prime", facts.dh_bits, at_least(profile.dh_bits, source), unit="bit")
    measure(f"{ip} compresses", facts.compression, one_of([False], "RFC 9325, 3.3"))
    insecure = facts.insecure_renegotiation
    measure(f"{ip} renegotiates insecurely", insecure, one_of([False], "RFC 9325, 3.5 and RFC 5746"))


def accepted(facts: PolicyFacts) -> list[str]:
    """Names of all suites that were accepted, whatever the version, each once."""
    return list(dict.fromkeys(suite for found in facts.suites.values() for suite in found))
