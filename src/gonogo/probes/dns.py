"""Looks names up, with one server or with those of the system."""

from __future__ import annotations

from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.name
import dns.rdata
import dns.rdataclass
import dns.resolver

from gonogo.addresses import is_address
from gonogo.dnswire import Asker, Reply, Server, found_in, plain, value_of
from gonogo.errors import TargetError, ToolError

__all__ = [
    "Asker",
    "DnsAnswer",
    "Server",
    "as_said",
    "is_address",
    "plain",
    "port_number",
    "resolve",
    "server_at",
    "system_resolvers",
]


@dataclass(frozen=True)
class DnsAnswer:
    """What one name server said about one name and record type."""

    name: str
    type: str
    values: tuple[str, ...]
    """Sorted; names in lower case without the last dot; empty if the name has no such record."""
    ttl: int
    """Seconds; the longest of all records in the answer, aliases included, because that one
    decides when a change has reached everybody."""
    authoritative: bool
    """The answer came from a server of the zone itself, not from a cache."""
    server: str
    """Address and port that answered."""


def resolve(
    name: str, record_type: str, nameserver: tuple[str, int] | None = None, timeout_s: float = 5.0
) -> DnsAnswer:
    """Asks for the records of one type.

    Args:
        name: fully qualified, with or without the last dot.
        record_type: such as ``A``, ``AAAA``, ``CAA``.
        nameserver: address and port to ask; the system's servers if ``None``.
        timeout_s: limit in seconds for all tries together, for each server.

    Raises:
        TargetError: the name does not exist, no answer came in time, or none was usable.
        ToolError: the record type is unknown, or this machine names no server to ask.
    """
    asker = Asker(timeout_s)
    servers = (Server(*nameserver),) if nameserver else system_resolvers()
    problems = []
    for server in servers:
        try:
            reply = asker.ask(server, name, record_type, recurse=True)
        except TargetError as error:
            problems.append(str(error))
            continue
        if reply.rcode == "NXDOMAIN":
            raise TargetError(f"DNS name {name} does not exist, says {server}")
        if reply.rcode == "NOERROR":
            return _facts(reply)
        problems.append(f"{server} answers {reply.rcode}")
    raise TargetError(f"DNS name {name} ({record_type}) got no usable answer: {'; '.join(problems)}")


def system_resolvers() -> tuple[Server, ...]:
    """The resolvers that this machine is told to ask.

    Raises:
        ToolError: it names none.
    """
    try:
        found = dns.resolver.Resolver()
    except (dns.exception.DNSException, OSError):
        servers = []
    else:
        servers = [Server(one, found.port) for one in found.nameservers if isinstance(one, str) and is_address(one)]
    if not servers:
        raise ToolError("this machine names no DNS server (resolv.conf); name one as resolver in launch.toml")
    return tuple(servers)


def server_at(text: str, key: str) -> Server:
    """A server as launch.toml writes it: an IP address, and its port unless that is 53.

    Raises:
        ToolError: it is none; ``key`` says where it stands.
    """
    if is_address(text.strip("[]")):
        return Server(text.strip("[]"))
    host, _, port = text.rpartition(":")
    if not is_address(host.strip("[]")):
        raise ToolError(
            f"launch.toml: {key}: found {text!r}; write an IP address and a port, e.g. 10.0.0.2:53 or "
            "[2001:db8::1]:53"
        )
    return Server(host.strip("[]"), port_number(port, key))


def port_number(text: str, key: str) -> int:
    """A port as launch.toml writes it.

    Raises:
        ToolError: it is none; ``key`` says where it stands.
    """
    if not text.isdecimal() or not 0 < int(text) < 65_536:
        raise ToolError(f"launch.toml: {key}: found {text!r}; write a port from 1 to 65535, e.g. 53")
    return int(text)


def as_said(kind: str, value: str, key: str) -> str:
    """A planned record as an answer would say it: addresses and names have more than one spelling.

    Raises:
        ToolError: there is no such record of that type; ``key`` says where it stands.
    """
    if kind == "TXT":
        return value
    try:
        codec = dns.name.IDNA_2008_Practical
        return value_of(dns.rdata.from_text(dns.rdataclass.IN, kind, value, idna_codec=codec))
    except dns.exception.DNSException as error:
        raise ToolError(f"launch.toml: {key}: {value!r} is no {kind} record ({error}); correct it") from None


def _facts(reply: Reply) -> DnsAnswer:
    found = found_in(reply, reply.name)
    return DnsAnswer(
        name=reply.name,
        type=reply.type,
        values=found.values,
        ttl=found.ttl,
        authoritative=bool(reply.message.flags & dns.flags.AA),
        server=str(reply.server),
    )
