"""``[targets.NAME.smoke]``: where the user's pages are, who signs in, and what may be done there."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from gonogo.tables.base import FromEnv, Names, Path, Table
from gonogo.tables.service import Pattern


def _origin(text: str) -> str:
    try:
        split = urlsplit(text)
        usable = split.scheme in ("https", "wss") and bool(split.hostname) and split.port != 0
    except ValueError:
        usable = False
    if not usable or "@" in text or split.path or split.query or split.fragment:
        raise ValueError(f"{text!r} must be an encrypted origin without a path, e.g. https://tiles.example.com")
    return text


class ConsoleNoise(Table):
    """Console output that is known and accepted, with the reason."""

    pattern: Pattern
    reason: str = Field(min_length=1)


class OtherOrigin(Table):
    """Another origin that pages may ask, with the reason."""

    origin: Annotated[str, AfterValidator(_origin)]
    reason: str = Field(min_length=1)


class Account(Table):
    """Somebody who can sign in."""

    user: str = Field(min_length=1)
    password: FromEnv
    """Never the password itself: launch.toml is read by many."""


class Smoke(Table):
    """Where the user's pages are, who signs in, and what may be done there."""

    sign_in: Path = "/sign-in"
    dashboard: Path = "/fleet/dashboard"
    dispatch: Path = "/fleet/dispatch"
    maintenance: Path = "/fleet/maintenance"
    analytics: Path = "/fleet/analytics"
    session: Path = "/api/session"
    vehicles: Path = "/api/fleet/vehicles"
    loads: Path = "/api/fleet/loads"
    records: Path = "/api/fleet/maintenance"
    analytics_api: Path = "/api/fleet/analytics"
    manager: Account | None = None
    """May do everything."""
    dispatcher: Account | None = None
    """Reads, and changes loads."""
    viewer: Account | None = None
    """Reads, and may change nothing."""
    tenant: str | None = Field(default=None, min_length=1)
    """Whose data may be changed. On production none is, unless this is named and is what the session says."""
    min_vehicles: int = Field(default=1, ge=1)
    load_s: float = Field(default=5.0, gt=0)
    """Until a page is usable."""
    paint_s: float = Field(default=3.0, gt=0)
    """Until the first text or picture is drawn; beyond 3 s a first contentful paint counts as poor."""
    moves_s: float = Field(default=10.0, gt=0, le=300)
    """Within it positions must change on the map."""
    timeout_s: float = Field(default=15.0, gt=0, le=300)
    """For one step of a user's."""
    allow_console: tuple[ConsoleNoise, ...] = Field(default=(), strict=False)
    allow_requests: tuple[OtherOrigin, ...] = Field(default=(), strict=False)
    mask: Names = ()
    """CSS selectors of what pictures must not show, beside ``[data-personal]`` and passwords."""
