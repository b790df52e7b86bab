"""One DNS question to one server, over UDP or TCP, with a limit that holds. Probes ask through it."""

from __future__ import annotations

import math
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any, Literal

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.rrset

from gonogo.errors import TargetError, ToolError

Transport = Literal["UDP", "TCP"]
TRANSPORTS: tuple[Transport, ...] = ("UDP", "TCP")

PATIENCE = 2
"""So many slow answers are waited for: one may be the first look at an empty cache."""

_PAYLOAD = 1232
"""Largest UDP answer that is asked for, in bytes: what passes every usual path unfragmented."""
_PAUSE_S = 0.1
_TRIES = 3


@dataclass(frozen=True, order=True)
class Server:
    """Where a question goes."""

    address: str
    port: int = 53
    name: str = ""
    """The name server's own name, if it is known by one."""

    def __str__(self) -> str:
        place = f"{self.address} port {self.port}"
        return f"{self.name} ({place})" if self.name else place


@dataclass(frozen=True)
class Reply:
    """What one server answered to one question."""

    server: Server
    name: str
    type: str
    transport: Transport
    """That of the question; an answer that did not fit was fetched over TCP."""
    message: dns.message.Message
    duration_s: float
    """From the first packet to the answer, in seconds; lost packets and repeated tries count."""
    tries: int

    @property
    def rcode(self) -> str:
        """Such as ``NOERROR`` or ``NXDOMAIN``."""
        return dns.rcode.to_text(self.message.rcode())

    @property
    def authoritative(self) -> bool:
        """The server answers for the zone itself, not from a cache."""
        return bool(self.message.flags & dns.flags.AA)

    @property
    def recursion_offered(self) -> bool:
        """The server says that it looks elsewhere for whoever asked."""
        return bool(self.message.flags & dns.flags.RA)

    def records(self, section: Literal["answer", "authority", "additional"], kind: str) -> list[dns.rrset.RRset]:
        """Record sets of one type in one section."""
        wanted = dns.rdatatype.from_text(kind)
        return [rrset for rrset in getattr(self.message, section) if rrset.rdtype == wanted]

    def summary(self) -> dict[str, Any]:
        """The exchange as plain data, for evidence."""
        return {
            "server": str(self.server),
            "question": f"{self.name} {self.type}",
            "transport": self.transport,
            "rcode": self.rcode,
            "flags": dns.flags.to_text(self.message.flags),
            "answer": [line for rrset in self.message.answer for line in rrset.to_text().splitlines()],
            "authority": [line for rrset in self.message.authority for line in rrset.to_text().splitlines()],
            "ms": round(self.duration_s * 1000, 1),
            "tries": self.tries,
        }


@dataclass(frozen=True)
class Found:
    """What an answer says of a name and a type, aliases followed as far as the answer goes."""

    values: tuple[str, ...]
    """Sorted, as people write them in a plan: names in lower case without the last dot."""
    aliases: tuple[str, ...]
    """What the name leads to, one alias after the other; the last is where the answer ends."""
    ttl: int
    """Seconds; the longest of all records used, aliases included: that one delays a change."""


def found_in(reply: Reply, name: str) -> Found:
    """Follow a name through one answer; a circle of aliases ends where it closes."""
    at, aliases, ttls = plain(name), list[str](), list[int]()
    kind = dns.rdatatype.from_text(reply.type)
    while True:
        here = [rrset for rrset in reply.message.answer if plain(rrset.name) == at]
        wanted = next((rrset for rrset in here if rrset.rdtype == kind), None)
        if wanted is not None:
            values = tuple(sorted(value_of(record) for record in wanted))
            return Found(values, tuple(aliases), max([wanted.ttl, *ttls]))
        alias = next((rrset for rrset in here if rrset.rdtype == dns.rdatatype.CNAME), None)
        if alias is None:
            return Found((), tuple(aliases), max(ttls, default=0))
        circle = at in aliases[:-1]
        at = plain(alias[0].target)
        aliases.append(at)
        ttls.append(alias.ttl)
        if circle:
            return Found((), tuple(aliases), max(ttls))


def plain(name: object) -> str:
    """A name as servers tell it: lower case, no last dot, other letters as ``xn--``; the root is ``.``."""
    text = str(name).lower().rstrip(".") or "."
    if not text.isascii():
        try:
            return dns.name.from_text(text, idna_codec=dns.name.IDNA_2008_Practical).to_text(omit_final_dot=True)
        except dns.exception.DNSException:
            pass  # it is no name, and whoever asks for it is told so
    return text


def value_of(record: dns.rdata.Rdata) -> str:
    """One record in the form in which people write it in a plan."""
    if record.rdtype in (dns.rdatatype.TXT, dns.rdatatype.SPF):
        return b"".join(getattr(record, "strings", ())).decode("utf-8", "replace")
    text = str(record)
    if record.rdtype in (
        dns.rdatatype.CNAME,
        dns.rdatatype.NS,
        dns.rdatatype.MX,
        dns.rdatatype.SRV,
        dns.rdatatype.PTR,
    ):
        return plain(text)
    return text


class Asker:
    """Asks questions, remembers every exchange, and never waits twice for a server that stays silent."""

    def __init__(self, timeout_s: float, slow_s: float = math.inf) -> None:
        """Set the limits.

        Args:
            timeout_s: for one question, all tries together.
            slow_s: a server that takes longer than this for ``PATIENCE`` answers is not asked any more.
        """
        self.timeout_s = timeout_s
        self.slow_s = slow_s
        self._slow: dict[tuple[str, int], list[float]] = {}
        self._lock = threading.Lock()
        self._log: list[dict[str, Any]] = []
        self._dead: dict[tuple[str, int, Transport], str] = {}

    @property
    def exchanges(self) -> list[dict[str, Any]]:
        """All questions and answers so far, as plain data, sorted by server."""
        with self._lock:
            return sorted(self._log, key=lambda one: (one["server"], one["question"], one["transport"]))

    def ask(
        self,
        server: Server,
        name: str,
        kind: str,
        transport: Transport = "UDP",
        *,
        recurse: bool = False,
        signatures: bool = False,
        owed: bool = True,
    ) -> Reply:
        """Ask one question; lost packets and broken connections are tried again within the limit.

        Args:
            server: whom.
            name: fully qualified, with or without the last dot.
            kind: record type, such as ``A``.
            transport: UDP or TCP.
            recurse: ask the server to look elsewhere, as a resolver does.
            signatures: ask for DNSSEC's records too.
            owed: the server has to answer; if not, silence says nothing of other questions.

        Raises:
            TargetError: no answer came in time, or none that can be read.
            ToolError: there is no such record type, or the name is none.
        """
        self._refuse_hopeless(server, transport)
        query = _query(name, kind, recurse=recurse, signatures=signatures)
        begun = time.monotonic()
        try:
            message, tries = _exchange(query, server, transport, self.timeout_s)
            if transport == "UDP" and message.flags & dns.flags.TC:
                left = max(self.timeout_s - (time.monotonic() - begun), _PAUSE_S)
                message, more = _exchange(query, server, "TCP", left)
                tries += more
        except (dns.exception.DNSException, OSError, EOFError) as error:
            raise self._failure(server, f"{name} {kind}", transport, error, owed=owed) from None
        reply = Reply(server, name, kind, transport, message, time.monotonic() - begun, tries)
        with self._lock:
            self._log.append(reply.summary())
            if reply.duration_s > self.slow_s:
                self._slow.setdefault((server.address, server.port), []).append(reply.duration_s)
        return reply

    def _refuse_hopeless(self, server: Server, transport: Transport) -> None:
        dead = self._dead.get((server.address, server.port, transport))
        if dead:
            raise TargetError(dead)
        slow = self._slow.get((server.address, server.port), [])
        if len(slow) >= PATIENCE:
            took = " and ".join(f"{duration_s:.1f} s" for duration_s in slow)
            raise TargetError(
                f"{server} took {took} to answer, longer than {self.slow_s:g} s, and was not asked any more"
            )

    def _failure(
        self, server: Server, question: str, transport: Transport, error: Exception, *, owed: bool
    ) -> TargetError:
        silent = isinstance(error, dns.exception.Timeout | TimeoutError)
        what = f"no answer within {self.timeout_s:g} s" if silent else _said(error)
        sentence = f"{server} over {transport}: {what} (asked for {question})"
        with self._lock:
            if owed and (silent or isinstance(error, OSError)):
                self._dead[server.address, server.port, transport] = sentence
            self._log.append({"server": str(server), "question": question, "transport": transport, "error": what})
        return TargetError(sentence)


def _said(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there, the connection was refused"
    if isinstance(error, EOFError):
        return "the connection was closed without an answer"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return f"an answer that can't be read ({error})"


def _query(name: str, kind: str, *, recurse: bool, signatures: bool) -> dns.message.QueryMessage:
    try:
        query = dns.message.make_query(
            plain(name).rstrip(".") + ".", kind, use_edns=0, want_dnssec=signatures, payload=_PAYLOAD
        )
    except dns.rdatatype.UnknownRdatatype:
        raise ToolError(f"DNS record type {kind!r} can't be asked for; use one like A or CAA") from None
    except dns.exception.DNSException as error:
        raise ToolError(f"{name!r} can't be asked for in DNS, it is no name: {error}") from None
    if not recurse:
        query.flags &= ~dns.flags.RD
    return query


def _exchange(
    query: dns.message.QueryMessage, server: Server, transport: Transport, timeout_s: float
) -> tuple[dns.message.Message, int]:
    """Answer and number of tries."""
    until = time.monotonic() + timeout_s
    once = _over_udp if transport == "UDP" else _over_tcp
    for tries in range(1, _TRIES + 1):
        try:
            message, sent = once(query, server, until)
        except OSError:
            if tries == _TRIES or time.monotonic() + _PAUSE_S >= until:
                raise
            time.sleep(_PAUSE_S)
        else:
            return message, tries + sent - 1
    raise AssertionError("unreachable")


def _over_udp(query: dns.message.QueryMessage, server: Server, until: float) -> tuple[dns.message.Message, int]:
    wire = query.to_wire()
    # A late answer to the first packet counts as well, so all of them go through one socket.
    again_s = min(max((until - time.monotonic()) / _TRIES, _PAUSE_S), 1.0)
    with socket.socket(socket.AF_INET6 if ":" in server.address else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((server.address, server.port))
        sent, due = 0, 0.0
        while (now := time.monotonic()) < until:
            if now >= due and sent < _TRIES:
                sock.send(wire)
                sent, due = sent + 1, now + again_s
            sock.settimeout(max(min(due, until) - now if sent < _TRIES else until - now, 0.001))
            try:
                data = sock.recv(65_535)
            except TimeoutError:
                continue
            message = dns.message.from_wire(data, ignore_trailing=True)
            if query.is_response(message):
                return message, sent
    raise dns.exception.Timeout


def _over_tcp(query: dns.message.QueryMessage, server: Server, until: float) -> tuple[dns.message.Message, int]:
    left = max(until - time.monotonic(), 0.001)
    return dns.query.tcp(query, server.address, timeout=left, port=server.port), 1
