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
    Fault("blank-map", ("smoke.tracking",), "the map has no streets", front_end=True),
)
