"""Faults of names."""

from __future__ import annotations

from fleetboard.faults.fault import Fault

_BOTH = ("dns.records", "dns.delegation")
_ALL = (*_BOTH, "tls.certificate", "tls.protocols", "health.endpoint")
"""Without the name, or without anybody to ask, nothing that goes by the name can be reached."""

FAULTS: tuple[Fault, ...] = (
    Fault("dns-long-ttl", ("dns.records",), "DNS answers carry a TTL of 86400 s"),
    Fault(
        "dns-wrong-address",
        ("dns.records", "tls.certificate", "tls.protocols", "tls.policy", "http.edge", "edge.exposure"),
        "the name has a second address, 127.0.0.66, that serves nothing",
    ),
    Fault("dns-nxdomain", _ALL, "the application's name does not exist in the zone"),
    Fault("dns-stale-server", _BOTH, "the second name server serves an old zone: old serial, old address"),
    Fault("dns-caa-forbids", ("dns.records",), "the CAA record allows another authority than the certificate's"),
    Fault("dns-dangling-cname", ("dns.records",), "www.fleet.test is an alias of a name that is gone"),
    Fault("dns-wildcard", ("dns.records",), "every name below fleet.test that nobody made has an address"),
    Fault("dns-resolver-slow", _BOTH, "the resolver takes 3 s for every answer"),
    Fault("dns-resolver-down", _ALL, "nobody answers at the resolver's port"),
    Fault("dns-one-server", ("dns.delegation",), "the zone has one name server only"),
    Fault("dnssec-expired", ("dns.delegation",), "the zone's signatures ended a day ago"),
)
