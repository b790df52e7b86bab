"""Faults that show under load only."""

from __future__ import annotations

from fleetboard.faults.fault import Fault

_THROUGHPUT, _SPIKE, _ENDURANCE = ("load.throughput",), ("load.spike",), ("load.endurance",)
_ALL = (*_THROUGHPUT, *_ENDURANCE, *_SPIKE)

GENERATOR: tuple[Fault, ...] = (
    Fault("generator-starved", _ALL, "ours: the load's generator gets a tenth of a processor; the gates are ERROR"),
    Fault(
        "worker-killed", _ALL, "ours: in mid-run a worker of the load's generator is killed, or the only one; ERROR"
    ),
    Fault("locustfile-raises", _ALL, "ours: the team's own part of the locustfile raises; the gates are ERROR"),
)
"""Faults of whoever asks: a load that could not be made says nothing about the target, so the gates are no FAIL."""

FAULTS: tuple[Fault, ...] = (
    Fault("slow-under-load", _THROUGHPUT, "fine when idle, over 600 ms a request above about 20 RPS"),
    Fault("errors-under-load", _THROUGHPUT, "2 % of requests answer HTTP 500 above about 20 RPS"),
    Fault("throughput-45", _THROUGHPUT, "no more than 45 RPS are served, the rest waits"),
    Fault("stall-once", _THROUGHPUT, "once, some seconds into a load, nothing is answered for 2 s"),
    Fault("one-percent-2s", _THROUGHPUT, "1 % of requests take 2 s above about 20 RPS"),
    Fault("errors-two-in-a-thousand", _THROUGHPUT, "2 % of one kind of request, 0.2 % of all, fail above 20 RPS"),
    Fault("errors-on-writes", _THROUGHPUT, "every fifth new load is refused with HTTP 500 above about 20 RPS"),
    Fault("forbids-under-load", _THROUGHPUT, "everybody is refused with HTTP 403, and quickly, above about 20 RPS"),
    Fault("throttles-under-load", _THROUGHPUT, "5 % of requests answer HTTP 429 above about 20 RPS"),
    Fault("health-red-under-load", _THROUGHPUT, "health is green when idle and degraded above about 20 RPS"),
    Fault("slower-and-slower", _ENDURANCE, "each second of load makes every request 8 ms slower"),
    Fault("topples-in-spike", _SPIKE, "more than about 130 RPS, and for 10 s a fifth of all requests fails"),
    *GENERATOR,
)
