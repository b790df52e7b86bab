"""DNSSEC: from a trusted digest down to the signatures of single records, at each server of a zone."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

import dns.dnssec
import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from dns.rdtypes.ANY.DS import DS

from gonogo.dnswire import Asker, Reply, Server, plain
from gonogo.dnszones import ZoneServers, parent_of, servers_of
from gonogo.errors import TargetError, ToolError

ROOT_ANCHORS = (
    ". DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D",
    ". DS 38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16",
)
"""Digests of the root's keys of 2017 and 2024, as IANA publishes them in root-anchors.xml."""


@dataclass(frozen=True)
class Anchor:
    """A key that is trusted from the start."""

    zone: str
    digest: DS


@dataclass(frozen=True)
class Chain:
    """How far trust reaches from an anchor."""

    zones: tuple[str, ...]
    """From the anchor's zone to the one that was asked for."""
    digests: tuple[DS, ...] = ()
    """Trusted digests of the last zone's keys."""
    expires: datetime | None = None
    """The first end of a signature on the way, in UTC."""
    problem: str = ""
    """Where it breaks; empty if it holds."""


@dataclass(frozen=True)
class Signatures:
    """What one server's signatures are worth."""

    server: Server
    checked: int
    """Record sets that were looked at, the keys included."""
    problems: tuple[str, ...]
    """Record sets whose signatures don't hold, each with the reason."""
    expires: datetime | None
    """The first end of a valid signature, in UTC."""
    first: str = ""
    """Whose signature ends first."""


def anchor(text: str, key: str) -> Anchor:
    """A trusted DS record as launch.toml writes it: ``ZONE DS TAG ALGORITHM DIGEST-TYPE DIGEST``.

    Raises:
        ToolError: it is none; ``key`` says where it stands.
    """
    zone, kind, rest = (*text.split(maxsplit=2), "", "", "")[:3]
    try:
        if kind.upper() != "DS":
            raise dns.exception.SyntaxError
        digest = dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.DS, rest)
        assert isinstance(digest, DS)
        return Anchor(plain(dns.name.from_text(zone)), digest)
    except (dns.exception.DNSException, ValueError):
        raise ToolError(
            f"launch.toml: {key}: found {text!r}; write a DS record, e.g. 'example.com. DS 12345 13 2 AB01...'"
        ) from None


def chain(asker: Asker, resolvers: Sequence[Server], anchors: Sequence[Anchor], zone: str, port: int) -> Chain:
    """Follow trust from the closest anchor down to a zone, by asking the servers of each zone on the way.

    Args:
        asker: with which to ask.
        resolvers: who know where each zone's servers are.
        anchors: what is trusted.
        zone: where to get.
        port: on which name servers answer.

    Raises:
        ToolError: no anchor is the zone's or above it.
        TargetError: servers of a zone on the way can't be found or do not answer.
    """
    trusted = {one.zone for one in anchors}
    path = [zone]
    while path[0] not in trusted:
        if path[0] == ".":
            raise ToolError(
                f"launch.toml: dns.trust_anchors: none of them is above {zone}; add the DS record of one"
            )
        path.insert(0, parent_of(asker, resolvers, path[0]))
    digests = tuple(one.digest for one in anchors if one.zone == path[0])
    ends: list[datetime] = []
    for upper, lower in pairwise(path):
        servers = servers_of(asker, resolvers, upper, port)
        keys, problem = _trusted_keys(_ask_one(asker, servers, upper, "DNSKEY"), upper, digests, ends)
        if not problem:
            reply = _ask_one(asker, servers, lower, "DS")
            digests = tuple(record for rrset in _of(reply, "DS", lower) for record in rrset)
            problem = _check(reply, "DS", lower, keys, ends) if digests else f"{upper} has no DS record of {lower}"
        if problem:
            return Chain(tuple(path), problem=problem, expires=min(ends, default=None))
    return Chain(tuple(path), digests, min(ends, default=None))


def signatures(
    asker: Asker, zone: ZoneServers, digests: Sequence[DS], wanted: Sequence[tuple[str, str]]
) -> list[Signatures]:
    """Check the signatures of keys and records at each server of a zone.

    Args:
        asker: with which to ask.
        zone: with its servers.
        digests: of keys that are trusted.
        wanted: name and type of the records.
    """
    if not zone.servers:
        return []
    with ThreadPoolExecutor(min(len(zone.servers), 16)) as pool:
        return list(pool.map(lambda server: _at(asker, server, zone.zone, digests, wanted), zone.servers))


Keys = dict[dns.name.Name, dns.rrset.RRset]


def _at(
    asker: Asker, server: Server, zone: str, digests: Sequence[DS], wanted: Sequence[tuple[str, str]]
) -> Signatures:
    ends: dict[str, datetime] = {}
    try:
        got: list[datetime] = []
        keys, problem = _trusted_keys(asker.ask(server, zone, "DNSKEY", signatures=True), zone, digests, got)
        ends.update({f"{zone} DNSKEY": min(got)} if got else {})
        problems, checked = [problem] if problem else [], 1
        for name, kind in wanted if keys else ():
            reply = asker.ask(server, name, kind, signatures=True)
            for label, bad, until in _records(reply, name, kind, keys):
                checked += 1
                problems += [bad] if bad else []
                if until:
                    ends[label] = until
    except TargetError as error:
        return Signatures(server, 1, (str(error),), None)
    first = min(ends, key=lambda label: ends[label], default="")
    return Signatures(server, checked, tuple(problems), ends.get(first), first)


def _records(reply: Reply, name: str, kind: str, keys: Keys) -> list[tuple[str, str, datetime | None]]:
    """Of each record set in an answer: what it is, why its signature does not hold, until when it does."""
    sets = [rrset for rrset in reply.message.answer if rrset.rdtype != dns.rdatatype.RRSIG]
    ours = [rrset for rrset in sets if any(rrset.name.is_subdomain(zone) for zone in keys)]
    if not ours:
        return [(f"{name} {kind}", f"{name} {kind}: {reply.rcode}, no record to check", None)]
    checked = []
    for rrset in ours:
        ends: list[datetime] = []
        label = f"{plain(rrset.name)} {dns.rdatatype.to_text(rrset.rdtype)}"
        problem = _check(reply, dns.rdatatype.to_text(rrset.rdtype), plain(rrset.name), keys, ends)
        checked.append((label, problem, max(ends, default=None)))
    return checked


def _trusted_keys(reply: Reply, zone: str, digests: Sequence[DS], ends: list[datetime]) -> tuple[Keys, str]:
    """The zone's keys, if one whose digest is trusted signs all of them; else the reason why not."""
    found = _of(reply, "DNSKEY", zone)
    if not found:
        return {}, f"{reply.server} answers {reply.rcode} and no key of {zone}"
    owner, known = found[0].name, []
    for key in found[0]:
        for digest in digests:
            try:
                same = dns.dnssec.make_ds(owner, key, digest.digest_type, validating=True) == digest
            except dns.exception.DNSException:
                continue  # a digest type or an algorithm that must no longer be trusted
            known += [key] if same else []
    if not known:
        tags = ", ".join(str(digest.key_tag) for digest in digests)
        return {}, f"{reply.server} shows no key of {zone} whose digest is trusted (DS {tags})"
    trusted = dns.rrset.from_rdata_list(owner, found[0].ttl, known)
    problem = _check(reply, "DNSKEY", zone, {owner: trusted}, ends)
    return ({}, problem) if problem else ({owner: found[0]}, "")


def _check(reply: Reply, kind: str, name: str, keys: Keys, ends: list[datetime]) -> str:
    """Why no signature of a record set holds; empty if one does, whose end is then added to ``ends``."""
    rrset = _of(reply, kind, name)[0]
    covering = [
        signature
        for one in reply.records("answer", "RRSIG")
        if one.name == rrset.name
        for signature in one
        if signature.type_covered == rrset.rdtype
    ]
    reasons, good = [], []
    for signature in covering:
        until = datetime.fromtimestamp(signature.expiration, UTC)
        try:
            dns.dnssec.validate_rrsig(rrset, signature, dict(keys))
        except (dns.exception.DNSException, ValueError) as error:
            reasons.append(
                f"{str(error) or type(error).__name__}, key {signature.key_tag}, ends {until:%Y-%m-%d %H:%M}"
            )
        else:
            good.append(until)
    if good:
        ends.append(max(good))
        return ""
    return f"{name} {kind} at {reply.server}: {'; '.join(reasons) or 'not signed'}"


def _of(reply: Reply, kind: str, name: str) -> list[dns.rrset.RRset]:
    """Answered record sets of a name: what an answer says of others is worth nothing."""
    return [one for one in reply.records("answer", kind) if plain(one.name) == name]


def _ask_one(asker: Asker, zone: ZoneServers, name: str, kind: str) -> Reply:
    """The first answer that a server of a zone gives."""
    problems = [f"{one.name}: {one.problem}" for one in zone.name_servers if one.problem]
    for server in zone.servers:
        try:
            return asker.ask(server, name, kind, signatures=True)
        except TargetError as error:
            problems.append(str(error))
    raise TargetError(f"no server of {zone.zone} answers: {'; '.join(problems) or 'none can be reached from here'}")
