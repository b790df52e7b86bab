"""Every fault of the pages and of the API under them, told by the gates that should tell it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

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

SIGNED_IN = "(playbook: users can sign in, and nobody else)"
# What each gate of a fault must say, in the order of the fault's gates.
SAYS: dict[str, tuple[str, ...]] = {
    "api-ignores-paging": ("page from vehicle 1: rows: 240; required = 10",),
    "api-finds-anything": ("unknown vehicle: status: 200; required = 404",),
    "role-ignored": ("the viewer creates a load: status: 201; required = 403",),
    "reads-without-session": ("/api/fleet/loads without a session: status: 200; required = 401",),
    "accepts-nonsense": ("a weight below zero: refused: no; required yes",),
    "create-not-kept": ("read what was created: status: 404; required = 200",),
    "delete-not-kept": ("read what was removed: status: 200; required = 404",),
    "console-error": ("console errors and warnings: error: The fleet summary could not be calculated.",),
    "script-404": ("/static/extras.js: HTTP 404; required none",),
    "unhandled-rejection": ("script errors: the summary of the fleet is missing",),
    "blank-page": ("page has a visible heading: no; required yes", "shows no map"),
    "slow-page": ("time until usable: ",),
    "any-password": (f"a wrong password opens nothing: no; required yes {SIGNED_IN}",),
    "cookie-without-secure": ("session cookies without Secure: fleet_session; required none",),
    "cookie-without-httponly": ("session cookies without HttpOnly: __Host-fleet_session; required none",),
    "no-markers": ("markers: 0; required = 240",),
    "one-marker-missing": ("markers: 239; required = 240",),
    "markers-at-zero": ("markers in view: 0; required >= 1",),
    "wrong-details": ("details are shown of: ",),
    "light-stays-amber": ("connection light: reconnecting; required = connected",),
    "stale-positions": ("positions change within 3 s: no; required yes",),
    "blank-map": ("colours of the base map: 1; required >= 5",),
    "dialog-stays-shut": ("the dialog opens: no; required yes",),
    "recommendations-empty": ("recommended vehicles: 0; required >= 1",),
    "assign-not-kept": ("vehicle of the load in the API: none; required = V-",),
    "second-user-blind": ("a new load shows up by itself: no; required yes",),
    "filter-ignored": ("filter vehicle: number of records: 320; required = ",),
    "filter-sticks": ("filter status: records after clearing: ",),
    "schedule-wrong-date": ("date in the API: ",),
    "dead-button": (
        "Maintenance: buttons that do nothing: Schedule service; required none",
        "the dialog opens: no; required yes",
    ),
    "chart-empty": ("utilisation: bars: 0; required = 4",),
    "chart-differs": ("utilisation: largest error of a bar's height: ",),
    "analytics-500": ("fuel: status of the API: 500; required = 200",),
    "missing-labels": ("",),
    "light-lies": ("light while the connection is cut: connected; required one of reconnecting, down",),
    "never-reconnects": ("light after the connection is back: reconnecting; required = connected",),
    "error-hidden": ("the page says that something went wrong: no; required yes",),
    "phone-layout-broken": ("Tracking: width: 900 px; required <= 390 px",),
    "asks-localhost": ("https://localhost/fleet/summary",),
    "asks-staging": ("https://staging.fleet.test/fleet/summary",),
    "plain-websocket": ("ws://app.fleet.test:",),
    "styles-missing": ("style sheets without a rule: /static/shell.css; required none",),
}
# Faults that do not hide each other share a start of the application, and each of their gates one call.
TOGETHER: tuple[tuple[str, ...], ...] = (
    ("role-ignored", "reads-without-session", "accepts-nonsense", "api-finds-anything", "second-user-blind"),
    ("api-ignores-paging", "cookie-without-secure", "stale-positions"),
    ("create-not-kept", "any-password", "markers-at-zero"),
    ("delete-not-kept", "blank-page"),
    (
        *("console-error", "script-404", "unhandled-rejection", "cookie-without-httponly"),
        *("one-marker-missing", "dialog-stays-shut", "filter-ignored", "chart-empty", "phone-layout-broken"),
    ),
    ("wrong-details", "recommendations-empty", "schedule-wrong-date", "chart-differs"),
    ("slow-page",),
    ("blank-map", "assign-not-kept", "filter-sticks", "analytics-500", "light-lies"),
    ("asks-localhost", "asks-staging", "plain-websocket", "styles-missing", "dead-button", "error-hidden"),
    ("no-markers", "never-reconnects"),
    ("light-stays-amber",),
    ("missing-labels",),
)
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
    with contextlib.closing(target_at(up.info)) as target:
        yield target


@pytest.fixture
def impatient(up: Fleet) -> Iterator[Target]:
    """The same; what a fault keeps from happening is not waited for as long as in a launch."""
    smoke = {"timeout_s": 3.0, "moves_s": 3.0}
    with contextlib.closing(target_at(up.info, smoke=smoke, http={"timeout_s": 5.0})) as target:
        yield target


@pytest.fixture(scope="module")
def sessions() -> dict[Any, Any]:
    """Who is signed in, so that not every call signs in anew."""
    return {}


def test_every_fault_of_the_pages_is_tried_by_name() -> None:
    tried = [name for names in TOGETHER for name in names]
    assert sorted(fault.name for fault in smoke.FAULTS) == sorted(SAYS) == sorted(tried)
    assert {gate for fault in smoke.FAULTS for gate in fault.gates} == set(SMOKE)


@pytest.mark.parametrize("gate", SMOKE)
def test_the_healthy_target_is_green(
    gate: str, up: Fleet, target: Target, chromium: Browser, sessions: dict[Any, Any]
) -> None:
    up.become()
    found = call_page(gate, target, chromium, sessions)

    assert (found.outcome, found.reason) == (Outcome.PASS, "")
    assert found.evidence


def test_a_gate_goes_on_with_a_session_and_replaces_one_that_is_not_taken(
    up: Fleet, target: Target, chromium: Browser
) -> None:
    up.become()
    sessions: dict[Any, Any] = {}
    said = list[str]()
    for _ in range(3):
        found = call_page("smoke.analytics", target, chromium, sessions)
        assert found.outcome is Outcome.PASS, found.reason
        said.append(found.seen[0])
        if len(said) == 2:
            (kept,) = sessions.values()
            for cookie in kept["cookies"]:
                cookie["value"] = "outdated"

    assert said == ["signed in as the manager", "goes on as the manager", "signed in as the manager"]
    assert all(cookie["value"] != "outdated" for kept in sessions.values() for cookie in kept["cookies"])


@pytest.mark.parametrize("names", TOGETHER, ids="+".join)
def test_each_fault_is_told_by_its_gates(
    names: tuple[str, ...], up: Fleet, impatient: Target, chromium: Browser, sessions: dict[Any, Any]
) -> None:
    faults = {fault.name: fault for fault in smoke.FAULTS}
    expected: dict[str, list[str]] = {}
    for name in names:
        for gate, says in zip(faults[name].gates, SAYS[name], strict=True):
            expected.setdefault(gate, []).append(says)
    up.become(*names)
    for gate, words in expected.items():
        found = call_page(gate, impatient, chromium, sessions)

        assert found.outcome is Outcome.FAIL, gate
        assert [says for says in words if says not in found.reason] == [], (gate, found.reason)
