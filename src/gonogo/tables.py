"""The tables of a target in launch.toml: one a domain, with its bounds.

Every default bound is the playbook's.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


def _absolute(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError(f"{path!r} must begin with a slash")
    return path


class Table(BaseModel):
    """One table of launch.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


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


class Tls(Table):
    """What the certificate and the handshake must be."""

    min_days: int = Field(default=21, ge=0)
    protocols: tuple[Literal["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"], ...] = Field(
        default=("TLSv1.2", "TLSv1.3"), min_length=1, strict=False
    )
    """Versions that may be accepted (RFC 8996 retired TLS 1.0 and 1.1)."""
    min_rsa_bits: int = Field(default=2048, ge=1024)
    timeout_s: float = Field(default=5.0, gt=0, le=60)


class Http(Table):
    """Where health and statistics are, and what they must say."""

    health: str = "/api/health"
    health_expect: dict[str, Any] = Field(default={"status": "healthy"}, min_length=1)
    """Dotted paths of the JSON answer and their values; with none of them any answer would do."""
    database_stats: str = "/api/fleet/db-stats"
    database_expect: dict[str, Any] = Field(default={"poolingEnabled": True}, min_length=1)
    websocket_stats: str = "/api/fleet/ws-stats"
    performance_stats: str = "/api/fleet/performance-stats"
    p95_ms: float = Field(default=500.0, gt=0)
    samples: int = Field(default=100, ge=1, le=10_000)
    """Requests per endpoint; 59 can prove a p95 at 95 % confidence if none is slow, 100 if one is."""
    max_pool_percent: float = Field(default=80.0, gt=0, le=100)
    max_error_rate: float = Field(default=0.001, gt=0, lt=1)
    timeout_s: float = Field(default=10.0, gt=0, le=120)
    max_body_bytes: int = Field(default=5_000_000, gt=0)

    @field_validator("health", "database_stats", "websocket_stats", "performance_stats")
    @classmethod
    def _path(cls, value: str) -> str:
        return _absolute(value)


class Websocket(Table):
    """The live channel."""

    path: str = "/ws/positions"
    connections: int = Field(default=3, ge=1, le=50)
    first_message_s: float = Field(default=5.0, gt=0)
    timeout_s: float = Field(default=10.0, gt=0, le=120)

    @field_validator("path")
    @classmethod
    def _path(cls, value: str) -> str:
        return _absolute(value)


class FromEnv(Table):
    """A value that stands in an environment variable."""

    env: str = Field(min_length=1)


class LoadRequest(Table):
    """One kind of request of the load's mix."""

    path: str
    weight: int = Field(default=1, ge=1)

    @field_validator("path")
    @classmethod
    def _path(cls, value: str) -> str:
        return _absolute(value)


class Load(Table):
    """How much load, and what it must find."""

    rps: float = Field(default=75.0, gt=0, le=10_000)
    """Requests per second that are offered; more than ``min_rps``, so that the target is not just met."""
    min_rps: float = Field(default=50.0, gt=0)
    duration_s: float = Field(default=42.0, gt=0, le=7200)
    warmup_s: float = Field(default=3.0, ge=0, le=600)
    p95_ms: float = Field(default=500.0, gt=0)
    max_error_rate: float = Field(default=0.001, gt=0, lt=1)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    timeout_s: float = Field(default=10.0, gt=0, le=120)
    requests: tuple[LoadRequest, ...] = Field(
        default=(LoadRequest(path="/api/health"),), min_length=1, strict=False
    )

    @model_validator(mode="after")
    def _offered(self) -> Self:
        if self.rps <= self.min_rps:
            raise ValueError(f"rps = {self.rps} can't prove more than min_rps = {self.min_rps}; raise rps")
        return self


class ConsoleNoise(Table):
    """Console output that is known and accepted, with the reason."""

    pattern: str = Field(min_length=1)
    reason: str = Field(min_length=1)


class Smoke(Table):
    """What the user's pages are."""

    dashboard: str = "/fleet/dashboard"
    vehicles: str = "/api/fleet/vehicles"
    min_vehicles: int = Field(default=1, ge=1)
    load_s: float = Field(default=5.0, gt=0)
    allow_console: tuple[ConsoleNoise, ...] = Field(default=(), strict=False)
    timeout_s: float = Field(default=15.0, gt=0, le=300)

    @field_validator("dashboard", "vehicles")
    @classmethod
    def _path(cls, value: str) -> str:
        return _absolute(value)
