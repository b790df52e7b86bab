"""What every endpoint's gate asks of an answer before it looks inside."""

from __future__ import annotations

from gonogo import EvidenceKeeper, Measure, Target, at_most, equals
from gonogo.probes.http import HttpFacts

CACHED = "RFC 9111, 5.1: an answer from a cache says nothing of now; http.timeout_s"


def fetch(target: Target, key: str, name: str, measure: Measure, evidence: EvidenceKeeper) -> HttpFacts:
    """Fetch an endpoint, keep its body, and measure its status and how long it lay in a cache.

    Args:
        target: whom to ask.
        key: key of the path in the table ``http``, e.g. ``health``.
        name: of the evidence.
        measure: the gate's fixture.
        evidence: the gate's fixture.

    Raises:
        TargetError: there was no complete answer.
    """
    http = target.settings("http")
    facts = target.http().get(getattr(http, key))
    evidence.text(name, facts.text)
    measure("HTTP status", facts.status, equals(200, target.source(f"http.{key}")))
    measure("time in a cache", facts.age_s, at_most(http.timeout_s, CACHED), unit="s")
    return facts
