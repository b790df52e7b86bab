"""DNS: what the world is told about the target's names."""

from __future__ import annotations

import pytest

from gonogo import EvidenceKeeper, Measure, Target, TargetError, at_most, equals
from gonogo.probes.dns import resolve


@pytest.mark.gate("dns.records")
def test_records(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """The zone serves exactly the planned records, and a change would reach everybody soon."""
    dns = target.settings("dns")
    answers = []
    for record in dns.records:
        label = f"{record.name} {record.type}"
        expected = equals(sorted(record.values), target.source("dns.records"))
        try:
            answer = resolve(record.name, record.type, target.resolver, dns.timeout_s)
        except TargetError as error:
            # One name that fails must not hide what is wrong with the others.
            measure(label, str(error), expected)
            continue
        answers.append(vars(answer))
        measure(label, list(answer.values), expected)
        longest = at_most(dns.max_ttl_s, target.source("dns.max_ttl_s"))
        measure(f"{label} TTL", answer.ttl, longest, unit="s")
    evidence.json("dns.json", answers)
