"""Figures for the whole fleet, from the database as it is when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from fleetboard.app.state import state_of

PATH = "/api/fleet/analytics"

# Each gives rows of a label, what is counted and what it is counted against; GROUPING SETS adds one for all.
_UTILISATION = """
SELECT type AS label, count(*) FILTER (WHERE status = 'moving') AS part, count(*) AS whole
FROM vehicles GROUP BY GROUPING SETS ((type), ()) ORDER BY GROUPING(type), type
"""
_ON_TIME = """
SELECT due_on AS label, count(*) FILTER (WHERE updated_at <= due_at) AS part, count(*) AS whole
FROM (SELECT (due_at AT TIME ZONE 'UTC')::date::text AS due_on, updated_at, due_at
      FROM loads WHERE status = 'delivered') AS delivered
GROUP BY GROUPING SETS ((due_on), ()) ORDER BY GROUPING(due_on), due_on
"""
_COST = """
SELECT v.type AS label, sum(coalesce(m.cents, 0)) / 100 AS part, sum(v.odometer_km) / 1.609344 AS whole
FROM vehicles v
LEFT JOIN (SELECT vehicle_id, sum(cost_cents) AS cents FROM maintenance_records
           WHERE status = 'done' GROUP BY vehicle_id) AS m ON m.vehicle_id = v.id
GROUP BY GROUPING SETS ((v.type), ()) ORDER BY GROUPING(v.type), v.type
"""
_FUEL = """
SELECT type AS label, sum(fuel_percent) AS part, count(*) AS whole
FROM vehicles GROUP BY GROUPING SETS ((type), ()) ORDER BY GROUPING(type), type
"""


@dataclass(frozen=True)
class Figure:
    """One of the figures: the ratio of two sums, by a label and for all."""

    title: str
    unit: str
    query: str
    times: float = 1.0
    """What the ratio is multiplied by to get the unit."""
    digits: int = 1


FIGURES = {
    "utilisation": Figure("Fleet utilisation by type", "%", _UTILISATION, 100),
    "on-time": Figure("Deliveries on time by day due", "%", _ON_TIME, 100),
    "cost-per-mile": Figure("Maintenance cost per mile by type", "EUR/mile", _COST, digits=3),
    "fuel": Figure("Mean fuel level by type", "%", _FUEL),
}


def figure_of(figure: Figure, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A figure as the API shows it.

    Args:
        figure: which.
        rows: of its query; the last one is for all, and without a label.
    """
    *labelled, everything = [
        (row["label"], round(figure.times * float(row["part"]) / float(row["whole"]), figure.digits))
        for row in rows
        if row["whole"]
    ] or [(None, 0.0)]
    return {
        "title": figure.title,
        "unit": figure.unit,
        "labels": [label for label, _ in labelled],
        "values": [value for _, value in labelled],
        "summary": everything[1],
    }


async def analytics(request: Request) -> JSONResponse:
    """One of the figures."""
    state, name = state_of(request), request.url.path.rpartition("/")[2]
    if name == "fuel" and state.has("analytics-500"):
        raise HTTPException(500, "something went wrong on our side")
    return JSONResponse(figure_of(FIGURES[name], await state.database.rows(FIGURES[name].query)))


ROUTES = [Route(f"{PATH}/{name}", analytics) for name in FIGURES]
