"""The fleet's API answers as its users rely on: lists, pages, single vehicles, refusals."""

from __future__ import annotations

from typing import Any

import pytest
from tests.smoke.fleet_api import FULL_PAGE, Vehicle, read_page, spread

from gonogo import EvidenceKeeper, Measure, Target, TargetError, at_least, empty, equals

PAGE = 10
MOST_DETAILS = 300
"""Vehicles whose details are fetched one by one; a larger fleet is sampled evenly."""

SHOWN = 5
"""Examples named in a measurement; the evidence has them all."""

LASTING = ("id", "name", "plate", "type", "driver", "load")
"""Fields that do not move between two requests."""

CONTRACT = "API: lists are paged by limit and offset"
REFUSALS = "API: what can't be answered is refused with a JSON body"


@pytest.mark.gate("smoke.api")
def test_api(target: Target, measure: Measure, evidence: EvidenceKeeper) -> None:
    """The vehicle API lists, pages, details and refuses as promised."""
    smoke = target.settings("smoke")
    path = smoke.vehicles
    whole = read_page(target, path, FULL_PAGE)
    evidence.json("vehicles.json", {"total": whole.total, "items": list(whole.items[:PAGE])})
    measure("list status", whole.status, equals(200, CONTRACT))
    measure("list content type", whole.content_type, equals("application/json", CONTRACT))
    measure("vehicles", whole.total, at_least(smoke.min_vehicles, target.source("smoke.min_vehicles")))
    measure("vehicles listed", len(whole.items), equals(min(whole.total, FULL_PAGE), CONTRACT))
    measure("vehicles listed twice", _repeated(whole.ids), empty(CONTRACT))

    for offset in (0, PAGE):
        part = read_page(target, path, PAGE, offset)
        expected = whole.ids[offset : offset + PAGE]
        rows = f"page from vehicle {offset + 1}"
        measure(f"{rows}: rows", len(part.ids), equals(len(expected), CONTRACT))
        measure(f"{rows}: strangers", [one for one in part.ids if one not in expected][:SHOWN], empty(CONTRACT))
    measure("rows beyond the last", len(read_page(target, path, PAGE, whole.total).ids), equals(0, CONTRACT))

    asked = spread(list(whole.items), MOST_DETAILS)
    problems = [problem for listed in asked if (problem := _compare(target, path, listed))]
    agree = f"API: {path} and {path}/ID agree"
    measure("details that differ from the list", len(problems), equals(0, agree), n=len(asked))
    if problems:
        measure("the first of them", problems[:SHOWN], empty(agree))
        evidence.text("details.txt", "\n".join(problems) + "\n")
    for name, bad, status in (
        ("unknown vehicle", f"{path}/no-such-vehicle", 404),
        ("page of no rows", f"{path}?limit=0", 422),
        ("page of words", f"{path}?limit=many", 422),
    ):
        answer = target.http().get(bad)
        measure(f"{name}: status", answer.status, equals(status, REFUSALS))
        measure(f"{name}: content type", answer.content_type, equals("application/json", REFUSALS))


def _repeated(ids: list[str]) -> list[str]:
    return sorted({one for one in ids if ids.count(one) > 1})


def _compare(target: Target, path: str, listed: Vehicle) -> str:
    """What is wrong with one vehicle's details, in a few words; empty if nothing is."""
    answer = target.http().get(f"{path}/{listed.get('id')}")
    if answer.status != 200:
        return f"{listed.get('id')}: HTTP {answer.status}"
    try:
        found: Any = answer.json()
    except TargetError:
        return f"{listed.get('id')}: not JSON"
    if not isinstance(found, dict):
        return f"{listed.get('id')}: not an object"
    differing = [
        field for field in LASTING if field not in found.keys() & listed.keys() or found[field] != listed[field]
    ]
    return f"{listed.get('id')}: {', '.join(differing)}" if differing else ""
