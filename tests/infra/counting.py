"""The count of live connections, as the target gives it, followed while ours come and go."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.infra.channel import held

from gonogo import Target
from gonogo.probes.http import HttpFacts, lookup
from gonogo.probes.leaks import redacted
from gonogo.probes.websocket import WebSocketFacts

POLL_S = 0.2
"""How often the count is asked for; the target may count at intervals of its own."""
NOISE = (
    "in {rounds} rounds the count of connections was never at rest (it moved by up to {drift} without us), so ours "
    "can't be told from the others; raise websocket.connections above that, or measure at a quieter time"
)


class Count:
    """The number of connections, as the target itself gives it."""

    def __init__(self, target: Target, path: str, field: str) -> None:
        self._target = target
        self._path = path
        self._field = field
        self.transport_errors: tuple[str, ...] = ()
        """What went wrong on the wire before one answer or another."""
        self.facts: HttpFacts = self._look()

    @property
    def seen(self) -> Any:
        """The last number that was seen; ``None`` if there was none."""
        number = lookup(self.facts.json(redacted), self._field)
        return number if isinstance(number, int) and not isinstance(number, bool) else None

    def until(self, reached: Callable[[int], bool], timeout_s: float) -> Any:
        """Asks until the number is reached or time is up; returns the last one seen."""
        ends = time.monotonic() + timeout_s
        while True:
            self.facts = self._look()
            if self.seen is None or reached(self.seen) or time.monotonic() > ends:
                return self.seen
            time.sleep(POLL_S)

    def _look(self) -> HttpFacts:
        facts = self._target.http().get(self._path, retries=self._target.settings("http").retries)
        self.transport_errors += facts.transport_errors
        return facts


@dataclass(frozen=True)
class Round:
    """One time that our connections came and went."""

    held: tuple[WebSocketFacts, ...]
    drift: int | None
    """By how much the count still moved before we came; ``None`` if there was no count."""
    before: int | None
    during: int | None
    after: int | None

    @property
    def gained(self) -> int | None:
        """How many more were counted while ours were held."""
        return None if self.before is None or self.during is None else self.during - self.before

    @property
    def lost(self) -> int | None:
        """How many fewer were counted once ours were closed."""
        return None if self.during is None or self.after is None else self.during - self.after

    @property
    def noisy(self) -> bool:
        """Whether others came or went as fast as ours."""
        return self.drift is not None and self.drift >= len(self.held)

    @property
    def clean(self) -> bool:
        """Whether the count followed ours, and nobody else's."""
        ours = range(len(self.held), 2 * len(self.held))
        return not self.noisy and self.gained in ours and (self.lost or 0) >= len(self.held)

    @property
    def numbers(self) -> dict[str, int | None]:
        """For the evidence."""
        return {"drift": self.drift, "before": self.before, "during": self.during, "after": self.after}


def follow(target: Target, count: Count) -> list[Round]:
    """Hold connections and let them go, until the count follows or the plan's rounds are used up.

    Raises:
        TargetError: a connection did not open or said nothing.
    """
    rounds: list[Round] = []
    while len(rounds) < target.settings("websocket").rounds:
        rounds.append(_round(target, count))
        if rounds[-1].clean or rounds[-1].before is None:
            break
    return rounds


def _round(target: Target, count: Count) -> Round:
    socket = target.settings("websocket")
    before, drift = _at_rest(count, socket.count_s)
    with held(target, socket.connections) as facts:
        during = count.until(lambda now: now >= (before or 0) + socket.connections, socket.count_s)
    after = during
    if before is not None and during is not None and during >= before + socket.connections:
        after = count.until(lambda now: now <= during - socket.connections, socket.count_s)
    return Round(facts, drift, before, during, after)


def _at_rest(count: Count, timeout_s: float) -> tuple[int | None, int | None]:
    """The number once two looks agree, and by how much the last two differed if they never did."""
    ends = time.monotonic() + timeout_s
    last = count.seen
    while last is not None:
        time.sleep(POLL_S)
        now = count.until(lambda _: True, timeout_s)
        if now is None:
            break
        if now == last or time.monotonic() > ends:
            return now, abs(now - last)
        last = now
    return None, None
