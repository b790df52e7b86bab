"""``[targets.NAME.http]``: where health and statistics are, and what they must say."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from gonogo.tables.base import Path, Table


class Http(Table):
    """Where health and statistics are, and what they must say."""

    health: Path = "/api/health"
    health_expect: dict[str, Any] = Field(default={"status": "healthy"}, min_length=1)
    """Dotted paths of the JSON answer and their values; with none of them any answer would do."""
    database_stats: Path = "/api/fleet/db-stats"
    database_expect: dict[str, Any] = Field(default={"poolingEnabled": True}, min_length=1)
    websocket_stats: Path = "/api/fleet/ws-stats"
    performance_stats: Path = "/api/fleet/performance-stats"
    p95_ms: float = Field(default=500.0, gt=0)
    samples: int = Field(default=100, ge=1, le=10_000)
    """Requests per endpoint; 59 can prove a p95 at 95 % confidence if none is slow, 100 if one is."""
    max_pool_percent: float = Field(default=80.0, gt=0, le=100)
    max_error_rate: float = Field(default=0.001, gt=0, lt=1)
    timeout_s: float = Field(default=10.0, gt=0, le=120)
    max_body_bytes: int = Field(default=5_000_000, gt=0)
