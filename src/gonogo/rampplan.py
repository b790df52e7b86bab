"""Which steps of a planned ramp can conclude: as many requests must reach the new release as the proof takes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from gonogo.statistics import samples_needed

if TYPE_CHECKING:
    from gonogo.tables.ramp import Ramp

_AREA = "ramp."


def traffic(ramp: Ramp, share: int) -> str:
    """What a step sends, in words."""
    return f"{ramp.rps:g} RPS for {ramp.hold_of(share):g} s"


def inconclusive(ramp: Ramp, gates: Collection[str], *, counts_users: bool) -> Iterator[str]:
    """A sentence for each step whose own traffic is too little.

    Args:
        ramp: the plan's table.
        gates: ids that the plan asks for.
        counts_users: whether the users' requests are judged as well, of which nobody knows the number beforehand.
    """
    for gate in sorted(gate for gate in gates if gate.startswith(_AREA)):
        share = int(gate.removeprefix(_AREA))
        hold_s, limit = ramp.hold_of(share), ramp.proven_of(share)
        come, needed = int(ramp.rps * hold_s * share / 100), samples_needed(limit)
        if come >= needed:
            continue
        pace, longer_s = needed / hold_s, needed / ramp.rps * 100 / share
        if counts_users:
            yield (
                f"{gate} concludes only if users bring it {pace:.3g} requests a second for {hold_s:g} s: less than "
                f"{limit:.3g} errors take {needed} requests without one"
            )
        else:
            yield (
                f"{gate} can't conclude: {traffic(ramp, share)} lead {come} requests to the new release, and an "
                f"error rate below {limit:.3g} takes {needed} without one; hold it for {longer_s:.0f} s, "
                "raise ramp.rps, or have this step prove less (proven_error_rate)"
            )
