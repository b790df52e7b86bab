"""Health: the endpoint that load balancers and people look at first, the others, and whether it tells the truth."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from tests.infra.answers import CACHED, NO_LEAKS, fetch, judge_versions, leaks, oldest_s, reachable, worst
from tests.infra.endpoints import judge, sampled, wanted
from tests.infra.outside import compare

from gonogo import (
    EvidenceKeeper,
    Measure,
    Target,
    TargetError,
    at_most,
    empty,
    equals,
    is_true,
    quantile,
    quantile_below,
)
from gonogo.probes.claims import claims
from gonogo.probes.http import HttpFacts, lookup
from gonogo.probes.leaks import redacted

SERIES_S = 120.0
"""Longest time for the series of requests, well below pytest's own limit for a test."""
LOOKS = 6
"""Answers over connections of their own, so that each of a few instances speaks."""


@pytest.mark.gate("health.endpoint")
def test_health(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """The target says that it is healthy, with every check inside, every time and quickly."""
    http = target.settings("http")
    source = target.source("http.health")
    first = fetch(target, "health", "health.json", measure, evidence)

    # Time for all of them at the bound: a target that is just quick enough must not run out of it. One that
    # begins beyond the bound is refuted by few.
    enough_s = http.samples * http.p95_ms / 1000 if first.elapsed_s * 1000 < http.p95_ms else 0.0
    series_s = min(max(http.timeout_s, enough_s), SERIES_S)
    samples = target.http().sample(http.health, http.samples, budget_s=series_s)
    bad = sum(status != 200 for status in samples.statuses) + len(samples.failures)
    measure("answers other than 200", bad, equals(0, source), n=samples.n)
    if samples.failures:
        measure("failed requests", sorted(set(samples.failures)), empty(source), n=samples.n)
    times_ms = [seconds * 1000 for seconds in samples.elapsed_s]
    if times_ms:
        quick = quantile_below(http.p95_ms, target.source("http.p95_ms"), samples=times_ms)
        measure("p95", quantile(times_ms, 0.95), quick, unit="ms", n=len(times_ms))
    measure("secrets and traces in any body", leaks(target, samples.answers), empty(NO_LEAKS), n=samples.n)

    # Behind one address are several instances: each answer has to say it, not the first alone.
    others = further(target, measure)
    judge_age(target, [*samples.answers, *others], measure)
    documents = read([first, *samples.answers, *others], measure, source)
    for path, value in http.health_expect.items():
        expected = equals(value, target.source("http.health_expect"))
        said = [lookup(document, path) for document in documents] or [None]
        measure(path, worst(said, expected), expected, n=len(said))
    judge_checks(target, documents, measure)
    judge_versions(target, documents, measure)


def further(target: Target, measure: Measure) -> list[HttpFacts]:
    """Health over connections of their own, a few at each address of the name.

    Some load balancers choose an instance a connection, not a request, and each address may be another one.
    """
    http = target.settings("http")
    answers: list[HttpFacts] = []
    for ip in reachable(target, measure):
        with target.client(partial(at, ip)) as probe:
            found = probe.sample(http.health, LOOKS, fresh=True)
        wrong = sorted({*found.failures, *(f"HTTP {status}" for status in found.statuses if status != 200)})
        measure(f"{ip}: answers other than 200", wrong, empty(target.source("http.health")), n=found.n)
        answers += found.answers
    return answers


def judge_age(target: Target, answers: list[HttpFacts], measure: Measure) -> None:
    """Each address may have a cache of its own, so the first answer does not speak for the others."""
    if answers:
        fresh = at_most(target.settings("http").timeout_s, CACHED)
        measure("longest time in a cache", oldest_s(answers), fresh, unit="s", n=len(answers))


def at(ip: str, _host: str, port: int) -> tuple[str, int]:
    """This address, whatever the name; redirects never lead to another host."""
    return ip, port


def read(answers: list[HttpFacts], measure: Measure, source: str) -> list[Any]:
    """The documents of these answers; those that are none are measured."""
    documents, broken = [], []
    for answer in answers:
        try:
            documents.append(answer.json(redacted))
        except TargetError as error:
            broken.append(str(error))
    if broken:
        measure("answers that are not JSON", sorted(set(broken)), empty(source), n=len(answers))
    return documents


def judge_checks(target: Target, documents: list[Any], measure: Measure) -> None:
    """Hold every check that health declares against the words for healthy.

    By default they are judged where there are some; a plan that names ``http.health_checks`` demands them.
    """
    http = target.settings("http")
    if not http.health_checks:
        return
    source = target.source("http.health_checks")
    declared = [claims(lookup(document, http.health_checks)) for document in documents]
    if not any(declared) and source.startswith("default"):
        return
    without = sum(not one for one in declared)
    measure(f"answers without checks in {http.health_checks}", without, equals(0, source), n=len(declared))
    unhealthy = {str(claim) for one in declared for claim in one if not claim.healthy(http.healthy)}
    most = max((len(one) for one in declared), default=0)
    measure(
        f"unhealthy among {most} checks", sorted(unhealthy), empty(target.source("http.healthy")), n=len(declared)
    )


@pytest.mark.gate("health.endpoints-all")
def test_endpoints(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """Every endpoint answers as planned, every time, quickly, and gives nothing away.

    A p95 is proven by order statistics, 60 requests each. No single request may take longer than
    ``http.slowest_ms``: over several hundred requests that shows a service in which 2 % take too long, which
    the p95 of each lets pass by its nature.
    """
    endpoints = wanted(target, measure, evidence)
    found = sampled(target, endpoints)
    for endpoint in endpoints:
        judge(target, endpoint, found[endpoint.path], measure, evidence)


@pytest.mark.gate("health.truthful")
def test_truthful(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """What health claims is what is seen from outside, part for part."""
    http = target.settings("http")
    first = fetch(target, "health", "health.json", measure, evidence, statuses=(200, 503))
    samples = target.http().sample(http.health, LOOKS, fresh=True)
    if samples.failures:
        measure("failed requests", sorted(set(samples.failures)), empty(target.source("http.health")), n=samples.n)
    answers = [first, *samples.answers]
    judge_age(target, list(samples.answers), measure)
    documents = read(answers, measure, target.source("http.health"))
    measure("health was read", bool(documents), is_true(target.source("http.health")), n=len(answers))
    judge_versions(target, documents, measure)
    compare(target, [answer for answer in answers if answer.is_json], measure, evidence)
