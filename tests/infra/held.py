"""What is found while a share of the users is held at the new release, and what is made of it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.infra import alerts
from tests.infra.alert_rules import Seen
from tests.infra.memory import Memory, megabytes
from tests.infra.shifting import of_others, of_release

from gonogo import (
    Bound,
    Measure,
    Target,
    TargetError,
    ToolError,
    at_least,
    at_most,
    below,
    empty,
    is_true,
    no_slower,
    quantile_below,
    rate_below,
    rate_not_above,
    share_near,
)
from gonogo.loadtally import THROTTLED
from gonogo.probes.http import lookup
from gonogo.probes.ramping import Offered, Slice, SocketFacts, Traffic, growth_per_min, more_seconds, sliced
from gonogo.probes.traffic import Controller, Count, Haproxy

MAX_LATE_MS = 100.0
"""Beyond this, times that are too long speak of our own machine; times that are short enough are so all the same,
as they count from the moment when a request was due."""
ENOUGH = 200
"""Requests after which that is told half way as well: who can't measure need not move anybody any longer."""
CERTAIN = 0.999
"""Confidence of a breach that is seen half way: it is looked for many times, so each look must be surer."""
NO_LOSS = "playbook: a deployment without downtime"


@dataclass(frozen=True)
class Finding:
    """One fact with its bound, not yet stated."""

    name: str
    actual: Any
    bound: Bound
    unit: str = ""
    n: int = 1

    @property
    def bad(self) -> bool:
        """Measured, and not as it must be."""
        return self.n > 0 and self.bound.judge(self.actual, self.n).ok is False

    @property
    def good(self) -> bool:
        """Measured, and as it must be."""
        return self.n > 0 and self.bound.judge(self.actual, self.n).ok is True


@dataclass
class Held:
    """Everything that was seen from the switch to the end of one step."""

    share: int
    switched: float
    """Moment of the switch, and the moments in which the window begins and ends, on the monotonic clock."""
    began: float
    ends: float
    came: tuple[int, int] = (0, 0)
    """New connections that came to the new release, of how many."""
    lasting: frozenset[int] = frozenset()
    """Numbers of the live connections that were open before the switch."""
    looks: int = 0
    pool: list[Any] = field(default_factory=list)
    counts: tuple[Count, Count] | None = None
    """Users' requests at the new and the earlier release, by the load balancer's count."""
    alerts: Seen | str | None = None
    """What Prometheus shows at the end; or why it can't be asked."""


class Watch:
    """Holds one step: looks once in a while, and stops early when it is certain that it can't hold."""

    def __init__(self, target: Target, traffic: Traffic, control: Controller, held: Held) -> None:
        self._target = target
        self._plan = target.settings("ramp")
        self._traffic = traffic
        self._control = control
        self._held = held
        self._memory = Memory(target)
        self._users = target.kind == "production" and isinstance(control, Haproxy)

    @property
    def misled(self) -> bool:
        """Whether new connections come otherwise than planned."""
        return any(finding.bad for finding in self._shares())

    def hold(self) -> None:
        """Looks until the window is over or a breach is certain.

        Raises:
            ToolError: our own machine is too busy for this traffic.
        """
        held, plan = self._held, self._plan
        held.began = time.monotonic()
        held.ends = held.began + plan.hold_of(held.share)
        before = self._counts()
        due = held.began
        while (left := held.ends - time.monotonic()) > 0:
            due += plan.look_s  # a look takes its time, too
            time.sleep(min(left, max(due - time.monotonic(), 0.0)))
            self._look()
            if before is not None:
                held.counts = _since(self._counts(), before)
            if len(window := self._window()) >= ENOUGH:
                refuse_lateness(window, plan.p95_ms)
            if any(finding.bad for finding in self._certain()):
                held.ends = time.monotonic()
                return
        self._await_answers()
        if before is not None:
            held.counts = _since(self._counts(), before)

    def findings(self) -> list[Finding]:
        """All of it, at the end.

        Raises:
            ToolError: our own program was late, so that the figures are its own.
        """
        answers, others = list(self._answers(0.95)), [*self._shares(), *self._live(), *self._resources()]
        slow = any(one.unit == "ms" and not one.good for one in answers)
        bad = any(one.bad for one in [*answers, *others] if one.unit != "ms")
        refuse_lateness(self._window(), MAX_LATE_MS if slow and not bad else self._plan.p95_ms)
        return [*answers, *others, *self._alerting()]

    def evidence(self) -> Mapping[str, Any]:
        """For a file."""
        window = self._window()
        mine, theirs = self._of(window)
        held = self._held
        return {
            "share": held.share,
            "seconds": round(held.ends - held.began, 3),
            "new": _told(mine),
            "earlier": _told(theirs),
            "new connections": held.came,
            "live connections": [vars(one) for one in self._traffic.sockets()],
            "pool": held.pool,
            "memory": self._memory.looks,
            "users": held.counts and [vars(one) for one in held.counts],
        }

    def missing_s(self) -> float | None:
        """How many more seconds the error rate would take; ``None`` if nothing came."""
        n, failures, _ = self._rate()
        limit = self._plan.proven_of(self._held.share)
        return more_seconds(limit, failures, n, self._held.ends - self._held.began)

    def _certain(self) -> Iterator[Finding]:
        yield from self._answers(CERTAIN)
        yield from self._live()
        yield from (finding for finding in self._resources() if finding.name.startswith("connections"))

    def _window(self) -> list[Offered]:
        return self._traffic.offered(self._held.began, self._held.ends)

    def _of(self, offered: list[Offered]) -> tuple[Slice, Slice]:
        version = self._target.version
        return sliced(of_release(offered, version)), sliced(of_others(offered, version))

    def _await_answers(self) -> None:
        """What was due in the window may still be out."""
        wanted = math.floor(self._plan.rps * (self._held.ends - self._held.began)) - 1
        ends = time.monotonic() + self._plan.timeout_s + 1
        while len(self._window()) < wanted and time.monotonic() < ends:
            time.sleep(0.02)

    def _look(self) -> None:
        held, target = self._held, self._target
        held.looks += 1
        self._memory.look()
        if target.has("http"):
            http = target.settings("http")
            enough, limit = math.ceil(100 / held.share) + 1, self._plan.timeout_s
            asked = target.http().sample(http.database_stats, enough, limit, self._plan.look_s, fresh=True)
            ours = [one for one in asked.answers if one.headers.get(self._plan.release_header) == target.version]
            held.pool += [lookup(one.json(), http.fields.pool_usage) for one in ours if one.status == 200]

    def _counts(self) -> tuple[Count, Count] | None:
        return self._control.counts() if self._users and isinstance(self._control, Haproxy) else None

    def _rate(self) -> tuple[int, int, str]:
        """Requests of the new release and those that failed, the users' where they can be told apart, and whose."""
        if self._held.counts is not None:
            users = self._held.counts[0]
            return users.answers, users.failures, "users' requests, as HAProxy counts"
        mine, _ = self._of(self._window())
        return mine.requests, mine.failures, f"our own requests{_kinds(mine, throttled=False)}"

    def _shares(self) -> Iterator[Finding]:
        plan, (ours, asked) = self._plan, self._held.came
        near = share_near(self._held.share / 100, plan.tolerance, f"playbook: {self._held.share} % of the traffic")
        actual = ours / asked if asked else None
        yield Finding("share of new connections that come to the new release", actual, near, "1", asked)
        switching = self._traffic.offered(self._held.switched, self._held.began)
        failed = sum(bool(one.failure) for one in switching)
        yield Finding("requests lost in the switch", failed, at_most(0, NO_LOSS), n=len(switching))

    def _answers(self, confidence: float) -> Iterator[Finding]:
        plan, source = self._plan, self._target.source
        n, failures, whose = self._rate()
        rate, proven = (failures / n if n else None), plan.proven_of(self._held.share)
        bound = rate_below(proven, source("ramp.steps" if proven != plan.max_error_rate else RATE), confidence)
        yield Finding(f"error rate of the new release ({whose})", rate, bound, "1", n)
        if proven != plan.max_error_rate:
            promise = rate_not_above(plan.max_error_rate, source(RATE), confidence)
            yield Finding("the same against what the launch promises", rate, promise, "1", n)
        mine, theirs = self._of(self._window())
        yield from self._turned_away(mine, confidence)
        times = mine.latencies_ms
        quick = quantile_below(plan.p95_ms, source("ramp.p95_ms"), samples=times, confidence=confidence)
        yield Finding("p95 of the new release, from due time", mine.p95_ms, quick, "ms", len(times))
        if self._held.share < 100 and confidence < CERTAIN:
            older = theirs.latencies_ms
            factor = 1 + plan.max_slower
            bound = no_slower(factor, plan.slack_ms, source("ramp.max_slower"), samples=times, than=older)
            name = f"the same against the earlier release's {theirs.p95_ms or math.nan:.1f} ms at the same time"
            yield Finding(name, mine.p95_ms, bound, "ms", len(times) if older else 0)

    def _turned_away(self, mine: Slice, confidence: float) -> Iterator[Finding]:
        """What the new release throttled, of our own requests: a load balancer counts it among others."""
        plan, source = self._plan, self._target.source
        rate = mine.throttled / mine.requests if mine.requests else None
        promised, proven = plan.max_throttled_rate, max(plan.max_throttled_rate, plan.proven_of(self._held.share))
        name = f"throttled (429, or 503 with Retry-After){_kinds(mine, throttled=True)}"
        if not self._users:  # with users' requests beside ours, too few of these are sent to prove anything
            bound = rate_below(proven, source("ramp.steps" if proven != promised else THROTTLED_RATE), confidence)
            yield Finding(name, rate, bound, "1", mine.requests)
        if self._users or proven != promised:
            refuted = rate_not_above(promised, source(THROTTLED_RATE), confidence)
            yield Finding(f"{name}, against what the launch promises", rate, refuted, "1", mine.requests)

    def _live(self) -> Iterator[Finding]:
        if not (self._plan.sockets and self._target.has("websocket")):
            return
        source = self._target.source("ramp.sockets")
        sockets = self._traffic.sockets()
        old = [one for one in sockets if one.number in self._held.lasting]
        new = [one for one in sockets if one.number not in self._held.lasting]
        yield Finding("live connections lost since the switch", _gone(old), empty(source), n=len(old))
        bad = _gone(new)
        yield Finding("live connections opened since then that are not well", bad, empty(source), n=len(new))

    def _resources(self) -> Iterator[Finding]:
        target, plan = self._target, self._plan
        if target.has("http"):
            http, seen = target.settings("http"), self._held.pool
            room = below(http.max_pool_percent, target.source("http.max_pool_percent"))
            odd = [one for one in seen if isinstance(one, bool) or not isinstance(one, int | float)]
            most = odd[0] if odd else max(seen, default=None)
            yield Finding("connections of the new release's pool in use", most, room, "%", len(seen))
        slow = at_most(plan.max_memory_mb_per_min, target.source("ramp.max_memory_mb_per_min"))
        for name, looks in self._memory.looks.items():
            late = megabytes(looks[len(looks) // 3 :])  # a process warms up at first
            growth = growth_per_min(late)
            n = 0 if growth is None else len(late)
            yield Finding(f"{name}: growth of its memory", growth, slow, "MB/min", n)
        if target.has("process") and not self._memory.looks:
            seen_at_all = at_least(1, target.source("process.manager"))
            yield Finding("processes whose memory was seen", 0, seen_at_all, n=self._held.looks)

    def _alerting(self) -> Iterator[Finding]:
        target = self._target
        if not target.has("monitoring"):
            return
        try:
            with alerts.clients(target) as (prometheus, _):
                seen = alerts.look(target, prometheus)
        except TargetError as error:
            yield Finding("Prometheus answers", str(error), is_true(alerts.ANSWERS))
            return
        taken: list[Finding] = []

        def take(name: str, actual: Any, bound: Bound, *, unit: str = "", n: int = 1) -> Any:
            taken.append(Finding(name, actual, bound, unit, n))

        collect: Measure = take
        alerts.measure_firing(target, collect, seen)
        yield from taken


RATE, THROTTLED_RATE = "ramp.max_error_rate", "ramp.max_throttled_rate"


def refuse_lateness(window: list[Offered], most_ms: float) -> None:
    """Refuse figures that speak of our own machine.

    Args:
        window: requests that count.
        most_ms: how late one in a hundred of them may have left.

    Raises:
        ToolError: requests left late, or not at all.
    """
    if dropped := sum(one.failure == "dropped" for one in window):
        raise ToolError(
            f"the generator was the limit: {dropped} requests could not leave, as too many were "
            "waiting; lower ramp.rps"
        )
    late = sorted(one.late_ms for one in window)
    if late and (seen_ms := late[math.ceil(0.99 * len(late)) - 1]) > most_ms:
        raise ToolError(
            f"the generator was the limit: 1 % of its requests left more than {seen_ms:.0f} ms late, over the "
            f"{most_ms:.0f} ms allowed; give it a machine with more room or lower ramp.rps"
        )


def _since(now: tuple[Count, Count] | None, before: tuple[Count, Count]) -> tuple[Count, Count] | None:
    return None if now is None else (now[0].since(before[0]), now[1].since(before[1]))


def _gone(sockets: list[SocketFacts]) -> list[str]:
    return [f"{one.number}: {one.state}, {one.why}" for one in sockets if one.state != "open"]


def _kinds(part: Slice, *, throttled: bool) -> str:
    """How often each kind of bad answer came, of those that were throttled or of the others."""
    wanted = {kind: number for kind, number in part.kinds.items() if kind.startswith(THROTTLED) == throttled}
    named = ", ".join(f"{number} x {kind.removeprefix(THROTTLED)}" for kind, number in wanted.items())
    return f": {named}" if named else ""


def _told(part: Slice) -> dict[str, Any]:
    return {
        "requests": part.requests,
        "failures": part.failures,
        "throttled": part.throttled,
        "kinds": dict(part.kinds),
        "p95_ms": part.p95_ms,
        "latencies_ms": [round(one, 3) if math.isfinite(one) else None for one in part.latencies_ms],
    }
