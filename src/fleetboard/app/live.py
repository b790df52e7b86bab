"""Live positions over WebSocket: a snapshot at once, then the fleet every second."""

from __future__ import annotations

import asyncio
import json
import logging
import time

from starlette.websockets import WebSocket, WebSocketDisconnect

from fleetboard.app.fleet import Fleet, timestamp
from fleetboard.app.instances import Instances
from fleetboard.app.metrics import Metrics

_PERIOD_S = 1.0
_SEND_S = 1.0
"""A client that takes nothing for so long is dropped, so that it can't hold up the others."""
_STALE_S = 3.0

_LOG = logging.getLogger(__name__)


class Broadcaster:
    """All open connections of this process, and the task that feeds them."""

    def __init__(self, fleet: Fleet, metrics: Metrics, instances: Instances) -> None:
        self._fleet = fleet
        self._metrics = metrics
        self._instances = instances
        self._clients: set[WebSocket] = set()
        self._ticked_at = time.monotonic()

    @property
    def healthy(self) -> bool:
        """Whether the feed has run within the last three seconds."""
        return time.monotonic() - self._ticked_at < _STALE_S

    async def run(self) -> None:
        """Send positions every second until cancelled."""
        next_at = time.monotonic()
        while True:
            self._ticked_at = time.monotonic()
            if self._clients:
                text = self._message("positions")
                await asyncio.gather(*(self._send(client, text) for client in tuple(self._clients)))
            next_at = max(next_at + _PERIOD_S, time.monotonic())
            await asyncio.sleep(next_at - time.monotonic())

    async def serve(self, websocket: WebSocket) -> None:
        """One connection from its beginning to its end."""
        await websocket.accept()
        try:
            self._clients.add(websocket)
            # Counted before the first message: who has received one finds itself in the statistics.
            await self._count()
            await self._send(websocket, self._message("snapshot"))
            while True:
                await websocket.receive_text()
        except (WebSocketDisconnect, KeyError):  # KeyError: a binary message, which nobody should send
            pass
        finally:
            self._clients.discard(websocket)
            await self._count()

    async def _count(self) -> None:
        self._metrics.connections = len(self._clients)
        await self._instances.publish()

    def _message(self, kind: str) -> str:
        now = time.time()
        content = {"type": kind, "at": timestamp(now), "vehicles": self._fleet.positions(now)}
        return json.dumps(content, separators=(",", ":"))

    async def _send(self, client: WebSocket, text: str) -> None:
        try:
            async with asyncio.timeout(_SEND_S):
                await client.send_text(text)
        except (WebSocketDisconnect, RuntimeError, OSError) as error:  # TimeoutError is an OSError
            _LOG.info("a WebSocket client is gone: %s", error)
            self._clients.discard(client)
        else:
            self._metrics.messages_sent += 1
