"""Wakes one greenlet at a moment, exactly: the event loop's own timers wait for whole milliseconds, rounded up.

Half a millisecond of lateness on average would be in every latency, as that counts from the due time. Linux has
timers that are files (timerfd_create(2)), for which the loop can wait as for a connection; others must do without.
"""

from __future__ import annotations

import ctypes
import os
import time

import gevent  # type: ignore[import-untyped]  # gevent ships no types

_READ = 1
_LONG = ctypes.sizeof(ctypes.c_long)


class Alarm:
    """For one greenlet at a time."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None)
        self._file = -1
        if hasattr(self._libc, "timerfd_create") and _LONG == 8:
            self._file = self._libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._file >= 0:
            self._hub = gevent.get_hub()
            self._rings = self._hub.loop.io(self._file, _READ)

    def until(self, moment: float) -> None:
        """Let others run until then; at least once, also if it is over.

        Args:
            moment: as ``time.perf_counter`` counts, in seconds.
        """
        left = moment - time.perf_counter()
        if left <= 0 or self._file < 0:
            gevent.sleep(max(left, 0))
            return
        seconds, nano = divmod(int(left * 1e9) + 1, 10**9)
        # Once, and not again at an interval; setting it anew also takes back that it rang.
        self._libc.timerfd_settime(self._file, 0, (ctypes.c_long * 4)(0, 0, seconds, nano), None)
        self._hub.wait(self._rings)

    def close(self) -> None:
        """Give the file back."""
        if self._file >= 0:
            self._rings.close()
            os.close(self._file)
            self._file = -1
