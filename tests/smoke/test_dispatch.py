"""A load that waits gets a vehicle, and everybody sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.smoke.fleet_api import Item, read_all, read_one
from tests.smoke.own_things import not_tried, own_things, why_not_write
from tests.smoke.pages.dispatch import Dispatch, Offer
from tests.smoke.users import DISPATCHER, MANAGER, Users, Window

from gonogo import Measure, Seen, Target, at_least, contains_all, empty, equals, is_true

if TYPE_CHECKING:
    from gonogo.probes.http import HttpProbe

PENDING = "playbook: pending loads are shown"
OFFERS = "playbook: assigning comes with recommendations"
ASSIGNED = "playbook: an assignment is kept, and everybody sees it"


@pytest.mark.gate("smoke.dispatch")
def test_dispatch(users: Users, target: Target, measure: Measure, seen: Seen) -> None:
    """Pending loads are shown, one gets a recommended vehicle, it is kept, and a second user sees it at once."""
    smoke = target.settings("smoke")
    window = users.at(DISPATCHER, smoke.dispatch)
    page = window.dispatch
    opening = page.opening(None, smoke.timeout_s)
    measure("the loads are shown", opening.ready_s is not None, is_true(target.source("smoke.timeout_s")))
    if why := why_not_write(users):
        _compare(page, users.api(DISPATCHER), smoke.loads, measure, seen)
        window.picture("dispatch.png")
        raise not_tried("assigning a load", why)
    with own_things(users, measure) as things:
        load = things.make_load(users.api(DISPATCHER))
        other = users.at(MANAGER, smoke.dispatch)
        by_itself = page.shows_pending(load["id"])
        measure("a new load shows up by itself", by_itself, is_true(PENDING))
        if not by_itself:
            page.enter()
        _compare(page, users.api(DISPATCHER), smoke.loads, measure, seen)
        offer = _choose(window, load, users, measure, seen)
        if offer is None:
            return
        _see_assigned(page, load, offer, users, measure)
        elsewhere = other.dispatch.shows_assigned(load["id"])
        measure("a second user sees it without reloading", elsewhere, is_true(ASSIGNED))
        seen(f"the second user {'sees' if elsewhere else 'does not see'} it without reloading")
        page.enter()
        measure("it is still there after reloading", page.shows_assigned(load["id"]), is_true(ASSIGNED))
        window.picture("assigned.png")


def _compare(page: Dispatch, api: HttpProbe, path: str, measure: Measure, seen: Seen) -> None:
    """The loads that are listed are those that the API says wait."""
    waiting = {str(load["id"]) for load in read_all(api, path, pending="true")}
    shown = page.pending()
    measure("pending loads that are not shown", sorted(waiting - set(shown)), empty(PENDING), n=len(waiting))
    measure("loads shown that are not pending", sorted(set(shown) - waiting), empty(PENDING), n=max(1, len(shown)))
    seen(f"{len(shown)} pending loads shown, {len(waiting)} in the API")


def _choose(window: Window, load: Item, users: Users, measure: Measure, seen: Seen) -> Offer | None:
    """Opens the dialog and takes the best recommendation; ``None`` if there is none to take."""
    page, reference = window.dispatch, str(load["reference"])
    row = page.row_text(load["id"]) if page.shows_pending(load["id"], 1.0) else ""
    expected = [reference, str(load["origin"]), str(load["destination"])]
    measure("the load's row says", [word for word in expected if word in row], contains_all(expected, PENDING))
    opens = page.open_assignment(reference)
    measure("the dialog opens", opens, is_true(OFFERS))
    if not opens:
        return None
    offers = page.offers(reference)
    window.picture("recommendations.png")
    path = f"{users.target.settings('smoke').loads}/{load['id']}/recommendations"
    _, said = read_one(users.api(DISPATCHER), path)
    users.hide_people(said)
    best = [str(one["vehicle"]["id"]) for one in said.get("items", []) if isinstance(one, dict)]
    measure("recommended vehicles", len(offers), at_least(1, OFFERS))
    strange = [one.vehicle for one in offers if one.vehicle not in best]
    if best:  # they drive on while both are asked, so the order may have changed
        measure("recommended on the page alone", len(strange) < len(offers) or not offers, is_true(OFFERS))
    bare = [one.vehicle for one in offers if not one.reasons or not one.distance or not one.hours]
    measure("recommendations without distance, hours and reasons", bare, empty(OFFERS), n=len(offers))
    seen(f"{len(offers)} vehicles recommended, the best {offers[0].distance if offers else 'none'}")
    if not offers:
        return None
    taken = page.assign(reference, offers[0].vehicle)
    measure("a press on Assign closes the dialog", taken, is_true(ASSIGNED))
    return offers[0] if taken else None


def _see_assigned(page: Dispatch, load: Item, offer: Offer, users: Users, measure: Measure) -> None:
    """The load has left the one list and is in the other, and the API says the same."""
    smoke = users.target.settings("smoke")
    api = users.api(DISPATCHER)
    listed = page.shows_assigned(load["id"])
    measure("the load is listed as assigned", listed, is_true(ASSIGNED))
    gone = page.becomes(page.pending_row(load["id"]), "hidden")
    measure("the load is no longer pending", gone, is_true(ASSIGNED))
    _, kept = read_one(api, f"{smoke.loads}/{load['id']}")
    measure("vehicle of the load in the API", kept.get("vehicleId"), equals(offer.vehicle, ASSIGNED))
    if listed:
        _, vehicle = read_one(api, f"{smoke.vehicles}/{offer.vehicle}")
        measure("vehicle that is shown", page.vehicle_of(load["id"]), equals(str(vehicle.get("name")), ASSIGNED))
