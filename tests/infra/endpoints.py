"""The endpoints of the plan: which they are, how they answered, and what is held against that."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.infra.answers import NO_LEAKS, leaks

from gonogo import (
    EvidenceKeeper,
    Measure,
    Target,
    TargetError,
    ToolError,
    at_least,
    at_most,
    empty,
    quantile,
    quantile_below,
)
from gonogo.probes.http import HttpFacts, HttpProbe, Samples, is_json, lookup
from gonogo.probes.leaks import redacted
from gonogo.probes.openapi import OpenApiFacts, read

AT_ONCE = 2
"""Endpoints that are sampled side by side; more would be load, which is for another gate to put on."""
ALL_S = 100.0
"""Longest time for all of them, well below pytest's own limit for a test."""
SLOW_S = 2.0
"""Time for an endpoint that begins beyond its bound: it is refuted by few requests."""


def wanted(target: Target, measure: Measure, evidence: EvidenceKeeper) -> list[Any]:
    """The endpoints of the plan, and those that its OpenAPI document promises; each path once.

    Raises:
        ToolError: the file of the OpenAPI document is not there.
        TargetError: the target does not serve it, or it is none.
    """
    http = target.settings("http")
    found = list(http.planned)
    if http.openapi is None:
        return found
    source = target.source("http.openapi")
    facts = documented(target, http.openapi)
    measure("documented GETs", len(facts.endpoints), at_least(1, source))
    evidence.json("openapi.json", {"asked": [e.path for e in facts.endpoints], "left out": facts.left_out})
    planned = {endpoint.path.partition("?")[0] for endpoint in found}
    found += [
        http.documented(one.path, one.status, one.content_type)
        for one in facts.endpoints
        if one.path not in planned
    ]
    return found


def documented(target: Target, where: str) -> OpenApiFacts:
    """Read an OpenAPI document off the target, if ``where`` is a path of its, or out of a file of the plan's."""
    if where.startswith("/"):
        answer = target.http().get(where, retries=target.settings("http").retries)
        if answer.status != 200:
            raise TargetError(f"the OpenAPI document {answer.url} was answered with HTTP {answer.status}")
        return read(answer.text, answer.url)
    files = target.files(where)
    if not files:
        raise ToolError(f"launch.toml: http.openapi names {where}, which is not there; correct it or add the file")
    return read(files[-1].read_text(encoding="utf-8", errors="replace"), where)


def sampled(target: Target, endpoints: Sequence[Any]) -> Mapping[str, Samples]:
    """A series of answers of each endpoint, by its path; a few series at a time."""
    probe, ends = target.http(), time.monotonic() + ALL_S
    target.resolve(target.host)  # once, not once a thread

    def series(endpoint: Any) -> Samples:
        return _series(target, probe, endpoint, ends)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip([e.path for e in endpoints], pool.map(series, endpoints), strict=True))


def _series(target: Target, probe: HttpProbe, endpoint: Any, ends: float) -> Samples:
    http = target.settings("http")
    n = http.endpoint_samples
    bound_ms = endpoint.p95_ms or http.p95_ms
    first = probe.sample(endpoint.path, 1)
    quick = first.elapsed_s and first.elapsed_s[0] * 1000 < bound_ms
    budget_s = n * bound_ms / 1000 if quick else SLOW_S
    left_s = min(budget_s, ends - time.monotonic())
    if n == 1 or left_s <= 0 or first.failures:
        return first
    rest = probe.sample(endpoint.path, n - 1, budget_s=left_s)
    return Samples(
        first.url,
        first.elapsed_s + rest.elapsed_s,
        first.statuses + rest.statuses,
        first.answers + rest.answers,
        first.failures + rest.failures,
    )


def judge(target: Target, endpoint: Any, found: Samples, measure: Measure, evidence: EvidenceKeeper) -> None:
    """Hold one endpoint's answers against what the plan says of it."""
    http = target.settings("http")
    path = endpoint.path
    source = target.source("http.endpoints")
    wrong = Counter(problem for answer in found.answers for problem in problems(endpoint, answer))
    wrong.update(found.failures)
    listed = [f"{problem} ({count} of {found.n})" for problem, count in wrong.most_common()]
    measure(f"GET {path}: answers that are not as planned", listed, empty(source), n=found.n)
    measure(f"GET {path}: secrets and traces", leaks(target, found.answers), empty(NO_LEAKS), n=found.n)
    times_ms = [seconds * 1000 for seconds in found.elapsed_s]
    if times_ms:
        own = "http.endpoints" if endpoint.p95_ms else "http.p95_ms"
        quick = quantile_below(endpoint.p95_ms or http.p95_ms, target.source(own), samples=times_ms)
        measure(f"GET {path}: p95", quantile(times_ms, 0.95), quick, unit="ms", n=len(times_ms))
        slowest = at_most(http.slowest_ms, target.source("http.slowest_ms"))
        measure(f"GET {path}: slowest", max(times_ms), slowest, unit="ms", n=len(times_ms))
    shown = next((a for a in found.answers if problems(endpoint, a)), found.answers[0] if found.answers else None)
    if shown is not None:
        name = re.sub(r"[^\w.-]+", "-", path).strip("-") or "root"
        evidence.text(f"{name}.txt", _shown(shown))


def problems(endpoint: Any, answer: HttpFacts) -> list[str]:
    """What is not as planned in one answer, as sentences that repeat from answer to answer."""
    if answer.status != endpoint.status:
        return [f"HTTP {answer.status}, planned {endpoint.status}"]
    asked = endpoint.content_type
    fits = is_json(answer.content_type) if asked == "application/json" else answer.content_type == asked
    if asked and not fits:
        return [f"media type {answer.content_type or 'none'}, planned {asked}"]
    if not (is_json(asked) or endpoint.expect):
        return []
    try:
        document = answer.json()
    except TargetError:
        return ["not JSON, whatever its media type says"]
    return [
        f"{key} is {said!r}, planned {value!r}"
        for key, value in endpoint.expect.items()
        if (said := lookup(document, key)) != value or isinstance(said, bool) != isinstance(value, bool)
    ]


def _value(name: str, value: str) -> str:
    # A cookie may open a session; its name is all that anybody needs to judge.
    return f"{value.partition('=')[0]}=(hidden)" if name.lower() == "set-cookie" else value


def _shown(answer: HttpFacts) -> str:
    head = "\n".join(f"{name}: {_value(name, value)}" for name, value in answer.headers.multi_items())
    return redacted(f"GET {answer.url}\nHTTP {answer.status}\n{head}\n\n{answer.text[:100_000]}\n")
