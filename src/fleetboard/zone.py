"""The names below ``fleet.test``: two name servers, the zone above them, and a resolver with a cache.

All of them answer on one port, at loopback addresses of their own. Both zones are signed when they are built.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import dns.dnssec
import dns.dnssectypes
import dns.rdatatype
import dns.zone
from cryptography.hazmat.primitives.asymmetric import ec

from fleetboard.dns_server import Authority, CachingResolver, Place, Servers
from fleetboard.ports import EDGE, HOST, SECOND_EDGE

ZONE = "fleet.test"
PARENT = "test"
APP_NAME = "app.fleet.test"
PORT = "FLEETBOARD_DNS_PORT"
"""Environment variable with the port on which every name server answers."""
ANCHOR = "FLEETBOARD_DNS_ANCHOR"
"""Environment variable with the DS record of the parent zone's key, the only one that is trusted."""

PARENT_SERVER = "127.0.0.52"
NAME_SERVERS = {"ns1": "127.0.0.53", "ns2": "127.0.0.54"}

TTL_S = 60
_LONG_TTL_S = 86_400
_WRONG_ADDRESS = "127.0.0.66"
_OLD_ADDRESS = "127.0.0.67"
_SERIAL, _OLD_SERIAL = 2026010100, 2025060100
_SLOW_S = 3.0
_DAY_S = 86_400
_SIGNED_FOR_S = 30 * _DAY_S

Key = tuple[ec.EllipticCurvePrivateKey, Any]
"""A private key and its DNSKEY record."""


def make_key() -> Key:
    """A key that signs a whole zone."""
    private = ec.generate_private_key(ec.SECP256R1())
    public = dns.dnssec.make_dnskey(private.public_key(), dns.dnssectypes.Algorithm.ECDSAP256SHA256, flags=257)
    return private, public


def build_zone(faults: Sequence[str], serial: int = _SERIAL, address: str = EDGE) -> dns.zone.Zone:
    """The records that are served, not yet signed.

    Args:
        faults: what is wrong with them.
        serial: of the zone.
        address: where the application is.
    """
    servers = dict(list(NAME_SERVERS.items())[: 1 if "dns-one-server" in faults else 2])
    issuer = "ca.elsewhere.test" if "dns-caa-forbids" in faults else f"ca.{ZONE}"
    lines = [
        f"@ SOA ns1 hostmaster {serial} 3600 600 86400 {TTL_S}",  # refresh, retry, expire, negative TTL
        *(f"@ NS {name}" for name in servers),
        f'@ CAA 0 issue "{issuer}"',
        *(f"{name} A {ip}" for name, ip in servers.items()),
        "www CNAME edge",
    ]
    # Wrong addresses come last when sorted, so that clients which take the first one still get through.
    if "dns-nxdomain" not in faults:
        lines.append(f"app A {address}")
    if "dns-wrong-address" in faults:
        lines.append(f"app A {_WRONG_ADDRESS}")
    if "old-certificate-on-second-address" in faults:
        lines.append(f"app A {SECOND_EDGE}")
    if "dns-dangling-cname" not in faults:
        lines.append(f"edge A {address}")
    if "dns-wildcard" in faults:
        lines.append(f"* A {address}")
    ttl = _LONG_TTL_S if "dns-long-ttl" in faults else TTL_S
    text = "\n".join([f"$TTL {ttl}", *lines, ""])
    return dns.zone.from_text(text, origin=f"{ZONE}.", relativize=False)


def build_parent(faults: Sequence[str], child: Key) -> dns.zone.Zone:
    """The zone above: it delegates ours, with addresses of our servers and the digest of our key."""
    digest = dns.dnssec.make_ds(f"{ZONE}.", child[1], "SHA256")
    servers = dict(list(NAME_SERVERS.items())[: 1 if "dns-one-server" in faults else 2])
    lines = [
        f"$TTL {TTL_S}",
        f"@ SOA a hostmaster {_SERIAL} 3600 600 86400 {TTL_S}",
        "@ NS a",
        f"a A {PARENT_SERVER}",
        *(f"fleet NS {name}.fleet" for name in servers),
        f"fleet DS {digest}",
        *(f"{name}.fleet A {ip}" for name, ip in servers.items()),
        "",
    ]
    return dns.zone.from_text("\n".join(lines), origin=f"{PARENT}.", relativize=False)


def sign(zone: dns.zone.Zone, key: Key, *, ended: bool = False) -> dns.zone.Zone:
    """Add keys, signatures and NSEC records; ``ended`` signatures were valid until yesterday."""
    # An hour back, so that a clock that is a little behind accepts them too.
    begin = int(time.time()) - (_SIGNED_FOR_S if ended else 3600)
    until = begin + _SIGNED_FOR_S - (_DAY_S if ended else 0)
    dns.dnssec.sign_zone(zone, keys=[key], dnskey_ttl=TTL_S, inception=begin, expiration=until)
    return zone


class DnsServer:
    """Parent zone, both name servers and the resolver, each at its address, on one free port."""

    def __init__(self, faults: Sequence[str]) -> None:
        ours, theirs = make_key(), make_key()
        ended = "dnssec-expired" in faults
        parent = sign(build_parent(faults, ours), theirs)
        current = sign(build_zone(faults), ours, ended=ended)
        second = current
        if "dns-stale-server" in faults:
            second = sign(build_zone(faults, _OLD_SERIAL, _OLD_ADDRESS), ours)
        resolver = Place(
            CachingResolver(Authority([parent, current])),
            delay_s=_SLOW_S if "dns-resolver-slow" in faults else 0.0,
            silent="dns-resolver-down" in faults,
        )
        self._servers = Servers(
            {
                HOST: resolver,
                PARENT_SERVER: Place(Authority([parent])),
                NAME_SERVERS["ns1"]: Place(Authority([current])),
                NAME_SERVERS["ns2"]: Place(Authority([second])),
            }
        )
        self.port = self._servers.port
        anchor = dns.dnssec.make_ds(f"{PARENT}.", theirs[1], "SHA256")
        self.env = {PORT: str(self.port), ANCHOR: f"{PARENT}. DS {anchor}"}
        """Variables with which the plan finds the name servers and trusts their keys."""

    def start(self) -> None:
        """Begin to answer."""
        self._servers.start()

    def stop(self) -> None:
        """Stop answering and free the port."""
        self._servers.stop()
