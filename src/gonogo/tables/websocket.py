"""``[targets.NAME.websocket]``: the live channel."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from gonogo.tables.base import Command, Names, Path, Table


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is no regular expression: {error}") from None
    return text


Pattern = Annotated[str, Field(min_length=1), AfterValidator(_pattern)]


class Turn(Table):
    """One line of the script: what we say, and what must come back."""

    send: str = Field(min_length=1)
    expect: Pattern
    """Regular expression that one of the next messages must contain."""


class Websocket(Table):
    """The live channel; ``$NAME`` in headers, ``auth`` and the script is filled in when the gate runs."""

    path: Path = "/ws/positions"
    wrong_path: Path = "/gonogo-no-such-channel"
    """A channel that is not there, and must not open."""
    subprotocols: Names = ()
    """Offered, in this order; the server must choose one of them."""
    headers: dict[str, str] = Field(default={})
    """Of the handshake, such as Cookie, Origin or Authorization."""
    auth: str | None = Field(default=None, min_length=1)
    """Sent as soon as the channel is open."""
    exchange: tuple[Turn, ...] = Field(default=(), strict=False)
    provoke: Command | None = None
    """Run while the channel is held, so that something is pushed."""
    push: Pattern | None = None
    """What one of the messages must contain that come while the channel is held."""
    min_messages: int = Field(default=1, ge=1)
    """How many must come while it is held, beside the first and the answers."""
    hold_s: float = Field(default=6.0, gt=0, le=240)
    connections: int = Field(default=3, ge=1, le=50)
    rounds: int = Field(default=3, ge=1, le=20)
    """How often the count is tried while other users come and go."""
    count_s: float = Field(default=3.0, gt=0, le=60)
    """How long the count may take to follow."""
    first_message_s: float = Field(default=5.0, gt=0)
    timeout_s: float = Field(default=10.0, gt=0, le=120)
