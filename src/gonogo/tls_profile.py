"""What suites and groups are called, and which of them a published profile recommends.

The profiles stand in ``data/tls-profiles.json``, each with its version and date; suites and groups, with
the numbers that IANA gave them, in ``data/tls-suites.csv`` and ``data/tls-groups.csv``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class Profile:
    """What a guideline recommends at one date."""

    title: str
    version: str
    date: str
    protocols: frozenset[str]
    suites: frozenset[str]
    groups: frozenset[str]
    dh_bits: int
    """Fewest bits of a Diffie-Hellman prime."""

    @property
    def source(self) -> str:
        """The guideline, for a bound."""
        return f"{self.title} {self.version} of {self.date}"


@cache
def suites() -> dict[int, str]:
    """Every suite that can be offered, by number (IANA), with its name."""
    return _table("tls-suites.csv")


@cache
def groups() -> dict[int, str]:
    """Every key-exchange group, by number (IANA), with its name."""
    return _table("tls-groups.csv")


@cache
def profiles() -> dict[str, Profile]:
    """Every profile by the name that a plan gives it."""
    found = {}
    for name, one in json.loads(_read("tls-profiles.json"))["profiles"].items():
        sets = {key: frozenset(one[key]) for key in ("protocols", "suites", "groups")}
        found[name] = Profile(one["title"], one["version"], one["date"], dh_bits=one["dh_bits"], **sets)
    return found


def _table(name: str) -> dict[int, str]:
    lines = (line.split(",") for line in _read(name).split())
    return {int(number, 16): entry for number, entry in lines}


def _read(name: str) -> str:
    return (files("gonogo") / "data" / name).read_text(encoding="utf-8")


def is_tls13(suite: str) -> bool:
    """Whether a suite belongs to TLS 1.3, whose names speak of no key exchange."""
    return "_WITH_" not in suite


def is_forward_secret(suite: str) -> bool:
    """Whether a key that is stolen later does not open what was recorded before."""
    return is_tls13(suite) or suite.startswith(("TLS_ECDHE_", "TLS_DHE_"))
