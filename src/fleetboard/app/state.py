"""The parts of one application process, as its endpoints see them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from starlette.requests import Request

from fleetboard.app.consignments import Loads
from fleetboard.app.database import Database
from fleetboard.app.fleet import Fleet
from fleetboard.app.instances import Instances
from fleetboard.app.live import Broadcaster
from fleetboard.app.metrics import Metrics
from fleetboard.app.sessions import Sessions
from fleetboard.app.settings import Settings


@dataclass(frozen=True)
class State:
    """Everything that lives as long as the process."""

    settings: Settings
    database: Database
    metrics: Metrics
    instances: Instances
    fleet: Fleet
    loads: Loads
    broadcaster: Broadcaster
    sessions: Sessions
    started_at: float = field(default_factory=time.monotonic)

    def has(self, fault: str) -> bool:
        """Whether a fault is on."""
        return fault in self.settings.faults


def state_of(request: Request) -> State:
    """The process's parts, from a request."""
    state: State = request.app.state.parts
    return state
