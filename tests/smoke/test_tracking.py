"""The map shows where the fleet is, live, and tells about each vehicle."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page
from tests.smoke.fleet_api import Vehicle, read_all
from tests.smoke.pages import Dashboard

from gonogo import EvidenceKeeper, Measure, Target, at_least, at_most, equals, is_true

MAP = "playbook: the map is drawn"
LIVE = "playbook: positions are live"
CLICK = "playbook: a click shows the vehicle's details"
LEAST_COLOURS = 5
"""Ground, water or park, buildings, streets and their edges differ; an empty map has one or two colours."""
MOST_OF_ONE_COLOUR = 0.9


@pytest.mark.gate("smoke.tracking")
def test_tracking(page: Page, target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """The map shows every vehicle, live, and a click tells about it."""
    smoke = target.settings("smoke")
    fleet = {str(vehicle["id"]): vehicle for vehicle in read_all(target, smoke.vehicles)}
    dashboard = Dashboard(page, target.url(smoke.dashboard), smoke.timeout_s)
    opening = dashboard.open()
    measure("dashboard is drawn and live", opening.ready_s is not None, is_true(target.source("smoke.timeout_s")))
    _see_map(dashboard, measure, evidence)

    shown = dashboard.vehicles()
    measure(
        "vehicles on the map",
        len(set(shown)),
        at_least(smoke.min_vehicles, target.source("smoke.min_vehicles")),
    )
    measure("markers", len(shown), equals(len(fleet), f"API: total of {smoke.vehicles}"))
    measure("connection light", dashboard.light(smoke.load_s), equals("connected", LIVE))
    measure("positions change", dashboard.something_moves(smoke.timeout_s), is_true(LIVE))

    _click_vehicle(dashboard, fleet, smoke.load_s, measure)
    evidence.bytes("details.png", dashboard.screenshot())


def _see_map(dashboard: Dashboard, measure: Measure, evidence: EvidenceKeeper) -> None:
    """Judges the map by what is to be seen of it, not by what the page says."""
    picture = dashboard.basemap()
    evidence.bytes("map.png", picture.png)
    measure("base map layers", dashboard.basemap_layers(), at_least(1, MAP))
    measure("colours of the base map", picture.colours, at_least(LEAST_COLOURS, MAP))
    measure("share of its commonest colour", picture.commonest, at_most(MOST_OF_ONE_COLOUR, MAP), unit="1")


def _click_vehicle(dashboard: Dashboard, fleet: dict[str, Vehicle], within_s: float, measure: Measure) -> None:
    """Clicks one marker and holds what the panel says against what the API said of that vehicle."""
    # A vehicle that has both says more than one whose fields read "none".
    telling = [one for one, vehicle in fleet.items() if vehicle.get("driver") and vehicle.get("load")]
    clicked = dashboard.click_a_marker(telling)
    measure("a marker can be clicked", clicked is not None, is_true(CLICK))
    if clicked is None:
        return
    shown = dashboard.details(within_s)
    measure("details are shown of", shown.get("vehicle"), equals(clicked, CLICK))
    for field, expected in _as_read(fleet.get(clicked, {})).items():
        measure(f"{clicked}: {field}", shown.get(field), equals(expected, f"API: {clicked}"))
    speed = re.fullmatch(r"(\d+) km/h", shown.get("speed", ""))
    measure(f"{clicked}: speed", int(speed[1]) if speed else None, at_least(0, CLICK), unit="km/h")


def _as_read(vehicle: Vehicle) -> dict[str, str]:
    """A vehicle of the API in the words of the details panel."""
    driver, load = vehicle.get("driver"), vehicle.get("load")
    return {
        "name": str(vehicle.get("name")),
        "plate": str(vehicle.get("plate")),
        "driver": driver["name"] if driver else "No driver",
        "load": f"{load['id']} to {load['destination']}" if load else "No load",
    }
