"""Health: the endpoint that load balancers and people look at first."""

from __future__ import annotations

import pytest
from tests.infra.answers import fetch

from gonogo import EvidenceKeeper, Measure, Target, equals, quantile, quantile_below
from gonogo.probes.http import lookup

SERIES_S = 120.0
"""Longest time for the series of requests, well below pytest's own limit for a test."""


@pytest.mark.gate("health.endpoint")
def test_health(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """The target says that it is healthy, every time and quickly."""
    http = target.settings("http")
    source = target.source("http.health")
    first = fetch(target, "health", "health.json", measure, evidence)

    # Time for all of them at the bound: a target that is just quick enough must not run out of it. One that
    # begins beyond the bound is refuted by few.
    enough_s = http.samples * http.p95_ms / 1000 if first.elapsed_s * 1000 < http.p95_ms else 0.0
    series_s = min(max(http.timeout_s, enough_s), SERIES_S)
    samples = target.http().sample(http.health, http.samples, budget_s=series_s)
    bad = sum(status != 200 for status in samples.statuses)
    measure("answers other than 200", bad, equals(0, source), n=len(samples.statuses))
    times_ms = [seconds * 1000 for seconds in samples.elapsed_s]
    quick = quantile_below(http.p95_ms, target.source("http.p95_ms"), samples=times_ms)
    measure("p95", quantile(times_ms, 0.95), quick, unit="ms", n=len(times_ms))

    # Behind one address are several instances: each answer has to say it, not the first alone.
    documents = [first.json(), *(answer.json() for answer in samples.answers)]
    for path, value in http.health_expect.items():
        expected = equals(value, target.source("http.health_expect"))
        said = [lookup(document, path) for document in documents]
        unexpected = [one for one in said if not expected.judge(one, 1).ok]
        measure(path, [*unexpected, said[0]][0], expected, n=len(said))
