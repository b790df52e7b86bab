"""Live positions over WebSocket: a snapshot at once, the fleet every second, one vehicle when asked for."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Sequence
from typing import Any

import psycopg
from starlette.websockets import WebSocket, WebSocketDisconnect

from fleetboard.app.consignments import Loads
from fleetboard.app.fleet import Fleet, timestamp
from fleetboard.app.instances import Instances
from fleetboard.app.metrics import Metrics

_PERIOD_S = 1.0
_SEND_S = 1.0
"""A client that takes nothing for so long is dropped, so that it can't hold up the others."""
_STALE_S = 3.0
_DROPPED_S = 5.0
"""When the fault ws-drops closes a connection."""

_LOG = logging.getLogger(__name__)


class Broadcaster:
    """All open connections of this process, and the task that feeds them."""

    def __init__(
        self, fleet: Fleet, loads: Loads, metrics: Metrics, instances: Instances, faults: Sequence[str] = ()
    ) -> None:
        self._faults = frozenset(faults)
        self._fleet = fleet
        self._loads = loads
        self._metrics = metrics
        self._instances = instances
        self._clients: set[WebSocket] = set()
        self._ticked_at = time.monotonic()
        self._began_at = time.time()

    @property
    def healthy(self) -> bool:
        """Whether the feed has run within the last three seconds."""
        return time.monotonic() - self._ticked_at < _STALE_S

    async def run(self) -> None:
        """Send positions every second until cancelled."""
        next_at = time.monotonic()
        while True:
            self._ticked_at = time.monotonic()
            if self._clients and not self._faults & {"ws-silent", "ws-stops-pushing"}:
                await self._broadcast(self._message("positions"))
            next_at = max(next_at + _PERIOD_S, time.monotonic())
            await asyncio.sleep(next_at - time.monotonic())

    async def keep_watching(self) -> None:
        """Tell everybody within about a second that loads were changed, whichever process did it; until cancelled.

        It is a task of its own: positions must not wait for the database.
        """
        seen: int | None = None
        while not self._faults & {"ws-silent", "ws-stops-pushing", "second-user-blind"}:
            if self._clients or seen is None:
                revision = await self._revision()
                if revision is not None and seen not in (None, revision):
                    await self._broadcast(_text({"type": "changed", "what": "loads", "revision": revision}))
                seen = revision or seen
            await asyncio.sleep(_PERIOD_S)

    async def serve(self, websocket: WebSocket) -> None:
        """One connection from its beginning to its end."""
        if "ws-refused" in self._faults:
            await websocket.close()
            return
        await websocket.accept()
        try:
            self._clients.add(websocket)
            # Counted before the first message: who has received one finds itself in the statistics.
            await self._count()
            if "ws-silent" not in self._faults:
                await self._send(websocket, self._message("snapshot"))
            async with asyncio.timeout(_DROPPED_S if "ws-drops" in self._faults else None):
                await self._converse(websocket)
        except TimeoutError:
            await websocket.close()
        except (WebSocketDisconnect, KeyError):  # KeyError: a binary message, which nobody should send
            pass
        finally:
            self._clients.discard(websocket)
            await self._count()

    async def _revision(self) -> int | None:
        try:
            return await self._loads.revision()
        except (psycopg.Error, OSError) as error:
            _LOG.warning("changes of loads could not be looked for: %s", error)
            return None

    async def _converse(self, websocket: WebSocket) -> None:
        while True:
            question = await websocket.receive_text()
            if not self._faults & {"ws-silent", "ws-one-way"}:
                await self._send(websocket, _text(self._reply(question)))

    def _reply(self, question: str) -> dict[str, Any]:
        """Where one vehicle is: ``{"type": "locate", "vehicle": "V-001"}``; anything else is an error."""
        try:
            asked = json.loads(question)
        except (ValueError, RecursionError):
            asked = None
        if not isinstance(asked, dict) or asked.get("type") != "locate":
            return {"type": "error", "message": 'ask {"type": "locate", "vehicle": ...}'}
        now = time.time()
        place = next((one for one in self._fleet.positions(now) if one["id"] == asked.get("vehicle")), None)
        if place is None:
            return {"type": "error", "message": "there is no such vehicle"}
        return {"type": "location", "at": timestamp(now), "vehicle": place}

    async def _count(self) -> None:
        self._metrics.connections = len(self._clients)
        await self._instances.publish()

    def _message(self, kind: str) -> str:
        now = time.time()
        places_at = self._began_at if "stale-positions" in self._faults else now
        return _text({"type": kind, "at": timestamp(now), "vehicles": self._fleet.positions(places_at)})

    async def _broadcast(self, text: str) -> None:
        await asyncio.gather(*(self._send(client, text) for client in tuple(self._clients)))

    async def _send(self, client: WebSocket, text: str) -> None:
        try:
            async with asyncio.timeout(_SEND_S):
                await client.send_text(text)
        except (WebSocketDisconnect, RuntimeError, OSError) as error:  # TimeoutError is an OSError
            _LOG.info("a WebSocket client is gone: %s", error)
            self._clients.discard(client)
        else:
            self._metrics.messages_sent += 1


def _text(content: dict[str, Any]) -> str:
    return json.dumps(content, separators=(",", ":"))
