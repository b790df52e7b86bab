"""What stands around the application: monitoring, mail, chat, a cache, the source. Each part can be left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from fleetboard import cache, inboxes, monitoring, processes, source
from fleetboard.pki import Authority


@dataclass(frozen=True)
class Surroundings:
    """What a part finds when it is started, in the main thread and after everything else is up."""

    work: Path
    """Private folder, gone at the end."""
    logs: Path
    faults: tuple[str, ...]
    children: list[processes.Child]
    """Whoever starts a process adds it here: it is watched, and stopped at the end."""
    closing: ExitStack
    """Called at the end, for whatever is no process."""
    authority: Authority
    base_url: str
    instances: Mapping[str, str]
    """Loopback address, ``host:port``, of each application process."""
    known: dict[str, str] = field(default_factory=dict)
    """Variables that the parts before this one gave."""


Start = Callable[[Surroundings], Mapping[str, str]]
"""Starts a part and returns the environment variables that lead to it."""

PARTS: Mapping[str, Start] = {
    "inboxes": inboxes.start,
    "cache": cache.start,
    "monitoring": monitoring.start,
    "source": source.start,
}
"""Every part by name, in the order in which they are started."""


def start(around: Surroundings, without: Sequence[str] = ()) -> dict[str, str]:
    """Start all parts but some; returns the variables that lead to them.

    Raises:
        StartError: one did not come up.
    """
    for name, begin in PARTS.items():
        if name not in without:
            around.known.update(begin(around))
    return dict(around.known)
