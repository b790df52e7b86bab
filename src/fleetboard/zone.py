"""The authoritative DNS server for ``fleet.test``: UDP and TCP on one loopback port."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from dnslib import CAA, CLASS, NS, QTYPE, RCODE, RD, RR, SOA, A, DNSRecord  # type: ignore[import-untyped]
from dnslib.server import BaseResolver, DNSHandler, DNSLogger, TCPServer, UDPServer  # type: ignore[import-untyped]

from fleetboard.errors import StartError
from fleetboard.ports import EDGE, HOST

ZONE = "fleet.test"
APP_NAME = "app.fleet.test"

TTL_S = 60
_LONG_TTL_S = 86_400
_WRONG_ADDRESS = "127.0.0.66"
_ATTEMPTS = 10

Zone = Mapping[tuple[str, str], Sequence[RD]]
"""Records by owner name (no final dot, lower case) and type."""


def build_zone(faults: Sequence[str]) -> Zone:
    """The records that are served."""
    # The right address comes first, so that clients which take the first one still get through.
    addresses = [A(EDGE), A(_WRONG_ADDRESS)] if "dns-wrong-address" in faults else [A(EDGE)]
    times = (2026010100, 3600, 600, 86_400, TTL_S)  # serial, refresh, retry, expire, negative TTL
    return {
        (ZONE, "SOA"): [SOA(f"ns1.{ZONE}", f"hostmaster.{ZONE}", times)],
        (ZONE, "NS"): [NS(f"ns1.{ZONE}")],
        (ZONE, "CAA"): [CAA(0, "issue", f"ca.{ZONE}")],
        (f"ns1.{ZONE}", "A"): [A(HOST)],
        (APP_NAME, "A"): addresses,
    }


class ZoneResolver(BaseResolver):  # type: ignore[misc]  # dnslib has no types
    """Answers from one zone; refuses every other name."""

    def __init__(self, zone: Zone, ttl_s: int) -> None:
        self._zone = zone
        self._ttl_s = ttl_s
        self._names = {name for name, _ in zone}

    def resolve(self, request: DNSRecord, handler: DNSHandler) -> DNSRecord:  # noqa: ARG002 - dnslib's interface
        """One answer: records, NODATA or NXDOMAIN with the SOA (RFC 2308), or REFUSED outside the zone."""
        reply = request.reply(ra=0, aa=1)
        name = str(request.q.qname).rstrip(".").lower()
        if name != ZONE and not name.endswith(f".{ZONE}"):
            reply.header.aa = 0
            reply.header.rcode = RCODE.REFUSED
            return reply
        kind = QTYPE[request.q.qtype]
        answers = self._zone.get((name, kind), ())
        for data in answers:
            reply.add_answer(self._record(name, kind, data))
        if not answers:
            if name not in self._names:
                reply.header.rcode = RCODE.NXDOMAIN
            reply.add_auth(self._record(ZONE, "SOA", self._zone[ZONE, "SOA"][0]))
        return reply

    def _record(self, name: str, kind: str, data: RD) -> RR:
        return RR(name, getattr(QTYPE, kind), CLASS.IN, self._ttl_s, data)


class DnsServer:
    """The zone on a free port; daemon threads of this process, so it can't be left behind."""

    def __init__(self, faults: Sequence[str]) -> None:
        ttl_s = _LONG_TTL_S if "dns-long-ttl" in faults else TTL_S
        resolver = ZoneResolver(build_zone(faults), ttl_s)
        self._servers = _bind_both()
        for server in self._servers:
            # dnslib's handler reads both from its server object.
            server.resolver = resolver
            server.logger = DNSLogger(log="-request,-reply,-truncated,-error", prefix=False)
        self.port = int(self._servers[0].server_address[1])

    def start(self) -> None:
        """Begin to answer."""
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True, name="dns").start()

    def stop(self) -> None:
        """Stop answering and free the port."""
        for server in self._servers:
            server.shutdown()
            server.server_close()


def _bind_both() -> tuple[TCPServer, UDPServer]:
    # TCP first: a listening TCP port is exclusive, and with it comes our claim to the same UDP port.
    for _ in range(_ATTEMPTS):
        tcp = TCPServer((HOST, 0), DNSHandler)
        try:
            return tcp, UDPServer((HOST, tcp.server_address[1]), DNSHandler)
        except OSError:
            tcp.server_close()
    raise StartError(f"no port was free for both UDP and TCP in {_ATTEMPTS} attempts to start the DNS server")
