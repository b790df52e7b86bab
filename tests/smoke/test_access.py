"""The dashboard can be opened, and opens whole."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page
from tests.smoke.pages import Dashboard

from gonogo import EvidenceKeeper, Measure, Target, at_most, empty, equals, is_true

WHOLE = "playbook: the dashboard loads completely"
QUIET = "launch.toml: smoke.allow_console"


@pytest.mark.gate("smoke.access")
def test_access(page: Page, target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """The dashboard opens completely and without an error."""
    smoke = target.settings("smoke")
    dashboard = Dashboard(page, target.url(smoke.dashboard), smoke.timeout_s)
    opening = dashboard.open()
    noise = dashboard.noise
    evidence.bytes("dashboard.png", dashboard.screenshot())

    measure("dashboard status", opening.status, equals(200, WHOLE))
    measure("time until usable", opening.ready_s, at_most(smoke.load_s, target.source("smoke.load_s")), unit="s")
    measure("page has a title", bool(opening.title.strip()), is_true(WHOLE))
    measure("page has a visible heading", bool(opening.heading), is_true(WHOLE))
    measure("requests that failed", noise.failed_requests, empty(WHOLE))
    measure("answers with an HTTP error", noise.bad_answers, empty(WHOLE))
    measure("script errors", noise.page_errors, empty(WHOLE))
    allowed = [known.pattern for known in smoke.allow_console]
    measure("console errors and warnings", noise.console(allowed), empty(QUIET))
