"""``[targets.NAME.smoke]``: what the user's pages are."""

from __future__ import annotations

from pydantic import Field

from gonogo.tables.base import Path, Table


class ConsoleNoise(Table):
    """Console output that is known and accepted, with the reason."""

    pattern: str = Field(min_length=1)
    reason: str = Field(min_length=1)


class Smoke(Table):
    """What the user's pages are."""

    dashboard: Path = "/fleet/dashboard"
    session: Path = "/api/session"
    """Where to sign in: POST ``{"user": ..., "password": ...}``, which sets a cookie."""
    vehicles: Path = "/api/fleet/vehicles"
    min_vehicles: int = Field(default=1, ge=1)
    load_s: float = Field(default=5.0, gt=0)
    allow_console: tuple[ConsoleNoise, ...] = Field(default=(), strict=False)
    timeout_s: float = Field(default=15.0, gt=0, le=300)
