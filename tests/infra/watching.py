"""The program that asks the service from before the deployment until after the ramp: where it is, who starts it."""

from __future__ import annotations

import os
from pathlib import Path

from tests.infra.channel import asking

from gonogo import Target
from gonogo.probes import availability
from gonogo.probes.availability import Asking, Place

BEGUN = "deployment begun"
ENDED = "deployment ended"
HELD = "ramp.100 held"


def file_of(target: Target) -> Path:
    """Where it writes."""
    return target.reports / "availability" / f"{target.name}.jsonl"


def begin(target: Target) -> None:
    """Start it, if the plan has the table for it.

    Raises:
        ToolError: it did not start.
    """
    if not target.has("availability"):
        return
    plan = target.settings("availability")
    live = target.settings("websocket") if target.has("websocket") else None
    address, port = target.connect_to(target.host, target.port)
    place = Place(
        host=target.host,
        port=port,
        address=address,
        secure=target.scheme == "https",
        ca_file=str(target.ca_file.resolve()) if target.ca_file else None,
        headers=dict(asking(target).headers if live else target.credentials),
    )
    asked = Asking(
        place=place,
        fresh_path=target.settings("http").health,
        kept_path=plan.page,
        per_s=plan.per_s,
        timeout_s=plan.timeout_s,
        socket_path=live.path if live else "",
        max_s=plan.max_s,
        # A disposable target goes with this session; a real one is there for the sessions to come.
        follow=os.getpid() if target.kind == "disposable" else 0,
    )
    availability.begin(asked, file_of(target))


def mark(target: Target, name: str) -> None:
    """Write down that something is being done to the target."""
    if target.has("availability"):
        availability.mark(file_of(target), name)
