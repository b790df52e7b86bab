"""What the team adds to the load: Locust's log says when it begins and ends, as their other logs do."""

from __future__ import annotations

import logging
from typing import Any

from locust import events

LOG = logging.getLogger("fleet")


@events.test_start.add_listener  # type: ignore[untyped-decorator]  # Locust's hooks have no types
def begins(**_: Any) -> None:
    """A line at the beginning."""
    LOG.info("the load begins")


@events.test_stop.add_listener  # type: ignore[untyped-decorator]
def ends(**_: Any) -> None:
    """A line at the end."""
    LOG.info("the load ends")
