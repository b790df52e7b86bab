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
    Fault("plain-websocket", ("smoke.origin",), "the page first asks for its feed without TLS", front_end=True),
    Fault("phone-layout-broken", ("smoke.mobile",), "the page is 900 pixels wide on a phone", front_end=True),
    Fault("dialog-stays-shut", ("smoke.dispatch",), "the dialog for assigning does not open", front_end=True),
    Fault("filter-sticks", ("smoke.maintenance",), "clearing the filters changes nothing", front_end=True),
    Fault("dead-button", ("smoke.origin", "smoke.maintenance"), "Schedule service does nothing", front_end=True),
    Fault("chart-empty", ("smoke.analytics",), "the charts have no bars", front_end=True),
    Fault("chart-differs", ("smoke.analytics",), "a chart draws another value than the API gives", front_end=True),
    Fault("error-hidden", ("smoke.resilience",), "an error of the API is not said on the page", front_end=True),
    Fault("missing-labels", ("smoke.accessibility",), "fields have no label", front_end=True),
    Fault("blank-map", ("smoke.tracking",), "the map has no streets", front_end=True),
    Fault("blank-page", ("smoke.access", "smoke.tracking"), "the dashboard is an empty page, with HTTP 200"),
    Fault("slow-page", ("smoke.access",), "the dashboard takes 5 s"),
    Fault("styles-missing", ("smoke.origin",), "a stylesheet of every page is empty"),
    Fault("any-password", ("smoke.access",), "any password signs in whoever has an account"),
    Fault("cookie-without-secure", ("smoke.access",), "the cookie of the session lacks Secure"),
    Fault("cookie-without-httponly", ("smoke.access",), "scripts can read the cookie of the session"),
    Fault("stale-positions", ("smoke.tracking",), "the live feed sends the same places again and again"),
    Fault("recommendations-empty", ("smoke.dispatch",), "no vehicle is recommended for any load"),
    Fault("assign-not-kept", ("smoke.dispatch",), "assigning a load is answered with HTTP 200 and not stored"),
    Fault("second-user-blind", ("smoke.dispatch",), "nobody is told of the changes that others make"),
    Fault("filter-ignored", ("smoke.maintenance",), "the filter by vehicle leaves all vehicles' records"),
    Fault("schedule-wrong-date", ("smoke.maintenance",), "a service is scheduled a day later than asked for"),
    Fault(
        "analytics-500", ("smoke.analytics",), "the fuel figures are HTTP 500 and drawn as zeros", front_end=True
    ),
    Fault("role-ignored", ("smoke.api",), "whoever may only read may write"),
    Fault("reads-without-session", ("smoke.api",), "the API answers people who are not signed in"),
    Fault("accepts-nonsense", ("smoke.api",), "a load whose fields are nonsense is stored, with HTTP 201"),
    Fault("create-not-kept", ("smoke.api",), "creating a load is answered with HTTP 201, and it is not there"),
    Fault("delete-not-kept", ("smoke.api",), "deleting a load is answered with HTTP 204, and it is still there"),
)
