"""The map shows where the fleet is, live, and tells about each vehicle."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from tests.smoke.fleet_api import Item, read_all
from tests.smoke.geometry import misplaced
from tests.smoke.pages.tracking import Drawn, Tracking
from tests.smoke.users import MANAGER, Users, Window

from gonogo import Measure, Seen, Target, at_least, at_most, empty, equals, is_true

if TYPE_CHECKING:
    from gonogo.probes.http import HttpProbe

MAP = "playbook: the map is drawn"
LIVE = "playbook: positions are live"
CLICK = "playbook: a click shows the vehicle's details"
LEAST_COLOURS = 5
"""Ground, water or park, buildings, streets and their edges differ; an empty map has one or two colours."""
MOST_OF_ONE_COLOUR = 0.9
TOLERANCE_M = 150.0
"""How far a marker may be from where the API says: a vehicle drives on in the seconds between both looks."""
LEAST_MOVING = 3
"""So many must be elsewhere: one alone may have been moved by something else."""
SHOWN = 5


@pytest.mark.gate("smoke.tracking")
def test_tracking(users: Users, target: Target, measure: Measure, seen: Seen) -> None:
    """The map shows every vehicle where it is, live, and a click tells about it."""
    smoke = target.settings("smoke")
    api = users.api(MANAGER)
    window = users.at(MANAGER, smoke.dashboard)
    page = window.tracking
    opening = page.opening(None, smoke.timeout_s)
    measure("dashboard is drawn and live", opening.ready_s is not None, is_true(target.source("smoke.timeout_s")))
    page.stand_still()
    _see_map(window, measure)
    measure("connection light", page.light("connected", smoke.load_s), equals("connected", LIVE))

    fleet = _compare(page, api, users, measure, seen)
    least = min(LEAST_MOVING, sum(vehicle.get("status") == "moving" for vehicle in fleet.values()) or 1)
    moves = page.moves(page.centres(), least, smoke.moves_s)
    measure(f"positions change within {smoke.moves_s:g} s", moves, is_true(LIVE))
    seen(f"positions {'change' if moves else 'stand still'}, the light is {page.light_text() or 'not there'}")

    clicked = _click(page, fleet, smoke.load_s, measure)
    window.picture("details.png")
    seen(f"a click on {clicked or 'no marker'} opens its details")


def _see_map(window: Window, measure: Measure) -> None:
    """Judges the map by what is to be seen of it, not by what the page says."""
    picture = window.tracking.basemap()
    window.keep_png("map.png", picture.png)
    measure("base map layers", window.tracking.basemap_layers(), at_least(1, MAP))
    measure("colours of the base map", picture.colours, at_least(LEAST_COLOURS, MAP))
    measure("share of its commonest colour", picture.commonest, at_most(MOST_OF_ONE_COLOUR, MAP), unit="1")


def _compare(page: Tracking, api: HttpProbe, users: Users, measure: Measure, seen: Seen) -> dict[str, Item]:
    """Holds the markers against the vehicles of the API: which, how many, where."""
    target = users.target
    smoke = target.settings("smoke")
    listed = f"API: {smoke.vehicles}"
    drawn = page.drawn()
    fleet = {str(vehicle["id"]): vehicle for vehicle in read_all(api, smoke.vehicles)}
    users.hide_people(list(fleet.values()))
    ids = [marker.vehicle for marker in drawn.markers]
    seen(f"{len(ids)} markers, {len(fleet)} vehicles in the API, {page.listed()} in the list")
    measure("vehicles on the map", len(set(ids)), at_least(smoke.min_vehicles, target.source("smoke.min_vehicles")))
    measure("markers", len(ids), equals(len(fleet), listed))
    measure("vehicles without a marker", sorted(set(fleet) - set(ids))[:SHOWN], empty(listed))
    measure("markers of no vehicle", sorted(set(ids) - set(fleet))[:SHOWN], empty(listed))
    measure("vehicles in the list", page.listed(), equals(len(fleet), listed))
    measure("markers in view", _in_view(drawn), at_least(1, MAP))
    ground = {
        name: (float(one["lat"]), float(one["lon"])) for name, one in fleet.items() if {"lat", "lon"} <= one.keys()
    }
    away = misplaced(ground, {one.vehicle: (one.x, one.y) for one in drawn.markers}, TOLERANCE_M)
    told = "no place can be told" if away is None else len(away)
    measure(
        f"markers more than {TOLERANCE_M:g} m away from where the API says", told, equals(0, listed), n=len(ids)
    )
    if away:
        measure("the first of them", away[:SHOWN], empty(listed))
    return fleet


def _in_view(drawn: Drawn) -> int:
    """How many stand on the part of the map that the window shows."""
    return sum(0 <= one.x <= drawn.width and 0 <= one.y <= drawn.height for one in drawn.markers)


def _click(page: Tracking, fleet: dict[str, Item], within_s: float, measure: Measure) -> str | None:
    """Clicks one marker and holds what the panel says against what the API said of that vehicle."""
    # A vehicle that has both says more than one whose fields read "none".
    telling = [one for one, vehicle in fleet.items() if vehicle.get("driver") and vehicle.get("load")]
    clicked = page.click_a_marker(telling)
    measure("a marker can be clicked", clicked is not None, is_true(CLICK))
    if clicked is None:
        return None
    shown = page.details(within_s)
    measure("details are shown of", shown.get("vehicle"), equals(clicked, CLICK))
    vehicle, source = fleet.get(clicked, {}), f"API: {clicked}"
    for field, expected in _as_read(vehicle).items():
        measure(f"{clicked}: {field}", shown.get(field), equals(expected, source))
    driver = (vehicle.get("driver") or {}).get("name", "No driver")
    # Whether, not who: reports are read by many.
    measure(f"{clicked}: its own driver", shown.get("driver") == driver, is_true(source))
    speed = re.fullmatch(r"(\d+) km/h", shown.get("speed", ""))
    measure(f"{clicked}: speed", int(speed[1]) if speed else None, at_least(0, CLICK), unit="km/h")
    return clicked


def _as_read(vehicle: Item) -> dict[str, str]:
    """A vehicle of the API in the words of the details panel."""
    load = vehicle.get("load")
    return {
        "name": str(vehicle.get("name")),
        "plate": str(vehicle.get("plate")),
        "load": f"{load['id']} to {load['destination']}" if load else "No load",
    }
