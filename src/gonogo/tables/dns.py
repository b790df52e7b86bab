"""``[targets.NAME.dns]``: what the zone must say."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gonogo.tables.base import Table


class Record(Table):
    """One DNS record set that must be served."""

    name: str = Field(min_length=1)
    type: Literal["A", "AAAA", "CNAME", "CAA", "MX", "NS", "TXT"]
    values: tuple[str, ...] = Field(min_length=1, strict=False)


class Dns(Table):
    """What the zone must say."""

    records: tuple[Record, ...] = Field(min_length=1, strict=False)
    max_ttl_s: int = Field(default=300, gt=0)
    """Longest time to live, in seconds: an address change must reach users within the 5 to 10 minutes
    that the playbook gives a rollback."""
    timeout_s: float = Field(default=5.0, gt=0, le=60)
