"""Load: what the target does under more traffic than it is launched for, for longer, and all of a sudden."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from tests.load.loading import RECOVERY, SPIKE, STEADY, LoadRun

from gonogo import (
    Bound,
    EvidenceKeeper,
    InconclusiveError,
    Judgement,
    Measure,
    Target,
    ToolError,
    above,
    at_least,
    below,
    empty,
    equals,
    interval_below,
    quantile_below,
    rate_below,
)
from gonogo.loadfacts import LoadFacts, Summary
from gonogo.trend import medians, trend

POINTS = 60
"""Parts of the steady time whose medians are compared."""
WELL = "playbook: the service is well under load, too"


# The probe has a limit of its own, which follows from launch.toml; a general one would cut a
# long run that was asked for.
@pytest.mark.timeout(0)
@pytest.mark.gate("load.throughput")
def test_throughput(target: Target, measure: Measure, evidence: EvidenceKeeper, load_run: LoadRun) -> None:
    """The required traffic is held, quickly and without errors, and the target is well meanwhile and afterwards."""
    load, facts = target.settings("load"), load_run.made(evidence)
    evidence.text("requests.txt", table(facts))
    evidence.text("locust.log", facts.log)
    steady = facts.of(STEADY)
    judge_health(target, measure, load_run)
    judge(target, measure, steady, when="", bounds=load, p95_ms=load.p95_ms)
    if not facts.stopped:  # what ended early failed, and says so above
        measure("requests sent", steady.requests, equals(facts.planned[STEADY], target.source("load.rps")))
    extremes(target, measure, steady)
    often = [
        kind
        for one in facts.by_request(facts.begins_s(STEADY))
        for kind in too_often(one, target, len(load.requests))
    ]
    measure("requests of the mix that fail too often", often, empty(target.source("load.max_error_rate")))
    held = above(load.min_rps, target.source("load.min_rps"))
    measure("good answers per second", facts.served_rps(STEADY), held, unit="RPS", n=steady.requests)
    if load.websockets:
        source = target.source("load.websockets")
        measure("live connections that did not last", load_run.beside.held, empty(source), n=load.websockets)
    if facts.created or facts.left:
        measure("what writes made and nobody could delete", list(facts.left), empty(WELL), n=max(facts.created, 1))


@pytest.mark.timeout(0)
@pytest.mark.gate("load.endurance")
def test_endurance(target: Target, measure: Measure, evidence: EvidenceKeeper, load_run: LoadRun) -> None:
    """The longer the load lasts, answers get no slower, and the target's processes take no more memory."""
    load, facts = target.settings("load"), load_run.stretch(STEADY, evidence)
    begins, ends = facts.window(STEADY)
    good = [(row.due_s, row.latency_ms) for row in facts.within(begins, ends) if not row.bad]
    points = medians(good, POINTS)
    if len(points) < 2:
        raise InconclusiveError("there are too few good answers to see a trend; load.throughput says why")
    found = trend(points, load.confidence)
    bound = interval_below(
        load.endurance.max_growth_ms,
        target.source("load.endurance.max_growth_ms"),
        low=found.at_least,
        high=found.at_most,
        confidence=load.confidence,
    )
    measure(
        f"growth of the median latency over {ends - begins:.0f} s", found.growth, bound, unit="ms", n=found.points
    )
    memory = load_run.memory(begins, ends)
    evidence.json("memory.json", memory)
    judge_memory(target, measure, memory)


@pytest.mark.timeout(0)
@pytest.mark.gate("load.spike")
def test_spike(target: Target, measure: Measure, evidence: EvidenceKeeper, load_run: LoadRun) -> None:
    """A sudden rise of the traffic is carried, and soon after it everything is as before."""
    load = target.settings("load")
    if load.spike is None:
        raise ToolError(f"launch.toml: [targets.{target.name}.load.spike] is missing; add it, or scope the box out")
    facts = load_run.stretch(SPIKE, evidence)
    spike = load.spike
    rates = {"bounds": spike, "key": "load.spike"}
    judge(target, measure, facts.of(SPIKE), when="in the spike: ", p95_ms=spike.p95_ms, **rates)
    if facts.stopped:
        return
    after = facts.of(RECOVERY)
    judge(target, measure, after, when="after it: ", p95_ms=load.p95_ms, **rates)


def judge(
    target: Target,
    measure: Measure,
    found: Summary,
    *,
    when: str,
    bounds: Any,
    p95_ms: float,
    key: str = "load",
) -> None:
    """Holds errors, throttled requests and latency of some requests against their bounds."""
    confidence, n = target.settings("load").confidence, found.requests
    few = rate_below(bounds.max_error_rate, target.source(f"{key}.max_error_rate"), confidence)
    measure(f"{when}error rate", found.error_rate, noted(few, _kinds(found)), unit="1", n=n)
    seldom = rate_below(bounds.max_throttled_rate, target.source(f"{key}.max_throttled_rate"), confidence)
    measure(f"{when}throttled (429, or 503 with Retry-After)", found.throttled_rate, seldom, unit="1", n=n)
    slow = found.latencies_ms
    quick = quantile_below(p95_ms, target.source(f"{key}.p95_ms"), samples=slow, confidence=confidence)
    measure(f"{when}p95 from due time", found.quantile_ms(0.95), quick, unit="ms", n=len(slow))


def extremes(target: Target, measure: Measure, found: Summary) -> None:
    """Holds the slowest hundredth and the slowest request: a p95 lets one in fifty that hangs pass."""
    load, slow = target.settings("load"), found.latencies_ms
    last = quantile_below(
        load.p99_ms, target.source("load.p99_ms"), samples=slow, q=0.99, confidence=load.confidence
    )
    measure("p99 from due time", found.quantile_ms(0.99), last, unit="ms", n=len(slow))
    longest = below(load.slowest_ms, target.source("load.slowest_ms"))
    measure("slowest request", found.max_ms, longest, unit="ms", n=len(slow))


def too_often(one: Summary, target: Target, kinds: int) -> list[str]:
    """The request with its share, if that alone refutes the bound: a write that always fails is rare in the mix.

    The confidence is shared among all kinds of requests, so that many of them make no false alarm.
    """
    load = target.settings("load")
    shared = 1 - (1 - load.confidence) / kinds
    refuted = rate_below(load.max_error_rate, "", shared).judge(one.error_rate, one.requests).ok is False
    return [f"{one.name}: {one.failures} of {one.requests}{_kinds(one)}"] if refuted else []


def judge_memory(target: Target, measure: Measure, memory: Mapping[str, list[tuple[float, float]]]) -> None:
    """Holds the growth of each process's memory against its bound: what counts is the slope, not the level."""
    load, source = target.settings("load"), target.source("load.endurance.max_memory_mb_per_min")
    limit = load.endurance.max_memory_mb_per_min
    for name, looks in memory.items():
        growth = low = high = math.nan
        if len(looks) > 1:
            found, minutes = trend(looks, load.confidence), (looks[-1][0] - looks[0][0]) / 60
            growth, low, high = (x / minutes for x in (found.growth, found.at_least, found.at_most))
        bound = interval_below(limit, source, low=low, high=high, confidence=load.confidence)
        measure(
            f"{name}: growth of its memory", growth, bound, unit="MB/min", n=len(looks) if len(looks) > 1 else 0
        )
    if not memory:
        seen = at_least(1, target.source("process.manager"))
        measure("processes whose memory was seen", 0, seen)


def judge_health(target: Target, measure: Measure, load_run: LoadRun) -> None:
    """Holds what was seen beside the load: a service that is green only when idle is red."""
    beside = load_run.beside
    for what, path in (("health", target.settings("http").health), ("read", beside.read)):
        if path:
            measure(f"{what} ({path}) under load", beside.bad[what][:5], empty(WELL), n=beside.looks)
    measure("health and read after the load", load_run.after, empty(WELL))


def table(facts: LoadFacts) -> str:
    """The requests of the mix and the slowest ones, for people."""
    lines = [f"{'request':<48} {'n':>7} {'failed':>7} {'thrott.':>7} {'p50 ms':>9} {'p95 ms':>9} {'max ms':>9}"]
    for one in facts.by_request(facts.begins_s(STEADY)):
        figures = " ".join(f"{value:>9.1f}" for value in (one.quantile_ms(0.5), one.quantile_ms(0.95), one.max_ms))
        lines.append(f"{one.name:<48} {one.requests:>7} {one.failures:>7} {one.throttled:>7} {figures}")
        lines += [f"    {count} x {kind}" for kind, count in one.kinds.items()]
    lines += ["", "the slowest, by their due time:"]
    lines += [
        f"{row.due_s:>9.2f} s {row.latency_ms:>10.1f} ms  {row.request} {row.bad}".rstrip() for row in facts.worst()
    ]
    return "\n".join([*lines, *([f"ended early: {facts.stopped}"] if facts.stopped else []), ""])


def noted(bound: Bound, words: str) -> Bound:
    """The same bound, whose judgement says a few words more."""

    def judge(actual: Any, n: int) -> Judgement:
        judged = bound.judge(actual, n)
        return replace(judged, note=f"{judged.note}{words}")

    return replace(bound, judge=judge)


def _kinds(found: Summary) -> str:
    kinds = [f"{count} x {kind}" for kind, count in list(found.kinds.items())[:3]]
    return f" ({', '.join(kinds)})" if kinds else ""
