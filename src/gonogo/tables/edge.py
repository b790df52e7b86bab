"""``[targets.NAME.edge]``: what the way in must do, and what must not answer from outside."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from gonogo.tables.base import Path, Table

HEADERS = {
    "content-security-policy": r"(^|[;,]\s*)(default|script)-src\b",
    "referrer-policy": r"(^|[\s,])(no-referrer|same-origin|strict-origin|strict-origin-when-cross-origin)\s*$",
    "x-content-type-options": r"^nosniff\s*(,|$)",
}
"""Headers of pages that the OWASP Secure Headers Project asks of every site, but for HSTS and framing, which have
keys of their own. Of several values of Referrer-Policy the last that a browser knows counts."""

DATABASES = (1433, 1521, 3306, 5432, 6379, 9042, 9200, 9300, 11211, 27017)
"""SQL Server, Oracle, MySQL, PostgreSQL, Redis, Cassandra, Elasticsearch (two), memcached, MongoDB."""

MACHINERY = (2375, 2379, 5672, 8404, 9090, 9093, 9100, 9187, 10250, 15672)
"""Docker, etcd, RabbitMQ, HAProxy's figures, Prometheus, Alertmanager, its exporters (two), kubelet, RabbitMQ."""

PATHS = (
    "/.env",
    "/.git/config",
    "/.git/HEAD",
    "/metrics",
    "/admin",
    "/server-status",
    "/actuator/env",
    "/debug/pprof/",
)
"""What is left behind or switched on by mistake most often: settings, sources, figures, consoles."""


def _port(value: int | str) -> int | str:
    if isinstance(value, str):
        if not re.fullmatch(r"\$\{?[A-Za-z_]\w*\}?", value):
            raise ValueError(f"{value!r} must be a port number, or a variable such as $DATABASE_PORT")
    elif not 0 < value < 65_536:
        raise ValueError(f"{value} must be a port from 1 to 65535")
    return value


Port = Annotated[int | str, AfterValidator(_port)]
"""A TCP port, or ``$NAME`` of a variable that holds it."""


class Write(Table):
    """A request that changes something, and that must be refused without a session."""

    method: Literal["POST", "PUT", "PATCH", "DELETE"] = "POST"
    path: Path


class Edge(Table):
    """The outer side of the target."""

    http_port: Port = 80
    """Where plain HTTP is answered, at the addresses of ``base_url``."""
    redirect: bool = True
    """Plain HTTP is sent on to HTTPS; if false, nobody may listen there."""
    redirect_status: tuple[int, ...] = Field(default=(301, 308), min_length=1, strict=False)
    """RFC 6797, section 7.2, asks for a permanent redirect."""
    hsts_min_s: int = Field(default=15_768_000, ge=0)
    """Half a year, from which on common checkers take HSTS for lasting; 0 asks for none."""
    pages: tuple[Path, ...] = Field(default=("/",), min_length=1, strict=False)
    """Pages that everybody may see: 200 and HTML, without leaving the host."""
    api: tuple[Path, ...] = Field(default=("/api/health",), strict=False)
    """Paths that answer in JSON."""
    headers: dict[str, str] = Field(default=HEADERS)
    """Header of every page and the regular expression that its value must match somewhere, case ignored."""
    framing: bool = True
    """Pages say who may frame them: ``frame-ancestors`` or ``X-Frame-Options``."""
    hide_versions: bool = True
    compression: bool = False
    http2: bool = False
    unknown_status: tuple[int, ...] = Field(default=(401, 403, 404, 410), min_length=1, strict=False)
    """What a path that nobody made may be answered with."""
    closed_ports: tuple[Port, ...] = Field(default=(*DATABASES, *MACHINERY), min_length=1, strict=False)
    """Ports that must not accept a connection at any address of the name; by default those that databases, caches,
    brokers, orchestration and monitoring have when nobody chooses another."""
    closed_paths: tuple[Path, ...] = Field(default=PATHS, min_length=1, strict=False)
    """Paths that must be refused, or lead elsewhere, as to a login."""
    closed_writes: tuple[Write, ...] = Field(default=(), strict=False)
    """Sent with the body ``{}`` and no session; whoever does not refuse them has carried them out."""
    timeout_s: float = Field(default=5.0, gt=0, le=60)
    """Limit of one exchange, and of all attempts to connect together."""

    @field_validator("headers")
    @classmethod
    def _patterns(cls, value: dict[str, str]) -> dict[str, str]:
        for name, pattern in value.items():
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{name}: {pattern!r} is no regular expression: {error}") from None
        return {name.lower(): pattern for name, pattern in value.items()}
