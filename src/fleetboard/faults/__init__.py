"""The defects this target can be given on purpose, and the gates each must turn red.

Gate ids are plain strings here: the target knows nothing of the suite that looks at it.
"""

from __future__ import annotations

from fleetboard.errors import UnknownFaultError
from fleetboard.faults import (
    change,
    database,
    dns,
    edge,
    health,
    load,
    monitoring,
    notify,
    ramp,
    release,
    service,
    smoke,
    tls,
)
from fleetboard.faults.fault import Fault

__all__ = ["FAULTS", "Fault", "parse"]

_DOMAINS = (dns, tls, edge, health, service, monitoring, notify, change, database, release, smoke, load, ramp)

FAULTS: dict[str, Fault] = {fault.name: fault for domain in _DOMAINS for fault in domain.FAULTS}
"""Every fault by its name, in the order in which they are listed."""


def parse(text: str) -> tuple[str, ...]:
    """Names out of a comma-separated list, each once, in the order given.

    Raises:
        UnknownFaultError: a name is not a fault; the message names the allowed ones.
    """
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for name in names:
        if name not in FAULTS:
            raise UnknownFaultError(f"unknown fault {name!r}; allowed are: {', '.join(FAULTS)}")
    return names
