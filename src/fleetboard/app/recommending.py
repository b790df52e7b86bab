"""Which vehicles a load is best given to: a pure function of where they are, who drives them and what they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fleetboard.routes import distance_m

DAY_H = 9.0
"""Driving that is allowed between two daily rests: Regulation (EC) No 561/2006, article 6, paragraph 1."""
_ENOUGH_H = 0.5
"""With less left nobody is sent anywhere."""
_MOST = 5

CARRIES_KG = {"van": 1_400, "truck": 18_000, "reefer": 18_000, "flatbed": 24_000}
"""Payload of each type of vehicle."""

_BODIES = {
    "dairy": ("reefer",),
    "medicine": ("reefer",),
    "groceries": ("reefer", "truck", "van"),
    "timber": ("flatbed", "truck"),
    "steel coils": ("flatbed", "truck"),
    "machine parts": ("truck", "flatbed", "van"),
    "paper rolls": ("truck", "van"),
    "furniture": ("truck", "van"),
    "textiles": ("van", "truck"),
    "electronics": ("van", "truck"),
}
"""Types that take a cargo, the one made for it first."""
_ANY_BODY = ("truck", "van")
"""For a cargo that nobody here knows: a closed body."""
_WHAT = {"van": "van", "truck": "box truck", "reefer": "refrigerated truck", "flatbed": "flatbed"}

_FAR_KM = 4.0
"""From here on, farther away is not worse: the whole town is smaller."""
_POINTS = {"distance": 50.0, "hours": 35.0, "body": 15.0}
"""What a vehicle at the pick-up, with a fresh driver and the right body, gets; together 100."""


@dataclass(frozen=True)
class Place:
    """Where loads are picked up."""

    name: str
    lat: float
    lon: float


@dataclass(frozen=True)
class Candidate:
    """A vehicle without a load, its driver, and where it is."""

    vehicle_id: str
    name: str
    plate: str
    type: str
    driver_id: str
    driver: str
    on_duty_h: float
    """Hours since the driver took it over."""
    lat: float
    lon: float


def hours_left(on_duty_h: float) -> float:
    """Hours of driving that are left today; after 24 hours on duty a new day begins."""
    return max(0.0, DAY_H - max(0.0, on_duty_h) % 24)


def bodies(cargo: str) -> Sequence[str]:
    """Types of vehicles that take a cargo, the one made for it first."""
    return _BODIES.get(cargo.strip().lower(), _ANY_BODY)


def pick_ups(origin: str, places: Sequence[Place]) -> Sequence[Place]:
    """Where a load may be picked up: at its origin if that is a place of ours, else at any."""
    return [place for place in places if place.name.lower() == origin.strip().lower()] or places


def recommend(
    cargo: str, weight_kg: int, places: Sequence[Place], candidates: Iterable[Candidate]
) -> list[dict[str, Any]]:
    """At most five vehicles that can take a load, the best first, each with its reasons.

    Args:
        cargo: what it is.
        weight_kg: what it weighs.
        places: where it may be picked up; the nearest to a vehicle counts.
        candidates: those that are free.
    """
    wanted = bodies(cargo)
    able = [
        one
        for one in candidates
        if one.type in wanted and weight_kg <= CARRIES_KG[one.type] and hours_left(one.on_duty_h) >= _ENOUGH_H
    ]
    ranked = [_recommendation(one, cargo, wanted, places) for one in able] if places else []
    return sorted(ranked, key=lambda found: (-found["score"], found["vehicle"]["id"]))[:_MOST]


def _recommendation(one: Candidate, cargo: str, wanted: Sequence[str], places: Sequence[Place]) -> dict[str, Any]:
    place = min(places, key=lambda at: _distance_km(one, at))
    distance, left = _distance_km(one, place), hours_left(one.on_duty_h)
    share = {
        "distance": 1 - min(distance / _FAR_KM, 1.0),
        "hours": left / DAY_H,
        "body": 1 - wanted.index(one.type) / len(wanted),
    }
    best = "is made for" if one.type == wanted[0] else "takes"
    return {
        "vehicle": {"id": one.vehicle_id, "name": one.name, "plate": one.plate, "type": one.type},
        "driver": {"id": one.driver_id, "name": one.driver},
        "distanceKm": round(distance, 1),
        "hoursLeft": round(left, 1),
        "score": round(sum(_POINTS[name] * part for name, part in share.items()), 1),
        "reasons": [
            f"{distance:.1f} km from the pick-up at {place.name}",
            f"{left:.1f} of {DAY_H:.0f} hours of driving left today",
            f"a {_WHAT[one.type]} {best} {cargo} and carries up to {CARRIES_KG[one.type]:,} kg",
        ],
    }


def _distance_km(one: Candidate, place: Place) -> float:
    return distance_m((one.lon, one.lat), (place.lon, place.lat)) / 1000
