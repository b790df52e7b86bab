"""Where things are on the pages: the one file that a team adapts to an application that is built differently.

A place is written as a user would say it, by role and name or by label; a test id stands where nothing that is
shown tells a thing apart, and CSS where scripts count or measure many things at once. ``docs/smoke.md`` says how to
adapt it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Locator, Page

Scope = Page | Locator
Place = Callable[[Scope], Locator]


def role(kind: Any, name: str | re.Pattern[str] | None = None, **more: Any) -> Place:
    """By ARIA role and accessible name, the whole of it."""
    exact = isinstance(name, str)
    return lambda scope: scope.get_by_role(kind, name=name, exact=exact, **more)


def label(text: str) -> Place:
    """A field, by its label."""
    return lambda scope: scope.get_by_label(text, exact=True)


def testid(name: str) -> Place:
    """By ``data-testid``."""
    return lambda scope: scope.get_by_test_id(name)


def css(selector: str) -> Place:
    """By a CSS selector."""
    return lambda scope: scope.locator(selector)


def _with(attribute: str, value: str) -> str:
    return f"[{attribute}={json.dumps(value)}]"


# ---------------------------------------------------------------------- every page

READY = css("body[data-ready=true]")
"""There once the page's first data is drawn."""
NAVIGATION = role("navigation", "Main")
TRACKING, DISPATCH, MAINTENANCE, ANALYTICS = "Tracking", "Dispatch", "Maintenance", "Analytics"
LINKS = (TRACKING, DISPATCH, MAINTENANCE, ANALYTICS)
"""Names of the links in the navigation."""
HEADINGS = {DISPATCH: "Dispatch", MAINTENANCE: "Maintenance", ANALYTICS: "Analytics", TRACKING: "Fleet"}
"""Heading of the second level on each page."""
ACCOUNT = testid("account")
SIGN_OUT = role("button", "Sign out")
LIGHT = testid("connection")
LIGHT_STATE = "data-state"
"""Its attribute that says ``connected``, ``reconnecting`` or ``down``."""
UPDATED = css("[data-updated]")
"""Time of the newest positions."""
ALERTS = role("alert")
"""What went wrong is said here."""
RETRY = role("button", "Try again")
DIALOG = role("dialog")
BUTTONS = css("main button, main [role=button], header button:not([data-sign-out])")
"""What can be pressed on a page, but for the way out."""
LIVE = "[data-testid=connection], [data-updated]"
"""What changes by itself while the page is live."""

# ---------------------------------------------------------------------- sign-in

USER = role("textbox", "User name")
PASSWORD = label("Password")
SIGN_IN = role("button", "Sign in")

# ---------------------------------------------------------------------- tracking

MAP = testid("map")
MARKER = ".vehicle-marker"
VEHICLE = "data-vehicle"
"""Attribute of a marker, and of the details: whose they are."""
BASEMAP = css("[data-testid=map] canvas, [data-testid=map] img.leaflet-tile-loaded")
"""Drawn layers under the markers."""
OVER_BASEMAP = f"{MARKER}, [data-testid=details], .leaflet-control-container, .street-label"
"""What may lie over the base map and must not be taken for it."""
DETAILS = testid("details")
FIELD = "data-field"
ROW = "data-vehicle-row"
ROWS = css(f"[{ROW}]")


def marker(vehicle: str) -> Place:
    """The marker of one vehicle."""
    return css(MARKER + _with(VEHICLE, vehicle))


def vehicle_row(vehicle: str) -> Place:
    """One vehicle in the list beside the map."""
    return css(_with(ROW, vehicle))


# ---------------------------------------------------------------------- dispatch

PENDING = role("region", "Pending loads")
ASSIGNED = role("region", "Assigned loads")
PENDING_LOADS = css("[data-load]")
LOAD = "data-load"
RECOMMENDATIONS = css("[data-recommendation]")
NO_RECOMMENDATION = css(".empty")
RECOMMENDED = "data-recommendation"
REASONS = role("listitem")
ASSIGN = role("button", "Assign")


def pending_load(load: str) -> Place:
    """One load among those that wait."""
    return css(_with(LOAD, load))


def assigned_load(load: str) -> Place:
    """One load among those that have a vehicle."""
    return css(_with("data-assigned", load))


def open_assignment(reference: str) -> Place:
    """What opens the dialog for a load."""
    return role("button", f"Assign {reference}")


def assignment(reference: str) -> Place:
    """The dialog that finds a vehicle for a load."""
    return role("dialog", f"Assign {reference}")


def recommendation(vehicle: str) -> Place:
    """One vehicle in that dialog."""
    return css(_with(RECOMMENDED, vehicle))


# ---------------------------------------------------------------------- maintenance

RECORDS = css("[data-record]")
RECORD = "data-record"
CELL_VALUE = "data-value"
"""Attribute of a record's cell: the value as the API has it, if it reads otherwise."""
RECORD_COUNT = testid("record-count")
FILTERS = role("form", "Filters")
STATUS_FILTER, VEHICLE_FILTER, FROM_FILTER, TO_FILTER = (
    label("Status"),
    label("Vehicle"),
    label("From"),
    label("To"),
)
CLEAR = role("button", "Clear filters")
SCHEDULE = role("button", "Schedule service")
SCHEDULING = role("dialog", "Schedule service")
VEHICLE_FIELD, KIND_FIELD, DATE_FIELD, NOTE_FIELD = label("Vehicle"), label("Kind"), label("Date"), label("Note")
SEND = role("button", "Schedule")


def record(record_id: str) -> Place:
    """One record in the table."""
    return css(_with(RECORD, record_id))


def field(name: str) -> Place:
    """A part of a row, a panel or a dialog, by what it tells."""
    return css(_with(FIELD, name))


# ---------------------------------------------------------------------- analytics

CHARTS = ("utilisation", "on-time", "cost-per-mile", "fuel")
"""Names of the charts, which are those of the API as well."""
CHART_STATE = "data-state"
PLOT = css("canvas")
PLOT_AREA = css(".u-over")
"""The part of it that has the bars."""
LEGEND = css(".u-legend .u-value")
"""What the legend tells while somebody points at the chart."""
SUMMARY = css("[data-summary]")
SHOW_FIGURES = role("button", "Show figures")
FIGURES = css("[data-figures] tbody tr")


def chart(name: str) -> Place:
    """One chart with all that belongs to it."""
    return css(_with("data-chart", name))
