"""Statistics: what the target says of its database, its live channel and its own speed."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from tests.infra.answers import fetch, judge_way, worst
from tests.infra.counting import NOISE, Count, follow

from gonogo import EvidenceKeeper, InconclusiveError, Measure, Target, at_least, at_most, below, empty, equals
from gonogo.probes.http import lookup
from gonogo.probes.leaks import redacted

LOOKS = 6
"""Answers over connections of their own, so that each of a few instances speaks."""
TRAFFIC_S = 100.0
"""Longest time for the requests that are to be counted, well below pytest's own limit for a test."""
POLL_S = 0.1
"""How often the count of requests is asked for; the target may count at intervals of its own."""


def whole(value: Any) -> int:
    """The value as a count of samples: 0 unless it is a positive whole number."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def known(value: Any) -> Any:
    """The value as it is; a negative number, which often stands for "unknown", as the words that say so."""
    negative = isinstance(value, int | float) and value < 0
    return f"{value}, which can't be" if negative else value


@pytest.mark.gate("stats.database")
def test_database(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """The database is reached through a pool, and the pool has room, in each instance that speaks."""
    http = target.settings("http")
    first = fetch(target, "database_stats", "db-stats.json", measure, evidence)
    others = target.http().sample(http.database_stats, LOOKS, fresh=True)
    wrong = sorted({*others.failures, *(f"HTTP {status}" for status in others.statuses if status != 200)})
    measure("further answers other than 200", wrong, empty(target.source("http.database_stats")), n=others.n)
    documents = [answer.json(redacted) for answer in (first, *others.answers)]
    for path, value in http.database_expect.items():
        expected = equals(value, target.source("http.database_expect"))
        measure(path, worst([lookup(one, path) for one in documents], expected), expected, n=len(documents))
    room = below(http.max_pool_percent, target.source("http.max_pool_percent"))
    used = [known(lookup(one, http.fields.pool_usage)) for one in documents]
    fullest = max(used) if all(room.judge(one, 1).ok for one in used) else worst(used, room)
    measure(http.fields.pool_usage, fullest, room, unit="%", n=len(used))


@pytest.mark.gate("stats.performance")
def test_performance(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """The target's own figures are alive, and show no errors and short times.

    Figures of a service that nobody has asked yet say nothing, so requests are made until
    ``http.min_requests`` of them are counted, and the count must move with them. The error rate is held
    against its bound as the target gives it: so few requests can refute a rate below 0.1 %, and cannot prove
    it. The proof, with its 2,995 requests, is the gate ``load.throughput``.
    """
    http = target.settings("http")
    fields = http.fields
    source = target.source("http.performance_stats")
    first = fetch(target, "performance_stats", "performance-stats.json", measure, evidence).json(redacted)
    before = whole(lookup(first, fields.requests))
    document, errors_on_the_way, made = ask_for_more(target, before)
    judge_way(target, errors_on_the_way, measure)
    requests = whole(lookup(document, fields.requests))
    evidence.text("performance-after.json", redacted(json.dumps(document, indent=2)))
    measure("requests counted once more were made", requests - before, at_least(1, source))
    rate = below(http.max_error_rate, target.source("http.max_error_rate"))
    measure(fields.error_rate, known(lookup(document, fields.error_rate)), rate, unit="1", n=requests)
    quick = below(http.p95_ms, target.source("http.p95_ms"))
    measure(fields.p95_ms, known(lookup(document, fields.p95_ms)), quick, unit="ms", n=requests)
    errors = lookup(document, fields.errors)
    measure("errors recorded", len(errors) if isinstance(errors, list) else None, equals(0, source))
    if requests < http.min_requests:
        raise InconclusiveError(
            f"{target.url(http.performance_stats)} speaks of {requests} requests, {http.min_requests} are wanted "
            f"(http.min_requests), and {made} more were made; name an address that it counts as "
            f"http.performance_traffic"
        )


def ask_for_more(target: Target, before: int) -> tuple[Any, list[str], int]:
    """Make requests until enough are counted or time is up, one at least.

    Returns:
        the newest figures, errors of the wire, and how many requests were made.

    Raises:
        TargetError: one of them was not answered.
    """
    http = target.settings("http")
    traffic = http.performance_traffic or http.performance_stats
    errors: list[str] = []
    made, latest = 0, time.monotonic() + TRAFFIC_S
    while made < max(1, http.min_requests - before) and (not made or time.monotonic() < latest):
        made += 1
        errors += target.http().get(traffic, retries=http.retries).transport_errors
    ends = time.monotonic() + http.figures_s
    while True:
        answer = target.http().get(http.performance_stats, retries=http.retries)
        errors += answer.transport_errors
        document = answer.json(redacted)
        counted = whole(lookup(document, http.fields.requests))
        if counted >= max(before + 1, http.min_requests) or time.monotonic() > ends:
            return document, errors, made
        time.sleep(POLL_S)


@pytest.mark.gate("stats.websocket")
def test_websocket(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """The live channel opens, speaks at once, and its connections are counted.

    Other users come and go meanwhile. So a round counts only if the number was at rest before, and it is tried
    again until a difference is ours beyond doubt: as many more as we hold, give or take fewer than that.
    """
    socket = target.settings("websocket")
    http = target.settings("http")
    count = Count(target, http.websocket_stats, http.fields.connections)
    source = target.source("http.websocket_stats")
    measure("HTTP status", count.facts.status, equals(200, source))
    measure(http.fields.connections, count.seen, at_least(0, source))
    rounds = follow(target, count)
    judge_way(target, count.transport_errors, measure)
    last = rounds[-1]
    slowest = max(one.first_message_s for one in last.held)
    soon = at_most(socket.first_message_s, target.source("websocket.first_message_s"))
    measure("slowest first message", slowest, soon, unit="s", n=len(last.held))
    evidence.json("ws-stats.json", [one.numbers for one in rounds])
    evidence.text("first-message.json", redacted(last.held[0].first_message[:100_000]))
    if all(one.noisy for one in rounds):
        raise InconclusiveError(NOISE.format(rounds=len(rounds), drift=max(one.drift or 0 for one in rounds)))
    held = at_least(socket.connections, target.source("websocket.connections"))
    most = at_most(2 * socket.connections - 1, "other users aside, it is ours alone that come")
    measure("more counted while held", last.gained, held)
    measure("no more than ours and a few", last.gained, most)
    measure("fewer counted once closed", last.lost, held)
    measure("rounds until it followed", len(rounds), at_most(socket.rounds, target.source("websocket.rounds")))
