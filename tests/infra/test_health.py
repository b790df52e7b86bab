"""Health: the endpoint that load balancers and people look at first."""

from __future__ import annotations

import pytest

from gonogo import EvidenceKeeper, Measure, Target, equals, quantile, quantile_below
from gonogo.probes.http import lookup


@pytest.mark.gate("health.endpoint")
def test_health(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """The target says that it is healthy, every time and quickly."""
    http = target.settings("http")
    source = target.source("http.health")
    first = target.http().get(http.health)
    evidence.text("health.json", first.text)
    measure("HTTP status", first.status, equals(200, source))

    samples = target.http().sample(http.health, http.samples)
    bad = sum(status != 200 for status in samples.statuses)
    measure("answers other than 200", bad, equals(0, source), n=len(samples.statuses))
    times_ms = [seconds * 1000 for seconds in samples.elapsed_s]
    quick = quantile_below(http.p95_ms, target.source("http.p95_ms"), samples=times_ms)
    measure("p95", quantile(times_ms, 0.95), quick, unit="ms", n=len(times_ms))

    document = first.json()
    for path, value in http.health_expect.items():
        measure(path, lookup(document, path), equals(value, target.source("http.health_expect")))
