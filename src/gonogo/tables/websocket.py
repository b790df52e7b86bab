"""``[targets.NAME.websocket]``: the live channel."""

from __future__ import annotations

from pydantic import Field

from gonogo.tables.base import Path, Table


class Websocket(Table):
    """The live channel."""

    path: Path = "/ws/positions"
    connections: int = Field(default=3, ge=1, le=50)
    first_message_s: float = Field(default=5.0, gt=0)
    timeout_s: float = Field(default=10.0, gt=0, le=120)
