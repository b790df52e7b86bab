"""Who answers for a zone: what its own servers say of it, and what the zone above says."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal

from gonogo.dnswire import Asker, Reply, Server, plain
from gonogo.dnszones import ZoneServers, parent_of, servers_of
from gonogo.errors import TargetError

FOREIGN = "example.com"
"""A name that no server of a zone under verification answers for; a resolver would look for it."""
PARENTS = 3
"""How many servers of the zone above are asked; a top-level zone has a dozen that say the same."""


@dataclass(frozen=True)
class ServerView:
    """What one name server says of its zone."""

    server: Server
    name_servers: tuple[str, ...] = ()
    serial: int | None = None
    """Of the SOA record; ``None`` if the server knows none."""
    authoritative: bool = False
    recursive: bool = False
    """It looks up names of other zones for whoever asks."""
    problem: str = ""


@dataclass(frozen=True)
class ParentView:
    """What one server of the zone above says of the delegation."""

    server: Server
    name_servers: tuple[str, ...] = ()
    glue: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Addresses that it gives along, by name server."""
    digests: tuple[str, ...] = ()
    """Of the zone's keys (DS records): with one, resolvers that validate insist on signatures."""
    problem: str = ""
    reached: bool = True
    """It answered at all."""


def views(asker: Asker, zone: ZoneServers) -> list[ServerView]:
    """Ask each address of each name server of a zone."""
    servers = zone.servers
    if not servers:
        return []
    with ThreadPoolExecutor(min(len(servers), 16)) as pool:
        return list(pool.map(lambda server: _view(asker, server, zone.zone), servers))


def parent_views(asker: Asker, resolvers: Sequence[Server], zone: str, port: int) -> tuple[str, list[ParentView]]:
    """Ask up to ``PARENTS`` servers of the zone above.

    Args:
        asker: with which to ask.
        resolvers: who know where the zone above is.
        zone: whose delegation is asked for.
        port: on which name servers answer.

    Returns:
        name of the zone above, and what each of its servers says.

    Raises:
        TargetError: the zone above has no servers that can be found.
    """
    parent = parent_of(asker, resolvers, zone)
    found = servers_of(asker, resolvers, parent, port)
    first = [one.servers[0] for one in found.name_servers if one.servers][:PARENTS]
    if not first:
        raise TargetError(f"no name server of {parent}, the zone above {zone}, has an address to ask")
    return parent, [_parent_view(asker, server, zone) for server in first]


def _view(asker: Asker, server: Server, zone: str) -> ServerView:
    try:
        soa = asker.ask(server, zone, "SOA")
        names = asker.ask(server, zone, "NS")
    except TargetError as error:
        return ServerView(server, problem=str(error))
    serials = [record.serial for rrset in soa.records("answer", "SOA") for record in rrset]
    return ServerView(
        server=server,
        name_servers=_names(names, "answer", zone),
        serial=serials[0] if serials else None,
        authoritative=soa.authoritative and bool(serials),
        recursive=_resolves(asker, server),
        problem="" if serials else f"{server} answers {soa.rcode} and no SOA record of {zone}",
    )


def _resolves(asker: Asker, server: Server) -> bool:
    """Whether a server looks for a foreign name; many drop such a question instead of refusing it."""
    try:
        foreign = asker.ask(server, FOREIGN, "A", recurse=True, owed=False)
    except TargetError:
        return False
    told = foreign.rcode == "NOERROR" and bool(foreign.message.answer) and not foreign.authoritative
    return told or (foreign.recursion_offered and foreign.rcode != "REFUSED")


def _parent_view(asker: Asker, server: Server, zone: str) -> ParentView:
    try:
        reply = asker.ask(server, zone, "NS")
        digest = asker.ask(server, zone, "DS")
    except TargetError as error:
        return ParentView(server, problem=str(error), reached=False)
    # One server may hold both zones: then it answers for the zone itself.
    names = _names(reply, "authority", zone) or _names(reply, "answer", zone)
    glue: dict[str, list[str]] = {}
    for kind in ("A", "AAAA"):
        for rrset in reply.records("additional", kind):
            glue.setdefault(plain(rrset.name), []).extend(str(record.address) for record in rrset)
    return ParentView(
        server=server,
        name_servers=names,
        glue={name: tuple(sorted(addresses)) for name, addresses in glue.items()},
        digests=tuple(sorted(str(one) for rrset in digest.records("answer", "DS") for one in rrset)),
        problem="" if names else f"{server} answers {reply.rcode} and delegates no {zone}",
    )


def _names(reply: Reply, section: Literal["answer", "authority"], zone: str) -> tuple[str, ...]:
    sets = reply.records(section, "NS")
    return tuple(sorted({plain(record.target) for rrset in sets if plain(rrset.name) == zone for record in rrset}))
