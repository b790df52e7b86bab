"""A small DNS server: zones out of memory, and a resolver with a cache, over UDP and TCP."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.node
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.zone

from fleetboard.errors import StartError

_IN = dns.rdataclass.IN
_MAX_ALIASES = 8
_ATTEMPTS = 20


class Answering(Protocol):
    """Whoever answers questions at an address."""

    def answer(self, query: dns.message.Message) -> dns.message.Message:
        """The reply to one question."""


@dataclass(frozen=True)
class Authority:
    """The authority of some zones; refuses every other name."""

    zones: Sequence[dns.zone.Zone]

    def answer(self, query: dns.message.Message) -> dns.message.Message:
        """Records, a referral, NODATA or NXDOMAIN with the SOA (RFC 2308), or REFUSED outside the zones."""
        reply = dns.message.make_response(query)
        question = query.question[0]
        zone = closest(self.zones, question.name, question.rdtype)
        if zone is None:
            reply.set_rcode(dns.rcode.REFUSED)
            return reply
        with_signatures = bool(query.ednsflags & dns.flags.DO)
        _fill(reply, zone, question.name, question.rdtype, with_signatures)
        return reply


class CachingResolver:
    """Answers for every name of some zones out of a cache, in which each record grows older."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._kept: dict[tuple[dns.name.Name, int, bool], tuple[float, dns.message.Message]] = {}

    def answer(self, query: dns.message.Message) -> dns.message.Message:
        """What the zones' authority said at most one time to live ago; SERVFAIL for what nobody answers."""
        question = query.question[0]
        key = (question.name, int(question.rdtype), bool(query.ednsflags & dns.flags.DO))
        since, kept = self._kept.get(key, (0.0, None))
        age = int(time.monotonic() - since)
        sections = () if kept is None else (*kept.answer, *kept.authority)
        if kept is None or any(rrset.ttl <= age for rrset in sections):
            since, age, kept = time.monotonic(), 0, self._authority.answer(query)
            self._kept[key] = since, kept
        reply = dns.message.make_response(query, recursion_available=True)
        refused = kept.rcode() == dns.rcode.REFUSED
        reply.set_rcode(dns.rcode.SERVFAIL if refused else kept.rcode())
        for theirs, ours in ((kept.answer, reply.answer), (kept.authority, reply.authority)):
            ours.extend(_aged(rrset, age) for rrset in theirs)
        return reply


def closest(zones: Sequence[dns.zone.Zone], name: dns.name.Name, kind: int) -> dns.zone.Zone | None:
    """The zone that answers for a name: the deepest above it; for a DS record the one above that."""
    above = [zone for zone in zones if zone.origin and name.is_subdomain(zone.origin)]
    if kind == dns.rdatatype.DS and len(above) > 1:
        above = [zone for zone in above if zone.origin != name]
    return max(above, key=lambda zone: len(zone.origin or ()), default=None)


def _aged(rrset: dns.rrset.RRset, age: int) -> dns.rrset.RRset:
    return dns.rrset.from_rdata_list(rrset.name, rrset.ttl - age, list(rrset))


def _fill(
    reply: dns.message.Message, zone: dns.zone.Zone, name: dns.name.Name, kind: int, signatures: bool
) -> None:
    reply.flags |= dns.flags.AA
    for _ in range(_MAX_ALIASES):
        if not name.is_subdomain(zone.origin or dns.name.root):
            return
        cut = _cut(zone, name, kind)
        if cut is not None:
            _refer(reply, zone, cut, signatures)
            return
        node = _node(zone, name)
        if node is None:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        elif _add(reply.answer, node, name, kind, signatures):
            return
        elif _add(reply.answer, node, name, dns.rdatatype.CNAME, signatures):
            name = next(iter(node.get_rdataset(_IN, dns.rdatatype.CNAME) or ())).target
            continue
        origin = zone.origin or dns.name.root
        _add(reply.authority, zone.find_node(origin), origin, dns.rdatatype.SOA, signatures)
        return


def _node(zone: dns.zone.Zone, name: dns.name.Name) -> dns.node.Node | None:
    """What stands at a name, or the wildcard that covers it (RFC 4592); an empty node above other names."""
    node = zone.get_node(name)
    if node is not None:
        return node
    if any(other.is_subdomain(name) for other in zone.nodes):
        return dns.node.Node()  # type: ignore[no-untyped-call]  # its __init__ has no types
    if name == zone.origin:
        return None
    parent = name.parent()
    while zone.get_node(parent) is None and parent != zone.origin:
        parent = parent.parent()
    return zone.get_node(dns.name.Name((b"*", *parent.labels)))


def _cut(zone: dns.zone.Zone, name: dns.name.Name, kind: int) -> dns.name.Name | None:
    """Where the zone hands the name on to other servers, if it does."""
    while name != zone.origin:
        node = zone.get_node(name)
        if node and node.get_rdataset(_IN, dns.rdatatype.NS) and kind != dns.rdatatype.DS:
            return name
        name = name.parent()
    return None


def _refer(reply: dns.message.Message, zone: dns.zone.Zone, cut: dns.name.Name, signatures: bool) -> None:
    if not reply.answer:  # with an alias in it, the answer is the authority's as far as that goes
        reply.flags &= ~dns.flags.AA
    node = zone.find_node(cut)
    _add(reply.authority, node, cut, dns.rdatatype.NS, False)
    if signatures:
        _add(reply.authority, node, cut, dns.rdatatype.DS, True)
    for server in reply.authority[0]:
        glue = zone.get_node(server.target)
        if glue:
            _add(reply.additional, glue, server.target, dns.rdatatype.A, False)


def _add(
    section: list[dns.rrset.RRset], node: dns.node.Node, name: dns.name.Name, kind: int, signatures: bool
) -> bool:
    found = node.get_rdataset(_IN, dns.rdatatype.RdataType.make(kind))
    if not found:
        return False
    section.append(dns.rrset.from_rdata_list(name, found.ttl, list(found)))
    signed = node.get_rdataset(_IN, dns.rdatatype.RRSIG, dns.rdatatype.RdataType.make(kind))
    if signatures and signed:
        section.append(dns.rrset.from_rdata_list(name, signed.ttl, list(signed)))
    return True


@dataclass(frozen=True)
class Place:
    """One address, and who answers there."""

    who: Answering
    delay_s: float = 0.0
    """How long each answer takes."""
    silent: bool = False
    """Nobody is there; the TCP port is held, so that nobody else can be."""


class Servers:
    """Several addresses on one free port, UDP and TCP; one daemon thread, so it can't be left behind."""

    def __init__(self, places: Mapping[str, Place]) -> None:
        """Take the port at each address.

        Raises:
            StartError: no port was free at all of them.
        """
        self._places = places
        self._sockets, self.port = _bind(tuple(places))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True, name="dns")
        self._serving = threading.Event()
        self._opened: list[asyncio.BaseTransport | asyncio.Server] = []

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()
        self._serving.wait(5)

    def stop(self) -> None:
        """Stop answering and free the port."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(5)
        elif not self._serving.is_set():
            self._loop.close()
        for pair in self._sockets.values():
            for sock in pair:
                sock.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._open())
            self._serving.set()
            self._loop.run_forever()
            self._loop.run_until_complete(self._close())
        finally:
            self._loop.close()

    async def _open(self) -> None:
        for address, place in self._places.items():
            tcp, udp = self._sockets[address]
            if place.silent:
                udp.close()
                continue
            datagrams, _ = await self._loop.create_datagram_endpoint(partial(_Datagrams, place), sock=udp)
            tcp.listen(128)
            streams = await asyncio.start_server(partial(_streams, place), sock=tcp)
            self._opened += [datagrams, streams]

    async def _close(self) -> None:
        for one in self._opened:
            one.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await asyncio.sleep(0)  # transports let go of their sockets one turn later


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, place: Place) -> None:
        self._place = place
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        wire = _wire(self._place, data, udp=True)
        if wire is not None and self._transport is not None:
            asyncio.get_running_loop().call_later(self._place.delay_s, self._transport.sendto, wire, addr)


async def _streams(place: Place, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            wire = _wire(place, await reader.readexactly(length), udp=False)
            if wire is None:
                break
            await asyncio.sleep(place.delay_s)
            writer.write(struct.pack("!H", len(wire)) + wire)
            await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        pass  # the client has gone, as clients do
    finally:
        writer.close()


def _wire(place: Place, data: bytes, *, udp: bool) -> bytes | None:
    """The reply to one message as bytes; nothing to what is no question."""
    try:
        query = dns.message.from_wire(data)
    except dns.exception.DNSException:
        return None
    if query.flags & dns.flags.QR or len(query.question) != 1:
        return None
    size = max(query.payload, 512) if udp else 65_535
    return place.who.answer(query).to_wire(max_size=size, prefer_truncation=True)


def _bind(addresses: Sequence[str]) -> tuple[dict[str, tuple[socket.socket, socket.socket]], int]:
    for _ in range(_ATTEMPTS):
        port, bound = 0, dict[str, tuple[socket.socket, socket.socket]]()
        try:
            for address in addresses:
                bound[address] = _pair(address, port)
                port = int(bound[address][0].getsockname()[1])
        except OSError:
            for pair in bound.values():
                for sock in pair:
                    sock.close()
        else:
            return bound, port
    raise StartError(
        f"no port was free for UDP and TCP at {', '.join(addresses)} in {_ATTEMPTS} attempts to start the DNS "
        "server; all of them must be loopback addresses of this machine"
    )


def _pair(address: str, port: int) -> tuple[socket.socket, socket.socket]:
    # TCP first: with a TCP port that is ours comes our claim to the same UDP port.
    tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        tcp.bind((address, port))
        udp.bind((address, tcp.getsockname()[1]))
        tcp.setblocking(False)
        udp.setblocking(False)
    except OSError:
        tcp.close()
        udp.close()
        raise
    return tcp, udp
