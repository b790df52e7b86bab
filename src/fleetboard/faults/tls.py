"""Faults of certificates and of the handshake."""

from __future__ import annotations

from fleetboard.faults.fault import Fault

_HTTPS = (
    "release.deployed",
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

FAULTS: tuple[Fault, ...] = (
    Fault("expired-certificate", ("tls.certificate", *_HTTPS), "the leaf certificate ended two days ago"),
    Fault("certificate-expires-soon", ("tls.certificate",), "the leaf certificate ends in five days"),
    Fault(
        "missing-intermediate", ("tls.certificate", *_HTTPS), "the server sends its leaf without the intermediate"
    ),
    Fault("wrong-name-certificate", ("tls.certificate", *_HTTPS), "the certificate names other.fleet.test"),
    Fault("tls-1.0-enabled", ("tls.protocols",), "the proxy still accepts TLS 1.0 and 1.1"),
)
