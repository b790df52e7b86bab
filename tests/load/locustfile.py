"""Offers requests on a fixed schedule (open model) and counts what came back.

A slow answer must not slow the questions: each request has its due time, is sent then whether
or not earlier ones have been answered, and its latency counts from that due time. So a target
that stalls for two seconds shows the stall in every request that it kept waiting.

By hand, against any host::

    GONOGO_LOAD_RPS=20 GONOGO_LOAD_DURATION_S=10 locust -f tests/load/locustfile.py \
        --headless -u 1 --host https://app.example.org

One user is enough, however high the rate. Environment:

    GONOGO_LOAD_RPS         requests offered per second (20)
    GONOGO_LOAD_DURATION_S  seconds that count (30)
    GONOGO_LOAD_WARMUP_S    seconds before that, at the same rate, not counted (3)
    GONOGO_LOAD_TIMEOUT_S   limit in seconds for one request (10)
    GONOGO_LOAD_REQUESTS    JSON list of {"path": ..., "weight": ...} ([{"path": "/", "weight": 1}])
    GONOGO_LOAD_MAX_BYTES   limit for one body (5000000)
    GONOGO_LOAD_CA_FILE     PEM file of the authorities to trust (the system's)
    GONOGO_LOAD_HOSTS       JSON map of "name:port" to ["address", port], for names that DNS lacks
    GONOGO_LOAD_HEADERS     JSON map of headers to send, such as Authorization; never printed (none)
    GONOGO_LOAD_RESULT      file that receives the exact result as JSON (none)
    GONOGO_LOAD_PARENT      process id whose end also ends this run (none)
"""

from __future__ import annotations

import json
import math
import os
import socket
import ssl
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gevent  # type: ignore[import-untyped]  # gevent ships no types
import gevent.socket  # type: ignore[import-untyped]
from geventhttpclient.url import URL
from locust import events, task
from locust.contrib.fasthttp import FastHttpUser


def _setting(name: str, default: float) -> float:
    return float(os.environ.get(f"GONOGO_LOAD_{name}") or default)


RPS = _setting("RPS", 20.0)
DURATION_S = _setting("DURATION_S", 30.0)
WARMUP_S = _setting("WARMUP_S", 3.0)
TIMEOUT_S = _setting("TIMEOUT_S", 10.0)
MAX_BYTES = int(_setting("MAX_BYTES", 5_000_000))
REQUESTS: list[dict[str, Any]] = json.loads(
    os.environ.get("GONOGO_LOAD_REQUESTS") or '[{"path": "/", "weight": 1}]'
)
HOSTS: dict[str, list[Any]] = json.loads(os.environ.get("GONOGO_LOAD_HOSTS") or "{}")
HEADERS: dict[str, str] = json.loads(os.environ.get("GONOGO_LOAD_HEADERS") or "{}")
CA_FILE = os.environ.get("GONOGO_LOAD_CA_FILE") or None
RESULT = os.environ.get("GONOGO_LOAD_RESULT")
PARENT = int(_setting("PARENT", 0))

# Enough connections for every request that can be waiting at once: the generator must never be
# the queue. The upper limit keeps within common limits on open files.
CONCURRENCY = min(max(math.ceil(RPS * TIMEOUT_S), 10), 900)


def _map_names() -> None:
    """Sends mapped names to their addresses; URL, SNI and verification keep the name."""
    original = gevent.socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        address = HOSTS.get(f"{host}:{port}")
        return original(*(address or (host, port)), *args, **options)

    gevent.socket.getaddrinfo = getaddrinfo
    socket.getaddrinfo = getaddrinfo


def _follow_parent() -> None:
    """Ends this process once the one that started it is gone, however it went."""
    while os.getppid() == PARENT:
        gevent.sleep(0.5)
    os._exit(3)


@events.init.add_listener  # type: ignore[untyped-decorator]  # Locust's hooks have no types
def _prepare(**_: Any) -> None:
    if HOSTS:
        _map_names()
    if PARENT:
        gevent.spawn(_follow_parent)


# Made once: a context for each connection would read the list of authorities every time.
CONTEXT = ssl.create_default_context(cafile=CA_FILE)


def _shared_context(*_: Any, **__: Any) -> ssl.SSLContext:
    return CONTEXT


def mix(requests: list[dict[str, Any]], count: int) -> list[str]:
    """``count`` paths in which each appears by its weight, spread as evenly as can be."""
    credit = dict.fromkeys((r["path"] for r in requests), 0.0)
    weights = {r["path"]: float(r.get("weight", 1)) for r in requests}
    total = sum(weights.values())
    paths = []
    for _ in range(count):
        for path, weight in weights.items():
            credit[path] += weight
        chosen = max(credit, key=lambda path: credit[path])
        credit[chosen] -= total
        paths.append(chosen)
    return paths


@dataclass
class Tally:
    """What became of every request that counts, each as it came in."""

    planned: int
    sent: int = 0
    paths: list[str] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)
    """From the due time to the last byte, or to the failure; in the order of ``paths``."""
    failures: list[str] = field(default_factory=list)
    """The kind of each failure, or an empty string; in the order of ``paths``."""
    lateness_ms: list[float] = field(default_factory=list)
    """How late the generator itself was with each request."""
    in_window: int = 0
    """Good answers that were complete before the measured time was over."""
    warmup_requests: int = 0
    warmup_failures: int = 0

    def add(self, path: str, due: float, ended: float, failure: str, window: tuple[float, float]) -> None:
        """Enters one finished request; times are those of ``perf_counter``."""
        if due < window[0]:
            self.warmup_requests += 1
            self.warmup_failures += bool(failure)
            return
        self.paths.append(path)
        self.latencies_ms.append((ended - due) * 1000)
        self.failures.append(failure)
        self.in_window += not failure and ended <= window[1]


class Arrivals(FastHttpUser):
    """One user that starts a request whenever one is due."""

    host = os.environ.get("GONOGO_LOAD_HOST") or None
    insecure = False
    concurrency = CONCURRENCY
    network_timeout = TIMEOUT_S
    connection_timeout = TIMEOUT_S
    ssl_context_factory = staticmethod(_shared_context)

    @task
    def offer(self) -> None:
        """Goes through the schedule once, waits for what is still out, and ends the run."""
        try:
            self._http = self._plain_client()
            _write(*self._offer())
        finally:
            # Also after an error: Locust would start the task anew, and the schedule with it.
            self.environment.runner.quit()

    def _plain_client(self) -> Any:
        """The client underneath: no redirects, no cookies, and no tries of its own.

        It would repeat a GET whose connection broke as often as its pool is large, and report only
        the last try. One repeat is right (a kept connection may just have been closed); more would
        turn a target that drops connections into one that is merely slow.
        """
        client = self.client.client.clientpool.get_client(URL(str(self.host)))
        client._connection_pool.size = 0
        return client

    def _offer(self) -> tuple[Tally, int]:
        """Runs the schedule; returns what came in, and how many requests never ended."""
        warmup = round(RPS * WARMUP_S)
        paths = mix(REQUESTS, warmup + round(RPS * DURATION_S))
        started = time.perf_counter()
        window = (started + warmup / RPS, started + len(paths) / RPS)
        tally = Tally(planned=len(paths) - warmup)
        out = set()
        for number, path in enumerate(paths):
            due = started + number / RPS
            gevent.sleep(max(due - time.perf_counter(), 0))
            if number >= warmup:
                tally.sent += 1
                tally.lateness_ms.append((time.perf_counter() - due) * 1000)
            greenlet = gevent.spawn(self._one, path, due, window, tally)
            out.add(greenlet)
            greenlet.link(out.discard)
        gevent.joinall(list(out), timeout=TIMEOUT_S + 2)
        unfinished = len(out)
        gevent.killall(list(out), block=False)
        return tally, unfinished

    def _one(self, path: str, due: float, window: tuple[float, float], tally: Tally) -> None:
        """One request, from its due time to its last byte, within its limit."""
        failure = "timeout"
        with gevent.Timeout(max(due + TIMEOUT_S - time.perf_counter(), 0.001), False):
            failure = self._fetch(path)
        ended = time.perf_counter()
        tally.add(path, due, ended, failure, window)
        self.environment.events.request.fire(
            request_type="GET",
            name=path,
            response_time=(ended - due) * 1000,
            response_length=0,
            exception=RuntimeError(failure) if failure else None,
            context={},
        )

    def _fetch(self, path: str) -> str:
        """Reads one answer to its end; returns the kind of failure, or an empty string."""
        try:
            with self._http.request("GET", path, headers={"Accept-Encoding": "identity", **HEADERS}) as response:
                size = 0
                while chunk := response.read(65_536):
                    size += len(chunk)
                    if size > MAX_BYTES:
                        return f"more than {MAX_BYTES} bytes"
                status = response.status_code
        except Exception as error:  # noqa: BLE001 - whatever a request ends in is one failed request
            return f"{type(error).__name__}: {error}"[:200]
        return "" if 200 <= status < 300 else f"HTTP {status}"


def _write(tally: Tally, unfinished: int) -> None:
    """Leaves the result, complete or not at all: the reader takes the file's presence for its end."""
    if not RESULT:
        return
    document = {
        "complete": True,
        "rps": RPS,
        "duration_s": DURATION_S,
        "planned": tally.planned,
        "sent": tally.sent,
        "unfinished": unfinished,
        "in_window": tally.in_window,
        "paths": tally.paths,
        "latencies_ms": tally.latencies_ms,
        "failures": tally.failures,
        "lateness_ms": tally.lateness_ms,
        "warmup_requests": tally.warmup_requests,
        "warmup_failures": tally.warmup_failures,
    }
    draft = Path(f"{RESULT}.part")
    draft.write_text(json.dumps(document), encoding="utf-8")
    draft.replace(RESULT)
