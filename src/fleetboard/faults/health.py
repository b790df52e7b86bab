"""Faults of health, statistics and the live channel."""

from __future__ import annotations

from fleetboard.faults.fault import Fault

FAULTS: tuple[Fault, ...] = (
    Fault("health-degraded", ("health.endpoint",), "health says degraded, with HTTP 200"),
    Fault("health-500", ("health.endpoint", "release.deployed"), "health answers HTTP 500"),
    Fault("slow-health", ("health.endpoint",), "health takes 700 ms"),
    Fault("health-as-html", ("health.endpoint", "health.endpoints-all"), "health is an error page, with HTTP 200"),
    Fault(
        "health-hides-check", ("health.endpoint", "health.truthful"), "health is healthy, its database check is not"
    ),
    Fault(
        "health-lies-database",
        ("health.truthful", "health.endpoints-all"),
        "health says that the database is healthy after every connection to it was lost",
    ),
    Fault("trace-in-body", ("health.endpoint", "health.endpoints-all"), "health shows a stack trace"),
    Fault(
        "secret-in-body",
        ("health.endpoint", "health.endpoints-all"),
        "health shows the address of the database with its password",
    ),
    Fault("one-slow-endpoint", ("health.endpoints-all",), "of all endpoints, maintenance takes 700 ms"),
    Fault("two-percent-slow", ("health.endpoints-all",), "2 % of requests take 2.2 s"),
    Fault("endpoint-500-every-tenth", ("health.endpoints-all",), "every tenth list of drivers is HTTP 500"),
    Fault("openapi-promises-more", ("health.endpoints-all",), "the OpenAPI document has a path that is HTTP 404"),
    Fault("pooling-disabled", ("stats.database",), "every query opens a connection of its own"),
    Fault("pool-exhausted", ("stats.database",), "all connections of the pool are held"),
    Fault("stats-field-missing", ("stats.database",), "the statistics lack pool.usagePercent"),
    Fault("performance-errors", ("stats.performance",), "the statistics report an error rate of 4 %"),
    Fault("performance-frozen", ("stats.performance",), "the statistics are those of another day"),
    Fault("ws-count-stuck", ("stats.websocket",), "the count of WebSocket connections never moves"),
    Fault(
        "ws-refused",
        ("websocket.live", "stats.websocket", "health.truthful"),
        "the live channel refuses everybody with HTTP 403",
    ),
    Fault(
        "ws-silent",
        ("websocket.live", "stats.websocket", "health.truthful"),
        "the live channel opens and says nothing",
    ),
    Fault(
        "ws-fake-101",
        ("websocket.live", "stats.websocket", "health.truthful"),
        "the live channel says 101 with an accept key that is not the client's",
    ),
    Fault("ws-drops", ("websocket.live",), "the live channel is closed after 5 s"),
    Fault("ws-one-way", ("websocket.live",), "the live channel does not answer what it is asked"),
    Fault("ws-stops-pushing", ("websocket.live",), "the live channel pushes nothing after its first message"),
    Fault("ws-empty-pong", ("websocket.live",), "a ping on the live channel is answered with an empty pong"),
    Fault("ws-any-path", ("websocket.live",), "any path opens as the live channel"),
)
