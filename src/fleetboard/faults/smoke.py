"""Faults of pages and of the API under them."""

from __future__ import annotations

from fleetboard.faults.fault import Fault

FAULTS: tuple[Fault, ...] = (
    Fault("api-ignores-paging", ("smoke.api",), "lists ignore limit and offset and return everything"),
    Fault("api-finds-anything", ("smoke.api",), "an unknown vehicle is answered with HTTP 200"),
    Fault("console-error", ("smoke.access",), "the page writes an error to the console", front_end=True),
    Fault("script-404", ("smoke.access",), "one script of the page is missing"),
    Fault("no-markers", ("smoke.tracking",), "no vehicle is drawn on the map", front_end=True),
    Fault("wrong-details", ("smoke.tracking",), "a click shows another vehicle's details", front_end=True),
    Fault("light-stays-amber", ("smoke.tracking",), "the connection light never turns green", front_end=True),
    Fault("one-marker-missing", ("smoke.tracking",), "one vehicle has no marker on the map", front_end=True),
    Fault("markers-at-zero", ("smoke.tracking",), "all markers stand at 0, 0", front_end=True),
    Fault("light-lies", ("smoke.resilience",), "the connection light is always green", front_end=True),
    Fault("never-reconnects", ("smoke.resilience",), "a lost connection is not made again", front_end=True),
    Fault("unhandled-rejection", ("smoke.access",), "a script of the page fails on its own", front_end=True),
    Fault("asks-localhost", ("smoke.origin",), "the page asks the user's own machine", front_end=True),
    Fault("asks-staging", ("smoke.origin",), "the page asks another host", front_end=True),
    Fault("plain-websocket", ("smoke.origin",), "the live feed is asked for without TLS", front_end=True),
    Fault("phone-layout-broken", ("smoke.mobile",), "the page is 900 pixels wide on a phone", front_end=True),
    Fault("dialog-stays-shut", ("smoke.dispatch",), "the dialog for assigning does not open", front_end=True),
    Fault("filter-sticks", ("smoke.maintenance",), "clearing the filters changes nothing", front_end=True),
    Fault("dead-button", ("smoke.origin", "smoke.maintenance"), "Schedule service does nothing", front_end=True),
    Fault("chart-empty", ("smoke.analytics",), "the charts have no bars", front_end=True),
    Fault("chart-differs", ("smoke.analytics",), "a chart draws another value than the API gives", front_end=True),
    Fault("error-hidden", ("smoke.resilience",), "an error of the API is not said on the page", front_end=True),
    Fault("missing-labels", ("smoke.accessibility",), "fields have no label", front_end=True),
    Fault("blank-map", ("smoke.tracking",), "the map has no streets", front_end=True),
)
