"""What a process writes down: one line an event, with its moment in UTC; errors with the path they are about."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LOG = logging.getLogger("fleetboard")
_LEAK = "payment for driver42@fleet.test refused: upstream said 502, token=9f8e7d6c5b4a39281706f5e4d3c2b1a0"
"""What careless programs log: an address of somebody's and a secret, so that one can see whether they are kept."""


def begin(instance: str, version: str, faults: Collection[str]) -> None:
    """Write to standard error from now on."""
    line = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    line.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(line)
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    if "log-silent" in faults:
        logging.disable(logging.CRITICAL)
    _LOG.info("release %s starts as instance %s", version, instance)
    if {"log-errors", "log-errors-rotated"} & set(faults):
        _LOG.error("POST /api/fleet/loads: %s", _LEAK)


def ready(instance: str) -> None:
    """Note that requests are answered from now on."""
    _LOG.info("instance %s is ready", instance)


def stopping(instance: str) -> None:
    """Note that the process is about to end."""
    _LOG.info("instance %s stops", instance)


class Logged:
    """ASGI middleware that writes a line for each request that failed on our side."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        where = f"{scope['method']} {scope['path']}"  # without its query, which may hold what nobody should read

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= 500:
                _LOG.error("%s: answered %d", where, message["status"])
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            _LOG.error("%s: failed with %s", where, type(error).__name__)  # uvicorn adds the traceback
            raise
