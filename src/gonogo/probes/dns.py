"""Looks names up, with one server or with those of the system."""

from __future__ import annotations

from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.rdatatype
import dns.resolver

from gonogo.errors import TargetError, ToolError


@dataclass(frozen=True)
class DnsAnswer:
    """What one name server said about one name and record type."""

    name: str
    type: str
    values: tuple[str, ...]
    """Sorted; names in lower case without the last dot; empty if the name has no such record."""
    ttl: int
    """Seconds; the longest of all records in the answer, aliases included, because that one
    decides when a change has reached everybody."""
    authoritative: bool
    """The answer came from a server of the zone itself, not from a cache."""
    server: str
    """Address and port that answered."""


def resolve(
    name: str, record_type: str, nameserver: tuple[str, int] | None = None, timeout_s: float = 5.0
) -> DnsAnswer:
    """Asks for the records of one type.

    Args:
        name: fully qualified, with or without the last dot.
        record_type: such as ``A``, ``AAAA``, ``CAA``.
        nameserver: address and port to ask; the system's servers if ``None``.
        timeout_s: limit in seconds for all tries together.

    Raises:
        TargetError: the name does not exist, no answer came in time, or none was usable.
        ToolError: the record type is unknown, or this machine names no server to ask.
    """
    resolver = _resolver(nameserver, timeout_s)
    whom = f"{nameserver[0]} port {nameserver[1]}" if nameserver else "the system's name servers"
    try:
        answer = resolver.resolve(
            name.rstrip(".") + ".", record_type, search=False, raise_on_no_answer=False, lifetime=timeout_s
        )
    except dns.resolver.NXDOMAIN:
        raise TargetError(f"DNS name {name} does not exist, says {whom}") from None
    except dns.exception.Timeout:
        raise TargetError(
            f"DNS name {name} ({record_type}) got no usable answer from {whom} within {timeout_s:g} s"
        ) from None
    except dns.resolver.NoNameservers:
        raise TargetError(f"DNS name {name} ({record_type}) got no valid answer from {whom}") from None
    except (dns.rdatatype.UnknownRdatatype, dns.resolver.NoMetaqueries):
        raise ToolError(f"DNS record type {record_type!r} can't be asked for; use one like A or CAA") from None
    except dns.exception.DNSException as error:
        raise TargetError(f"DNS name {name} ({record_type}) can't be looked up with {whom}: {error}") from None
    except OSError as error:
        raise TargetError(f"DNS name {name} ({record_type}): {whom} can't be reached: {error}") from None
    return _facts(name, record_type, answer)


def _resolver(nameserver: tuple[str, int] | None, timeout_s: float) -> dns.resolver.Resolver:
    try:
        resolver = dns.resolver.Resolver(configure=nameserver is None)
    except dns.resolver.NoResolverConfiguration:
        raise ToolError(
            "this machine names no DNS server (resolv.conf); name one as resolver in launch.toml"
        ) from None
    if nameserver is not None:
        resolver.nameservers = [nameserver[0]]
        resolver.port = nameserver[1]
    # One try must not use up all the time, or a lost UDP packet would look like a dead server.
    resolver.timeout = max(timeout_s / 3, 0.2)
    resolver.lifetime = timeout_s
    return resolver


def _facts(name: str, record_type: str, answer: dns.resolver.Answer) -> DnsAnswer:
    records = answer.rrset if answer.rrset is not None else ()
    return DnsAnswer(
        name=name,
        type=record_type,
        values=tuple(sorted(_value(record_type, record) for record in records)),
        ttl=max((rrset.ttl for rrset in answer.response.answer), default=0),
        authoritative=bool(answer.response.flags & dns.flags.AA),
        server=f"{answer.nameserver} port {answer.port}",
    )


def _value(record_type: str, record: object) -> str:
    """One record in the form in which people write it in a plan."""
    text = str(record)
    if record_type.upper() in ("TXT", "SPF"):
        strings = getattr(record, "strings", ())
        return b"".join(strings).decode("utf-8", "replace")
    if record_type.upper() in ("CNAME", "NS", "MX", "SRV", "PTR"):
        return text.lower().rstrip(".")
    return text
