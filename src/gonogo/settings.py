"""launch.toml as frozen, validated models; every default bound is the playbook's.

Unknown keys, wrong types and impossible combinations are refused before any network.
"""

from __future__ import annotations

import ipaddress
import os
import re
from datetime import UTC, date, datetime
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from gonogo.errors import ToolError
from gonogo.model import Launch

Kind = Literal["production", "staging", "disposable"]


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


class Database(Table):
    """What must exist in the database."""

    schema_name: str = Field(default="public", alias="schema")
    tables: tuple[str, ...] = Field(min_length=1, strict=False)
    indexes: tuple[str, ...] = Field(min_length=1, strict=False)
    triggers: tuple[str, ...] = Field(min_length=1, strict=False)
    timeout_s: float = Field(default=10.0, gt=0, le=120)

    @field_validator("triggers")
    @classmethod
    def _qualified(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for trigger in value:
            if trigger.count(".") != 1:
                raise ValueError(f"{trigger!r} must be written as table.trigger")
        return value


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


class FromEnv(Table):
    """A value that stands in an environment variable."""

    env: str = Field(min_length=1)


class TargetSettings(Table):
    """One ``[targets.NAME]``."""

    kind: Kind
    base_url: str | None = None
    database_url: str | FromEnv | None = None
    ca_file: str | None = None
    resolver: str | None = None
    address: dict[str, str] = {}
    staging: str | None = None
    dns: Dns | None = None
    tls: Tls | None = None
    http: Http | None = None
    websocket: Websocket | None = None
    database: Database | None = None
    load: Load | None = None
    smoke: Smoke | None = None

    @field_validator("base_url")
    @classmethod
    def _origin(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not value.startswith(("https://", "http://")):
            raise ValueError(f"{value!r} must begin with https:// or http://")
        try:
            split = urlsplit(value)
            usable = bool(split.hostname) and split.port != 0
        except ValueError:
            usable = False
        if "@" in value:
            raise ValueError("must hold no user and no password, because reports print it")
        if not usable or split.query or split.fragment:
            raise ValueError(
                f"{value!r} must be scheme, host and, if need be, port, e.g. https://app.example.com:8443"
            )
        return value.rstrip("/")

    @field_validator("resolver")
    @classmethod
    def _host_port(cls, value: str | None) -> str | None:
        if value is not None:
            host, _ = split_host_port(value)
            if not _is_ip(host):
                raise ValueError(f"{value!r} must begin with an IP address, e.g. 10.0.0.2:53")
        return value

    @field_validator("address")
    @classmethod
    def _ips(cls, value: dict[str, str]) -> dict[str, str]:
        for host, ip in value.items():
            if not _is_ip(ip):
                raise ValueError(f'{ip!r} must be an IP address, e.g. {{ "{host}" = "10.0.0.10" }}')
        return value

    @model_validator(mode="after")
    def _production_is_encrypted(self) -> Self:
        if self.kind == "production" and (self.base_url or "").startswith("http://"):
            raise ValueError("base_url of a production target must begin with https://")
        return self

    def for_digest(self) -> dict[str, Any]:
        """All settings as plain data; of the database's address the place, without user and password."""
        plain = self.model_dump(mode="json", exclude={"database_url"})
        if isinstance(self.database_url, FromEnv):
            plain["database_url"] = f"${self.database_url.env}"
        elif self.database_url:
            place = re.sub(r"(?<=://).*@", "", self.database_url)
            plain["database_url"] = re.sub(r"(?i)password\s*=\s*('(?:[^'\\]|\\.)*'|[^\s&]*)", "", place)
        return plain

    def database_address(self) -> str | None:
        """The database URL itself, read from the environment where the file says so.

        Raises:
            ToolError: the environment variable is not set.
        """
        if not isinstance(self.database_url, FromEnv):
            return self.database_url
        value = os.environ.get(self.database_url.env)
        if not value:
            raise ToolError(
                f"launch.toml: database_url is read from {self.database_url.env}, which is not set; "
                "export that environment variable"
            )
        return value


class LaunchTable(Table):
    """``[launch]``."""

    project: str = Field(min_length=1)
    version: str = Field(min_length=1)
    at: datetime | None = None
    ledger: str = "reports/ledger"

    @field_validator("at", mode="before")
    @classmethod
    def _moment(cls, value: Any) -> Any:
        if isinstance(value, str):
            if value.upper() == "TBD":
                return None
            raise ValueError("write a date and time with its zone and without quotes, e.g. 2026-12-01T09:00:00Z")
        if type(value) is date:  # a datetime is one too
            raise ValueError(f"{value.isoformat()} has no time; write e.g. {value.isoformat()}T09:00:00Z")
        if isinstance(value, datetime) and value.tzinfo is None:
            raise ValueError(f"{value.isoformat()} has no zone; append Z or an offset such as +01:00")
        return value.astimezone(UTC) if isinstance(value, datetime) else value


class Person(Table):
    """Who holds a role."""

    name: str = Field(min_length=1)
    contact: str = Field(min_length=1)


class LaunchFile(Table):
    """The whole of launch.toml."""

    launch: LaunchTable
    targets: dict[str, TargetSettings] = Field(min_length=1)
    people: dict[str, Person] = {}

    @model_validator(mode="after")
    def _companions(self) -> Self:
        for name, target in self.targets.items():
            if target.staging is not None and target.staging not in self.targets:
                raise ValueError(
                    f"targets.{name}.staging names {target.staging!r}, which is no target; "
                    f"the file has {', '.join(self.targets)}"
                )
        return self

    def as_launch(self) -> Launch:
        """What is launched."""
        return Launch(self.launch.project, self.launch.version, self.launch.at)


def split_host_port(text: str) -> tuple[str, int]:
    """Read ``127.0.0.1:53`` or ``[::1]:53``.

    Raises:
        ValueError: says what is allowed.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or not 0 < int(port) < 65536 or not host:
        raise ValueError(f"{text!r} must be written as address:port, e.g. 127.0.0.1:53")
    return host.strip("[]"), int(port)


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
