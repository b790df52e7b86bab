"""WebSocket servers that break the standard on purpose, as far below the application as that happens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

_ANOTHER_KEYS = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""What belongs to the key of the example in RFC 6455, section 1.3, and to no other."""
_EMPTY_PONG = b"\x8a\x00"


class FakeUpgrade(WebSocketsSansIOProtocol):
    """Says 101 to everybody, with the accept key of somebody else."""

    def handle_connect(self, event: Request) -> None:
        """Prepare the answer, then put the wrong key into it; it is sent when the application accepts."""
        super().handle_connect(event)
        if "Sec-WebSocket-Accept" in self.response.headers:
            del self.response.headers["Sec-WebSocket-Accept"]
            self.response.headers["Sec-WebSocket-Accept"] = _ANOTHER_KEYS


class EmptyPongs(WebSocketsSansIOProtocol):
    """Answers every ping with an empty pong."""

    def handle_ping(self) -> None:
        """Drop the answer that was prepared, and send our own."""
        self.conn.data_to_send()
        self.transport.write(_EMPTY_PONG)


def protocol(faults: Sequence[str]) -> Any:
    """What uvicorn takes for ``ws``."""
    if "ws-fake-101" in faults:
        return FakeUpgrade
    return EmptyPongs if "ws-empty-pong" in faults else "websockets-sansio"
