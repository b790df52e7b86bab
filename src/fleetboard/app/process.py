"""One application process: its parts put together, served on an inherited socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from fleetboard import seed
from fleetboard.app import (
    analytics,
    api,
    appetite,
    contract,
    exposition,
    loads,
    logs,
    maintenance,
    pages,
    signing_in,
    upgrades,
    vitals,
)
from fleetboard.app.access import Access
from fleetboard.app.bodies import InvalidError
from fleetboard.app.consignments import Loads
from fleetboard.app.database import Database
from fleetboard.app.fleet import Fleet
from fleetboard.app.instances import Instances
from fleetboard.app.live import Broadcaster
from fleetboard.app.metrics import Metrics
from fleetboard.app.middleware import Observed
from fleetboard.app.misbehaviour import Misbehaviour
from fleetboard.app.ramped import Ramped
from fleetboard.app.sessions import Sessions
from fleetboard.app.settings import Settings
from fleetboard.app.state import State
from fleetboard.app.unwell import Unwell
from fleetboard.routes import Traffic, load_routes

_SPOILED_REQUESTS = 500
_SPOILED_ERRORS = 20
_RECORDER = "a"
"""The one instance that stores positions; both would store the same."""


def build_state(settings: Settings) -> State:
    """The parts of a process; connects to nothing yet."""
    database = Database(
        settings.database_url,
        pooled="pooling-disabled" not in settings.faults,
        exhausted="pool-exhausted" in settings.faults,
    )
    metrics = Metrics()
    instances = Instances(settings.instance, database, metrics)
    traffic = Traffic(load_routes(pages.STATIC / "geo" / "city.geojson"), seed.VEHICLES)
    fleet = Fleet(database, traffic)
    consignments = Loads(database, settings.features, settings.faults)
    broadcaster = Broadcaster(fleet, consignments, metrics, instances, settings.faults)
    sessions = Sessions(settings.directory, settings.faults)
    return State(settings, database, metrics, instances, fleet, consignments, broadcaster, sessions)


def build_app(state: State) -> Starlette:
    """The ASGI application."""

    async def positions(websocket: WebSocket) -> None:
        await state.broadcaster.serve(websocket)

    faults = state.settings.faults
    app = Starlette(
        routes=[
            *vitals.ROUTES,
            *contract.ROUTES,
            *signing_in.ROUTES,
            *api.ROUTES,
            *loads.ROUTES,
            *maintenance.ROUTES,
            *analytics.ROUTES,
            *exposition.routes(state.metrics, state.database, faults),
            WebSocketRoute("/{anything:path}" if "ws-any-path" in faults else "/ws/positions", positions),
            *pages.routes(faults),
        ],
        middleware=[
            Middleware(Observed, metrics=state.metrics, release=state.settings.version, faults=faults),
            Middleware(logs.Logged),
            Middleware(Access, sessions=state.sessions, faults=faults),
            Middleware(Misbehaviour, faults=faults),
            Middleware(Unwell, faults=faults),
            Middleware(Ramped, faults=faults, version=state.settings.version, database=state.database),
        ],
        exception_handlers={HTTPException: _http_error, InvalidError: _invalid, Exception: _server_error},
        lifespan=lambda _app: _running(state),
    )
    app.state.parts = state
    return app


@contextlib.asynccontextmanager
async def _running(state: State) -> AsyncIterator[None]:
    """Everything that runs beside the requests, from start to end."""
    await state.database.open()
    await state.fleet.load()
    await state.loads.open()
    if state.has("health-lies-database"):
        await state.database.lose()
    if state.has("performance-errors"):
        _spoil(state.metrics)
    await state.instances.publish()
    jobs = [state.broadcaster.run(), state.broadcaster.keep_watching(), state.instances.keep_publishing()]
    if state.settings.instance == _RECORDER:
        jobs.append(state.fleet.keep_recording())
    tasks = [asyncio.create_task(job) for job in jobs]
    appetite.indulge(state.settings.instance, state.settings.faults)
    logs.ready(state.settings.instance)
    try:
        yield
    finally:
        logs.stopping(state.settings.instance)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await state.database.close()


def serve(settings: Settings) -> None:
    """Serve until SIGTERM; tells the supervisor once requests are answered."""
    logs.begin(settings.instance, settings.version, settings.faults)
    config = uvicorn.Config(
        build_app(build_state(settings)),
        http="h11",
        ws=upgrades.protocol(settings.faults),
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        # HAProxy keeps connections to us; we must not be the one to close them under a request.
        timeout_keep_alive=75,
    )
    asyncio.run(_Server(config, settings.ready_fd).serve([socket.socket(fileno=settings.listen_fd)]))


class _Server(uvicorn.Server):
    """A server that writes one byte to a pipe once it has started."""

    def __init__(self, config: uvicorn.Config, ready_fd: int) -> None:
        super().__init__(config)
        self._ready_fd = ready_fd

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            os.write(self._ready_fd, b"+")
        os.close(self._ready_fd)


def _spoil(metrics: Metrics) -> None:
    # As if the process had served for a while, badly: the statistics must tell from the first request on.
    for number in range(_SPOILED_REQUESTS):
        status = 500 if number % (_SPOILED_REQUESTS // _SPOILED_ERRORS) == 0 else 200
        metrics.record("/api/fleet/vehicles", status, 5.0)


async def _http_error(_request: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = error.detail if isinstance(error, HTTPException) else "unexpected"
    headers = error.headers if isinstance(error, HTTPException) else None
    return JSONResponse({"error": detail}, status, headers=headers)


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    fields = error.fields if isinstance(error, InvalidError) else {}
    return JSONResponse({"error": "some fields can't be taken", "fields": fields}, 422)


async def _server_error(_request: Request, _error: Exception) -> JSONResponse:
    return JSONResponse({"error": "something went wrong on our side"}, 500)
