"""When a run under load may end, whose fault it is, and what it can prove at all.

A run ends early only when its answer can't change any more: when so much has gone wrong that the planned number of
requests will refute the bound even if all that are still to come are good. That says nothing that the planned end
would not say, so no bound loses its confidence; nothing is ever proven early. The other reason to end is a safety
bound: most of what was answered lately failed.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gonogo import statistics

SAFETY_S = 5.0
"""Time over which the safety bound looks."""
SAFETY_LEAST = 20
"""Requests within that time below which it says nothing."""


@dataclass(frozen=True)
class Limits:
    """What a run is held against."""

    planned: int
    """Requests that count."""
    max_error_rate: float
    max_throttled_rate: float
    p95_ms: float
    p99_ms: float = math.inf
    confidence: float = 0.95
    stop_error_rate: float = 0.5
    """Share of failures within 5 s at which the target is left in peace."""


@dataclass
class Watch:
    """Sees each request that counts as it ends, and says when nothing more needs to be asked."""

    limits: Limits
    failed: int = 0
    throttled: int = 0
    slow: int = 0
    very_slow: int = 0
    seen: int = 0
    _lately: deque[tuple[float, bool]] = field(default_factory=deque)
    _lately_failed: int = 0
    _enough: Mapping[str, int | None] = field(init=False)

    def __post_init__(self) -> None:
        limits = self.limits

        def refuting(rate: float) -> int | None:
            return statistics.hits_that_refute(rate, limits.planned, limits.confidence)

        self._enough = {
            "failed": refuting(limits.max_error_rate),
            "throttled": refuting(limits.max_throttled_rate),
            "slow": refuting(0.05),
            "very slow": refuting(0.01),
        }

    def add(self, ended_s: float, latency_ms: float, *, failed: bool, throttled: bool) -> None:
        """Take one finished request; ``ended_s`` is in seconds from the beginning."""
        self.seen += 1
        self.failed += failed
        self.throttled += throttled
        self.slow += latency_ms >= self.limits.p95_ms
        self.very_slow += latency_ms >= self.limits.p99_ms
        self._lately.append((ended_s, failed))
        self._lately_failed += failed
        while self._lately[0][0] < ended_s - SAFETY_S:
            self._lately_failed -= self._lately.popleft()[1]

    @property
    def decided(self) -> str:
        """Why the answer is certain: that of the planned end, whatever comes; empty as long as it is not."""
        for name, count, what in (
            ("failed", self.failed, "failures"),
            ("slow", self.slow, f"requests of {self.limits.p95_ms:g} ms or more"),
            ("very slow", self.very_slow, f"requests of {self.limits.p99_ms:g} ms or more"),
            ("throttled", self.throttled, "throttled requests"),
        ):
            enough = self._enough[name]
            if enough is not None and count >= enough:
                return (
                    f"{count} {what} among {self.seen:,} requests are too many for all {self.limits.planned:,}, "
                    "however good the others"
                )
        return ""

    @property
    def unsafe(self) -> str:
        """Why the target should be left in peace; empty as long as it need not be."""
        n, limit = len(self._lately), self.limits.stop_error_rate
        if n < SAFETY_LEAST or self._lately_failed / n < limit:
            return ""
        return f"safety bound: {self._lately_failed} of {n} requests failed within {SAFETY_S:g} s"


@dataclass(frozen=True)
class Generator:
    """How the side that asks fared."""

    lateness_p99_ms: float
    """How late requests left, measured from their due time."""
    lag_p99_ms: float
    """How late its event loop woke, asked ten times a second."""
    cpu_share: float
    """Part of one processor that its busiest process used."""
    dropped: int
    """Arrivals that were not sent, because too many others were out."""
    lost: Sequence[str] = ()
    """Sentences about workers that ended or fell silent."""


def limited_by(found: Generator, max_late_ms: float, max_cpu_share: float) -> list[str]:
    """Why a run speaks of the generator and not of the target; empty if it does not."""
    reasons = list(found.lost)
    if found.dropped:
        reasons.append(f"{found.dropped} arrivals found no free connection and were dropped")
    if found.lateness_p99_ms > max_late_ms:
        reasons.append(
            f"1 % of its requests left more than {found.lateness_p99_ms:.0f} ms late, "
            f"over the {max_late_ms:g} ms allowed"
        )
    if found.lag_p99_ms > max_late_ms:
        reasons.append(
            f"its event loop lagged by {found.lag_p99_ms:.0f} ms (p99), over the {max_late_ms:g} ms allowed"
        )
    if found.cpu_share > max_cpu_share:
        reasons.append(
            f"it used {found.cpu_share:.0%} of a processor; beyond {max_cpu_share:.0%} it gets in its own way"
        )
    return reasons


def certainty(rate: float, limit: float, rps: float, confidence: float = 0.95) -> tuple[bool, str]:
    """What ``rps`` for ``rate`` requests can prove of an error rate below ``limit``, and the sentence that says so.

    Args:
        rate: requests planned.
        limit: the bound.
        rps: requests per second.
        confidence: of the exact bound.
    """
    n = int(rate)
    borne = statistics.hits_borne(limit, n, confidence)
    if borne is not None:
        errors = {0: "without an error", 1: "with at most 1 error"}.get(borne, f"with at most {borne:,} errors")
        return True, f"{n:,} requests prove < {limit:.3g} {errors}"
    more = statistics.samples_needed(limit, 0, confidence) - n
    return False, f"{n:,} requests can't prove < {limit:.3g}: needs {math.ceil(more / rps)} s more at this rate"
