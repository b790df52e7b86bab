"""Statistics: what the target says of its database, its live channel and its own speed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.infra.answers import fetch

from gonogo import EvidenceKeeper, Measure, Target, at_least, at_most, below, equals
from gonogo.probes.http import HttpFacts, lookup
from gonogo.probes.websocket import hold

POLL_S = 0.2
"""How often the count of connections is asked for; the target may count at intervals of its own."""


def whole(value: Any) -> int:
    """The value as a count of samples: 0 unless it is a positive whole number."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def known(value: Any) -> Any:
    """The value as it is; a negative number, which often stands for "unknown", as the words that say so."""
    negative = isinstance(value, int | float) and value < 0
    return f"{value}, which can't be" if negative else value


@pytest.mark.gate("stats.database")
def test_database(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """The database is reached through a pool, and the pool has room."""
    http = target.settings("http")
    document = fetch(target, "database_stats", "db-stats.json", measure, evidence).json()
    for path, value in http.database_expect.items():
        measure(path, lookup(document, path), equals(value, target.source("http.database_expect")))
    room = below(http.max_pool_percent, target.source("http.max_pool_percent"))
    measure("pool.usagePercent", known(lookup(document, "pool.usagePercent")), room, unit="%")


@pytest.mark.gate("stats.performance")
def test_performance(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """The target's own figures show no errors and short times."""
    http = target.settings("http")
    source = target.source("http.performance_stats")
    document = fetch(target, "performance_stats", "performance-stats.json", measure, evidence).json()
    requests = whole(lookup(document, "metrics.requests"))
    rate = below(http.max_error_rate, target.source("http.max_error_rate"))
    measure("metrics.errorRate", known(lookup(document, "metrics.errorRate")), rate, unit="1", n=requests)
    quick = below(http.p95_ms, target.source("http.p95_ms"))
    measure("metrics.p95Ms", known(lookup(document, "metrics.p95Ms")), quick, unit="ms", n=requests)
    errors = lookup(document, "errors")
    measure("errors recorded", len(errors) if isinstance(errors, list) else None, equals(0, source))


@pytest.mark.gate("stats.websocket")
def test_websocket(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """The live channel opens, speaks at once, and its connections are counted."""
    socket = target.settings("websocket")
    http = target.settings("http")
    address = target.connect_to(target.host, target.port)
    count = Count(target, http.websocket_stats, socket.timeout_s)
    measure("HTTP status", count.facts.status, equals(200, target.source("http.websocket_stats")))
    before = count.seen
    measure("totalConnections", before, at_least(0, target.source("http.websocket_stats")))
    with hold(
        target.url(socket.path),
        address,
        target.http().context,
        socket.connections,
        first_message_s=socket.first_message_s,
        timeout_s=socket.timeout_s,
    ) as held:
        during = count.until(lambda now: now >= (before or 0) + socket.connections)
    after = count.until(lambda now: now <= (during or 0) - socket.connections)

    slowest = max(one.first_message_s for one in held)
    soon = at_most(socket.first_message_s, target.source("websocket.first_message_s"))
    measure("slowest first message", slowest, soon, unit="s", n=len(held))
    source = target.source("websocket.connections")
    gained = None if None in (before, during) else during - before
    measure("more counted while held", gained, at_least(socket.connections, source))
    lost = None if None in (during, after) else during - after
    measure("fewer counted once closed", lost, at_least(socket.connections, source))
    evidence.json("ws-stats.json", {"before": before, "during": during, "after": after})
    evidence.text("first-message.json", held[0].first_message[:100_000])


class Count:
    """The number of connections, as the target itself gives it."""

    def __init__(self, target: Target, path: str, timeout_s: float) -> None:
        self._target = target
        self._path = path
        self._timeout_s = timeout_s
        self.facts: HttpFacts = self._look()

    @property
    def seen(self) -> Any:
        """The last number that was seen; ``None`` if there was none."""
        number = lookup(self.facts.json(), "totalConnections")
        return number if isinstance(number, int) and not isinstance(number, bool) else None

    def until(self, reached: Callable[[int], bool]) -> Any:
        """Asks until the number is reached or time is up; returns the last one seen."""
        ends = time.monotonic() + self._timeout_s
        while True:
            self.facts = self._look()
            if self.seen is None or reached(self.seen) or time.monotonic() > ends:
                return self.seen
            time.sleep(POLL_S)

    def _look(self) -> HttpFacts:
        return self._target.http().get(self._path)
