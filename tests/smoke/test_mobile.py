"""On a phone the same can be done as at a desk."""

from __future__ import annotations

import pytest
from tests.smoke.own_things import not_tried, own_things, why_not_write
from tests.smoke.pages import places
from tests.smoke.pages.phone import out_of_reach, width
from tests.smoke.users import MANAGER, Users, Window

from gonogo import Measure, Seen, Target, at_least, at_most, empty, is_true

PHONE = {"width": 390, "height": 844}
"""Pixels of a usual phone, held upright."""
FITS = "playbook: the dashboard works on a phone of 390 px"
FLOW = "playbook: the main flow works on a phone"


@pytest.mark.gate("smoke.mobile")
def test_mobile(users: Users, target: Target, measure: Measure, seen: Seen) -> None:
    """On a phone every page fits, and a load can be given to a vehicle."""
    smoke = target.settings("smoke")
    window = users.at(MANAGER, smoke.dashboard, viewport=PHONE, has_touch=True)
    opening = window.tracking.opening(None, smoke.timeout_s)
    measure("dashboard is drawn and live", opening.ready_s is not None, is_true(target.source("smoke.timeout_s")))
    _fits(window, places.TRACKING, measure)
    _tell_a_vehicle(window, smoke.load_s, measure)
    window.picture("phone-dashboard.png")
    for name in (places.MAINTENANCE, places.ANALYTICS, places.DISPATCH):
        followed = window.dispatch.follow(name)
        measure(f"{name}: opens by the navigation", followed, is_true(FLOW))
        _fits(window, name, measure)
        if name != places.DISPATCH:
            window.picture(f"phone-{name.lower()}.png")
    measure("script errors", window.noise.page_errors, empty(FLOW))
    seen(f"4 pages on a phone, none wider than {PHONE['width']} px" if _all_fit(window) else "a page is too wide")
    if why := why_not_write(users):
        window.picture("phone-dispatch.png")
        raise not_tried("assigning a load on a phone", why)
    _assign(window, users, measure, seen)


def _fits(window: Window, name: str, measure: Measure) -> None:
    """The page is no wider than the phone, and what every page has can be reached."""
    measure(f"{name}: width", width(window.page), at_most(PHONE["width"], FITS), unit="px")
    measure(f"{name}: can't be reached", out_of_reach(window.page, PHONE["width"]), empty(FITS))


def _all_fit(window: Window) -> bool:
    return width(window.page) <= PHONE["width"]


def _tell_a_vehicle(window: Window, within_s: float, measure: Measure) -> None:
    """A vehicle of the list tells about itself."""
    page = window.tracking
    ids = page.listed_ids()
    measure("vehicles in the list", len(ids), at_least(1, FLOW))
    if ids:
        measure("a vehicle can be chosen", page.choose(ids[0]), is_true(FLOW))
        measure("its details are shown", bool(page.details(within_s)), is_true(FLOW))


def _assign(window: Window, users: Users, measure: Measure, seen: Seen) -> None:
    """Gives a load of our own to the best vehicle."""
    page, smoke = window.dispatch, users.target.settings("smoke")
    with own_things(users, measure) as things:
        load = things.make_load(users.api(MANAGER))
        reference = str(load["reference"])
        if not page.shows_pending(load["id"], smoke.moves_s):  # whether by itself is another gate's matter
            page.enter()
        opens = page.open_assignment(reference)
        measure("the dialog opens", opens, is_true(FLOW))
        offers = page.offers(reference) if opens else []
        window.picture("phone-dispatch.png")
        measure("recommended vehicles", len(offers), at_least(1, FLOW))
        if not offers:
            return
        measure("dialog: width", width(window.page), at_most(PHONE["width"], FITS), unit="px")
        measure("a press on Assign closes the dialog", page.assign(reference, offers[0].vehicle), is_true(FLOW))
        measure("the load is listed as assigned", page.shows_assigned(load["id"]), is_true(FLOW))
        seen("a load was assigned on a phone")
