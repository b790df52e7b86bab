"""Whether something grows with time: a slope that single outliers do not move, and how sure it is.

Sources:
    P. K. Sen, "Estimates of the regression coefficient based on Kendall's tau", Journal of the American Statistical
    Association 63 (1968): the median of all pairwise slopes, and its distribution-free bounds.
    M. G. Kendall, "Rank Correlation Methods", 4th ed., section 4.8: the variance of his statistic, without ties.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, median


@dataclass(frozen=True)
class Trend:
    """What grows by how much from the first point to the last one."""

    growth: float
    at_least: float
    """One-sided bound; minus infinity if there are too few points."""
    at_most: float
    points: int


def trend(points: Sequence[tuple[float, float]], confidence: float = 0.95) -> Trend:
    """Growth over the whole time of ``points``, each a time and a value.

    Args:
        points: at least two, at different times.
        confidence: of each of the two bounds.

    Raises:
        ValueError: fewer than two points.
    """
    if len(points) < 2:
        raise ValueError("a trend needs at least two points")
    ordered = sorted(points)
    span, n = ordered[-1][0] - ordered[0][0], len(ordered)
    slopes = sorted((y2 - y1) / (x2 - x1) for i, (x1, y1) in enumerate(ordered) for x2, y2 in ordered[i + 1 :])
    # Kendall's S is about normal from some ten points on; before that the bounds are the outermost slopes or none.
    width = NormalDist().inv_cdf(confidence) * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    low = math.floor((len(slopes) - width) / 2)
    low_slope = slopes[low - 1] if low >= 1 else -math.inf
    high_slope = slopes[-low] if low >= 1 else math.inf
    return Trend(median(slopes) * span, low_slope * span, high_slope * span, n)


def medians(samples: Sequence[tuple[float, float]], bins: int) -> list[tuple[float, float]]:
    """The middle of each of ``bins`` equal parts of the time, and the median of what fell into it, if any."""
    if not samples:
        return []
    first, last = min(t for t, _ in samples), max(t for t, _ in samples)
    width = (last - first) / bins or 1.0
    parts: list[list[float]] = [[] for _ in range(bins)]
    for moment, value in samples:
        parts[min(int((moment - first) / width), bins - 1)].append(value)
    return [(first + (i + 0.5) * width, median(part)) for i, part in enumerate(parts) if part]
