"""Watches one yes-or-no question while something else happens: for how long was the answer no?"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType

from gonogo.errors import TargetError


@dataclass(frozen=True)
class Outage:
    """One stretch of failed checks; times are seconds since the watch began."""

    began_s: float
    """When the first check that failed was due."""
    ended_s: float
    """When the next good one was complete; the end of the watch if there was none."""
    checks: int
    """How many failed in a row."""
    reason: str
    """What the first of them said, if it said anything."""

    @property
    def duration_s(self) -> float:
        """Length in seconds, as long as a user may have noticed it."""
        return self.ended_s - self.began_s


@dataclass(frozen=True)
class WatchFacts:
    """What a watch saw, all times in seconds."""

    duration_s: float
    samples: int
    """Checks that were completed; 0 proves nothing."""
    failures: int
    slowest_s: float
    """The longest time from a check's due time to its end."""
    late_s: float
    """The longest that a check began after it was due: this machine's slowness, not the target's."""
    outages: tuple[Outage, ...]

    @property
    def longest_outage_s(self) -> float:
        """Length of the longest outage in seconds; 0 if there was none."""
        return max((outage.duration_s for outage in self.outages), default=0.0)


class HealthWatch:
    """Checks at an interval while a ``with`` block runs; afterwards ``facts`` tells what was seen.

    A check is due an interval after the one before it was due. One that takes longer than that delays
    the next, which is then due at once: so at any time either a check is under way or the last one
    is less than an interval ago.
    """

    def __init__(self, check: Callable[[], bool], interval_s: float) -> None:
        """Prepares the watch; nothing is checked yet.

        Args:
            check: True if all is well; ``False`` and TargetError count as failed. It runs in a thread of
                its own and must end in a time of its own, as leaving the block waits for it.
            interval_s: seconds from one check to the next.

        Raises:
            ValueError: the interval is not above zero.
        """
        if not interval_s > 0:
            raise ValueError(f"the interval is {interval_s!r} s; it must be above zero")
        self._check = check
        self._interval_s = interval_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gonogo-watch", daemon=True)
        self._broken: BaseException | None = None
        self._open: Outage | None = None
        self._facts = WatchFacts(0.0, 0, 0, 0.0, 0.0, ())

    def __enter__(self) -> HealthWatch:
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the watch; an error of the check itself is raised here, unless the block has one of its own."""
        self._stop.set()
        self._thread.join()
        if self._broken is not None and error is None:
            raise self._broken

    @property
    def facts(self) -> WatchFacts:
        """What was seen.

        Raises:
            RuntimeError: the watch is not over yet.
        """
        if not self._stop.is_set() or self._thread.is_alive():
            raise RuntimeError("the watch is not over; read its facts after the with block")
        return self._facts

    def _run(self) -> None:
        due_s = 0.0
        try:
            while not self._stop.wait(max(due_s - self._now(), 0.0)):
                self._look(due_s)
                due_s = max(due_s + self._interval_s, self._now())
        except BaseException as error:  # noqa: BLE001 - handed over to the thread that leaves the block
            self._broken = error
        now_s = self._now()
        if self._open is not None:
            self._close(now_s)
        self._facts = replace(self._facts, duration_s=now_s)

    def _look(self, due_s: float) -> None:
        late_s = self._now() - due_s
        reason = ""
        try:
            good = self._check() is True
        except TargetError as error:
            good, reason = False, str(error)
        now_s, so_far = self._now(), self._facts
        self._facts = replace(
            so_far,
            samples=so_far.samples + 1,
            failures=so_far.failures + (not good),
            slowest_s=max(so_far.slowest_s, now_s - due_s),
            late_s=max(so_far.late_s, late_s),
        )
        if not good:
            known = self._open or Outage(due_s, due_s, 0, reason)
            self._open = replace(known, checks=known.checks + 1)
        elif self._open is not None:
            self._close(now_s)

    def _close(self, now_s: float) -> None:
        assert self._open is not None
        self._facts = replace(self._facts, outages=(*self._facts.outages, replace(self._open, ended_s=now_s)))
        self._open = None

    def _now(self) -> float:
        return time.monotonic() - self._began
