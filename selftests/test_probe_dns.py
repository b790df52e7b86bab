"""The DNS probes tell what servers said, and keep their limits when those say nothing."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import dns.message
import dns.rcode
import dns.zone
import pytest

import servers
from fleetboard.dns_server import Answering, Authority, CachingResolver, Place, Servers
from gonogo.dnswire import Asker, Server
from gonogo.dnszones import parent_of, servers_of, zone_of
from gonogo.errors import TargetError, ToolError
from gonogo.probes.dns import as_said, resolve, server_at, system_resolvers
from gonogo.probes.dns_caa import CaaFacts, caa
from gonogo.probes.dns_delegation import parent_views, views
from gonogo.probes.dns_records import Question, Statement, state, survey, zones_of

HOST = "127.0.0.1"
NS1, NS2 = "127.0.0.53", "127.0.0.54"
PARENT = "$TTL 60\n@ SOA a h 1 2 3 4 5\n@ NS a\na A 127.0.0.52\nfleet NS ns1.fleet\nns1.fleet A 127.0.0.53\n"
ZONE = """\
$TTL 60
@ SOA ns1 h 7 2 3 4 5
@ NS ns1
@ NS ns2
@ 300 CAA 0 issue "ca.example; account=1"
@ 300 CAA 0 issuewild ";"
@ 300 TXT "two " "parts"
@ MX 10 Mail
ns1 A 127.0.0.53
ns2 CNAME ns1
app A 127.0.0.2
app A 127.0.0.1
www 86400 CNAME app
away CNAME cdn.elsewhere.test.
below CNAME host.sub
sub NS ns.sub
ns.sub A 127.0.0.55
a CNAME b
b CNAME a
"""


def zone(origin: str, text: str) -> dns.zone.Zone:
    return dns.zone.from_text(text, origin=f"{origin}.", relativize=False)


class Odd:
    """Answers, but not as it should."""

    def __init__(self, who: Answering, *, rcode: int | None = None, authority: bool = True) -> None:
        self.who, self.rcode, self.authority = who, rcode, authority

    def answer(self, query: dns.message.Message) -> dns.message.Message:
        reply = self.who.answer(query)
        if self.rcode is not None:
            reply.set_rcode(self.rcode)
            reply.answer.clear()
        if not self.authority:
            reply.flags &= ~dns.flags.AA
        return reply


@contextmanager
def serving(**places: Place) -> Iterator[Servers]:
    """Parent, zone and resolver, each at its address; ``places`` replaces some."""
    parent, ours = zone("test", PARENT), zone("fleet.test", ZONE)
    usual = {
        "resolver": Place(CachingResolver(Authority([parent, ours]))),
        "parent": Place(Authority([parent])),
        "ns1": Place(Authority([ours])),
        **places,
    }
    at = {"resolver": HOST, "parent": "127.0.0.52", "ns1": NS1, "ns2": NS2}
    running = Servers({at[name]: place for name, place in usual.items()})
    running.start()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving() as running:
        yield running.port


def said(port: int, name: str, kind: str, *, authority: bool = True, transport: str = "UDP") -> Statement:
    server, origin = (Server(NS1, port), "fleet.test") if authority else (Server(HOST, port), "")
    return state(Asker(2.0), server, origin, Question(name, kind), transport)  # type: ignore[arg-type]


def test_records(port: int) -> None:
    """Values are sorted; a resolver's answer has no authority."""
    answer = resolve("app.fleet.test", "A", (HOST, port), 2.0)

    assert answer.values == ("127.0.0.1", "127.0.0.2")
    assert (answer.ttl, answer.authoritative) == (60, False)
    assert resolve("app.fleet.test", "A", (NS1, port), 2.0).authoritative


def test_alias_counts_with_its_own_ttl(port: int) -> None:
    """The longest TTL on the way is the one that delays a change."""
    answer = resolve("WWW.fleet.test.", "A", (HOST, port), 2.0)

    assert answer.values == ("127.0.0.1", "127.0.0.2")
    assert answer.ttl == 86_400


@pytest.mark.parametrize(
    ("record_type", "values"),
    [
        ("TXT", ("two parts",)),
        ("CAA", ('0 issue "ca.example; account=1"', '0 issuewild ";"')),
        ("AAAA", ()),
        ("MX", ("10 mail.fleet.test",)),
    ],
)
def test_other_types(port: int, record_type: str, values: tuple[str, ...]) -> None:
    """Texts are joined; a type that the name lacks is an empty answer."""
    assert resolve("fleet.test", record_type, (HOST, port), 2.0).values == values


def test_unknown_name(port: int) -> None:
    """A name that does not exist is said to be so."""
    with pytest.raises(TargetError, match=r"DNS name gone\.fleet\.test does not exist, says 127\.0\.0\.1 port"):
        resolve("gone.fleet.test", "A", (HOST, port), 2.0)
    with pytest.raises(TargetError, match=r"got no usable answer: 127\.0\.0\.1 port \d+ answers SERVFAIL"):
        resolve("example.org", "A", (HOST, port), 2.0)


@pytest.mark.parametrize(
    ("name", "kind", "told"), [("a.test", "AXE", "'AXE' can't be asked"), ("a..b", "A", "no name")]
)
def test_questions_that_are_none(port: int, name: str, kind: str, told: str) -> None:
    """A type or a name that DNS does not have is our own mistake."""
    with pytest.raises(ToolError, match=told):
        resolve(name, kind, (HOST, port), 2.0)


def test_silent_server_is_waited_for_once() -> None:
    """It is given up within the limit, and what is asked of it next costs nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((HOST, 0))
        asker, server = Asker(1.0), Server(*silent.getsockname())
        begun = time.monotonic()
        for name in ("app.fleet.test", "www.fleet.test"):
            with pytest.raises(TargetError, match=r"127\.0\.0\.1 port \d+ over UDP: no answer within 1 s"):
                asker.ask(server, name, "A")

    assert time.monotonic() - begun < 1.9
    assert asker.exchanges[0]["error"] == "no answer within 1 s"


def test_closed_port() -> None:
    """A port on which nobody listens ends in a sentence at once, over UDP as over TCP."""
    begun, server = time.monotonic(), Server(HOST, servers.free_port())
    for transport in ("UDP", "TCP"):
        with pytest.raises(TargetError, match=rf"over {transport}: nobody listens there"):
            Asker(5.0).ask(server, "app.fleet.test", "A", transport)  # type: ignore[arg-type]

    assert time.monotonic() - begun < 3


@contextmanager
def replying(*answers: bytes | None) -> Iterator[tuple[str, int]]:
    """Replies to one packet after the other: nothing, or these bytes with the packet's own id in front."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((HOST, 0))

        def work() -> None:
            for answer in answers:
                data, address = sock.recvfrom(4096)
                if answer is not None:
                    sock.sendto(data[:2] + (answer or data[2:3].replace(b"\x00", b"\x80") + data[3:]), address)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        yield sock.getsockname()
        thread.join(5)


def test_lost_packet_is_sent_again() -> None:
    """The second packet gets its answer, and the number of tries is told."""
    with replying(None, b"") as address:
        reply = Asker(1.5).ask(Server(*address), "app.fleet.test", "A")

    assert (reply.tries, reply.rcode) == (2, "NOERROR")
    assert 0.4 < reply.duration_s < 1.5


def test_nonsense() -> None:
    """Bytes that are no answer are a finding, in a sentence."""
    with (
        replying(struct.pack("!5H", 0x8000, 1, 9, 9, 9) + b"\xff\xff") as address,
        pytest.raises(TargetError, match="an answer that can't be read"),
    ):
        Asker(1.0).ask(Server(*address), "app.fleet.test", "A")


def test_slow_server_is_left_alone_after_two_answers() -> None:
    """Its slowness is certain by then."""
    ours = Authority([zone("fleet.test", ZONE)])
    with serving(ns1=Place(ours, delay_s=0.2)) as running:
        asker, server = Asker(2.0, slow_s=0.1), Server(NS1, running.port)
        for _ in range(2):
            asker.ask(server, "app.fleet.test", "A")
        with pytest.raises(TargetError, match=r"took 0\.2 s and 0\.2 s to answer, longer than 0\.1 s"):
            asker.ask(server, "app.fleet.test", "A")


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_alias_is_followed_within_the_zone(port: int, transport: str) -> None:
    """What leaves it, for another zone or one below, is not the server's to know."""
    inside = said(port, "www.fleet.test", "A", transport=transport)
    away = said(port, "away.fleet.test", "A", transport=transport)
    below = said(port, "below.fleet.test", "A", transport=transport)

    assert (inside.values, inside.aliases, inside.ttl) == (("127.0.0.1", "127.0.0.2"), ("app.fleet.test",), 86_400)
    assert (away.leaves_zone, away.problem, away.aliases) == (True, "", ("cdn.elsewhere.test",))
    assert (below.leaves_zone, below.problem, below.values) == (True, "", ())
    assert said(port, "away.fleet.test", "CNAME").values == ("cdn.elsewhere.test",)


@pytest.mark.parametrize("authority", [True, False])
def test_circle_of_aliases(port: int, authority: bool) -> None:
    """It ends, and is named."""
    assert (
        "go round in a circle: a.fleet.test > b.fleet.test > a.fleet.test"
        in said(port, "a.fleet.test", "A", authority=authority).problem
    )


def test_server_without_authority() -> None:
    """It may know the right answer from somewhere else; that is not what it is there for."""
    with serving(ns1=Place(Odd(Authority([zone("fleet.test", ZONE)]), authority=False))) as running:
        statement = said(running.port, "app.fleet.test", "A")
        (view,) = views(
            Asker(2.0), servers_of(Asker(2.0), [Server(HOST, running.port)], "fleet.test", running.port)
        )[:1]

    assert "answers without authority for fleet.test" in statement.problem
    assert statement.values == ()
    assert not view.authoritative


def test_zones_and_servers(port: int) -> None:
    """Found by the resolver; a name server that is an alias is told."""
    asker, resolvers = Asker(2.0), (Server(HOST, port),)
    found = servers_of(asker, resolvers, "fleet.test", port)

    assert zone_of(asker, resolvers, "deep.app.fleet.test") == "fleet.test"
    assert parent_of(asker, resolvers, "fleet.test") == "test"
    assert [(one.name, one.alias_of) for one in found.name_servers] == [
        ("ns1.fleet.test", ""),
        ("ns2.fleet.test", "ns1.fleet.test"),
    ]
    zones, _, problems = zones_of(asker, resolvers, ["app.fleet.test", "app.example.org"], port)
    assert zones == {"app.fleet.test": "fleet.test"}
    assert "answers SERVFAIL when asked which zone app.example.org" in problems["app.example.org"]


def test_survey_asks_everybody_over_both_transports(port: int) -> None:
    """One statement for each server and transport, authorities first."""
    asker, resolvers = Asker(2.0), (Server(HOST, port),)
    zones, known, _ = zones_of(asker, resolvers, ["app.fleet.test"], port)
    statements = survey(asker, [Question("app.fleet.test", "A")], zones, known, resolvers)

    assert [(one.server.address, one.transport) for one in statements] == [
        (NS1, "UDP"), (NS1, "TCP"), (NS1, "UDP"), (NS1, "TCP"), (HOST, "UDP"), (HOST, "TCP"),
    ]  # fmt: skip
    assert {one.values for one in statements} == {("127.0.0.1", "127.0.0.2")}


def test_delegation(port: int) -> None:
    """The zone above names one server of two, with its address."""
    asker, resolvers = Asker(2.0), (Server(HOST, port),)
    parent, (above,) = parent_views(asker, resolvers, "fleet.test", port)
    view = views(asker, servers_of(asker, resolvers, "fleet.test", port))[0]

    assert (parent, above.name_servers, above.digests) == ("test", ("ns1.fleet.test",), ())
    assert above.glue == {"ns1.fleet.test": (NS1,)}
    assert view.name_servers == ("ns1.fleet.test", "ns2.fleet.test")
    assert (view.serial, view.authoritative, view.recursive) == (7, True, False)


def test_open_recursion_and_missing_delegation() -> None:
    """A name server that looks elsewhere for anybody, and a zone above that has forgotten ours."""
    ours = Authority([zone("fleet.test", ZONE)])
    forgotten = Authority([zone("test", PARENT.replace("fleet NS", "other NS"))])
    with serving(ns1=Place(CachingResolver(ours)), parent=Place(forgotten)) as running:
        asker, resolvers = Asker(2.0), (Server(HOST, running.port),)
        view = views(asker, servers_of(asker, resolvers, "fleet.test", running.port))[0]
        _, (above,) = parent_views(asker, resolvers, "fleet.test", running.port)

    assert (view.recursive, view.authoritative) == (True, False)
    assert (above.reached, above.name_servers) == (True, ())
    assert "delegates no fleet.test" in above.problem


def test_issuers(port: int) -> None:
    """The closest records above the name are in force, for wildcards those of their own."""
    facts = caa(Asker(2.0), Server(NS1, port), "fleet.test", "app.fleet.test")

    assert facts.owner == "fleet.test"
    assert facts.forbids("CA.example.") == ""
    assert facts.forbids("other.example") == "fleet.test allows ca.example alone (issue)"
    wild = caa(Asker(2.0), Server(HOST, port), "", "*.fleet.test")
    assert wild.forbids("ca.example") == "fleet.test allows nobody alone (issuewild)"
    assert caa(Asker(2.0), Server(HOST, port), "", "a.test").forbids("ca.example") == ""


def test_issuers_that_can_not_be_known() -> None:
    """An error is no permission, nor is a critical property that nobody knows."""
    broken = Odd(Authority([zone("fleet.test", ZONE)]), rcode=dns.rcode.SERVFAIL)
    with serving(ns1=Place(broken)) as running:
        facts = caa(Asker(2.0), Server(NS1, running.port), "fleet.test", "app.fleet.test")
    assert "answers SERVFAIL" in facts.forbids("ca.example")
    read = CaaFacts(Server(HOST), "app.test", "app.test", ((128, "tbs", "Unknown"),))
    assert "critical property 'tbs'" in read.forbids("ca.example")
    assert replace(read, records=((0, "iodef", "mailto:a@example"),)).forbids("ca.example") == ""
    assert "allows nobody" in replace(read, records=((0, "issue", ";"),)).forbids("ca.example")


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("10.0.0.2", Server("10.0.0.2")),
        ("10.0.0.2:5353", Server("10.0.0.2", 5353)),
        ("2001:db8::1", Server("2001:db8::1")),
        ("[2001:db8::1]:54", Server("2001:db8::1", 54)),
    ],
)
def test_written_servers(text: str, server: Server) -> None:
    """An address, and a port unless it is 53."""
    assert server_at(text, "dns.resolvers") == server


@pytest.mark.parametrize(
    "text", ["", "ns1.example", "ns1.example:53", "10.0.0.2:0", "10.0.0.2:x", "10.0.0.2:70000"]
)
def test_what_is_no_server(text: str) -> None:
    """The sentence says where it stands and what is allowed."""
    with pytest.raises(ToolError, match=r"launch\.toml: dns\.resolvers: found "):
        server_at(text, "dns.resolvers")


def test_spellings() -> None:
    """Planned values are compared in the form in which servers give them."""
    assert as_said("AAAA", "2001:DB8:0::1", "k") == "2001:db8::1"
    assert as_said("CNAME", "App.Fleet.Test.", "k") == "app.fleet.test"
    assert as_said("CAA", "0 issue ca.example", "k") == '0 issue "ca.example"'
    assert as_said("TXT", "v=spf1 -all", "k") == "v=spf1 -all"
    with pytest.raises(ToolError, match=r"dns\.records: '1\.2\.3' is no A record"):
        as_said("A", "1.2.3", "dns.records")


def test_system_resolvers() -> None:
    """The machine's own, or a sentence that says what to do."""
    try:
        assert all(server.address for server in system_resolvers())
    except ToolError as error:
        assert "name one as resolver in launch.toml" in str(error)
