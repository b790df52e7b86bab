"""``[targets.NAME.tls]``: what certificate and handshake must be."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gonogo.tables.base import Table


class Tls(Table):
    """What the certificate and the handshake must be."""

    min_days: int = Field(default=21, ge=0)
    protocols: tuple[Literal["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"], ...] = Field(
        default=("TLSv1.2", "TLSv1.3"), min_length=1, strict=False
    )
    """Versions that may be accepted (RFC 8996 retired TLS 1.0 and 1.1)."""
    min_rsa_bits: int = Field(default=2048, ge=1024)
    timeout_s: float = Field(default=5.0, gt=0, le=60)
