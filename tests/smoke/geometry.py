"""Whether what is drawn on a map lies where it should: places on the ground against places on the screen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

EARTH_M = 6_371_008.8
"""Mean radius of the earth."""
_FEWEST = 3


@dataclass(frozen=True)
class Line:
    """A straight line."""

    slope: float
    start: float

    def at(self, place: float) -> float:
        """Its value at a place."""
        return self.slope * place + self.start


def distance_m(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Metres between two places, each latitude and longitude in degrees; for places that are near each other."""
    north = math.radians(other[0] - one[0])
    east = math.radians(other[1] - one[1]) * math.cos(math.radians((one[0] + other[0]) / 2))
    return EARTH_M * math.hypot(north, east)


def steady_line(points: Sequence[tuple[float, float]]) -> Line | None:
    """The line through most of the points, whatever the others do: slopes of far pairs, and the middle one of them.

    Returns:
        ``None`` if there are too few points, or all stand at one place.
    """
    ordered = sorted(points)
    half = len(ordered) // 2
    pairs = zip(ordered, ordered[half:], strict=False)
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in pairs if b[0] != a[0]]
    if len(ordered) < _FEWEST or not slopes:
        return None
    slope = median(slopes)
    return Line(slope, median(y - slope * x for x, y in ordered))


def misplaced(
    ground: Mapping[str, tuple[float, float]], screen: Mapping[str, tuple[float, float]], tolerance_m: float
) -> list[str] | None:
    """Which things are not drawn where they are.

    A town is small enough for a map to be a straight scale of it, and most things show which scale that is.

    Args:
        ground: latitude and longitude of each thing, in degrees.
        screen: pixels from the left and from the top, of those that are drawn.
        tolerance_m: metres that a thing may be away.

    Returns:
        Their names; ``None`` if too few are drawn, or all at one place, so that there is no scale.
    """
    both = [name for name in ground if name in screen]
    across = steady_line([(screen[name][0], ground[name][1]) for name in both])
    down = steady_line([(screen[name][1], ground[name][0]) for name in both])
    if across is None or down is None or across.slope == 0 or down.slope == 0:
        return None
    shown = {name: (down.at(screen[name][1]), across.at(screen[name][0])) for name in both}
    return sorted(name for name in both if distance_m(ground[name], shown[name]) > tolerance_m)
