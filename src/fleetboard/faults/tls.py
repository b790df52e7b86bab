"""Faults of certificates and of the handshake."""

from __future__ import annotations

from fleetboard.faults.fault import Fault

_HTTPS = (
    "http.edge",
    "edge.exposure",
    "release.deployed",
    "health.endpoint",
    "health.endpoints-all",
    "health.truthful",
    "websocket.live",
    "stats.database",
    "stats.websocket",
    "stats.performance",
    "smoke.api",
    "smoke.access",
    "smoke.tracking",
    "load.throughput",
)
"""Every gate that needs a verified connection: a certificate nobody can trust takes all of them along."""

_CERTIFICATE = ("tls.certificate",)
_UNTRUSTED = (*_CERTIFICATE, *_HTTPS)

FAULTS: tuple[Fault, ...] = (
    Fault("expired-certificate", _UNTRUSTED, "the leaf certificate ended two days ago"),
    Fault("not-yet-valid-certificate", _UNTRUSTED, "the leaf certificate begins in two days"),
    Fault("certificate-expires-soon", _CERTIFICATE, "the leaf certificate ends in five days"),
    Fault("missing-intermediate", _UNTRUSTED, "the server sends its leaf without the intermediate"),
    Fault("wrong-chain-order", _CERTIFICATE, "the server sends the root between its leaf and the intermediate"),
    Fault("wrong-name-certificate", _UNTRUSTED, "the certificate names other.fleet.test"),
    Fault("wildcard-one-level-off", _UNTRUSTED, "the certificate names *.app.fleet.test, which is not the host"),
    Fault("self-signed-certificate", _UNTRUSTED, "the leaf certificate is signed with its own key"),
    Fault("unknown-authority", _UNTRUSTED, "the chain leads to a root that nobody trusts"),
    Fault("weak-key-certificate", _UNTRUSTED, "the leaf's key is RSA with 1024 bits"),
    Fault("sha1-certificate", _UNTRUSTED, "the leaf certificate is signed with SHA-1"),
    Fault(
        "must-staple-without-staple", _CERTIFICATE, "the certificate asks for a stapled answer, and none is sent"
    ),
    Fault("certificate-revoked", _CERTIFICATE, "the authority's list of revoked certificates names the leaf"),
    Fault(
        "old-certificate-on-second-address",
        (*_CERTIFICATE, "dns.records"),
        "a second address of the name serves an older certificate that ends in five days",
    ),
    Fault("tls-1.0-enabled", ("tls.protocols", "tls.policy"), "the proxy still accepts TLS 1.0 and 1.1"),
    Fault(
        "weak-suite-enabled", ("tls.policy",), "the proxy accepts TLS_RSA_WITH_AES_128_CBC_SHA beside good suites"
    ),
)
