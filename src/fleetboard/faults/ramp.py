"""Faults of the shift of traffic from one release to the next, and of what users notice of a deployment."""

from __future__ import annotations

from fleetboard.faults.fault import Fault

_STEPS = ("ramp.10", "ramp.50", "ramp.100")

FAULTS: tuple[Fault, ...] = (
    Fault("lb-ignores-weight", ("ramp.10", "ramp.50"), "the load balancer takes weights, and sends all to 1.0.0"),
    Fault("new-release-slower", ("ramp.10", "ramp.50"), "0.9.0 answers after 300 ms, 1.0.0 after 390 ms"),
    Fault("new-release-errors", _STEPS, "1 % of what 1.0.0 answers is HTTP 500"),
    Fault("new-release-throttles", _STEPS, "5 % of what 1.0.0 answers is HTTP 429"),
    Fault("ws-dropped-at-switch", _STEPS, "each change of a weight ends that server's live connections"),
    Fault(
        "memory-leak", (*_STEPS, "load.endurance"), "1.0.0 keeps 200 kB of every request, up to 250 MB a process"
    ),
    Fault("pool-leak", _STEPS, "1.0.0 loses connections to the database until its pool is full"),
    Fault(
        "deploy-refuses-connections",
        ("deploy.run", "availability.deployment"),
        "it also restarts the load balancer, and for a second connections are refused",
    ),
)

BOTH_RELEASES = ("new-release-slower",)
"""Faults of the comparison: the earlier release takes part in them."""
