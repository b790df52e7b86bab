"""What is lost for a while is said, and comes back by itself."""

from __future__ import annotations

import time

import pytest
from tests.smoke.pages import places
from tests.smoke.pages.cutting import BrokenApi, LiveConnection
from tests.smoke.users import MANAGER, Users, Window

from gonogo import Measure, Seen, Target, at_least, empty, equals, is_true, one_of

LIGHT = "playbook: the connection light tells the truth"
SAID = "playbook: an error is said, and the page keeps working"


@pytest.mark.gate("smoke.resilience")
def test_resilience(users: Users, target: Target, measure: Measure, seen: Seen) -> None:
    """A cut connection turns the light amber and comes back; an error of the API is said, and the page goes on."""
    smoke = target.settings("smoke")
    window = users.at(MANAGER, smoke.dashboard, prepare=lambda window: LiveConnection(window.context))
    connection: LiveConnection = window.prepared
    opening = window.tracking.opening(None, smoke.timeout_s)
    measure("dashboard is drawn and live", opening.ready_s is not None, is_true(target.source("smoke.timeout_s")))
    _cut(window, connection, users, measure, seen)
    _break(window, users, measure, seen)
    measure("script errors", window.noise.page_errors, empty(SAID))


def _cut(window: Window, connection: LiveConnection, users: Users, measure: Measure, seen: Seen) -> None:
    """Cuts the live connection, looks at the light, and mends it."""
    page, smoke = window.tracking, users.target.settings("smoke")
    measure("light before", page.light("connected", smoke.load_s), equals("connected", LIGHT))
    measure("live connections", connection.count, at_least(1, LIGHT))
    connection.cut()
    began = time.perf_counter()
    lost = page.light("reconnecting", smoke.timeout_s)
    took_s = time.perf_counter() - began
    text = page.light_text()
    measure("light while the connection is cut", lost, one_of(["reconnecting", "down"], LIGHT))
    window.picture("connection-cut.png")
    connection.mend()
    began = time.perf_counter()
    back = page.light("connected", smoke.timeout_s)
    back_s = time.perf_counter() - began
    measure("light after the connection is back", back, equals("connected", LIGHT))
    measure("positions come again", page.updates(smoke.timeout_s), is_true(LIGHT))
    measure("connections after it is back", connection.count, at_least(1, LIGHT))
    told = f"the light says {text or 'nothing'} after {took_s:.1f} s"
    seen(f"connection cut: {told}; mended: {back} after {back_s:.1f} s")


def _break(window: Window, users: Users, measure: Measure, seen: Seen) -> None:
    """Turns the API's answer into HTTP 500 while a page is opened, and mends it."""
    page, smoke = window.dispatch, users.target.settings("smoke")
    broken = BrokenApi(window.page, smoke.loads)
    page.goto()
    said = page.shows(places.ALERTS)
    alerts = page.alerts()
    measure("answers that were turned into HTTP 500", broken.answered, at_least(1, SAID))
    measure("the page says that something went wrong", bool(said and alerts), is_true(SAID))
    window.picture("api-broken.png")
    measure("the navigation goes on", page.follow(places.ANALYTICS), is_true(SAID))
    page.goto()
    page.shows(places.ALERTS)
    broken.mend()
    retry = page.press_retry()
    if not retry:
        page.goto()
    measure("the page works once the API does", page.shows(places.READY), is_true(SAID))
    measure("what it said is gone", page.alerts(), empty(SAID))
    way = "a press on Try again" if retry else "opening it anew"
    seen(f"API broken: the page says {' '.join(alerts)!r}; it works again after {way}")
