"""Which certificate authorities a name's CAA records allow (RFC 8659)."""

from __future__ import annotations

from dataclasses import dataclass

from gonogo.dnswire import Asker, Server, found_in, plain
from gonogo.dnszones import above
from gonogo.errors import TargetError

_KNOWN = ("issue", "issuewild", "iodef", "issuemail", "issuevmc", "contactemail", "contactphone")
_CRITICAL = 0x80


@dataclass(frozen=True)
class CaaFacts:
    """The CAA records that are in force for a name, as one server tells them."""

    server: Server
    name: str
    """Of the certificate; may begin with ``*.``."""
    owner: str = ""
    """Where the records stand: at the name or at the closest one above it; empty if nowhere."""
    records: tuple[tuple[int, str, str], ...] = ()
    """Flags, tag in lower case, value."""
    problem: str = ""
    """Why they can't be known; an authority must not issue then."""

    def forbids(self, issuer: str) -> str:
        """Why ``issuer`` (such as ``letsencrypt.org``) may not issue for the name; empty if it may."""
        if self.problem:
            return self.problem
        unknown = [tag for flags, tag, _ in self.records if flags & _CRITICAL and tag not in _KNOWN]
        if unknown:
            return f"{self.owner} has a critical property {unknown[0]!r} that no authority knows, so none may issue"
        tags = {tag for _, tag, _ in self.records}
        wanted = "issuewild" if self.name.startswith("*.") and "issuewild" in tags else "issue"
        allowed = [value.partition(";")[0].strip().lower() for _, tag, value in self.records if tag == wanted]
        if wanted not in tags or plain(issuer) in allowed:
            return ""
        names = ", ".join(sorted(filter(None, allowed))) or "nobody"
        return f"{self.owner} allows {names} alone ({wanted})"


def caa(asker: Asker, server: Server, zone: str, name: str) -> CaaFacts:
    """The records in force: the closest at or above the name, as an authority looks for them.

    Args:
        asker: with which to ask.
        server: whom.
        zone: that it is an authority of, where the search ends; empty for a resolver, which is asked up
            to the top.
        name: of the certificate; may begin with ``*.``.
    """
    at, top = plain(name).removeprefix("*."), above(zone) if zone else "."
    while at not in (top, "."):
        try:
            reply = asker.ask(server, at, "CAA", recurse=not zone)
        except TargetError as error:
            return CaaFacts(server, name, problem=str(error))
        if reply.rcode not in ("NOERROR", "NXDOMAIN"):
            return CaaFacts(server, name, problem=f"{server} answers {reply.rcode} for {at} CAA")
        records = [record for rrset in reply.records("answer", "CAA") for record in rrset]
        if records:
            read = tuple((int(one.flags), _text(one.tag).lower(), _text(one.value)) for one in records)
            return CaaFacts(server, name, at, read)
        aliases = found_in(reply, at).aliases
        if zone and aliases and not f".{aliases[-1]}".endswith(f".{zone}"):
            break  # the records are those of a name that this server can't know; resolvers tell them
        at = above(at)
    return CaaFacts(server, name)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
