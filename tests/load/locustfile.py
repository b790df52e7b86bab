"""Offers requests on a fixed schedule (open model) and keeps what came of each, exactly.

A slow answer must not slow the questions: each request has its due time, is sent then whether
or not earlier ones have been answered, and its latency counts from that due time. So a target
that stalls for two seconds shows the stall in every request that it kept waiting.

By hand, against any host, also without ``--headless`` for Locust's web page::

    GONOGO_LOAD_RPS=20 GONOGO_LOAD_DURATION_S=10 locust -f tests/load/locustfile.py \
        --headless -u 1 --host https://app.example.org

One user a process is enough, however high the rate; others of the same process do nothing.
On further machines: ``locust -f tests/load/locustfile.py --worker --master-host ...``; they get
everything else from the master, and need no settings of their own. Environment:

    GONOGO_LOAD_JOB         file with the whole job as JSON, as gonogo.probes.load writes it; or
    GONOGO_LOAD_RPS         requests offered per second (20)
    GONOGO_LOAD_DURATION_S  seconds that count (30)
    GONOGO_LOAD_WARMUP_S    seconds before that, at the same rate, not counted (3)
    GONOGO_LOAD_TIMEOUT_S   limit in seconds for one request (10)
    GONOGO_LOAD_REQUESTS    JSON list of {"path": ..., "weight": ...} ([{"path": "/", "weight": 1}])
    GONOGO_LOAD_HEADERS     JSON map of headers to send, such as Authorization; never printed (none)
    GONOGO_LOAD_CA_FILE     PEM file of the authorities to trust (the system's)
    GONOGO_LOAD_PARENT      process id whose end also ends this run (none)
"""

from __future__ import annotations

import json
import math
import os
import random
import resource
import socket
import ssl
import time
import traceback
from pathlib import Path
from typing import Any

import gevent  # type: ignore[import-untyped]  # gevent ships no types
import gevent.event  # type: ignore[import-untyped]
import gevent.pool  # type: ignore[import-untyped]
import gevent.socket  # type: ignore[import-untyped]
from geventhttpclient import HTTPClient
from locust import User, events, task
from locust.runners import WorkerRunner

from gonogo.arrivals import Stretch, schedule, spread
from gonogo.loadrules import Limits
from gonogo.loadtally import THROTTLED, Columns, Tally

REPORT_S = 0.5
"""How often a generator tells what came in."""
SILENT_S = 5.0
"""A generator that tells nothing for so long is lost."""
LAG_S = 0.1
SWEEP_S = 0.05
BEGINS_S = 0.3
"""From the word to start to the first request, so that every generator has it."""
MOST_OUT = 4000
UNDO_S = 10.0
PARENT = int(os.environ.get("GONOGO_LOAD_PARENT") or 0)


def _setting(name: str, default: float) -> float:
    return float(os.environ.get(f"GONOGO_LOAD_{name}") or default)


def _job(host: str | None) -> dict[str, Any]:
    """The whole job: what the probe wrote, or what single variables say."""
    if file := os.environ.get("GONOGO_LOAD_JOB"):
        job: dict[str, Any] = json.loads(Path(file).read_text(encoding="utf-8"))
        return job
    rps = _setting("RPS", 20.0)
    ca_file = os.environ.get("GONOGO_LOAD_CA_FILE")
    warmup = Stretch("warm-up", rps, _setting("WARMUP_S", 3.0))
    stretches = [vars(warmup), vars(Stretch("steady", rps, _setting("DURATION_S", 30.0)))]
    return {
        "base_url": host or "",
        "stretches": [one for one in stretches if one["duration_s"]],
        "requests": json.loads(os.environ.get("GONOGO_LOAD_REQUESTS") or '[{"path": "/", "weight": 1}]'),
        "headers": json.loads(os.environ.get("GONOGO_LOAD_HEADERS") or "{}"),
        "timeout_s": _setting("TIMEOUT_S", 10.0),
        "ca_pem": Path(ca_file).read_text(encoding="ascii") if ca_file else None,
        "stats": True,
    }


def _map_names(hosts: dict[str, list[Any]]) -> None:
    """Sends mapped names to their addresses; URL, SNI and verification keep the name."""
    original = gevent.socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        address = hosts.get(f"{host}:{port}")
        return original(*(address or (host, port)), *args, **options)

    gevent.socket.getaddrinfo = getaddrinfo
    socket.getaddrinfo = getaddrinfo


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


class Offering:
    """One generator's share of the schedule: every ``count``-th request, from its ``index`` on."""

    def __init__(self, job: dict[str, Any], index: int, count: int) -> None:
        self.job = job
        self.requests = [{**one, "sent": _headers(job, one)} for one in job["requests"]]
        self.most_bytes: int = job.get("max_bytes", 5_000_000)
        stretches = [Stretch(**one) for one in job["stretches"]]
        peak = max(one.peak_rps for one in stretches)
        if peak > (job.get("max_rps") or math.inf):
            raise RuntimeError(
                f"the schedule reaches {peak:g} RPS, above the cap of {job['max_rps']:g}; nothing sent"
            )
        chance = random.Random(job.get("seed", 0))  # the same arrivals each time
        due = schedule(stretches, (lambda: chance.expovariate(1.0)) if job.get("poisson") else None)
        mixed = spread([int(one.get("weight", 1)) for one in self.requests], len(due))
        self.plan = list(enumerate(zip(due, mixed, strict=True)))[index::count]
        self.timeout_s: float = job["timeout_s"]
        # Enough connections for every request that can be waiting at once: the generator must never be the queue.
        self.most_out = _open_files(min(max(math.ceil(peak / count * self.timeout_s * 1.2), 50), MOST_OUT))
        self.client = self._client()
        self.rows, self.told = Columns(), 0
        self.lags: list[float] = []
        self.out: dict[int, tuple[float, Any]] = {}
        """Requests that are on their way, by number: when they were due, and who asks."""
        self.created: list[tuple[str, dict[str, str]]] = []
        self.sent = self.dropped = 0
        self.stopped = False
        self.started = 0.0

    def _client(self) -> Any:
        """No redirects, no cookies, and no tries of its own.

        It would repeat a GET whose connection broke as often as its pool is large, and report only
        the last try. One repeat is right (a kept connection may just have been closed); more would
        turn a target that drops connections into one that is merely slow.
        """
        # Made once: a context for each connection would read the list of authorities every time.
        context = ssl.create_default_context(cadata=self.job.get("ca_pem"))
        client = HTTPClient.from_url(
            self.job["base_url"],
            concurrency=self.most_out,
            connection_timeout=self.timeout_s,
            network_timeout=self.timeout_s,
            ssl_context_factory=lambda *_, **__: context,
        )
        client._connection_pool.size = 0
        return client

    def run(self, tell: Any) -> dict[str, Any]:
        """Goes through its share once and waits for what is still out; returns how the generator fared."""
        self.started = time.perf_counter() + BEGINS_S
        helpers = [
            gevent.spawn(one) for one in (lambda: self._tell_on(tell), self._watch_loop, self._end_late_ones)
        ]
        begun, cpu = time.perf_counter(), time.process_time()
        for number, (due, request) in self.plan:
            gevent.sleep(max(self.started + due - time.perf_counter(), 0))
            if self.stopped:
                break
            if len(self.out) >= self.most_out:
                self.dropped += 1
                continue
            self.sent += 1
            late = (time.perf_counter() - self.started - due) * 1000
            self.out[number] = (due, gevent.spawn(self._one, number, due, late, request))
        cpu_share = (time.process_time() - cpu) / max(time.perf_counter() - begun, 0.001)
        gevent.joinall([greenlet for _, greenlet in self.out.values()], timeout=self.timeout_s + 2)
        left = self._undo()
        gevent.killall(helpers, block=True, timeout=2)
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

    def _one(self, number: int, due: float, late: float, request: int) -> None:
        """One request, from its due time to its last byte, within its limit."""
        bad = "timeout"
        try:
            bad = self._ask(self.requests[request], number)
        finally:
            del self.out[number]
            ends = (time.perf_counter() - self.started - due) * 1000
            self.rows.add(due, ends, late, request, bad)
        if self.job.get("stats"):
            one = self.requests[request]
            events.request.fire(  # type: ignore[no-untyped-call]
                request_type=one.get("method", "GET"),
                name=one["path"],
                response_time=ends,
                response_length=0,
                exception=RuntimeError(bad) if bad else None,
                context={},
            )

    def _ask(self, one: dict[str, Any], number: int) -> str:
        """Reads one answer to its end; returns what was wrong with it, or an empty string."""
        path, body, most = one["path"], one.get("body", ""), self.most_bytes
        if "{" in path or body:
            path, body = path.replace("{n}", str(number)), body.replace("{n}", str(number))
        headers = one["sent"]
        try:
            with self.client.request(one.get("method", "GET"), path, body.encode(), headers) as response:
                size = 0
                while chunk := response.read(65_536):
                    size += len(chunk)
                    if size > most:
                        return f"more than {most} bytes"
                status = response.status_code
                if 200 <= status < 300:
                    if one.get("undo"):
                        self.created.append(
                            (
                                str(response.get("location") or ""),
                                {k: v for k, v in one["sent"].items() if k != "Content-Type"},
                            )
                        )
                    return ""
                polite = status == 429 or (status == 503 and response.get("retry-after") is not None)
        except Exception as error:  # noqa: BLE001 - whatever a request ends in is one failed request
            return f"{type(error).__name__}: {error}"[:200]
        return f"{THROTTLED if polite else ''}HTTP {status}"

    def _undo(self) -> list[str]:
        """Deletes what was made; returns what could not be."""
        left: list[str] = []

        def delete(made: tuple[str, dict[str, str]]) -> None:
            place, headers = made
            path = place if place.startswith("/") else place.removeprefix(self.job["base_url"])
            bad = (
                self._ask({"method": "DELETE", "path": path, "sent": headers}, 0)
                if path.startswith("/")
                else "no Location"
            )
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
            gevent.sleep(SWEEP_S)
            oldest = time.perf_counter() - self.started - self.timeout_s
            for due, greenlet in list(self.out.values()):  # in the order of their due times
                if due > oldest:
                    break
                greenlet.kill(block=False)

    def _tell_on(self, tell: Any) -> None:
        while True:
            gevent.sleep(REPORT_S)
            self._tell(tell)

    def _tell(self, tell: Any) -> None:
        rows, self.rows = self.rows, Columns()
        self.told += len(rows.due)
        tell(rows.pack())


class Collecting:
    """Puts together what generators tell; in the master, or in the only process."""

    def __init__(self, environment: Any) -> None:
        self.runner = environment.runner
        self.by_hand = environment.web_ui is not None
        self.job = _job(environment.host)
        clients = getattr(self.runner, "clients", None)
        self.clients = ["local"] if clients is None else [one.id for one in clients.values()]
        limits = {name: Limits(**one) for name, one in self.job.get("limits", {}).items()}
        self.tally = Tally([Stretch(**one) for one in self.job["stretches"]], limits, self.clients)
        self.stopped = self.error = ""
        self.started = time.perf_counter() + BEGINS_S
        self.ended = False

    def now_s(self) -> float:
        """Seconds since the first request was due."""
        return time.perf_counter() - self.started

    def begin(self) -> None:
        """Gives every generator its share."""
        for index, client in enumerate(self.clients):
            share = {"job": self.job, "index": index, "count": len(self.clients)}
            self._send("gonogo.start", share, client)
        gevent.spawn(self._look_after)

    def take(self, msg: Any) -> None:
        """Enters what a generator told."""
        if not self.ended and msg.node_id in self.tally.shares:
            self.tally.take(msg.node_id, self.now_s(), msg.data)
            if not self.stopped and (why := self.tally.decided):
                self.stop(why)

    def done(self, msg: Any) -> None:
        """Notes that a generator has ended."""
        if self.ended or msg.node_id not in self.tally.shares:
            return
        self.error = self.error or msg.data.get("error", "")
        self.tally.end(msg.node_id, self.now_s(), msg.data)
        if self.tally.complete or self.error:
            self.finish([])

    def stop(self, why: str) -> None:
        """Lets no further request be sent."""
        self.stopped = why
        for client in self.clients:
            self._send("gonogo.stop", {}, client)

    def finish(self, lost: list[str]) -> None:
        """Leaves the result, complete or not at all: the reader takes the file's presence for its end."""
        self.ended = True
        if file := self.job.get("result"):
            document = self.tally.document(self.stopped, lost) | {"error": self.error}
            draft = Path(f"{file}.part")
            draft.write_text(json.dumps(document), encoding="utf-8")
            draft.replace(file)
        gevent.spawn(self.runner.stop if self.by_hand else self.runner.quit)

    def _send(self, what: str, data: dict[str, Any], client: str) -> None:
        self.runner.send_message(what, data, client_id=None if client == "local" else client)

    def _look_after(self) -> None:
        """Tells how it goes, hears the word to stop, and misses generators that fall silent."""
        while not self.ended:
            gevent.sleep(REPORT_S)
            if file := self.job.get("progress"):
                draft = Path(f"{file}.part")
                draft.write_text(json.dumps(self.tally.progress(self.now_s())), encoding="utf-8")
                draft.replace(file)
            if (file := self.job.get("stop")) and not self.stopped and Path(file).exists():
                self.stop(Path(file).read_text(encoding="utf-8"))
            if lost := self.tally.silent(self.now_s(), SILENT_S):
                self.finish(
                    [f"worker {self.clients.index(name) + 1} of {len(self.clients)} fell silent" for name in lost]
                )


class _State:
    """What this process knows of the run that goes on."""

    environment: Any = None
    share = gevent.event.AsyncResult()
    offering: Offering | None = None
    collecting: Collecting | None = None
    busy = False


def _follow_parent() -> None:
    """Ends this process once the one that started it is gone, however it went."""
    while os.getppid() == PARENT:
        gevent.sleep(0.5)
    os._exit(3)


@events.init.add_listener  # type: ignore[untyped-decorator]  # Locust's hooks have no types
def _prepare(environment: Any, **_: Any) -> None:
    if PARENT:
        gevent.spawn(_follow_parent)
    _State.environment = environment
    listeners = {
        "gonogo.start": lambda msg, **_: _State.share.set(msg.data),
        "gonogo.stop": lambda **_: _stop(),
        "gonogo.rows": lambda msg, **_: _collect("take", msg),
        "gonogo.done": lambda msg, **_: _collect("done", msg),
    }
    for name, listener in listeners.items():
        environment.runner.register_message(name, listener)


def _collect(what: str, msg: Any) -> None:
    if _State.collecting is not None:
        getattr(_State.collecting, what)(msg)


def _stop() -> None:
    if _State.offering is not None:
        _State.offering.stopped = True


@events.test_start.add_listener  # type: ignore[untyped-decorator]
def _renew(**_: Any) -> None:
    _State.share, _State.busy, _State.offering = gevent.event.AsyncResult(), False, None


@events.spawning_complete.add_listener  # type: ignore[untyped-decorator]
def _begin(**_: Any) -> None:
    if not isinstance(_State.environment.runner, WorkerRunner):
        _State.collecting = Collecting(_State.environment)
        _State.collecting.begin()


class Arrivals(User):
    """One user that starts a request whenever one is due."""

    @task
    def offer(self) -> None:
        """Waits for this process's share, goes through it once, and tells what became of it."""
        runner = self.environment.runner
        share = _State.share.get()
        if _State.busy:
            gevent.sleep(math.inf)
        _State.busy = True
        try:
            _map_names(share["job"].get("hosts", {}))
            _State.offering = Offering(share["job"], share["index"], share["count"])
            summary = _State.offering.run(lambda rows: runner.send_message("gonogo.rows", rows))
        except Exception as error:  # noqa: BLE001 - told where somebody reads it
            traceback.print_exc()
            summary = {"rows": 0, "error": f"{type(error).__name__}: {error}"}
        runner.send_message("gonogo.done", summary)
        gevent.sleep(math.inf)
