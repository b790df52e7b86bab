"""The run under load that this session's gates share."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.load.loading import LoadRun

from gonogo import Target

GATES = ("load.throughput", "load.endurance", "load.spike")


@pytest.fixture(scope="session")
def load_runs() -> dict[tuple[str, str], LoadRun]:
    """What was run in this session, by phase and target."""
    return {}


@pytest.fixture
def load_run(
    request: pytest.FixtureRequest,
    target: Target,
    gonogo_phase: str,
    progress: Callable[[str], None],
    load_runs: dict[tuple[str, str], LoadRun],
) -> LoadRun:
    """The run on this target in this phase; its parts are what the session's gates ask for."""
    wanted = {gate for gate in GATES for item in request.session.items if gate in item.extra_keyword_matches}
    known = load_runs.setdefault((gonogo_phase, target.name), LoadRun(target, wanted))
    known.say = progress
    return known
