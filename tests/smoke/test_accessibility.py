"""The pages can be used with a screen reader and by those who see badly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import pytest
from playwright.sync_api import Locator
from tests.smoke.pages import places
from tests.smoke.pages.axe import Violation, axe_version, violations
from tests.smoke.users import MANAGER, Users, Window

from gonogo import EvidenceKeeper, Measure, Seen, Target, empty, is_true

USABLE = "playbook: no serious violation of accessibility on any page"
SERIOUS = ("serious", "critical")
SHOWN = 6


@pytest.mark.gate("smoke.accessibility")
def test_accessibility(
    users: Users, target: Target, measure: Measure, seen: Seen, evidence: EvidenceKeeper
) -> None:
    """On no page, and in no dialog, axe finds a serious violation."""
    smoke = target.settings("smoke")
    stranger = users.nobody()
    stranger.sign_in.goto()
    stranger.sign_in.is_shown()
    found = {"sign-in": _judge("sign-in", stranger, measure)}
    stranger.picture("sign-in.png")
    window = users.at(MANAGER, smoke.dashboard)
    for name, opens, part in _states(window):
        measure(f"{name}: can be looked at", opens, is_true(USABLE))
        found[name] = _judge(name, window, measure, part if opens else None)
    told = {name: [asdict(one) for one in all_] for name, all_ in found.items()}
    evidence.json("axe.json", {"axe-core": axe_version(), "violations": told})
    milder = sum(one.impact not in SERIOUS for all_ in found.values() for one in all_)
    serious = sum(map(len, found.values())) - milder
    seen(f"{len(found)} pages and dialogs: {serious} serious violations, {milder} milder ones")


def _judge(name: str, window: Window, measure: Measure, part: Locator | None = None) -> list[Violation]:
    """Looks at what the window shows; milder violations are kept as evidence alone."""
    found = violations(window.page, part)
    serious = [f"{one.help} ({one.rule}, {one.places[0]}{_more(one)})" for one in found if one.impact in SERIOUS]
    measure(f"{name}: serious violations", serious[:SHOWN], empty(USABLE))
    return found


def _more(one: Violation) -> str:
    return f" and {len(one.places) - 1} more" if len(one.places) > 1 else ""


def _states(window: Window) -> Iterator[tuple[str, bool, Locator | None]]:
    """The pages, and what lies over them: name, whether it opens, and the part that is new."""
    tracking, dispatch, maintenance = window.tracking, window.dispatch, window.maintenance
    analytics, page = window.analytics, window.page
    within_s = tracking.timeout_s
    shown = tracking.opening(None, within_s).ready_s is not None
    details = shown and tracking.choose_first() and tracking.shows(places.DETAILS)
    yield f"{places.TRACKING}, with the details of a vehicle", details, None
    yield places.DISPATCH, tracking.follow(places.DISPATCH), None
    if reference := dispatch.first_reference():
        opens = dispatch.open_assignment(reference) and dispatch.settles(reference)
        yield "dialog to assign", opens, places.DIALOG(page)
        dispatch.leave_dialog(reference)
    yield places.MAINTENANCE, dispatch.follow(places.MAINTENANCE), None
    yield "dialog to schedule", maintenance.open_dialog(), places.DIALOG(page)
    maintenance.leave_dialog()
    shown = maintenance.follow(places.ANALYTICS)
    yield (
        f"{places.ANALYTICS}, with the figures of a chart",
        shown and bool(analytics.figures(places.CHARTS[0])),
        None,
    )
