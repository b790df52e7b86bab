"""Name servers that are healthy and unusual, and answers that say more than they may."""

from __future__ import annotations

from typing import Any

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset

from fleetboard.dns_server import Authority, CachingResolver, Place
from gonogo.dnswire import Asker, Server, plain
from gonogo.dnszones import NameServer, ZoneServers, zone_of
from gonogo.probes.dns import as_said, resolve
from gonogo.probes.dns_caa import caa
from gonogo.probes.dns_delegation import FOREIGN, views
from gonogo.probes.dns_records import Question, state
from gonogo.probes.dns_signatures import anchor, chain
from test_probe_dns import HOST, NS1, PARENT, ZONE, serving, zone

MORE = 'xn--bcher-kva A 127.0.0.2\nodd CAA 0 issue "\\255\\254"\n'
OURS = zone("fleet.test", ZONE + MORE)


class ForeignTo:
    """Answers for its zone; what a foreign question gets is for the test to say."""

    def __init__(self, address: str = "") -> None:
        self.address = address

    def answer(self, query: dns.message.Message) -> Any:
        if plain(query.question[0].name) != FOREIGN:
            return Authority([OURS]).answer(query)
        if not self.address:
            return self
        reply = dns.message.make_response(query)
        reply.flags &= ~dns.flags.RA
        reply.answer.append(dns.rrset.from_text(f"{FOREIGN}.", 300, "IN", "A", self.address))
        return reply

    def to_wire(self, **_: object) -> None:
        """Nothing is sent."""


def _served_by(server: Server) -> ZoneServers:
    return ZoneServers("fleet.test", (NameServer("ns1.fleet.test", (server,)),))


def test_a_server_that_drops_foreign_questions_is_closed_and_goes_on_to_be_asked() -> None:
    with serving(ns1=Place(ForeignTo())) as running:
        server, asker = Server(NS1, running.port), Asker(0.3)
        (view,) = views(asker, _served_by(server))
        again = asker.ask(server, "fleet.test", "SOA")

    assert (view.problem, view.recursive, view.serial) == ("", False, 7)
    assert again.rcode == "NOERROR"


def test_a_server_that_tells_foreign_addresses_is_open_whatever_it_says_of_itself() -> None:
    with serving(ns1=Place(ForeignTo("127.0.0.9"))) as running:
        (view,) = views(Asker(2.0), _served_by(Server(NS1, running.port)))

    assert view.recursive


def test_names_beyond_ascii_and_bytes_that_are_no_text() -> None:
    parent = zone("test", PARENT)
    resolver = Place(CachingResolver(Authority([parent, OURS])))
    with serving(ns1=Place(Authority([OURS])), resolver=resolver) as running:
        ours, asker = Server(NS1, running.port), Asker(2.0)
        told = state(asker, ours, "fleet.test", Question("Bücher.fleet.test", "A"), "UDP")
        found = zone_of(asker, [Server(HOST, running.port)], "bücher.fleet.test")
        answer = resolve("bücher.fleet.test", "A", (HOST, running.port))
        facts = caa(asker, ours, "fleet.test", "odd.fleet.test")

    assert (told.values, found, answer.values) == (("127.0.0.2",), "fleet.test", ("127.0.0.2",))
    assert as_said("CNAME", "bücher.fleet.test.", "dns.records") == "xn--bcher-kva.fleet.test"
    assert plain("straße.test") == "xn--strae-oqa.test"
    assert "allows" in facts.forbids("ca.example")


def test_keys_and_digests_of_another_name_are_not_trusted() -> None:
    """An answer about another name is no answer, and no reason to break down."""

    class Misleading:
        def answer(self, query: dns.message.Message) -> dns.message.Message:
            reply = dns.message.make_response(query)
            reply.flags |= dns.flags.AA
            if query.question[0].rdtype == dns.rdatatype.DNSKEY:
                reply.answer.append(dns.rrset.from_text("else.test.", 60, "IN", "DNSKEY", "257 3 13 AAAA"))
                return reply
            return Authority([OURS]).answer(query)

    trusted = anchor(f"test. DS 1 13 2 {'AB' * 32}", "dns.trust_anchors")
    with serving(parent=Place(Misleading())) as running:
        resolvers, asker = [Server(HOST, running.port)], Asker(2.0)
        told = chain(asker, resolvers, [trusted], "fleet.test", running.port)

    assert "no key of test" in told.problem
