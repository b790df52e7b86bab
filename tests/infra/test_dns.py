"""DNS: what the world is told about the target's names, and who tells it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from tests.infra.zones import Zones, find, issued_for

from gonogo import (
    Bound,
    EvidenceKeeper,
    Measure,
    Target,
    TargetError,
    at_least,
    at_most,
    contains_all,
    empty,
    equals,
    is_true,
)
from gonogo.probes.dns import as_said, is_address, plain
from gonogo.probes.dns_caa import caa
from gonogo.probes.dns_delegation import ParentView, ServerView, parent_views, views
from gonogo.probes.dns_records import Question, Statement, ZoneServers, random_names, state, survey
from gonogo.probes.dns_signatures import ROOT_ANCHORS, Anchor, anchor, chain, signatures

ADDRESS = {"A": "AAAA", "AAAA": "A"}
LEADING = (*ADDRESS, "CNAME")
"""Types that lead users somewhere, so that a rollback may have to change them."""


@pytest.mark.gate("dns.records")
def test_records(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """Every name server and resolver gives exactly the planned records, and a change would reach everybody soon."""
    zones = find(target, measure)
    planned = expectations(target)
    said = survey(zones.asker, list(planned), zones.of, zones.servers, zones.resolvers)
    for question, expected in planned.items():
        for server in dict.fromkeys(one.server for one in said):
            here = [one for one in said if one.server == server and Question(one.name, one.type) == question]
            if here:
                judge_statements(target, measure, here, expected)
    judge_speed(target, measure, said)
    judge_aliases(target, measure, zones)
    judge_issuer(target, measure, zones)
    judge_wildcard(target, measure, zones)
    if any(not one.zone and not one.problem for one in said):
        judge_host(target, measure)
    evidence.json("statements.json", [one.to_dict() for one in said])
    evidence.json("exchanges.json", zones.asker.exchanges)


def expectations(target: Target) -> dict[Question, Bound]:
    """What must be answered to which question; a name planned with one kind of address has none of the other."""
    source = target.source("dns.records")
    planned = {}
    for record in target.settings("dns").records:
        values = sorted(as_said(record.type, value, "dns.records") for value in record.values)
        planned[Question(plain(record.name), record.type)] = equals(values, source)
    for question in tuple(planned):
        other = Question(question.name, ADDRESS.get(question.type, ""))
        if other.type and other not in planned:
            planned[other] = equals([], f"{source} plans no {other.type}, and users would be led there")
    return planned


def judge_statements(target: Target, measure: Measure, said: Sequence[Statement], expected: Bound) -> None:
    """Holds what one server said to one question, over UDP and over TCP, against the plan."""
    first = said[0]
    label = f"{first.name} {first.type}"
    answers = {one.transport: one.problem or list(one.values) for one in said}
    alike = all(answer == answers[first.transport] for answer in answers.values())
    told = answers[first.transport] if alike else "; ".join(f"over {how}: {what}" for how, what in answers.items())
    if not alike and all(one.problem for one in said):
        told = "; ".join(one.problem for one in said)
    if not all(one.leaves_zone for one in said):
        measure(f"{label} at {first.server}", told, expected, n=len(said))
    if first.zone and first.type in LEADING and any(one.values or one.aliases for one in said):
        longest = at_most(target.settings("dns").max_ttl_s, target.source("dns.max_ttl_s"))
        measure(f"{label} TTL at {first.server}", max(one.ttl for one in said), longest, unit="s", n=len(said))


def judge_speed(target: Target, measure: Measure, said: Sequence[Statement]) -> None:
    """Every server answers soon enough."""
    soon = at_most(target.settings("dns").max_answer_s, target.source("dns.max_answer_s"))
    for server in dict.fromkeys(one.server for one in said):
        times = [one.duration_s for one in said if one.server == server and one.duration_s]
        if times:
            measure(
                f"slowest answer of {server}", math.ceil(max(times) * 1000) / 1000, soon, unit="s", n=len(times)
            )


def judge_aliases(target: Target, measure: Measure, zones: Zones) -> None:
    """Planned aliases lead to an address."""
    ends = is_true("RFC 1034, 3.6.2: an alias leads to a name that exists; a dangling one is open to be taken over")
    for record in target.settings("dns").records:
        for resolver in zones.resolvers if record.type == "CNAME" else ():
            said = [state(zones.asker, resolver, "", Question(record.name, kind), "UDP") for kind in ADDRESS]
            way = " > ".join((plain(record.name), *max(said, key=lambda one: len(one.aliases)).aliases))
            problem = next((one.problem for one in said if one.problem), "there is no address")
            told = any(one.values for one in said) or f"{way}: {problem}"
            measure(f"{record.name} ends in an address at {resolver}", told, ends, n=len(said))


def judge_issuer(target: Target, measure: Measure, zones: Zones) -> None:
    """The planned authority may issue the certificate, whichever server it asks."""
    issuer = target.settings("dns").ca
    if issuer is None:
        return
    source = f"RFC 8659; {target.source('dns.ca')}"
    names = issued_for(target)
    if not names:
        measure("names on the certificate", "unknown; add dns.ca_names", is_true(source), n=0)
    for name in names:
        resolvers = [(resolver, "") for resolver in zones.resolvers]
        for server, zone in [*zones.authorities(name.removeprefix("*.")), *resolvers]:
            forbidden = caa(zones.asker, server, zone, name).forbids(issuer)
            measure(f"CAA lets {issuer} issue for {name} at {server}", forbidden or True, is_true(source))


def judge_wildcard(target: Target, measure: Measure, zones: Zones) -> None:
    """A name that nobody made has no address."""
    if target.settings("dns").wildcard:
        return
    for zone in zones.servers:
        names = random_names([zone])
        asked = [Question(name, kind) for name in names for kind in ADDRESS]
        said = survey(zones.asker, asked, names, zones.servers, ())
        for server in zones.servers[zone].servers:
            here = [one for one in said if one.server == server]
            caught = [
                f"{one.name} {one.type}: {', '.join(one.values or one.aliases)}"
                for one in here
                if one.values or one.aliases
            ]
            failed = next((one.problem for one in here if one.exists and one.problem), None)
            label = f"{zone} at {server} answers for names that nobody made"
            measure(label, failed or list(dict.fromkeys(caught)), empty(target.source("dns.wildcard")), n=len(here))


def judge_host(target: Target, measure: Measure) -> None:
    """The plan covers the name that users type, and the other gates look where it leads."""
    records = target.settings("dns").records
    addresses = {
        name: sorted(
            as_said(r.type, v, "dns.records")
            for r in records
            if plain(r.name) == name and r.type in ADDRESS
            for v in r.values
        )
        for name in dict.fromkeys(plain(record.name) for record in records)
    }
    if is_address(target.host):
        every = sorted({ip for values in addresses.values() for ip in values})
        measure(
            "planned addresses", every, contains_all([target.host], "base_url, which has an address and no name")
        )
        return
    measure("planned names", sorted(addresses), contains_all([plain(target.host)], "base_url"))
    expected = addresses.get(plain(target.host))
    if not expected:
        return
    try:
        seen: object = sorted(target.addresses)
    except TargetError as error:
        seen = str(error)
    # Not a fault of the zone: another address was given to us, so nobody looked where users are led.
    known = isinstance(seen, str) or seen == expected
    source = f"{target.source('dns.records')}; launch.toml: address"
    measure(f"{target.host} as the other gates know it", seen, equals(expected, source), n=1 if known else 0)


@pytest.mark.gate("dns.delegation")
def test_delegation(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """Enough name servers answer for the zone, all with the same version of it, and the zone above names them."""
    zones = find(target, measure)
    for zone in zones.servers.values():
        here = views(zones.asker, zone)
        above = ask_parent(target, measure, zones, zone.zone)
        judge_servers(target, measure, zone)
        judge_names(target, measure, zones, zone.zone, [*here, *above])
        judge_views(target, measure, zone.zone, here)
        judge_glue(measure, zone, above)
        if anchors := trusted(target, zone.zone, above):
            judge_signatures(target, measure, zones, zone, anchors)
    evidence.json("exchanges.json", zones.asker.exchanges)


def ask_parent(target: Target, measure: Measure, zones: Zones, zone: str) -> list[ParentView]:
    """What the zone above says; that it can't be asked is unknown, unless the plan says that there is none."""
    if not target.settings("dns").parent:
        return []
    source = f"RFC 1034, 4.2.1; {target.source('dns.parent')}"
    try:
        parent, above = parent_views(zones.asker, zones.resolvers, zone, zones.port)
    except TargetError as error:
        measure(f"{zone} in the zone above", f"{error}; a private zone needs parent = false", is_true(source), n=0)
        return []
    reached = [view for view in above if view.reached]
    if not reached:
        problems = "; ".join(view.problem for view in above)
        measure(f"{zone} in {parent}", f"{problems}; a private zone needs parent = false", is_true(source), n=0)
    for view in reached:
        told = f"{view.problem}; a private zone needs parent = false" if view.problem else True
        measure(f"{zone} is delegated by {parent} at {view.server}", told, is_true(source))
    return above


def judge_servers(target: Target, measure: Measure, zone: ZoneServers) -> None:
    """There are enough name servers, each with a proper name and an address of its own."""
    enough = at_least(
        target.settings("dns").min_nameservers, f"RFC 2182, 5; {target.source('dns.min_nameservers')}"
    )
    measure(f"name servers of {zone.zone}", len(zone.name_servers), enough)
    first = {min((*(s.address for s in one.servers), *one.unreachable), default="") for one in zone.name_servers}
    measure(f"name servers of {zone.zone} with addresses of their own", len(first - {""}), enough)
    aliases = [f"{one.name} is an alias of {one.alias_of}" for one in zone.name_servers if one.alias_of]
    measure(
        f"name servers of {zone.zone} that are aliases", aliases, empty("RFC 2181, 10.3"), n=len(zone.name_servers)
    )


def judge_names(
    target: Target, measure: Measure, zones: Zones, zone: str, said: Sequence[ServerView | ParentView]
) -> None:
    """Everybody names the same name servers."""
    planned = target.settings("dns").nameservers
    told = {view.server: view.name_servers for view in said if view.name_servers}
    everybody = {one.name for one in zones.servers[zone].name_servers}.union(*told.values())
    expected, source = sorted(everybody), "RFC 1034, 4.2.2: all servers of zone and zone above name the same"
    if planned and zones.of.get(plain(target.host)) == zone:
        expected, source = sorted(plain(name) for name in planned), target.source("dns.nameservers")
    for server, names in told.items():
        measure(f"name servers of {zone} at {server}", list(names), equals(expected, source))


def judge_views(target: Target, measure: Measure, zone: str, here: Sequence[ServerView]) -> None:
    """Each name server answers for the zone, with its newest version, and for nobody else's."""
    dns = target.settings("dns")
    serials = [view.serial for view in here if view.serial is not None]
    for view in here:
        answers = view.problem or view.authoritative or "answers without authority"
        measure(f"{view.server} answers for {zone}", answers, is_true("RFC 1034, 4.2.1 and 6.1"))
        if view.problem:
            continue
        if dns.equal_serials:
            newest = equals(max(serials), f"the newest of {len(serials)}; {target.source('dns.equal_serials')}")
            measure(f"serial of {zone} at {view.server}", view.serial, newest)
        if not dns.recursion:
            closed = equals(False, f"RFC 5358; {target.source('dns.recursion')}")
            measure(f"{view.server} resolves foreign names", view.recursive, closed)


def judge_glue(measure: Measure, zone: ZoneServers, above: Sequence[ParentView]) -> None:
    """Addresses that the zone above gives along are those of the name servers."""
    known = {one.name: {*(s.address for s in one.servers), *one.unreachable} for one in zone.name_servers}
    for view in above:
        wrong = [f"{name} {ip}" for name, ips in view.glue.items() for ip in ips if ip not in known.get(name, ips)]
        if view.glue:
            measure(
                f"outdated addresses of name servers at {view.server}",
                wrong,
                empty("RFC 1034, 4.2.2"),
                n=len(view.glue),
            )


def trusted(target: Target, zone: str, above: Sequence[ParentView]) -> list[Anchor]:
    """Keys with which the check of signatures begins; none if nobody says that the zone is signed."""
    dns = target.settings("dns")
    if dns.signed:
        return [anchor(target.expand(text), "dns.trust_anchors") for text in dns.trust_anchors or ROOT_ANCHORS]
    # A zone that the plan calls unsigned is lost to all who validate if the one above says otherwise.
    digests = dict.fromkeys(digest for view in above for digest in view.digests)
    return [anchor(f"{zone}. DS {digest}", "the zone above") for digest in digests]


def judge_signatures(
    target: Target, measure: Measure, zones: Zones, zone: ZoneServers, anchors: Sequence[Anchor]
) -> None:
    """From a trusted key down to each planned record, at every server, now and for a while."""
    dns = target.settings("dns")
    try:
        trust = chain(zones.asker, zones.resolvers, anchors, zone.zone, zones.port)
    except TargetError as error:
        measure(f"trust in {zone.zone}", str(error), is_true("RFC 4035, 5"))
        return
    way = " > ".join(trust.zones)
    measure(f"trust in {zone.zone} along {way}", trust.problem or True, is_true("RFC 4035, 5"), n=len(trust.zones))
    if trust.problem:
        return
    wanted = [(r.name, r.type) for r in dns.records if zones.of.get(plain(r.name)) == zone.zone]
    lasting = at_least(dns.min_signature_days, target.source("dns.min_signature_days"))
    if trust.expires:
        measure(
            f"signatures above {zone.zone} last", days_until(trust.expires), lasting, unit="d", n=len(trust.zones)
        )
    for one in signatures(zones.asker, zone, trust.digests, [(zone.zone, "SOA"), (zone.zone, "NS"), *wanted]):
        measure(f"signatures that fail at {one.server}", list(one.problems), empty("RFC 4035, 5.3"), n=one.checked)
        if one.expires:
            label = f"signatures last at {one.server}, first {one.first}"
            measure(label, days_until(one.expires), lasting, unit="d", n=one.checked)


def days_until(moment: datetime) -> float:
    """Days from now, never rounded up to a bound."""
    return math.floor((moment - datetime.now(UTC)).total_seconds() / 864) / 100
