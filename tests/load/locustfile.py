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
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gevent  # type: ignore[import-untyped]  # gevent ships no types
import gevent.event  # type: ignore[import-untyped]
from locust import User, events, task
from locust.runners import WorkerRunner

from gonogo.arrivals import Stretch
from gonogo.loadoffer import BEGINS_S, REPORT_S, Offering
from gonogo.loadrules import Limits
from gonogo.loadtally import Tally

SILENT_S = 5.0
"""A generator that tells nothing for so long is lost."""
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
    warmup_s = _setting("WARMUP_S", 3.0)
    warmup = Stretch("warm-up", rps, warmup_s)
    stretches = [vars(warmup), vars(Stretch("steady", rps, _setting("DURATION_S", 30.0)))]
    return {
        "base_url": host or "",
        "stretches": [one for one in stretches if one["duration_s"]],
        "requests": json.loads(os.environ.get("GONOGO_LOAD_REQUESTS") or '[{"path": "/", "weight": 1}]'),
        "headers": json.loads(os.environ.get("GONOGO_LOAD_HEADERS") or "{}"),
        "counts_from_s": warmup_s,
        "timeout_s": _setting("TIMEOUT_S", 10.0),
        "ca_pem": Path(ca_file).read_text(encoding="ascii") if ca_file else None,
        "stats": True,
    }


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


def _enter(one: Mapping[str, Any], latency_ms: float, bad: str) -> None:
    """Tells Locust's own statistics of one request."""
    events.request.fire(  # type: ignore[no-untyped-call]
        request_type=one["method"],
        name=one["path"],
        response_time=latency_ms,
        response_length=0,
        exception=RuntimeError(bad) if bad else None,
        context={},
    )


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
            told = _enter if share["job"].get("stats") else None
            _State.offering = Offering(share["job"], share["index"], share["count"], told)
            summary = _State.offering.run(lambda rows: runner.send_message("gonogo.rows", rows))
        except Exception as error:  # noqa: BLE001 - told where somebody reads it
            traceback.print_exc()
            summary = {"rows": 0, "error": f"{type(error).__name__}: {error}"}
        runner.send_message("gonogo.done", summary)
        gevent.sleep(math.inf)
