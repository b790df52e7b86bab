"""Traffic of our own while traffic is shifted: starts the program that makes it, and reads what came of it.

The program is ``gonogo.generating``, a process of its own, so that a busy gate can't delay what it measures.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from types import TracebackType

from gonogo.errors import ToolError
from gonogo.loadtally import THROTTLED
from gonogo.statistics import quantile, samples_needed
from gonogo.wire import Place

__all__ = [
    "Offered",
    "Place",
    "Plan",
    "Slice",
    "SocketFacts",
    "Traffic",
    "growth_per_min",
    "more_seconds",
    "sliced",
]

POLL_S = 0.02
MIN_LOOKS = 5
END_S = 5.0
"""The program may take so much longer than its slowest request to end."""


@dataclass(frozen=True)
class Plan:
    """What traffic to make."""

    place: Place
    requests: tuple[tuple[str, int], ...]
    """Paths and their weights."""
    rps: float
    release_header: str
    """Header of each answer with the release that gave it."""
    timeout_s: float = 10.0
    fresh_every: int = 10
    """Each so many-th request has a connection of its own; 0 for none."""
    socket_path: str = ""
    """Of a WebSocket; empty for none."""
    sockets: int = 0
    """How many are held from the beginning."""
    first_message_s: float = 5.0


@dataclass(frozen=True)
class Offered:
    """One request that has ended."""

    due: float
    """On the monotonic clock, as all moments here."""
    latency_ms: float
    """From the moment when it was due."""
    failure: str
    """Its kind; empty for an answer with a status of 2xx. A polite refusal is told as ``throttled``."""
    release: str
    """What the answer told; empty if it told nothing, or if there was none."""
    late_ms: float
    """How late our own program sent it."""
    path: str

    @property
    def throttled(self) -> bool:
        """Whether it was turned away politely: 429, or 503 with Retry-After."""
        return self.failure.startswith(THROTTLED)


@dataclass(frozen=True)
class Slice:
    """The requests of one release."""

    requests: int
    failures: int
    """Those that were throttled are none."""
    throttled: int
    kinds: Mapping[str, int]
    """Of both, by what was wrong."""
    latencies_ms: tuple[float, ...] = field(repr=False)
    """Without those that were throttled, which are quick and no answer; infinite for one that got none."""

    @property
    def error_rate(self) -> float | None:
        """Share that failed; ``None`` without requests."""
        return self.failures / self.requests if self.requests else None

    @property
    def p95_ms(self) -> float | None:
        """95th percentile; ``None`` without requests."""
        return quantile(self.latencies_ms, 0.95) if self.latencies_ms else None


@dataclass(frozen=True)
class SocketFacts:
    """What became of one WebSocket."""

    number: int
    """Those held from the beginning come first, from 1."""
    state: str
    """``open``, ``refused``, ``silent`` or ``lost``."""
    why: str
    at: float


class Traffic:
    """Traffic for the length of a ``with`` block; can be looked at at any time."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._lock = threading.Lock()
        self._offered: list[Offered] = []
        self._fresh: dict[int, list[Offered]] = {}
        self._series = 0
        self._sockets: dict[int, SocketFacts] = {}
        self._ended = False
        self._cpu_s = 0.0
        self._began = 0.0

    def __enter__(self) -> Traffic:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gonogo.generating"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._threads = [
            threading.Thread(target=self._read, daemon=True),
            threading.Thread(target=self._read_errors, daemon=True),
        ]
        self._words: list[str] = []
        for thread in self._threads:
            thread.start()
        self._began = time.monotonic()
        self._tell(json.dumps(asdict(self._plan)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(self._plan.timeout_s + END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for thread in self._threads:
            thread.join(END_S)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def add_socket(self) -> None:
        """Open one more WebSocket."""
        self._tell("socket")

    def ask_afresh(self, number: int, path: str, within_s: float) -> list[Offered]:
        """Ask for a path over so many new connections, and wait for the answers.

        Args:
            number: how many; fewer came if the time was too short.
            path: what to ask for.
            within_s: seconds after which the rest is given up.

        Raises:
            ToolError: the program has ended by itself.
        """
        self._series += 1
        self._tell(f"fresh {self._series} {number} {path}")
        ends = time.monotonic() + within_s
        while len(answers := self._answers(self._series)) < number and time.monotonic() < ends:
            self._check()
            time.sleep(POLL_S)
        if len(answers) < number:
            self._tell("fresh")
        return answers

    def _answers(self, series: int) -> list[Offered]:
        with self._lock:
            return list(self._fresh.get(series, ()))

    def offered(self, since: float = -math.inf, until: float = math.inf) -> list[Offered]:
        """Requests that were due in this time and have ended so far.

        Raises:
            ToolError: the program has ended by itself.
        """
        self._check()
        with self._lock:
            return [one for one in self._offered if since <= one.due < until]

    def sockets(self) -> list[SocketFacts]:
        """The newest state of each WebSocket that has said or suffered something, in the order of their opening."""
        with self._lock:
            return [self._sockets[number] for number in sorted(self._sockets)]

    @property
    def cpu_share(self) -> float | None:
        """Share of one processor that the program used; known at its end."""
        return self._cpu_s / max(time.monotonic() - self._began, 0.001) if self._ended else None

    def _check(self) -> None:
        if self._process.poll() is not None and not self._ended:
            said = self._words[-1].strip() if self._words else "it said nothing"
            raise ToolError(
                f"the program that makes the traffic ended with status {self._process.returncode}: {said}"
            )

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except OSError:
            self._check()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            kind, *rest = json.loads(line)
            with self._lock:
                if kind == "r":
                    self._offered.append(Offered(*rest))
                elif kind.startswith("v"):
                    self._fresh.setdefault(int(kind[1:]), []).append(Offered(*rest))
                elif kind == "s":
                    at, number, state, why = rest
                    self._sockets[number] = SocketFacts(number, state, why, at)
                else:
                    self._ended, self._cpu_s = True, rest[1]

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        self._words.extend(self._process.stderr)


def more_seconds(limit: float, hits: int, n: int, seconds: float) -> float | None:
    """How much longer it takes to prove a rate below a limit, at the pace so far and with no further hit.

    Args:
        limit: the rate.
        hits: in these samples.
        n: how many samples there are.
        seconds: how long they took.

    Returns:
        Seconds; ``None`` if there is no pace.
    """
    return None if n == 0 else max(samples_needed(limit, hits) - n, 0) * seconds / n


def growth_per_min(looks: Sequence[tuple[float, float]]) -> float | None:
    """How fast something grows, a minute: the median of the slopes between any two looks (Theil and Sen).

    Args:
        looks: moments in seconds, and what was seen.

    Returns:
        ``None`` with fewer than five looks: a step would pass for a slope.
    """
    if len(looks) < MIN_LOOKS:
        return None
    pairs = itertools.combinations(looks, 2)
    return 60 * median(
        (after - before) / (late - early) for (early, before), (late, after) in pairs if late > early
    )


def sliced(offered: Sequence[Offered]) -> Slice:
    """What came of these."""
    kinds = Counter(one.failure for one in offered if one.failure)
    served = [one for one in offered if not one.throttled]
    times = tuple(one.latency_ms if one.release or not one.failure else math.inf for one in served)
    failures = sum(bool(one.failure) for one in served)
    return Slice(len(offered), failures, len(offered) - len(served), dict(kinds.most_common()), times)
