"""What every server of a zone, and every resolver, says of names: records, aliases, wildcards."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from gonogo.dnswire import TRANSPORTS, Asker, Found, Reply, Server, Transport, found_in, plain
from gonogo.dnszones import ZoneServers, servers_of, zone_of
from gonogo.errors import TargetError

__all__ = [
    "MAX_ALIASES",
    "Question",
    "Statement",
    "ZoneServers",
    "random_names",
    "state",
    "survey",
    "within",
    "zones_of",
]

MAX_ALIASES = 8
"""Longest chain of aliases that is followed; resolvers give up at about as many."""
_AT_ONCE = 16


@dataclass(frozen=True)
class Question:
    """One name and record type."""

    name: str
    type: str


@dataclass(frozen=True)
class Statement:
    """What one server says to one question over one transport."""

    server: Server
    transport: Transport
    name: str
    type: str
    zone: str = ""
    """The zone that the server was asked as an authority of; empty for a resolver."""
    values: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    """What the name leads to, one alias after the other."""
    ttl: int = 0
    """Seconds; the longest of the records on the way."""
    duration_s: float = 0.0
    """The slowest single answer."""
    problem: str = ""
    """Why there are no values; empty if the server merely knows no such record."""
    exists: bool = True
    """False if the server says that there is no such name."""

    leaves_zone: bool = False
    """An alias leads to a name for which this server is no authority, so it can't know the values."""

    def to_dict(self) -> dict[str, Any]:
        """The statement as plain data."""
        return {**asdict(self), "server": str(self.server)}


def within(name: str, zone: str) -> bool:
    """Whether a name is a zone's own or below it."""
    return zone == "." or plain(name) == zone or plain(name).endswith(f".{zone}")


def zones_of(
    asker: Asker, resolvers: Sequence[Server], names: Iterable[str], port: int
) -> tuple[dict[str, str], dict[str, ZoneServers], dict[str, str]]:
    """The zone of each name, the servers of each zone, and what can't be found.

    Args:
        asker: with which to ask.
        resolvers: asked one after the other until one answers.
        names: fully qualified.
        port: on which name servers answer.

    Returns:
        zone by name; servers by zone; by name or zone the reason why it is in neither.
    """
    zones, servers, problems = dict[str, str](), dict[str, ZoneServers](), dict[str, str]()
    for name in dict.fromkeys(plain(name) for name in names):
        try:
            zone = zone_of(asker, resolvers, name)
            if zone == ".":
                problems[name] = "no zone has that name, not even its last part is there"
                continue
            if zone not in servers and zone not in problems:
                servers[zone] = servers_of(asker, resolvers, zone, port)
        except TargetError as error:
            problems[name] = str(error)
        else:
            zones[name] = zone
    return zones, servers, problems


def survey(
    asker: Asker,
    questions: Sequence[Question],
    zones: Mapping[str, str],
    servers: Mapping[str, ZoneServers],
    resolvers: Sequence[Server],
) -> list[Statement]:
    """Ask every question of every resolver and of every server of the name's zone, over UDP and TCP.

    Args:
        asker: with which to ask.
        questions: what to ask.
        zones: zone by name; the authorities of a name that is not in it are not asked.
        servers: servers by zone.
        resolvers: whom users ask.

    Returns:
        statements in the order of the questions, authorities first.
    """
    jobs: dict[tuple[Server, str], list[Question]] = {}
    for question in questions:
        zone = zones.get(plain(question.name), "")
        for server in servers[zone].servers if zone else ():
            jobs.setdefault((server, zone), []).append(question)
    for resolver in resolvers:
        jobs[resolver, ""] = list(questions)
    if not jobs:
        return []

    def work(job: tuple[tuple[Server, str], list[Question]]) -> list[Statement]:
        (server, zone), asked = job
        return [state(asker, server, zone, one, transport) for one in asked for transport in TRANSPORTS]

    with ThreadPoolExecutor(min(len(jobs), _AT_ONCE)) as pool:
        said = [one for part in pool.map(work, jobs.items()) for one in part]
    order = {(plain(one.name), one.type): at for at, one in enumerate(questions)}
    return sorted(said, key=lambda one: order[plain(one.name), one.type])


def state(asker: Asker, server: Server, zone: str, question: Question, transport: Transport) -> Statement:
    """What one server says, aliases followed with its help as far as it knows them.

    Args:
        asker: with which to ask.
        server: whom.
        zone: that it is an authority of; empty for a resolver.
        question: what to ask.
        transport: over what.
    """
    at, aliases, ttl, slowest = plain(question.name), list[str](), 0, 0.0
    found, problem, exists, leaves = Found((), (), 0), "", True, False
    while not problem and not found.values and not leaves:
        try:
            reply = asker.ask(server, at, question.type, transport, recurse=not zone)
        except TargetError as error:
            problem = str(error)
            break
        if zone and aliases and not reply.authoritative:
            leaves = True  # into a zone below that others answer for
            break
        found = found_in(reply, at)
        aliases += found.aliases
        ttl, slowest = max(ttl, found.ttl), max(slowest, reply.duration_s)
        exists = reply.rcode != "NXDOMAIN"
        problem = _problem(reply, zone, at, [plain(question.name), *aliases])
        if not found.aliases:
            break
        at = aliases[-1]
        leaves = bool(zone) and not within(at, zone)
    return Statement(
        server=server,
        transport=transport,
        name=question.name,
        type=question.type,
        zone=zone,
        values=() if problem else found.values,
        aliases=tuple(aliases),
        ttl=ttl,
        duration_s=slowest,
        problem=problem,
        exists=exists,
        leaves_zone=leaves and not problem,
    )


def random_names(zones: Iterable[str]) -> dict[str, str]:
    """A name in each zone that nobody can have made on purpose: if it has an address, a wildcard gave it."""
    label = f"gonogo-{secrets.token_hex(6)}"
    return {f"{label}.{zone}": zone for zone in zones}


def _problem(reply: Reply, zone: str, at: str, way: list[str]) -> str:
    if len(set(way)) < len(way):
        return f"its aliases go round in a circle: {' > '.join(way)}"
    if len(way) > MAX_ALIASES + 1:
        return f"more than {MAX_ALIASES} aliases in a row: {' > '.join(way)}"
    if reply.rcode == "NXDOMAIN":
        return f"{way[-1]} does not exist (NXDOMAIN)"
    if reply.rcode != "NOERROR":
        return f"{reply.server} answers {reply.rcode} for {at} {reply.type}"
    if zone and not reply.authoritative:
        return f"{reply.server} answers without authority for {zone}"
    return ""
