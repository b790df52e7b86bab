"""Faults of health, statistics and the live channel."""

from __future__ import annotations

from fleetboard.faults.fault import Fault

FAULTS: tuple[Fault, ...] = (
    Fault("health-degraded", ("health.endpoint",), "health says degraded, with HTTP 200"),
    Fault("health-500", ("health.endpoint", "release.deployed"), "health answers HTTP 500"),
    Fault("slow-health", ("health.endpoint",), "health takes 700 ms"),
    Fault("pooling-disabled", ("stats.database",), "every query opens a connection of its own"),
    Fault("pool-exhausted", ("stats.database",), "all connections of the pool are held"),
    Fault("ws-count-stuck", ("stats.websocket",), "the count of WebSocket connections never moves"),
    Fault("performance-errors", ("stats.performance",), "the statistics report an error rate of 4 %"),
)
