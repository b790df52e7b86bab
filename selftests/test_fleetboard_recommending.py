"""Which vehicles the embedded target recommends for a load, and in which order."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetboard import seed
from fleetboard.app import recommending
from fleetboard.app.recommending import Candidate, Place, hours_left, recommend

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
NEAR, FAR = Place("Depot Harbour", 60.1676, 24.9560), Place("Depot North", 60.1760, 24.9500)


def free(number: int = 1, **changes: Any) -> Candidate:
    """A van in the middle of town whose driver has just begun."""
    known = Candidate(
        f"V-{number:03d}", f"Van {number}", "ABC-123", "van", "D-001", "Aino Laine", 0.5, 60.17, 24.95
    )
    return replace(known, **changes)


def ids(found: list[dict[str, Any]]) -> list[str]:
    return [one["vehicle"]["id"] for one in found]


@pytest.mark.parametrize(
    ("on_duty_h", "left"),
    [(0, 9), (-0.01, 9), (1.5, 7.5), (8.99, 0.01), (9, 0), (20, 0), (24, 9), (25, 8), (33, 0), (49, 8)],
)
def test_hours_of_driving_that_are_left(on_duty_h: float, left: float) -> None:
    """Nine a day since the driver began; the day after begins anew."""
    assert hours_left(on_duty_h) == pytest.approx(left)


@pytest.mark.parametrize(
    ("cargo", "weight_kg", "able"),
    [
        ("dairy", 1_000, ["reefer"]),
        ("Medicine ", 18_000, ["reefer"]),
        ("medicine", 18_001, []),
        ("groceries", 1_400, ["reefer", "truck", "van"]),
        ("groceries", 1_401, ["reefer", "truck"]),
        ("steel coils", 20_000, ["flatbed"]),
        ("steel coils", 18_000, ["flatbed", "truck"]),
        ("furniture", 900, ["truck", "van"]),
        ("something new", 900, ["truck", "van"]),
        ("timber", 24_001, []),
    ],
)
def test_what_carries_a_cargo(cargo: str, weight_kg: int, able: list[str]) -> None:
    """Only types that take it, up to their payload; all else being equal, the one made for it comes first."""
    kinds = ("van", "truck", "reefer", "flatbed")
    found = recommend(cargo, weight_kg, [NEAR], [free(n, type=kind) for n, kind in enumerate(kinds, 1)])
    assert [one["vehicle"]["type"] for one in found] == able


def test_recommendations_have_their_reasons() -> None:
    (found,) = recommend("textiles", 1200, [FAR, NEAR], [free(on_duty_h=2.25)])
    assert found == {
        "vehicle": {"id": "V-001", "name": "Van 1", "plate": "ABC-123", "type": "van"},
        "driver": {"id": "D-001", "name": "Aino Laine"},
        "distanceKm": 0.4,
        "hoursLeft": 6.8,
        "score": pytest.approx(86.0, abs=0.5),
        "reasons": [
            "0.4 km from the pick-up at Depot Harbour",
            "6.8 of 9 hours of driving left today",
            "a van is made for textiles and carries up to 1,400 kg",
        ],
    }


def test_tired_drivers_are_left_alone_and_five_are_enough() -> None:
    tired = [free(n, on_duty_h=hours) for n, hours in enumerate((8.4, 8.6, 12.0), 1)]
    assert ids(recommend("furniture", 100, [NEAR], tired)) == ["V-001"]
    many = [free(n, lat=60.17 + n / 1000) for n in range(9, 0, -1)]
    assert ids(recommend("furniture", 100, [NEAR], many)) == [f"V-00{n}" for n in range(1, 6)]
    assert recommend("furniture", 100, [], many) == []


PLACED = st.builds(
    free,
    st.integers(1, 999),
    type=st.sampled_from(sorted(recommending.CARRIES_KG)),
    on_duty_h=st.floats(0, 60),
    lat=st.floats(60.15, 60.19),
    lon=st.floats(24.92, 24.97),
)


@given(st.lists(PLACED, max_size=12, unique_by=lambda one: one.vehicle_id), st.integers(1, 40_000))
def test_nobody_is_recommended_before_a_better_one(candidates: list[Candidate], weight_kg: int) -> None:
    """Any order gives the same; scores fall and lie in 0 to 100; who could and is left out scores no better."""
    found = recommend("groceries", weight_kg, [NEAR, FAR], candidates)
    assert found == recommend("groceries", weight_kg, [FAR, NEAR], candidates[::-1])
    scores = [one["score"] for one in found]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 100 for score in scores)
    assert all(one["hoursLeft"] >= 0.5 and one["vehicle"]["type"] != "flatbed" for one in found)
    assert len({one["vehicle"]["id"] for one in found}) == len(found) <= 5
    alone = {one.vehicle_id: recommend("groceries", weight_kg, [NEAR, FAR], [one]) for one in candidates}
    left_out = [single[0]["score"] for name, single in alone.items() if single and name not in ids(found)]
    assert not left_out or (len(found) == 5 and max(left_out) <= min(scores))


@given(PLACED, st.floats(0, 8), st.floats(0, 8))
def test_nearer_and_fresher_is_never_worse(one: Candidate, shorter: float, longer: float) -> None:
    shorter, longer = sorted((shorter, longer))
    fresh = recommend("groceries", 100, [NEAR], [replace(one, type="van", on_duty_h=shorter)])[0]
    tired = recommend("groceries", 100, [NEAR], [replace(one, type="van", on_duty_h=longer)])[0]
    there = recommend("groceries", 100, [NEAR], [replace(one, type="van", on_duty_h=shorter, lat=NEAR.lat, lon=NEAR.lon)])[0]  # fmt: skip
    assert there["score"] >= fresh["score"] >= tired["score"]


def test_pick_ups_are_our_places() -> None:
    assert recommending.pick_ups(" depot north", [NEAR, FAR]) == [FAR]
    assert recommending.pick_ups("Oulu", [NEAR, FAR]) == [NEAR, FAR]


def test_every_pending_load_of_the_seed_has_a_choice() -> None:
    """At any minute of the first hour, whatever the traffic: two vehicles or more can take each."""
    fleet = seed.Fleet(NOW)
    busy = {row[2] for row in fleet.loads()}
    began = {row[0]: row[2] for row in fleet.assignments() if row[3] is None}
    kinds = {row[0]: row[3] for row in fleet.vehicles()}
    hours = {
        vehicle: (NOW - cast("datetime", start)).total_seconds() / 3600
        for vehicle, start in began.items()
        if vehicle not in busy
    }
    assert max(hours.values()) <= 7
    candidates = [
        free(vehicle_id=vehicle, type=kinds[vehicle], on_duty_h=on_duty_h + 0.99)
        for vehicle, on_duty_h in hours.items()
    ]
    places = [Place(str(row[1]), float(str(row[2])), float(str(row[3]))) for row in fleet.geofences()]
    pending = [row for row in fleet.loads() if row[7] == "planned"]
    assert len(pending) > 100
    for load in pending:
        assert load[5] in {place.name for place in places}
        assert len(recommend(str(load[3]), int(str(load[4])), places, candidates)) >= 2, load
