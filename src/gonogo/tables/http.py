"""``[targets.NAME.http]``: where health and statistics are, and what they must say."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, field_validator

from gonogo.tables.base import FromEnv, Names, Path, Table

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""What a header may be called (RFC 9110, section 5.6.2)."""
_OURS = frozenset(
    {
        *("accept-encoding", "connection", "content-encoding", "content-length", "content-type", "expect", "host"),
        *("keep-alive", "proxy-authorization", "proxy-connection", "range", "te", "trailer", "transfer-encoding"),
        *("upgrade", "if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since"),
    }
)
"""Headers that the client sets as each exchange needs them, or that would make another request of it."""


def header_problem(value: str) -> str:
    """Why a text can't be sent as the value of a header; empty if it can. Never repeats the value."""
    if not value.strip():
        return "is empty"
    if "\n" in value or "\r" in value:
        return "has a line break"
    if not (value.isascii() and value.isprintable()):
        return "has characters that no header may hold"
    return "begins or ends with a space" if value != value.strip() else ""


class Endpoint(Table):
    """An address that must answer, and how."""

    path: Path
    status: int = Field(default=200, ge=100, le=599)
    content_type: str = "application/json"
    """Media type; empty if any will do. ``application/json`` takes ``application/*+json`` as well."""
    expect: dict[str, Any] = Field(default={})
    """Dotted paths of the JSON answer and their values."""
    p95_ms: float | None = Field(default=None, gt=0)
    """A bound of its own; ``http.p95_ms`` if it has none."""


class Fields(Table):
    """Dotted paths at which the statistics have their figures."""

    pool_usage: str = Field(default="pool.usagePercent", min_length=1)
    """Percent of the pool that is in use."""
    connections: str = Field(default="totalConnections", min_length=1)
    """Open WebSocket connections."""
    requests: str = Field(default="metrics.requests", min_length=1)
    error_rate: str = Field(default="metrics.errorRate", min_length=1)
    """A share, not percent."""
    p95_ms: str = Field(default="metrics.p95Ms", min_length=1)
    errors: str = Field(default="errors", min_length=1)
    """A list of what went wrong lately."""


Truth = Literal["websocket", False] | Path | Endpoint
"""What shows from outside whether a check of health's is true; ``False``: nothing does."""


class Http(Table):
    """Where health and statistics are, and what they must say."""

    headers: dict[str, str | FromEnv] = Field(default={}, repr=False)
    """Say who we are where the target is read: sent to its own origin alone, never stored, never shown."""
    health: Path = "/api/health"
    health_expect: dict[str, Any] = Field(default={"status": "healthy"}, min_length=1)
    """Dotted paths of the JSON answer and their values; with none of them any answer would do."""
    health_checks: str = "checks"
    """Dotted path of the checks inside; must be there if the plan names it. Empty: health has none."""
    healthy: Names = Field(default=("healthy", "ok", "up", "pass"), min_length=1, strict=False)
    """What a check may say, in any case of letters."""
    health_version: str = "version"
    """Dotted path of the release; must be there if the plan names it. Empty: health tells none."""
    earlier_versions: Names = ()
    """Releases that may still run until the deployment, beside ``rollback.version``."""
    truth: dict[str, Truth] = Field(default={})
    database_stats: Path = "/api/fleet/db-stats"
    database_expect: dict[str, Any] = Field(default={"poolingEnabled": True}, min_length=1)
    websocket_stats: Path = "/api/fleet/ws-stats"
    performance_stats: Path = "/api/fleet/performance-stats"
    performance_traffic: Path | None = None
    """Asked so that there are requests to count; the statistics themselves if it is left out."""
    fields: Fields = Fields()
    min_requests: int = Field(default=59, ge=1)
    """Requests that must stand behind the target's own figures; the fewest that can speak of a p95."""
    figures_s: float = Field(default=5.0, gt=0, le=60)
    """How long a request may take to show in the target's own figures."""
    endpoints: tuple[Endpoint, ...] = Field(default=(), strict=False)
    """Without any, health and the three statistics."""
    openapi: str | None = Field(default=None, min_length=1)
    """An OpenAPI document, whose GETs are endpoints too: a path of the target, or a file beside the plan."""
    endpoint_samples: int = Field(default=60, ge=1, le=10_000)
    p95_ms: float = Field(default=500.0, gt=0)
    slowest_ms: float = Field(default=2000.0, gt=0)
    """No single request may take longer: at a p95 beyond 2 s the playbook considers a rollback."""
    samples: int = Field(default=100, ge=1, le=10_000)
    """Requests per endpoint; 59 can prove a p95 at 95 % confidence if none is slow, 100 if one is."""
    allowed_in_bodies: Names = ()
    """Kinds of secrets and traces that bodies may hold after all, in the gate's words, e.g. ``a password``."""
    retries: int = Field(default=2, ge=0, le=20)
    """Transport errors before an answer that are put up with; what was answered is never asked again."""
    max_pool_percent: float = Field(default=80.0, gt=0, le=100)
    max_error_rate: float = Field(default=0.001, gt=0, lt=1)
    timeout_s: float = Field(default=10.0, gt=0, le=120)
    max_body_bytes: int = Field(default=5_000_000, gt=0)

    @field_validator("headers")
    @classmethod
    def _sendable(cls, value: dict[str, str | FromEnv]) -> dict[str, str | FromEnv]:
        seen = set[str]()
        for name, written in value.items():
            if not _TOKEN.fullmatch(name):
                start = re.split(r"[^\w-]", name)[0]  # what comes behind it may be the secret
                raise ValueError(
                    f"the name that begins with {start!r} can't be a header's; write letters, digits and hyphens"
                )
            if name.lower() in _OURS or name.lower().startswith("sec-"):
                raise ValueError(f"{name} is set by the client itself, as each request needs it; take it out")
            if name.lower() in seen:
                raise ValueError(f"{name} is there twice, in other capitals; write it once")
            seen.add(name.lower())
            if isinstance(written, str) and (problem := header_problem(written)):
                raise ValueError(f"the value of {name} {problem}; correct it")
        return value

    @property
    def planned(self) -> tuple[Endpoint, ...]:
        """The endpoints that the plan names; without any, health and the three statistics."""
        own = (self.health, self.database_stats, self.websocket_stats, self.performance_stats)
        return self.endpoints or tuple(Endpoint(path=path) for path in dict.fromkeys(own))

    @staticmethod
    def documented(path: str, status: int, content_type: str) -> Endpoint:
        """An endpoint that is not the plan's own, but a document's that the plan names."""
        return Endpoint.model_construct(path=path, status=status, content_type=content_type)

    @property
    def outside(self) -> dict[str, Literal["websocket"] | Endpoint]:
        """What to look at for each check that shows outside."""
        ways: dict[str, Literal["websocket"] | Endpoint] = {}
        for name, how in self.truth.items():
            if how == "websocket":
                ways[name] = "websocket"
            elif isinstance(how, str):
                ways[name] = Endpoint(path=how)
            elif how is not False:
                ways[name] = how
        return ways
