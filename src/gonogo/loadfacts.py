"""Facts of a finished run under load: per stretch, per request of the mix, per second; all from exact values."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gonogo.arrivals import Stretch
from gonogo.loadrules import Generator
from gonogo.loadtally import THROTTLED
from gonogo.statistics import quantile

WORST = 20
"""How many of the slowest requests are named."""
_STEP = 1.01


@dataclass(frozen=True)
class Row:
    """What came of one request."""

    due_s: float
    """When it was due, in seconds from the beginning."""
    latency_ms: float
    """From the due time to the last byte, or to the failure; infinite if neither came."""
    request: str
    bad: str = ""
    """What was wrong with the answer; empty if it was good."""

    @property
    def throttled(self) -> bool:
        """Whether it was turned away politely: 429, or 503 with Retry-After."""
        return self.bad.startswith(THROTTLED)

    @property
    def failed(self) -> bool:
        """Whether it got no good answer and was not merely throttled."""
        return bool(self.bad) and not self.throttled

    @property
    def ended_s(self) -> float:
        """When it ended, in seconds from the beginning."""
        return self.due_s + self.latency_ms / 1000


@dataclass(frozen=True)
class Summary:
    """Some requests in figures; latencies leave throttled ones out, which are quick and no answer."""

    name: str
    requests: int
    failures: int
    throttled: int
    kinds: Mapping[str, int]
    """How often each kind of bad answer was seen."""
    latencies_ms: tuple[float, ...] = field(repr=False)
    """In the order of the due times; infinite for those that never ended."""

    @classmethod
    def of(cls, name: str, rows: Iterable[Row]) -> Summary:
        """The figures of these requests."""
        taken = list(rows)
        kinds = Counter(row.bad for row in taken if row.bad)
        latencies = tuple(row.latency_ms for row in taken if not row.throttled)
        failures, throttled = sum(row.failed for row in taken), sum(row.throttled for row in taken)
        return cls(name, len(taken), failures, throttled, dict(kinds.most_common()), latencies)

    @property
    def error_rate(self) -> float:
        """Share that failed."""
        return self.failures / self.requests if self.requests else 0.0

    @property
    def throttled_rate(self) -> float:
        """Share that was throttled."""
        return self.throttled / self.requests if self.requests else 0.0

    def quantile_ms(self, q: float) -> float:
        """The smallest observed latency that at least a share ``q`` does not exceed; infinite without any."""
        return quantile(self.latencies_ms, q) if self.latencies_ms else math.inf

    @property
    def max_ms(self) -> float:
        """The longest latency; infinite without any."""
        return max(self.latencies_ms, default=math.inf)

    def figures(self) -> dict[str, Any]:
        """For JSON; what is infinite becomes ``None``."""
        named = {f"p{round(q * 100, 1):g}_ms": _finite(self.quantile_ms(q)) for q in (0.5, 0.95, 0.99, 0.999)}
        counts = {"requests": self.requests, "failures": self.failures, "throttled": self.throttled}
        return {"name": self.name, **counts, **named, "max_ms": _finite(self.max_ms), "kinds": dict(self.kinds)}


@dataclass(frozen=True)
class LoadFacts:
    """What came of one run."""

    stretches: tuple[Stretch, ...]
    planned: Mapping[str, int]
    """Requests that were due, by stretch."""
    rows: tuple[Row, ...] = field(repr=False)
    """All requests that were sent, in the order of their due times."""
    generator: Generator
    generators: int
    """How many processes asked."""
    requests_per_cpu_s: float
    """Requests per second of processor time of the generators."""
    stopped: str = ""
    """Why it ended early; empty if it did not."""
    created: int = 0
    """Things that writes made."""
    left: tuple[str, ...] = ()
    """Those of them that could not be taken away."""
    log: str = field(default="", repr=False)
    """What Locust wrote."""

    def begins_s(self, name: str) -> float:
        """When a stretch begins, in seconds from the beginning."""
        passed = 0.0
        for stretch in self.stretches:
            if stretch.name == name:
                return passed
            passed += stretch.duration_s
        raise KeyError(name)

    def window(self, name: str) -> tuple[float, float]:
        """When a stretch begins and ends, in seconds from the beginning."""
        begins = self.begins_s(name)
        return begins, begins + next(s.duration_s for s in self.stretches if s.name == name)

    def within(self, begins_s: float, ends_s: float) -> list[Row]:
        """Requests that were due from one time until before the other."""
        return [row for row in self.rows if begins_s - 1e-9 <= row.due_s < ends_s - 1e-9]

    def of(self, name: str) -> Summary:
        """One stretch in figures."""
        return Summary.of(name, self.within(*self.window(name)))

    def served_rps(self, name: str) -> float:
        """Good answers to the requests of a stretch that were complete before it ended, per second.

        If the run ended early, its last request ends the stretch.
        """
        begins, ends = self.window(name)
        if self.stopped:
            ends = min(ends, self.rows[-1].due_s)
        good = sum(not row.bad and row.ended_s <= ends for row in self.within(begins, ends))
        return good / (ends - begins) if ends > begins else 0.0

    def by_request(self, begins_s: float = 0.0) -> list[Summary]:
        """Each request of the mix in figures, in the order of its first appearance."""
        counted = self.within(begins_s, math.inf)
        names = dict.fromkeys(row.request for row in counted)
        return [Summary.of(name, (row for row in counted if row.request == name)) for name in names]

    def worst(self) -> list[Row]:
        """The slowest requests, slowest first."""
        return sorted(self.rows, key=lambda row: -row.latency_ms)[:WORST]

    def seconds(self) -> list[tuple[float, Summary, int]]:
        """Each second with the requests that were due in it, and how many good answers came in it."""
        last = int(self.rows[-1].due_s) + 1 if self.rows else 0
        parts: list[list[Row]] = [[] for _ in range(last)]
        came = [0] * last
        for row in self.rows:
            parts[int(row.due_s)].append(row)
            if not row.bad and row.ended_s < last:
                came[int(row.ended_s)] += 1
        return [(float(i), Summary.of("", part), came[i]) for i, part in enumerate(parts)]

    def document(self) -> dict[str, Any]:
        """Everything but the single requests, for a JSON file; what is infinite becomes ``None``."""
        counted = [stretch.name for stretch in self.stretches]
        return {
            "stretches": [
                {**vars(s), "planned": self.planned[s.name], "served_rps": self.served_rps(s.name)}
                | self.of(s.name).figures()
                | {"histogram": histogram(self.of(s.name).latencies_ms)}
                for s in self.stretches
            ],
            "requests": [one.figures() for one in self.by_request()],
            "worst": [vars(row) | {"latency_ms": _finite(row.latency_ms)} for row in self.worst()],
            "generator": {**vars(self.generator), "lost": list(self.generator.lost), "processes": self.generators},
            "requests_per_cpu_s": self.requests_per_cpu_s,
            "stopped": self.stopped,
            "created": self.created,
            "left": list(self.left),
            "order": counted,
        }


def histogram(latencies_ms: Sequence[float]) -> list[list[float | None]]:
    """Upper edges in milliseconds, 1 % apart, and how many latencies lie below each and not below the one before.

    The last edge is ``None`` for those that never ended. Two of them are merged by adding what has the same edge.
    """
    counts = Counter(
        math.inf if not math.isfinite(x) else math.floor(math.log(max(x, 0.01)) / math.log(_STEP))
        for x in latencies_ms
    )
    return [[None if step == math.inf else round(_STEP ** (step + 1), 4), counts[step]] for step in sorted(counts)]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
