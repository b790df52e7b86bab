"""Where every vehicle is at a given time: a pure function of the clock and the streets.

Both application processes compute the same positions without talking to each other.
"""

from __future__ import annotations

import json
import math
import random
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fleetboard.errors import StartError

Point = tuple[float, float]
"""Longitude, latitude in degrees (the order of GeoJSON)."""

_METRES_PER_DEGREE = 111_320.0
_MIN_ROUTE_M = 150.0
_SWAY_S = 25.0
"""Period over which a vehicle's speed swells and fades."""


@dataclass(frozen=True)
class Position:
    """One vehicle at one moment."""

    lat: float
    lon: float
    heading: float
    """Degrees clockwise from north, 0 to 360."""
    speed_kmh: float


class Route:
    """A street as a line with distances along it."""

    def __init__(self, points: Sequence[Point]) -> None:
        self.points = tuple(points)
        marks = [0.0]
        for before, after in zip(self.points, self.points[1:], strict=False):
            marks.append(marks[-1] + distance_m(before, after))
        self._marks = marks

    @property
    def length_m(self) -> float:
        """Length in metres."""
        return self._marks[-1]

    def at(self, along_m: float) -> tuple[Point, float]:
        """Point at this distance from the start, and the heading of the street there (degrees)."""
        along = min(max(along_m, 0.0), self.length_m)
        index = min(bisect_right(self._marks, along), len(self._marks) - 1)
        before, after = self.points[index - 1], self.points[index]
        span = self._marks[index] - self._marks[index - 1]
        share = (along - self._marks[index - 1]) / span if span else 0.0
        lon = before[0] + (after[0] - before[0]) * share
        lat = before[1] + (after[1] - before[1]) * share
        return (lon, lat), heading(before, after)


@dataclass(frozen=True)
class Trip:
    """How one vehicle goes up and down its route."""

    route: Route
    offset_m: float
    speed_ms: float
    """Mean speed; 0 stands still at the offset."""
    phase: float

    def at(self, t: float) -> Position:
        """Position at ``t`` seconds since the epoch."""
        length = self.route.length_m
        # Distance is the integral of the speed, so that the speed shown is the speed driven.
        omega = 2 * math.pi / _SWAY_S
        angle = omega * t + self.phase
        driven = self.offset_m + self.speed_ms * (t + 0.4 / omega * math.sin(angle))
        there_and_back = driven % (2 * length)
        onward = there_and_back <= length
        (lon, lat), direction = self.route.at(there_and_back if onward else 2 * length - there_and_back)
        speed = self.speed_ms * (1 + 0.4 * math.cos(angle))
        return Position(
            round(lat, 6),
            round(lon, 6),
            round(direction if onward else (direction + 180) % 360, 1),
            round(speed * 3.6, 1),
        )


class Traffic:
    """The whole fleet on the streets; slot numbers 0 to ``slots`` - 1 are spread evenly over them."""

    def __init__(self, routes: Sequence[Route], slots: int) -> None:
        rng = random.Random(slots)  # noqa: S311 - traffic, no secret
        total = sum(route.length_m for route in routes)
        self._trips: list[Trip] = []
        index, passed = 0, 0.0
        for slot in range(slots):
            place = (slot + 0.5) / slots * total
            while place > passed + routes[index].length_m:
                passed += routes[index].length_m
                index += 1
            speed = rng.uniform(4.0, 10.0)
            self._trips.append(Trip(routes[index], place - passed, speed, rng.uniform(0, 2 * math.pi)))

    def at(self, slot: int, t: float, *, moving: bool) -> Position:
        """Position of one vehicle at ``t`` seconds since the epoch; parked at its place if not moving."""
        trip = self._trips[slot]
        if moving:
            return trip.at(t)
        (lon, lat), direction = trip.route.at(trip.offset_m)
        return Position(round(lat, 6), round(lon, 6), round(direction, 1), 0.0)


def distance_m(a: Point, b: Point) -> float:
    """Distance in metres; flat-earth arithmetic, good to a millimetre across one town."""
    east, north = _offset_m(a, b)
    return math.hypot(east, north)


def heading(a: Point, b: Point) -> float:
    """Direction from ``a`` to ``b`` in degrees clockwise from north."""
    east, north = _offset_m(a, b)
    return math.degrees(math.atan2(east, north)) % 360


def _offset_m(a: Point, b: Point) -> Point:
    return (
        (b[0] - a[0]) * _METRES_PER_DEGREE * math.cos(math.radians(a[1])),
        (b[1] - a[1]) * _METRES_PER_DEGREE,
    )


def load_routes(path: Path) -> list[Route]:
    """Routes out of the city map: streets for vehicles, their pieces joined by name.

    Raises:
        StartError: the file is missing, unreadable or holds no street long enough.
    """
    try:
        features = json.loads(path.read_text(encoding="utf-8"))["features"]
        streets = [
            (str(feature["properties"].get("name") or ""), feature["geometry"]["coordinates"])
            for feature in features
            if feature["properties"].get("kind") in ("major", "street")
            and feature["geometry"]["type"] == "LineString"
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StartError(f"the city map {path.name} can't be read as GeoJSON: {error}") from error
    routes = build_routes((name, [(lon, lat) for lon, lat in line]) for name, line in streets)
    if not routes:
        raise StartError(f"the city map {path.name} holds no street of {_MIN_ROUTE_M:.0f} m or more")
    return routes


def build_routes(streets: Iterable[tuple[str, list[Point]]]) -> list[Route]:
    """Join pieces of the same name end to end; keep what is long enough, in a stable order."""
    by_name: dict[str, list[list[Point]]] = {}
    for number, (name, line) in enumerate(streets):
        by_name.setdefault(name or f"unnamed {number}", []).append(line)
    routes = [Route(line) for name in sorted(by_name) for line in _join(by_name[name])]
    return [route for route in routes if route.length_m >= _MIN_ROUTE_M]


def _join(pieces: list[list[Point]]) -> list[list[Point]]:
    rest = [list(piece) for piece in pieces if len(piece) >= 2]
    joined = []
    while rest:
        line = rest.pop(0)
        while (index := next((i for i, piece in enumerate(rest) if _touches(line, piece)), None)) is not None:
            line = _connect(line, rest.pop(index))
        joined.append(line)
    return joined


def _touches(line: list[Point], piece: list[Point]) -> bool:
    return bool({line[0], line[-1]} & {piece[0], piece[-1]})


def _connect(line: list[Point], piece: list[Point]) -> list[Point]:
    if line[-1] == piece[0]:
        return line + piece[1:]
    if line[-1] == piece[-1]:
        return line + piece[-2::-1]
    if line[0] == piece[-1]:
        return piece + line[1:]
    return piece[:0:-1] + line
