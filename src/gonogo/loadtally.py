"""What came of every request of a run under load, put together from any number of generators without loss.

Each generator sends columns of exact values; putting them together is appending them, so a run of several processes
has the very figures that one process would have had. Nothing here knows how the values travel.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gonogo.arrivals import Stretch
from gonogo.loadrules import Limits, Watch

THROTTLED = "throttled: "
"""What the kind of a request begins with that was turned away politely."""
LATELY_S = 5.0
"""Time that the progress line speaks of, in seconds."""
MOST_LATELY = 20_000
"""Rows that it speaks of at most."""


def failure_of(status: int, headers: Mapping[str, str]) -> str:
    """The kind of failure that an answer is: empty for 2xx; 429, and 503 with Retry-After, are throttling.

    Args:
        status: HTTP status code.
        headers: by their names in lower case.
    """
    if 200 <= status < 300:
        return ""
    polite = status == 429 or (status == 503 and "retry-after" in headers)
    return f"{THROTTLED if polite else ''}HTTP {status}"


@dataclass
class Columns:
    """Finished requests, a row each."""

    due: array[float] = field(default_factory=lambda: array("d"))
    """Seconds from the beginning of the schedule."""
    latency: array[float] = field(default_factory=lambda: array("d"))
    """Milliseconds from the due time to the last byte or to the failure; infinite if neither came."""
    late: array[float] = field(default_factory=lambda: array("d"))
    """Milliseconds by which the generator itself was late."""
    request: array[int] = field(default_factory=lambda: array("H"))
    """Which request of the mix."""
    bad: dict[int, str] = field(default_factory=dict)
    """Rows that were no good answer, and the kind of each."""

    def add(self, due: float, latency: float, late: float, request: int, bad: str) -> None:
        """Append one row."""
        if bad:
            self.bad[len(self.due)] = bad
        self.due.append(due)
        self.latency.append(latency)
        self.late.append(late)
        self.request.append(request)

    def pack(self) -> dict[str, Any]:
        """As bytes and plain values, which every transport takes."""
        plain = {name: getattr(self, name).tobytes() for name in ("due", "latency", "late", "request")}
        return {**plain, "bad": [[row, kind] for row, kind in self.bad.items()]}

    def append(self, packed: Mapping[str, Any]) -> int:
        """Append what another one packed; returns how many rows that were."""
        before = len(self.due)
        for name in ("due", "latency", "late", "request"):
            getattr(self, name).frombytes(packed[name])
        self.bad.update({before + row: kind for row, kind in packed["bad"]})
        return len(self.due) - before


@dataclass
class Share:
    """What is known of one generator."""

    name: str
    heard_s: float
    """When it last said something."""
    rows: int = 0
    summary: Mapping[str, Any] | None = None
    """What it said at its end."""


class Tally:
    """Everything that generators told of one run."""

    def __init__(self, stretches: Sequence[Stretch], limits: Mapping[str, Limits], names: Sequence[str]) -> None:
        """Begin with nothing.

        Args:
            stretches: of the schedule, in order.
            limits: what stretches are held against, by name; a run ends early for these only.
            names: of the generators that take part.
        """
        self.stretches = tuple(stretches)
        self.rows = Columns()
        self.shares = {name: Share(name, 0.0) for name in names}
        self._begins = [math.fsum(s.duration_s for s in stretches[:i]) for i in range(len(stretches))]
        self._watches = {name: Watch(limit) for name, limit in limits.items()}
        self._old = self._throttled = 0
        self._stopped = ""

    @property
    def duration_s(self) -> float:
        """Length of the schedule in seconds."""
        return math.fsum(s.duration_s for s in self.stretches)

    def stretch_of(self, due_s: float) -> str:
        """Name of the stretch in which a request is due."""
        return self.stretches[max(bisect_right(self._begins, due_s + 1e-9) - 1, 0)].name

    def take(self, name: str, now_s: float, packed: Mapping[str, Any]) -> None:
        """Append what a generator sent; ``now_s`` is the time since the beginning."""
        first = len(self.rows.due)
        share = self.shares[name]
        share.heard_s = now_s
        share.rows += self.rows.append(packed)
        self._throttled += sum(kind.startswith(THROTTLED) for _, kind in packed["bad"])
        for row in range(first, len(self.rows.due)):
            watch = self._watches.get(self.stretch_of(self.rows.due[row]))
            if watch is not None:
                bad = self.rows.bad.get(row, "")
                throttled = bad.startswith(THROTTLED)
                ended = self.rows.due[row] + min(self.rows.latency[row], 1e9) / 1000
                failed = bool(bad) and not throttled
                watch.add(ended, self.rows.latency[row], failed=failed, throttled=throttled)

    def end(self, name: str, now_s: float, summary: Mapping[str, Any]) -> None:
        """Note that a generator has ended, and with what."""
        self.shares[name].heard_s = now_s
        self.shares[name].summary = summary

    @property
    def complete(self) -> bool:
        """Whether every generator has ended."""
        return all(share.summary is not None for share in self.shares.values())

    def silent(self, now_s: float, limit_s: float) -> list[str]:
        """Names of those that have said nothing for longer than that, and have not ended."""
        waiting = [share for share in self.shares.values() if share.summary is None]
        return [share.name for share in waiting if now_s - share.heard_s > limit_s]

    @property
    def decided(self) -> str:
        """Why nothing more needs to be asked; empty as long as it does."""
        for name, watch in self._watches.items():
            if why := watch.decided or watch.unsafe:
                return f"{name}: {why}"
        return ""

    def _ended_s(self, row: int) -> float:
        return self.rows.due[row] + self.rows.latency[row] / 1000

    def progress(self, now_s: float) -> dict[str, float]:
        """How it goes: figures of the last seconds, counts of all."""
        since_s, count = now_s - LATELY_S, len(self.rows.due)
        # Rows come about in the order of their ends, so what is old is passed once and not looked at again.
        while self._old < count and self._ended_s(self._old) <= since_s:
            self._old += 1
        lately = [row for row in range(max(self._old, count - MOST_LATELY), count) if self._ended_s(row) > since_s]
        latencies = sorted(self.rows.latency[row] for row in lately)
        return {
            "rps": len(lately) / min(max(now_s, 0.5), LATELY_S),
            "p95_ms": latencies[math.ceil(0.95 * len(latencies)) - 1] if latencies else 0.0,
            "answered": count,
            "failed": len(self.rows.bad) - self._throttled,
            "throttled": self._throttled,
            "left_s": max(self.duration_s - now_s, 0.0),
        }

    def document(self, stopped: str, lost: Sequence[str]) -> dict[str, Any]:
        """All of it as plain data for JSON; rows in the order of their due times."""
        order = sorted(range(len(self.rows.due)), key=self.rows.due.__getitem__)
        kinds = sorted(set(self.rows.bad.values()))
        index = {kind: number for number, kind in enumerate(kinds, 1)}
        ended = [share.summary for share in self.shares.values() if share.summary is not None]
        missing = [
            f"{share.name} told of {share.summary['rows']} requests, {share.rows} arrived"
            for share in self.shares.values()
            if share.summary is not None and share.summary["rows"] != share.rows
        ]
        return {
            "stopped": stopped,
            "due": [self.rows.due[row] for row in order],
            "latency": [self.rows.latency[row] for row in order],
            "late": [self.rows.late[row] for row in order],
            "request": [self.rows.request[row] for row in order],
            "kind": [index.get(self.rows.bad.get(row, ""), 0) for row in order],
            "kinds": ["", *kinds],
            "generators": ended,
            "lost": [*lost, *missing],
        }
