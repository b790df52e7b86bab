"""The DNS probe tells what a server said, and keeps its limit when it says nothing."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest
from dnslib import RR
from dnslib.server import BaseResolver, DNSHandler, DNSServer

import servers
from gonogo.errors import TargetError, ToolError
from gonogo.probes.dns import resolve

ZONE = """
app.fleet.test. 60 IN A 127.0.0.2
app.fleet.test. 60 IN A 127.0.0.1
www.fleet.test. 86400 IN CNAME app.fleet.test.
fleet.test. 300 IN CAA 0 issue "ca.example"
fleet.test. 300 IN TXT "two " "parts"
"""


class Zone(BaseResolver):
    """Answers from ``ZONE`` as its authority."""

    def resolve(self, request: object, handler: DNSHandler) -> object:  # noqa: ARG002 - the base class asks for it
        reply = request.reply(aa=1, ra=0)
        name, kind = request.q.qname, request.q.qtype
        records = RR.fromZone(ZONE)
        own = [r for r in records if r.rname == name]
        if not own:
            reply.header.rcode = 3
        for record in own:
            if record.rtype in (kind, 5):
                reply.add_answer(record)
            if record.rtype == 5 and kind != 5:
                reply.add_answer(*[r for r in records if r.rname == record.rdata.label and r.rtype == kind])
        return reply


@pytest.fixture(scope="module")
def nameserver() -> Iterator[tuple[str, int]]:
    server = DNSServer(Zone(), address="127.0.0.1", port=0)
    server.start_thread()
    yield ("127.0.0.1", server.server.server_address[1])
    server.stop()
    server.server.server_close()


def test_records(nameserver: tuple[str, int]) -> None:
    """Values are sorted; TTL and authority are those of the answer."""
    answer = resolve("app.fleet.test", "A", nameserver, 2.0)

    assert answer.values == ("127.0.0.1", "127.0.0.2")
    assert (answer.ttl, answer.authoritative) == (60, True)


def test_alias_counts_with_its_own_ttl(nameserver: tuple[str, int]) -> None:
    """The longest TTL on the way is the one that delays a change."""
    answer = resolve("www.fleet.test.", "A", nameserver, 2.0)

    assert answer.values == ("127.0.0.1", "127.0.0.2")
    assert answer.ttl == 86_400


@pytest.mark.parametrize(
    ("record_type", "values"), [("TXT", ("two parts",)), ("CAA", ('0 issue "ca.example"',)), ("AAAA", ())]
)
def test_other_types(nameserver: tuple[str, int], record_type: str, values: tuple[str, ...]) -> None:
    """Texts are joined; a type that the name lacks is an empty answer."""
    assert resolve("fleet.test", record_type, nameserver, 2.0).values == values


def test_unknown_name(nameserver: tuple[str, int]) -> None:
    """A name that does not exist is said to be so."""
    with pytest.raises(TargetError, match=r"DNS name gone\.fleet\.test does not exist"):
        resolve("gone.fleet.test", "A", nameserver, 2.0)


def test_unknown_type(nameserver: tuple[str, int]) -> None:
    """A type that DNS does not have is our own mistake."""
    with pytest.raises(ToolError, match="'AXE' can't be asked for"):
        resolve("app.fleet.test", "AXE", nameserver, 2.0)


def test_silent_server() -> None:
    """A server that never answers is given up within the limit."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        started = time.monotonic()
        with pytest.raises(TargetError, match=r"no usable answer from 127\.0\.0\.1 port \d+ within 1 s"):
            resolve("app.fleet.test", "A", silent.getsockname(), 1.0)

    assert time.monotonic() - started < 2


def test_closed_port() -> None:
    """A port on which nobody listens ends in a sentence within the limit."""
    started = time.monotonic()
    with pytest.raises(TargetError, match=r"app\.fleet\.test"):
        resolve("app.fleet.test", "A", ("127.0.0.1", servers.free_port()), 1.0)

    assert time.monotonic() - started < 2
