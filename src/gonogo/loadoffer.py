"""One generator's share of a load: sends what is due when it is due, and keeps what came of each request, exactly.

Only the generator's process imports this: it is at home in gevent, and knows nothing of Locust.
"""

from __future__ import annotations

import gc
import math
import random
import resource
import time
from collections.abc import Callable, Mapping
from typing import Any

import gevent  # type: ignore[import-untyped]  # gevent ships no types
import gevent.pool  # type: ignore[import-untyped]

from gonogo.arrivals import Stretch, schedule, spread
from gonogo.loadalarm import Alarm
from gonogo.loadclient import Client, TooLongError
from gonogo.loadtally import Columns, failure_of

BEGINS_S = 0.3
"""From the word to start to the first request, so that every generator has it."""
REPORT_S = 0.5
"""How often a generator tells what came in."""
LAG_S = 0.1
SWEEP_S, SWEEP_MOST_S = 0.05, 0.5
"""How soon at least, and how late at most, it is looked again for requests that are out for too long."""
MOST_OUT = 4000
UNDO_S = 10.0
YOUNG = 20_000
"""Objects that are made before Python looks for circles of them."""

Told = Callable[[Mapping[str, Any], float, str], None]
"""Hears of each request as it ends: the request of the mix, its latency in milliseconds, and what was bad."""


def _open_files(wanted: int) -> int:
    """Connections that may be open at once, after asking for as many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted + 100 if hard == resource.RLIM_INFINITY else min(wanted + 100, hard)
    if most > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return max(min(wanted, max(most, soft) - 100), 10)


def _headers(job: dict[str, Any], one: dict[str, Any]) -> dict[str, str]:
    """What is sent with one kind of request; an empty header of its own takes the plan's away."""
    kind = {"Content-Type": "application/json"} if one.get("body") else {}
    given = {"Accept-Encoding": "identity", **kind, **job.get("headers", {}), **one.get("headers", {})}
    return {name: value for name, value in given.items() if value}


def _look_no_more() -> None:
    """Keeps Python from looking through all that was made so far, again and again, while requests wait."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 50, 50)


class Offering:
    """One generator's share of the schedule: every ``count``-th request, from its ``index`` on."""

    def __init__(self, job: dict[str, Any], index: int, count: int, told: Told | None = None) -> None:
        self.job, self._each = job, told
        stretches = [Stretch(**one) for one in job["stretches"]]
        peak = max(one.peak_rps for one in stretches)
        if peak > (job.get("max_rps") or math.inf):
            raise RuntimeError(
                f"the schedule reaches {peak:g} RPS, above the cap of {job['max_rps']:g}; nothing sent"
            )
        chance = random.Random(job.get("seed", 0))  # noqa: S311 - the same arrivals each time
        due = schedule(stretches, (lambda: chance.expovariate(1.0)) if job.get("poisson") else None)
        mixed = spread([int(one.get("weight", 1)) for one in job["requests"]], len(due))
        self.plan = list(enumerate(zip(due, mixed, strict=True)))[index::count]
        self.timeout_s: float = job["timeout_s"]
        # Enough connections for every request that can be waiting at once: the generator must never be the queue.
        self.most_out = _open_files(min(max(math.ceil(peak / count * self.timeout_s * 1.2), 50), MOST_OUT))
        self.most_bytes: int = job.get("max_bytes", 5_000_000)
        self.client = Client(job["base_url"], job.get("ca_pem"), job.get("hosts"))
        self.requests = [
            {"method": "GET", "body": "", **one, "sent": _headers(job, one)} for one in job["requests"]
        ]
        for one in self.requests:
            varies = "{" in one["path"] or "{" in one["body"]
            one["bytes"] = None if varies else self._bytes(one, 0)
        self.alarm = Alarm()
        self.rows, self.told = Columns(), 0
        self.lags: list[float] = []
        self.out: dict[int, tuple[float, Any]] = {}
        """Requests that are on their way, by number: when they were due, and who asks."""
        self.created: list[tuple[str, dict[str, str]]] = []
        self.sent = self.dropped = 0
        self.stopped = False
        self.started = 0.0

    def run(self, tell: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """Goes through its share once and waits for what is still out; returns how the generator fared."""
        _look_no_more()
        self.started = time.perf_counter() + BEGINS_S
        helpers = [
            gevent.spawn(one) for one in (lambda: self._tell_on(tell), self._watch_loop, self._end_late_ones)
        ]
        begun, cpu = time.perf_counter(), time.process_time()
        self._offer()
        cpu_share = (time.process_time() - cpu) / max(time.perf_counter() - begun, 0.001)
        gevent.joinall([greenlet for _, greenlet in self.out.values()], timeout=self.timeout_s + 2)
        left = self._undo()
        gevent.killall(helpers, block=True, timeout=2)
        self.alarm.close()
        self.client.close()
        self._tell(tell)
        ordered = sorted(self.lags) or [0.0]
        return {
            "rows": self.told,
            "sent": self.sent,
            "dropped": self.dropped,
            "cpu_share": cpu_share,
            "cpu_s": time.process_time() - cpu,
            "lag_p99_ms": ordered[math.ceil(0.99 * len(ordered)) - 1],
            "created": len(self.created),
            "left": left,
        }

    def _offer(self) -> None:
        """Sends each request when it is due, whatever became of those before it.

        In the warm-up a quarter more connections are opened than are in use. Every now and then a few more requests
        than usual wait at once, and those that count should not be the ones that open connections for it.
        """
        counts_from_s = self.job.get("counts_from_s", 0.0)
        for number, (due, request) in self.plan:
            self.alarm.until(self.started + due)
            if self.stopped:
                break
            if len(self.out) >= self.most_out:
                self.dropped += 1
                continue
            self.client.spare = 2 + len(self.out) // 4 if due < counts_from_s else 0
            self.sent += 1
            late = (time.perf_counter() - self.started - due) * 1000
            self.out[number] = (due, gevent.spawn(self._one, number, due, late, request))

    def _one(self, number: int, due: float, late: float, request: int) -> None:
        """One request, from its due time to its last byte, within its limit."""
        bad = "timeout"
        try:
            bad = self._ask(self.requests[request], number)
        finally:
            latency = (time.perf_counter() - self.started - due) * 1000
            del self.out[number]
            self.rows.add(due, latency, late, request, bad)
        if self._each is not None:
            self._each(self.requests[request], latency, bad)

    def _bytes(self, one: dict[str, Any], number: int) -> bytes:
        """What goes over the wire for one request; its number stands for ``{n}``."""
        path, body = (one[name].replace("{n}", str(number)) for name in ("path", "body"))
        return self.client.request(one["method"], path, one["sent"], body.encode())

    def _ask(self, one: dict[str, Any], number: int) -> str:
        """Reads one answer to its end; returns what was wrong with it, or an empty string."""
        try:
            answer = self.client.ask(one["method"], one["bytes"] or self._bytes(one, number), self.most_bytes)
        except TooLongError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - whatever a request ends in is one failed request
            return f"{type(error).__name__}: {error}"[:200]
        bad = failure_of(answer.status, answer.headers)
        if not bad and one.get("undo"):
            headers = {name: value for name, value in one["sent"].items() if name != "Content-Type"}
            self.created.append((answer.headers.get("location", ""), headers))
        return bad

    def _undo(self) -> list[str]:
        """Deletes what was made; returns what could not be."""
        left: list[str] = []

        def delete(made: tuple[str, dict[str, str]]) -> None:
            place, headers = made
            path = place if place.startswith("/") else place.removeprefix(self.job["base_url"])
            bad = "no Location"
            if path.startswith("/"):
                bad = "timeout"
                with gevent.Timeout(self.timeout_s, False):
                    one = {"method": "DELETE", "path": path, "body": "", "sent": headers, "bytes": None}
                    bad = self._ask(one, 0)
            if bad and bad != "HTTP 404":
                left.append(f"{place or 'somewhere'}: {bad}")

        pool = gevent.pool.Pool(10)
        with gevent.Timeout(UNDO_S + len(self.created) * 0.05, False):
            pool.map(delete, self.created)
            return left
        return [*left, "time was up"]

    def _watch_loop(self) -> None:
        while True:
            before = time.perf_counter()
            gevent.sleep(LAG_S)
            if before > self.started + self.job.get("counts_from_s", 0.0):  # opening connections is no steady state
                self.lags.append((time.perf_counter() - before - LAG_S) * 1000)

    def _end_late_ones(self) -> None:
        """Ends requests that are out for too long: one look at the eldest costs less than a timer for each."""
        while True:
            now = time.perf_counter() - self.started
            late, left = [], self.timeout_s
            for due, greenlet in self.out.values():  # in the order of their due times
                if (left := due + self.timeout_s - now) > 0:
                    break
                late.append(greenlet)
            gevent.killall(late, block=False)
            gevent.sleep(min(max(left, SWEEP_S), SWEEP_MOST_S))

    def _tell_on(self, tell: Callable[[dict[str, Any]], None]) -> None:
        while True:
            gevent.sleep(REPORT_S)
            self._tell(tell)

    def _tell(self, tell: Callable[[dict[str, Any]], None]) -> None:
        rows, self.rows = self.rows, Columns()
        self.told += len(rows.due)
        tell(rows.pack())
