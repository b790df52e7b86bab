"""Finds out which versions, suites and groups a TLS server accepts, with first messages of our own.

All of them are offered whether a library here can speak them or not, and what was chosen is offered no
more until the server refuses the rest. No handshake is completed: the server's first flight says enough.
"""

from __future__ import annotations

from dataclasses import dataclass

from gonogo.errors import InconclusiveError
from gonogo.tls_hello import Peer, chunks
from gonogo.tls_profile import Profile, groups, is_forward_secret, is_tls13, profiles, suites
from gonogo.tls_wire import SSL_3, TLS_1_0, TLS_1_1, TLS_1_2, TLS_1_3, Answer, named_group, prime_bits

__all__ = ["VERSIONS", "PolicyFacts", "Profile", "is_forward_secret", "policy", "profiles", "protocols"]

VERSIONS: dict[str, int] = {
    "SSLv3": SSL_3,
    "TLSv1": TLS_1_0,
    "TLSv1.1": TLS_1_1,
    "TLSv1.2": TLS_1_2,
    "TLSv1.3": TLS_1_3,
}
"""Versions that are tried, oldest first."""

_PATIENCE = 6
"""All handshakes together may take this many times what one may."""

_FIRST_FINITE_FIELD = 0x0100


@dataclass(frozen=True)
class PolicyFacts:
    """What a server accepts."""

    suites: dict[str, tuple[str, ...]]
    """Names of suites by version, in the order of the server's choice; versions it refuses are left out."""
    groups: dict[str, tuple[str, ...]]
    """Names of key-exchange groups, likewise."""
    dh_bits: int
    """Smallest prime that it used for Diffie-Hellman, in bits; 0 if it used none of its own."""
    compression: bool
    """It compresses what it encrypts (CRIME)."""
    insecure_renegotiation: bool
    """It does not promise to bind a renegotiation to its connection (RFC 5746)."""
    offered: int
    """How many suites were offered."""
    handshakes: int
    unsaid: int
    """Handshakes that it ended without an alert."""


def protocols(host: str, ip: str, port: int, timeout_s: float = 5.0) -> tuple[str, ...]:
    """The protocol versions that a server accepts, oldest first.

    Args:
        host: the name that is asked for (SNI).
        ip: address to connect to.
        port: TCP port.
        timeout_s: limit in seconds for one handshake; all together may take six times that.

    Raises:
        TargetError: no connection, or a handshake that is neither accepted nor refused.
        InconclusiveError: it contradicts itself when it is asked again, so its refusals mean nothing.
    """
    peer = Peer(host, ip, port, timeout_s, _PATIENCE * timeout_s)
    answers = {name: _accepts(peer, name, version) for name, version in VERSIONS.items()}
    found = {name: [answer] for name, answer in answers.items() if answer}
    _check_again(peer, found)
    return tuple(found)


def policy(host: str, ip: str, port: int, timeout_s: float = 5.0) -> PolicyFacts:
    """Everything that a server accepts in a handshake.

    Args:
        host: the name that is asked for (SNI).
        ip: address to connect to.
        port: TCP port.
        timeout_s: limit in seconds for one handshake; all together may take six times that.

    Raises:
        TargetError: no connection, or a handshake that is neither accepted nor refused.
        InconclusiveError: it contradicts itself when it is asked again, so its refusals mean nothing.
    """
    peer = Peer(host, ip, port, timeout_s, _PATIENCE * timeout_s)
    answers = {name: _answers(peer, name, version) for name, version in VERSIONS.items()}
    found = {name: given for name, given in answers.items() if given}
    names = suites()
    old = [answer for name, given in found.items() if name != "TLSv1.3" for answer in given]
    primes = [prime_bits(one.exchange) for one in old if "_DHE_" in names[one.suite] or "_DH_" in names[one.suite]]
    facts = PolicyFacts(
        suites={name: tuple(names[one.suite] for one in given) for name, given in found.items()},
        groups={name: _groups(peer, name, found[name]) for name in ("TLSv1.2", "TLSv1.3") if name in found},
        dh_bits=min((bits for bits in primes if bits), default=0),
        compression=_compresses(peer, found),
        insecure_renegotiation=any(not one.renegotiation for one in old),
        offered=len(names),
        handshakes=peer.asked,
        unsaid=peer.unsaid,
    )
    _check_again(peer, found)
    return facts


def _accepts(peer: Peer, name: str, version: int) -> Answer | None:
    for some in chunks(_suites_of(version)):
        answer = peer.ask(name, version, some, _groups_of(version))
        if not answer.alert and answer.version == version and answer.suite in some:
            return answer
        if answer.alert == "protocol_version":
            return None
    return None


def _answers(peer: Peer, name: str, version: int) -> list[Answer]:
    return peer.chosen(f"a suite of {name}", version, _suites_of(version), _groups_of(version))


def _suites_of(version: int) -> list[int]:
    """Suites that may be chosen in a version; those with AES-GCM and the like came with 1.2."""
    new = ("_SHA256", "_SHA384", "_CCM", "_CCM_8")
    every = {number: name for number, name in suites().items() if is_tls13(name) == (version == TLS_1_3)}
    return [number for number, name in every.items() if version >= TLS_1_2 or not name.endswith(new)]


def _groups_of(version: int) -> tuple[int, ...]:
    """All groups; before 1.3 curves alone, since another one would forbid a server its own prime (RFC 7919)."""
    return tuple(number for number in groups() if version == TLS_1_3 or number < _FIRST_FINITE_FIELD)


def _groups(peer: Peer, name: str, accepted: list[Answer]) -> tuple[str, ...]:
    """Groups that the server chooses, each offered no more once it was chosen.

    In TLS 1.2 the curve of an ECDSA certificate must stay in the list (RFC 8422, 5.3), so a choice that
    nothing else can replace goes to the end of it, and the search ends when it is chosen there.
    """
    every, version = suites(), VERSIONS[name]
    offered = [one.suite for one in accepted if version == TLS_1_3 or "_ECDHE_" in every[one.suite]]
    left, found, kept = list(_groups_of(version)), list[int](), 0
    while offered and left:
        answer = peer.ask(f"a group of {name}", version, offered, [*left, *([kept] if kept else [])])
        if answer.alert and found and not kept and version != TLS_1_3:
            kept = _curve_of_certificate(peer, offered, found, left)
            if kept:
                continue
        group = answer.group or named_group(answer.exchange)
        if answer.alert or group not in left:
            break
        found.append(group)
        left.remove(group)
    return tuple(groups()[group] for group in found)


def _curve_of_certificate(peer: Peer, offered: list[int], found: list[int], left: list[int]) -> int:
    """The group without which the server refuses all others; 0 if there is none."""
    for group in found:
        answer = peer.ask("a group of TLSv1.2", TLS_1_2, offered, [*left, group])
        if not answer.alert:
            return group
    return 0


def _compresses(peer: Peer, found: dict[str, list[Answer]]) -> bool:
    name = next((name for name in found if name != "TLSv1.3"), "")
    if not name:
        return False
    offered = [one.suite for one in found[name]]
    return peer.ask("compression", VERSIONS[name], offered, _groups_of(TLS_1_2), compression=True).compressed


def _check_again(peer: Peer, found: dict[str, list[Answer]]) -> None:
    """Make sure that the server still answers: one that had enough of us refuses everything.

    Raises:
        InconclusiveError: it does not accept what it accepted before, or accepts what it hung up on.
    """
    accepted = [(name, VERSIONS[name], given[0].suite, _groups_of(VERSIONS[name])) for name, given in found.items()]
    if changed := peer.changed_its_mind(accepted):
        raise InconclusiveError(
            f"{peer.where} {changed}, after {peer.asked} handshakes, so its refusals say nothing; exempt this "
            "machine from its rate limit"
        )
