"""Faults that show under load only."""

from __future__ import annotations

from fleetboard.faults.fault import Fault

FAULTS: tuple[Fault, ...] = (
    Fault("slow-under-load", ("load.throughput",), "fine when idle, over 600 ms a request above about 20 RPS"),
    Fault("errors-under-load", ("load.throughput",), "2 % of requests answer HTTP 500 above about 20 RPS"),
    Fault("throughput-45", ("load.throughput",), "no more than 45 RPS are served, the rest waits"),
)
