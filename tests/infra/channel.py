"""How the plan's live channel is opened, for every gate that looks at it."""

from __future__ import annotations

from contextlib import AbstractContextManager

from gonogo import Target
from gonogo.probes.websocket import Asking, Listener, WebSocketFacts, hold, listen


def asking(target: Target) -> Asking:
    """What the handshake asks for, with the plan's credentials; a header of the channel's own goes before them.

    ``$NAME`` in a header is filled in, so that secrets stay out of the plan.
    """
    socket = target.settings("websocket")
    own = {name: target.expand(value) for name, value in socket.headers.items()}
    taken = {name.lower() for name in own}
    general = {name: value for name, value in target.credentials.items() if name.lower() not in taken}
    return Asking(socket.subprotocols, {**general, **own})


def auth(target: Target) -> str | None:
    """The message that says who we are, filled in; ``None`` if the plan has none."""
    text = target.settings("websocket").auth
    return None if text is None else target.expand(text)


def opened(target: Target, path: str, ip: str | None = None) -> AbstractContextManager[Listener]:
    """One connection to a channel, for the length of a block; at the first address unless another is named.

    Raises:
        TargetError: it did not open.
    """
    address = (ip, target.port) if ip else target.connect_to(target.host, target.port)
    limit = target.settings("websocket").timeout_s
    return listen(target.url(path), address, target.http().context, limit, asking=asking(target))


def held(target: Target, count: int) -> AbstractContextManager[tuple[WebSocketFacts, ...]]:
    """So many connections to the plan's channel, each past its first message, for the length of a block.

    Raises:
        TargetError: one did not open, or said nothing in time.
    """
    socket = target.settings("websocket")
    return hold(
        target.url(socket.path),
        target.connect_to(target.host, target.port),
        target.http().context,
        count,
        first_message_s=socket.first_message_s,
        timeout_s=socket.timeout_s,
        asking=asking(target),
        auth=auth(target),
    )
