"""Distances and arrival times, for the dispatcher's list."""

from __future__ import annotations

import math

EARTH_M = 6_371_000.0
"""Mean radius of the Earth in metres."""


def distance_m(here: tuple[float, float], there: tuple[float, float]) -> float:
    """Great-circle distance in metres between two points, each latitude and longitude in degrees."""
    lat1, lon1, lat2, lon2 = map(math.radians, (*here, *there))
    half = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * EARTH_M * math.asin(math.sqrt(half))


def arrival_s(metres: float, speed_kmh: float) -> float:
    """Seconds until a vehicle arrives.

    Raises:
        ValueError: the speed is not above zero.
    """
    if speed_kmh <= 0:
        raise ValueError(f"a vehicle with {speed_kmh} km/h does not arrive")
    return metres / (speed_kmh / 3.6)


def shown(metres: float) -> str:
    """A distance as the list shows it: metres below a kilometre, else kilometres with one decimal."""
    return f"{metres:.0f} m" if metres < 1000 else f"{metres / 1000:.1f} km"
