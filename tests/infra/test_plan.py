"""The plan itself: nothing is left to fill in, and everything that it names is there."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime

import pytest
from tests.infra.change import short

from gonogo import EvidenceKeeper, Measure, PlanFacts, Target, above, at_least, empty, read_plan

FILLED_IN = "a launch is not planned in placeholders"
ON_REHEARSAL = "allowed on a rehearsal, refused on production"
THERE = "what the plan names must be there before the launch"
IN_ORDER = "PLAYBOOK.md: the launch comes after its preparation"


@pytest.mark.gate("plan.complete")
def test_complete(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """The plan has no gaps; each program, file, document and variable that it names exists."""
    facts = read_plan(target.launch_file, target.root, target=target.name, environment=target.environment)
    evidence.json("plan.json", asdict(facts))
    if target.kind == "production":
        judge_production(target, measure, facts)
    else:
        gaps = [*facts.placeholders, *facts.missing_people]
        places = len({gap.key for gap in facts.placeholders})
        aside = f"; on production these {len(gaps)} would be refused: {', '.join(short(gaps))}" if gaps else ""
        name = f"texts of launch.toml and PLAYBOOK.md without a placeholder{aside}"
        measure(name, facts.texts - places, at_least(1, ON_REHEARSAL), n=facts.texts)
    for name, missing, named in (
        ("programs of commands that are missing", facts.missing_programs, facts.programs),
        ("files and documents that are missing", facts.missing_files, facts.files),
        ("environment variables that are not set", facts.missing_variables, facts.variables),
    ):
        if named:  # a plan need not name any; what it names must be there
            measure(name, short(missing), empty(THERE), n=len(named))
    if facts.phases:
        measure("phases before the launch", len(facts.before), at_least(1, IN_ORDER), n=len(facts.phases))


def judge_production(target: Target, measure: Measure, facts: PlanFacts) -> None:
    """What only a real launch must have: no placeholder, people for every role, a date that is to come."""
    measure("placeholders", short(facts.placeholders), empty(FILLED_IN), n=facts.texts)
    if facts.roles:
        measure("roles without a person", short(facts.missing_people), empty(FILLED_IN), n=len(facts.roles))
    if target.at is not None:
        left_h = (target.at - datetime.now(UTC)).total_seconds() / 3600
        measure("time until the launch", left_h, above(0, "launch.toml: launch.at"), unit="h")
