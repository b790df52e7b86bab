"""``[targets.NAME.tls]``: what certificate and handshake must be."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from gonogo.tables.base import Names, Table
from gonogo.tls_profile import groups, profiles, suites

_STRONG: tuple[str, ...] = ("secp521r1", "x448", "ffdhe2048", "ffdhe3072", "ffdhe4096", "ffdhe6144", "ffdhe8192")
_STRONG += ("SecP256r1MLKEM768", "SecP384r1MLKEM1024")


def _suites(names: tuple[str, ...]) -> tuple[str, ...]:
    if unknown := sorted(set(names) - set(suites().values())):
        raise ValueError(
            f"{', '.join(unknown)} is no cipher suite; names are IANA's, as in TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"
        )
    return names


def _groups(names: tuple[str, ...]) -> tuple[str, ...]:
    if unknown := sorted(set(names) - set(groups().values())):
        raise ValueError(f"{', '.join(unknown)} is no key-exchange group; known are {', '.join(groups().values())}")
    return names


def _policy(name: str) -> str:
    if name not in profiles():
        raise ValueError(f"{name!r} is no profile; known are {', '.join(profiles())}")
    return name


class Tls(Table):
    """What the certificate and the handshake must be."""

    min_days: int = Field(default=21, ge=0)
    """Days that every certificate of the chain must last, from the launch on if that is still to come."""
    protocols: tuple[Literal["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"], ...] = Field(
        default=("TLSv1.2", "TLSv1.3"), min_length=1, strict=False
    )
    """Versions that may be accepted (RFC 8996 retired TLS 1.0 and 1.1)."""
    min_rsa_bits: int = Field(default=2048, ge=1024)
    same_certificate: bool = True
    """All addresses of the name must serve one and the same."""
    revocation: Literal["required", "reachable", "off"] = "reachable"
    """``required``: somebody says that it was not revoked; ``reachable``: nobody who can be asked says it was."""
    policy: Annotated[str, AfterValidator(_policy)] = "intermediate"
    """Profile of suites and groups."""
    allow_suites: Annotated[Names, AfterValidator(_suites)] = ()
    """Suites to accept on top of the profile's."""
    allow_groups: Annotated[Names, AfterValidator(_groups)] = _STRONG
    """Key-exchange groups to accept on top of the profile's; by default those that are as strong as its own."""
    timeout_s: float = Field(default=5.0, gt=0, le=60)
    """Limit for one handshake."""
