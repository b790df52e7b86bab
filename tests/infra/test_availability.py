"""Availability: what users notice, from before the deployment until after the ramp."""

from __future__ import annotations

import time
from dataclasses import asdict

import pytest
from tests.infra.watching import BEGUN, ENDED, HELD, file_of

from gonogo import EvidenceKeeper, InconclusiveError, Measure, Target, ToolError, at_least, at_most
from gonogo.probes import availability
from gonogo.probes.availability import AvailabilityFacts

ZERO_DOWNTIME = "playbook: zero-downtime deployment"
LATE_S = 1.0
"""A program that was later than this may have slept through what it should have seen."""
FRESH_S = 5.0
"""The last second that it told must not be longer ago."""


@pytest.mark.gate("availability.deployment")
def test_deployment(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """From before the deployment until after the ramp no request is lost, and the live channel comes back."""
    plan = target.settings("availability")
    file = file_of(target)
    now = time.time()
    availability.stop(file)
    facts = availability.read(file)
    if facts is None:
        raise InconclusiveError(
            "nobody has watched: the gate deploy.run starts the program that does, and has not been run here since "
            "(sessions on several machines need the same reports folder)"
        )
    evidence.json("availability.json", asdict(facts))
    if facts.failed == 0:
        refuse_blindness(facts)
    lost = at_most(plan.max_failed, f"{ZERO_DOWNTIME}; {target.source('availability.max_failed')}")
    kinds = f" ({'; '.join(f'{number} x {kind}' for kind, number in facts.kinds.items())})" if facts.kinds else ""
    measure(f"failed requests{kinds}", facts.failed, lost, n=facts.asked)
    longest = at_most(plan.max_gap_s, target.source("availability.max_gap_s"))
    measure("longest time without a good answer", round(facts.longest_gap_s, 3), longest, unit="s", n=facts.asked)
    used = 100 * facts.failed / (plan.budget * facts.asked) if facts.asked else None
    all_of_it = at_most(100, target.source("availability.budget"))
    measure("budget of failed requests used", used, all_of_it, unit="%", n=facts.asked)
    if target.has("websocket"):
        judge_channel(target, measure, facts)
    refuse_blindness(facts)
    refuse_absence(target, facts, now)


def judge_channel(target: Target, measure: Measure, facts: AvailabilityFacts) -> None:
    """Hold the live channel against the plan: it may be lost with its instance, and must come back."""
    plan = target.settings("availability")
    measure("live channel was open", facts.sockets_opened, at_least(1, target.source("websocket.path")))
    back = at_most(plan.max_reconnect_s, target.source("availability.max_reconnect_s"))
    name = f"longest time until the live channel was back ({facts.sockets_lost} times lost)"
    measure(name, round(facts.away_s, 3), back, unit="s", n=facts.seconds)


def refuse_blindness(facts: AvailabilityFacts) -> None:
    """Refuse what speaks of our own machine.

    Raises:
        ToolError: the program was not always awake.
    """
    blind_s = max(facts.late_s, facts.blind_s)
    if blind_s > LATE_S:
        raise ToolError(
            f"the program that watches was itself {blind_s:.1f} s late, over the {LATE_S:g} s allowed, so an "
            "outage could have gone unseen; give it a machine with more room"
        )


def refuse_absence(target: Target, facts: AvailabilityFacts, now: float) -> None:
    """Refuse to praise what was not seen.

    Raises:
        ToolError: the program ended by itself.
        InconclusiveError: it did not see the deployment, or not the ramp.
    """
    if now - facts.ended > FRESH_S:
        raise ToolError(
            f"the program that watches ended {now - facts.ended:.0f} s ago by itself (availability.max_s, or it "
            "was killed), so what came after went unseen; deploy with the gate deploy.run again"
        )
    wanted = [BEGUN, ENDED, *([HELD] if target.has("ramp") else [])]
    if unseen := [name for name in wanted if not facts.saw(name)]:
        raise InconclusiveError(
            f"it was watched for {facts.ended - facts.began:.0f} s, yet not while this came about: "
            f"{', '.join(unseen)}"
        )
