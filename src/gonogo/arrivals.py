"""When requests are due: stretches of constant, rising, falling or random traffic, as one schedule.

The rate of arrivals over time is a step or a slope; a request is due whenever its integral passes a whole number.
Random arrivals are a Poisson process, made by the same integral from gaps of an exponential distribution (the time
change of E. Cinlar, "Introduction to Stochastic Processes", 1975, section 4.7), so its rate may change, too.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_ROUNDING = 1e-9


@dataclass(frozen=True)
class Stretch:
    """A part of the schedule."""

    name: str
    rps: float
    """Requests per second at its beginning."""
    duration_s: float
    to_rps: float | None = None
    """Requests per second at its end; the same all along if ``None``."""

    @property
    def end_rps(self) -> float:
        """Requests per second at its end."""
        return self.rps if self.to_rps is None else self.to_rps

    @property
    def peak_rps(self) -> float:
        """Highest rate within it."""
        return max(self.rps, self.end_rps)

    @property
    def requests(self) -> float:
        """How many arrivals are due in it, on average."""
        return (self.rps + self.end_rps) / 2 * self.duration_s

    def reached_s(self, arrivals: float) -> float:
        """Seconds after which so many of its arrivals are due: the integral of the rate, turned round."""
        growth = (self.end_rps - self.rps) / self.duration_s
        if abs(growth) < _ROUNDING:
            return arrivals / self.rps
        return (math.sqrt(max(self.rps * self.rps + 2 * growth * arrivals, 0.0)) - self.rps) / growth


def schedule(stretches: Sequence[Stretch], gap: Callable[[], float] | None = None) -> array[float]:
    """Due times of all requests, in seconds from the beginning.

    Args:
        stretches: one after the other.
        gap: distance to the next arrival, on average 1; evenly spaced arrivals if ``None``.
    """
    due: array[float] = array("d")
    begins_s = passed = 0.0
    following = 0.0 if gap is None else gap()
    for stretch in stretches:
        ends = passed + stretch.requests
        while following < ends - _ROUNDING:
            due.append(begins_s + stretch.reached_s(following - passed))
            following += 1.0 if gap is None else gap()
        begins_s += stretch.duration_s
        passed = ends
    return due


def spread(weights: Sequence[int], count: int) -> list[int]:
    """``count`` indexes in which each appears by its weight, spread as evenly as can be."""
    credit, total = [0.0] * len(weights), float(sum(weights))
    chosen = []
    for _ in range(count):
        for index, weight in enumerate(weights):
            credit[index] += weight
        best = max(range(len(weights)), key=credit.__getitem__)
        credit[best] -= total
        chosen.append(best)
    return chosen
