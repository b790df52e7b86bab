"""Which zone a name belongs to, and which servers answer for it: found as a resolver finds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gonogo.dnswire import Asker, Reply, Server, plain
from gonogo.errors import TargetError
from gonogo.network import has_way


@dataclass(frozen=True)
class NameServer:
    """One name server of a zone, as the resolver knows it."""

    name: str
    servers: tuple[Server, ...] = ()
    """Each of its addresses that this machine has a way to."""
    unreachable: tuple[str, ...] = ()
    """Addresses that this machine has no way to, as to IPv6 from a network without it."""
    alias_of: str = ""
    """What its name is an alias of; it must not be one."""
    problem: str = ""
    """Why it has no address."""


@dataclass(frozen=True)
class ZoneServers:
    """A zone and everybody who answers for it."""

    zone: str
    name_servers: tuple[NameServer, ...]

    @property
    def servers(self) -> tuple[Server, ...]:
        """Each address of each name server."""
        return tuple(server for one in self.name_servers for server in one.servers)


def above(name: str) -> str:
    """The name with its first label taken off; the root is above every top-level name."""
    return name.partition(".")[2] or "."


def zone_of(asker: Asker, resolvers: Sequence[Server], name: str) -> str:
    """The zone that a name belongs to, by the resolvers' word; the root's name is ``.``.

    Raises:
        TargetError: no resolver answers, or only with an error.
    """
    at = plain(name)
    while at != ".":
        reply = ask_any(asker, resolvers, at, "SOA")
        if any(plain(rrset.name) == at for rrset in reply.records("answer", "SOA")):
            return at
        if reply.rcode not in ("NOERROR", "NXDOMAIN"):
            raise TargetError(f"{reply.server} answers {reply.rcode} when asked which zone {name} belongs to")
        at = above(at)
    return "."


def parent_of(asker: Asker, resolvers: Sequence[Server], zone: str) -> str:
    """The zone that delegates a zone.

    Raises:
        TargetError: no resolver answers, or only with an error.
    """
    return zone_of(asker, resolvers, above(zone))


def servers_of(asker: Asker, resolvers: Sequence[Server], zone: str, port: int) -> ZoneServers:
    """A zone's name servers and their addresses, by the resolvers' word.

    Args:
        asker: with which to ask.
        resolvers: asked one after the other, until one answers.
        zone: its name.
        port: on which the name servers answer.

    Raises:
        TargetError: no resolver answers, or the zone has no name servers.
    """
    reply = ask_any(asker, resolvers, zone, "NS")
    names = sorted({plain(record.target) for rrset in reply.records("answer", "NS") for record in rrset})
    if not names:
        raise TargetError(f"{reply.server} knows no name server of {zone} ({reply.rcode})")
    return ZoneServers(zone, tuple(_name_server(asker, resolvers, name, port) for name in names))


def ask_any(asker: Asker, resolvers: Sequence[Server], name: str, kind: str) -> Reply:
    """The first answer that one of the resolvers gives; SERVFAIL and REFUSED count if nobody has a better one.

    Raises:
        TargetError: none answers; the sentence names each.
    """
    problems, useless = [], None
    for resolver in resolvers:
        try:
            reply = asker.ask(resolver, name, kind, recurse=True)
        except TargetError as error:
            problems.append(str(error))
            continue
        if reply.rcode in ("NOERROR", "NXDOMAIN"):
            return reply
        useless = reply
    if useless is None:
        raise TargetError("; ".join(problems))
    return useless


def _name_server(asker: Asker, resolvers: Sequence[Server], name: str, port: int) -> NameServer:
    addresses, alias, problem = [], "", ""
    for kind in ("A", "AAAA"):
        try:
            reply = ask_any(asker, resolvers, name, kind)
        except TargetError as error:
            problem = str(error)
            continue
        addresses += [str(record.address) for rrset in reply.records("answer", kind) for record in rrset]
        alias = next((plain(rrset[0].target) for rrset in reply.records("answer", "CNAME")), alias)
        if reply.rcode != "NOERROR":
            problem = f"{reply.server} answers {reply.rcode} for {name} {kind}"
    near = [ip for ip in addresses if has_way(ip)]
    return NameServer(
        name,
        servers=tuple(Server(ip, port, name) for ip in near),
        unreachable=tuple(ip for ip in addresses if ip not in near),
        alias_of=alias,
        problem="" if addresses else problem or f"{name} has no address",
    )
