"""``[targets.NAME.dns]``: what the zone must say, and who must say it."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from gonogo.tables.base import Names, Table


class Record(Table):
    """One DNS record set that must be served."""

    name: str = Field(min_length=1)
    type: Literal["A", "AAAA", "CNAME", "CAA", "MX", "NS", "TXT"]
    values: tuple[str, ...] = Field(min_length=1, strict=False)


class Dns(Table):
    """What the zone must say, and who must say it."""

    records: tuple[Record, ...] = Field(min_length=1, strict=False)
    max_ttl_s: int = Field(default=300, gt=0)
    """Longest time to live of A, AAAA and CNAME, in seconds: an address change must reach users within the 5 to
    10 minutes that the playbook gives a rollback."""
    timeout_s: float = Field(default=5.0, gt=0, le=60)
    """For one question to one server, all tries together."""
    max_answer_s: float = Field(default=2.0, gt=0)
    """Slowest answer that a server may give: one lost packet is let pass, which costs one second."""
    resolvers: Names = ()
    """Addresses, each with its port unless that is 53, and may hold ``$NAME``; default: the target's
    ``resolver``, or those of the system."""
    authority_port: int | str = 53
    """On which the name servers answer; a text may hold ``$NAME``."""
    ca: str | None = Field(default=None, min_length=1)
    """Name by which the certificate's issuer is known in CAA records, such as ``letsencrypt.org``."""
    ca_names: Names = ()
    """Names on the certificate; default: the target's own."""
    wildcard: bool = False
    """Names that nobody planned may have an address."""
    nameservers: Names = ()
    """Exactly these answer for the zone of the target's name; default: whom zone and parent name."""
    min_nameservers: int = Field(default=2, ge=1)
    """RFC 2182, section 5, asks for more than one."""
    equal_serials: bool = True
    """All name servers serve the same version of the zone; two providers that count on their own do not."""
    recursion: bool = False
    """Name servers may resolve foreign names for whoever asks, as those of a private network do."""
    parent: bool = True
    """The zone above must delegate the zone; a private zone has nobody above it to ask."""
    signed: bool = False
    """The zone is signed, and the chain from a trust anchor to each planned record must hold (DNSSEC)."""
    trust_anchors: Names = ()
    """DS records that are trusted, and may hold ``$NAME``; default: the keys of the root."""
    min_signature_days: float = Field(default=0.5, gt=0)
    """Signatures made on the fly last a day or two; those of a signed file should last a week."""

    @model_validator(mode="after")
    def _anchors_are_for_signed_zones(self) -> Self:
        if self.trust_anchors and not self.signed:
            raise ValueError(
                "trust_anchors are of use for a signed zone only; add signed = true, or leave them out"
            )
        return self

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        names = [(one.name.lower().rstrip("."), one.type) for one in self.records]
        twice = [f"{name} {kind}" for name, kind in dict.fromkeys(names) if names.count((name, kind)) > 1]
        if twice:
            raise ValueError(f"records names {twice[0]} more than once; put all of its values into one entry")
        return self
