"""What one process counts about itself, and how the counts of several add up."""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

BOUNDS_MS: tuple[float, ...] = tuple(round(0.25 * 1.15**step, 3) for step in range(80))
"""Upper bounds of the latency buckets, 0.25 ms to 15.6 s, each 15 % above the one before."""

_RECENT_ERRORS = 20


@dataclass
class Metrics:
    """Requests since the process began. Buckets, unlike percentiles, can be added across processes."""

    requests: int = 0
    errors: int = 0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_MS) + 1))
    recent_errors: deque[dict[str, str]] = field(default_factory=lambda: deque(maxlen=_RECENT_ERRORS))
    messages_sent: int = 0
    connections: int = 0

    def record(self, path: str, status: int, elapsed_ms: float) -> None:
        """Count one finished request; 500 and above is an error of ours."""
        self.requests += 1
        self.buckets[bisect_left(BOUNDS_MS, elapsed_ms)] += 1
        if status >= 500:
            self.errors += 1
            at = datetime.now(UTC).isoformat(timespec="milliseconds")
            self.recent_errors.append({"at": at, "path": path, "message": f"HTTP {status}"})


class ProcessUsage:
    """Memory and processor share of this process, from /proc."""

    def __init__(self) -> None:
        self._at = time.monotonic()
        self._cpu_s = time.process_time()
        self.cpu_percent = 0.0

    def sample_cpu(self) -> float:
        """Percent of one core since the sample before."""
        at, cpu_s = time.monotonic(), time.process_time()
        if at > self._at:
            self.cpu_percent = round(100 * (cpu_s - self._cpu_s) / (at - self._at), 1)
        self._at, self._cpu_s = at, cpu_s
        return self.cpu_percent

    @staticmethod
    def memory_percent() -> float:
        """Resident memory as percent of the machine's."""
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return round(100 * pages / os.sysconf("SC_PHYS_PAGES"), 2)


def percentile_ms(buckets: Sequence[int], share: float) -> float:
    """Latency below which ``share`` of the requests lie: the upper bound of its bucket; 0 for none."""
    total = sum(buckets)
    seen = 0
    for bound, count in zip((*BOUNDS_MS, BOUNDS_MS[-1]), buckets, strict=True):
        seen += count
        if total and seen >= share * total:
            return bound
    return 0.0


def combine(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The statistics of several processes as one answer, in the form of the performance endpoint."""
    requests = sum(row["requests"] for row in rows)
    errors = sum(row["errors"] for row in rows)
    buckets = [sum(counts) for counts in zip(*(row["latency_buckets"] for row in rows), strict=True)]
    recent = [error for row in rows for error in row["recent_errors"]]
    return {
        "metrics": {
            "requests": requests,
            "errors": errors,
            "errorRate": round(errors / requests, 6) if requests else 0.0,
            "p50Ms": percentile_ms(buckets, 0.50),
            "p95Ms": percentile_ms(buckets, 0.95),
            "memoryPercent": round(sum(row["memory_percent"] for row in rows), 2),
            "cpuPercent": round(sum(row["cpu_percent"] for row in rows), 1),
        },
        "errors": sorted(recent, key=lambda error: str(error["at"]))[-_RECENT_ERRORS:],
    }
