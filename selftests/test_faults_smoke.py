"""Every fault of the pages and of the API under them, told by the gates that should tell it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from fleet import Fleet, fleet
from fleetboard.faults import smoke
from gate_calls import target_at
from gate_runs import GATES
from gonogo.model import Outcome
from gonogo.target import Target
from smoke_calls import browser_for, call_page

pytestmark = pytest.mark.slow

# What each gate of a fault must say, in the order of the fault's gates.
SAYS: dict[str, tuple[str, ...]] = {
    "console-error": ("console errors and warnings: ",),
}
SMOKE = sorted(gate for gate in GATES if gate.startswith("smoke."))


@pytest.fixture(scope="module")
def up() -> Iterator[Fleet]:
    with fleet() as running:
        yield running


@pytest.fixture(scope="module")
def chromium(up: Fleet) -> Iterator[Browser]:
    with contextlib.closing(target_at(up.info)) as target, browser_for(target) as browser:
        yield browser


@pytest.fixture
def target(up: Fleet) -> Iterator[Target]:
    """The rehearsal; what a fault keeps from happening is not waited for as long as in a launch."""
    with contextlib.closing(target_at(up.info, smoke={"timeout_s": 6.0}, http={"timeout_s": 5.0})) as target:
        yield target


def test_every_fault_of_the_pages_is_tried_by_name() -> None:
    assert {fault.name for fault in smoke.FAULTS} == set(SAYS)
    assert {gate for fault in smoke.FAULTS for gate in fault.gates} == set(SMOKE)


@pytest.mark.parametrize("gate", SMOKE)
def test_the_healthy_target_is_green(gate: str, up: Fleet, target: Target, chromium: Browser) -> None:
    up.become()
    found = call_page(gate, target, chromium)

    assert (found.outcome, found.reason) == (Outcome.PASS, "")
    assert found.evidence


@pytest.mark.parametrize("fault", smoke.FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_told_by_its_gates(fault: smoke.Fault, up: Fleet, target: Target, chromium: Browser) -> None:
    up.become(fault.name)
    for gate, says in zip(fault.gates, SAYS[fault.name], strict=True):
        found = call_page(gate, target, chromium)

        assert found.outcome is Outcome.FAIL, gate
        assert says in found.reason, (gate, found.reason)
