"""The defects this target can be given on purpose, and the gates each must turn red.

Gate ids are plain strings here: the target knows nothing of the suite that looks at it.
"""

from __future__ import annotations

from dataclasses import dataclass

from fleetboard.errors import UnknownFaultError

_HTTPS = (
    "health.endpoint",
    "stats.database",
    "stats.websocket",
    "stats.performance",
    "smoke.api",
    "smoke.access",
    "smoke.tracking",
    "load.throughput",
)
"""Every gate that needs a verified connection: a certificate nobody can trust takes all of them along."""


@dataclass(frozen=True)
class Fault:
    """One named defect."""

    name: str
    gates: tuple[str, ...]
    """Ids of the gates it must turn red."""
    description: str
    front_end: bool = False
    """Carried out by the page's own scripts, which read it from ``<html data-faults>``."""


_ALL = (
    Fault("dns-long-ttl", ("dns.records",), "DNS answers carry a TTL of 86400 s"),
    Fault(
        "dns-wrong-address",
        ("dns.records", "tls.certificate", "tls.protocols"),
        "the name has a second address, 127.0.0.66, that serves nothing",
    ),
    Fault("expired-certificate", ("tls.certificate", *_HTTPS), "the leaf certificate ended two days ago"),
    Fault("certificate-expires-soon", ("tls.certificate",), "the leaf certificate ends in five days"),
    Fault(
        "missing-intermediate", ("tls.certificate", *_HTTPS), "the server sends its leaf without the intermediate"
    ),
    Fault("wrong-name-certificate", ("tls.certificate", *_HTTPS), "the certificate names other.fleet.test"),
    Fault("tls-1.0-enabled", ("tls.protocols",), "the proxy still accepts TLS 1.0 and 1.1"),
    Fault("health-degraded", ("health.endpoint",), "health says degraded, with HTTP 200"),
    Fault("health-500", ("health.endpoint",), "health answers HTTP 500"),
    Fault("slow-health", ("health.endpoint",), "health takes 700 ms"),
    Fault("pooling-disabled", ("stats.database",), "every query opens a connection of its own"),
    Fault("pool-exhausted", ("stats.database",), "all connections of the pool are held"),
    Fault("ws-count-stuck", ("stats.websocket",), "the count of WebSocket connections never moves"),
    Fault("performance-errors", ("stats.performance",), "the statistics report an error rate of 4 %"),
    Fault("missing-table", ("database.tables",), "the table geofences was never created"),
    Fault("missing-index", ("database.indexes",), "the index loads_status_idx was never created"),
    Fault("invalid-index", ("database.indexes",), "a concurrent build left vehicles_status_idx invalid"),
    Fault("missing-trigger", ("database.triggers",), "the trigger loads_touch was never created"),
    Fault("disabled-trigger", ("database.triggers",), "the trigger vehicles_audit is disabled"),
    Fault("api-ignores-paging", ("smoke.api",), "lists ignore limit and offset and return everything"),
    Fault("api-finds-anything", ("smoke.api",), "an unknown vehicle is answered with HTTP 200"),
    Fault("console-error", ("smoke.access",), "the page writes an error to the console", front_end=True),
    Fault("script-404", ("smoke.access",), "one script of the page is missing"),
    Fault("no-markers", ("smoke.tracking",), "no vehicle is drawn on the map", front_end=True),
    Fault("wrong-details", ("smoke.tracking",), "a click shows another vehicle's details", front_end=True),
    Fault("light-stays-amber", ("smoke.tracking",), "the connection light never turns green", front_end=True),
    Fault("blank-map", ("smoke.tracking",), "the map has no streets", front_end=True),
    Fault("slow-under-load", ("load.throughput",), "fine when idle, over 600 ms a request above about 20 RPS"),
    Fault("errors-under-load", ("load.throughput",), "2 % of requests answer HTTP 500 above about 20 RPS"),
    Fault("throughput-45", ("load.throughput",), "no more than 45 RPS are served, the rest waits"),
)

FAULTS: dict[str, Fault] = {fault.name: fault for fault in _ALL}
"""Every fault by its name, in the order in which they are listed."""


def parse(text: str) -> tuple[str, ...]:
    """Names out of a comma-separated list, each once, in the order given.

    Raises:
        UnknownFaultError: a name is not a fault; the message names the allowed ones.
    """
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for name in names:
        if name not in FAULTS:
            raise UnknownFaultError(f"unknown fault {name!r}; allowed are: {', '.join(FAULTS)}")
    return names
