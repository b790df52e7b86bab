"""One TLS server, asked with first messages of our own: connect, offer, read what it says, hang up."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from gonogo.errors import InconclusiveError, TargetError
from gonogo.network import NO_WAY, has_way
from gonogo.tls_profile import suites as names
from gonogo.tls_wire import Answer, Offer, WireError, client_hello, read_flight

UNSAID = "closed without an alert"
"""What stands for an alert if the server just hung up."""

_MAX_BYTES = 262_144
_CHUNK = 64
"""Suites in one message: some servers drop a longer one, which would pass for a refusal."""


def chunks(suites: Sequence[int]) -> Iterator[list[int]]:
    """The suites in parts that fit into one message each."""
    for start in range(0, len(suites), _CHUNK):
        yield list(suites[start : start + _CHUNK])


def dial(ip: str, port: int, timeout_s: float, where: str) -> socket.socket:
    """A TCP connection.

    Args:
        ip: address to connect to.
        port: TCP port.
        timeout_s: limit in seconds.
        where: the server, for messages.

    Raises:
        TargetError: refused, or not accepted in time.
        InconclusiveError: this machine has no way to addresses of that family, so the server was not asked.
    """
    try:
        return socket.create_connection((ip, port), timeout_s)
    except TimeoutError:
        raise TargetError(f"{where} did not accept a connection within {timeout_s:.3g} s") from None
    except OSError as error:
        if error.errno in NO_WAY and ":" in ip and not has_way(ip):
            raise InconclusiveError(
                f"{where} was not asked, because this machine has no IPv6; run the gate on one that has"
            ) from None
        raise TargetError(f"{where} refused the connection: {error.strerror or error}") from None


@dataclass
class Peer:
    """A server and the limits for asking it."""

    host: str
    """The name that is asked for."""
    ip: str
    port: int
    timeout_s: float
    """Limit in seconds for one handshake."""
    total_s: float
    """Limit in seconds for all of them together."""
    asked: int = 0
    """Handshakes so far."""
    unsaid: int = 0
    """How many of those ended without an alert."""
    doubtful: list[tuple[str, Offer]] = field(default_factory=list)
    """What those asked for."""
    _ends: float = field(init=False)

    def __post_init__(self) -> None:
        self._ends = time.monotonic() + self.total_s

    @property
    def where(self) -> str:
        """The server, for messages."""
        return f"{self.host} ({self.ip} port {self.port})"

    def ask(self, what: str, version: int, suites: Sequence[int], groups: Sequence[int], **wishes: bool) -> Answer:
        """Open a handshake and read the server's first flight.

        A server that hangs up without an alert is asked once more, for that may be the network's doing.

        Args:
            what: is asked for, for messages.
            version: newest version that is offered.
            suites: that are offered.
            groups: of the key exchange that are offered.
            wishes: further fields of :class:`gonogo.tls_wire.Offer`.

        Raises:
            TargetError: no connection, or neither an answer nor a refusal in time.
        """
        offer = Offer(_sni(self.host), version, tuple(suites), tuple(groups), **wishes)
        answer = self._once(what, offer)
        if answer.alert == UNSAID:
            answer = self._once(what, offer)
            if answer.alert == UNSAID:
                self.unsaid += 1
                self.doubtful.append((what, offer))
        return answer

    def changed_its_mind(self, accepted: Sequence[tuple[str, int, int, Sequence[int]]]) -> str:
        """How it contradicts itself when it is asked again; empty if it does not.

        One that had enough of us refuses what it accepted, or hung up on what it accepts by now.

        Args:
            accepted: what it accepted, as name, version, suite, and the groups to offer with it.

        Raises:
            TargetError: as :meth:`ask`.
        """
        doubtful = list(self.doubtful)
        for one in accepted:
            if refused := self._refuses(*one):
                return refused
        for what, offer in doubtful if accepted else ():
            if not self._once(what, offer).alert:
                return f"hung up when it was offered {what} and accepted it later"
            if refused := self._refuses(*accepted[-1]):
                return refused
        return ""

    def _refuses(self, name: str, version: int, suite: int, groups: Sequence[int]) -> str:
        answer = self.ask(f"{name} once more", version, [suite], groups)
        said = f"accepted {names()[suite]} at first and refused it later ({answer.alert})"
        return said if answer.alert else ""

    def chosen(self, what: str, version: int, suites: Sequence[int], groups: Sequence[int]) -> list[Answer]:
        """One answer for each of the suites that the server accepts, in the order of its choice.

        Raises:
            TargetError: as :meth:`ask`; or it chose a suite that was not offered.
        """
        found: list[Answer] = []
        for left in chunks(suites):
            while left:
                answer = self.ask(what, version, left, groups)
                if answer.alert or answer.version != version:
                    break
                if answer.suite not in left:
                    raise TargetError(f"{self.where} chose suite {answer.suite:#06x}, which was not offered")
                found.append(answer)
                left.remove(answer.suite)
            if answer.alert == "protocol_version":
                break
        return found

    def _once(self, what: str, offer: Offer) -> Answer:
        self.asked += 1
        left = self._ends - time.monotonic()
        if left <= 0:
            raise self._too_long(what)
        ends = time.monotonic() + min(self.timeout_s, left)
        try:
            with dial(self.ip, self.port, ends - time.monotonic(), self.where) as sock:
                return _exchange(sock, client_hello(offer, os.urandom(32)), ends)
        except TimeoutError:
            if left < self.timeout_s:
                raise self._too_long(what) from None
            raise TargetError(
                f"{self.where} neither accepted nor refused {what} within {self.timeout_s:g} s"
            ) from None

    def _too_long(self, what: str) -> TargetError:
        return TargetError(
            f"{self.where} took longer than {self.total_s:g} s for {self.asked} handshakes, so {what} was not "
            "tried to the end; raise tls.timeout_s if it is only far away"
        )


def _exchange(sock: socket.socket, hello: bytes, ends: float) -> Answer:
    data = b""
    with contextlib.suppress(ConnectionError):  # a reset is a refusal as well
        sock.sendall(hello)
        while len(data) < _MAX_BYTES:
            sock.settimeout(max(ends - time.monotonic(), 0.001))
            part = sock.recv(65_536)
            data += part
            try:
                answer = read_flight(data)
            except WireError as error:
                return Answer(alert=f"bytes that are no TLS ({error})", complete=True)
            if answer.complete:
                return answer
            if not part:
                break
    return Answer(alert=UNSAID, complete=True)


def _sni(host: str) -> str:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host.rstrip(".")
    return ""
