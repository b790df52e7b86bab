"""Faults of names."""

from __future__ import annotations

from fleetboard.faults.fault import Fault

FAULTS: tuple[Fault, ...] = (
    Fault("dns-long-ttl", ("dns.records",), "DNS answers carry a TTL of 86400 s"),
    Fault(
        "dns-wrong-address",
        ("dns.records", "tls.certificate", "tls.protocols"),
        "the name has a second address, 127.0.0.66, that serves nothing",
    ),
)
