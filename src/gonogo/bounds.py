"""Bounds: what a measurement is held against.

A bound answers True (holds), False (does not) or None (too few samples to claim it). A value that is
absent, not a number, or backed by no sample never holds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

from gonogo import statistics
from gonogo.model import Measurement, show


@dataclass(frozen=True)
class Judgement:
    """What a bound says of one value."""

    ok: bool | None
    margin: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Bound:
    """A requirement in words, its source, and the function that judges."""

    text: str
    source: str
    judge: Callable[[Any, int], Judgement]


def measurement(name: str, actual: Any, bound: Bound, *, unit: str = "", n: int = 1) -> Measurement:
    """Hold one fact against its bound.

    Raises:
        ValueError: ``n`` is negative.
    """
    if n < 0:
        raise ValueError(f"{name}: n is {n}; a sample size can't be negative")
    judged = Judgement(None, note="no samples") if n == 0 else bound.judge(actual, n)
    return Measurement(
        name=name,
        actual=list(actual) if isinstance(actual, set | frozenset | tuple) else actual,
        unit=unit,
        bound=bound.text,
        source=bound.source,
        ok=None if judged.ok is None else bool(judged.ok),  # numpy's comparisons give a False of their own
        n=n,
        margin=judged.margin,
        note=judged.note,
    )


def at_least(limit: float, source: str) -> Bound:
    """The value is ``limit`` or more."""
    return _number(f">= {show(limit)}", source, limit, lambda x: x >= limit, sign=1)


def at_most(limit: float, source: str) -> Bound:
    """The value is ``limit`` or less."""
    return _number(f"<= {show(limit)}", source, limit, lambda x: x <= limit, sign=-1)


def above(limit: float, source: str) -> Bound:
    """The value is more than ``limit``."""
    return _number(f"> {show(limit)}", source, limit, lambda x: x > limit, sign=1)


def below(limit: float, source: str) -> Bound:
    """The value is less than ``limit``."""
    return _number(f"< {show(limit)}", source, limit, lambda x: x < limit, sign=-1)


def equals(expected: Any, source: str) -> Bound:
    """The value is exactly ``expected``, of the same type where booleans are concerned (1 is not true)."""
    return Bound(
        f"= {show(expected)}",
        source,
        lambda x, _n: Judgement(x == expected and isinstance(x, bool) == isinstance(expected, bool)),
    )


def is_true(source: str) -> Bound:
    """The statement holds: the value is ``True`` itself, nothing merely truthy."""
    return Bound("yes", source, lambda x, _n: Judgement(x is True))


def one_of(allowed: Collection[Any], source: str) -> Bound:
    """The value is among ``allowed``."""
    return Bound(f"one of {show(list(allowed))}", source, lambda x, _n: Judgement(x in list(allowed)))


def empty(source: str) -> Bound:
    """The list has no entries; anything that is no list (``None`` too) does not hold."""
    return Bound(
        "none",
        source,
        lambda x, _n: Judgement(isinstance(x, list | tuple | set | frozenset) and not x),
    )


def contains_all(required: Collection[Any], source: str) -> Bound:
    """Every required entry is in the list; the note names those that are not.

    Raises:
        ValueError: nothing is required, so the check could not fail.
    """
    if not required:
        raise ValueError(f"{source}: an empty list of required entries would always hold")

    def judge(actual: Any, _n: int) -> Judgement:
        have = actual if isinstance(actual, list | tuple | set | frozenset) else ()
        absent = [entry for entry in required if entry not in have]
        return Judgement(not absent, note=f"missing: {show(absent)}" if absent else "")

    return Bound(f"all of {show(list(required))}", source, judge)


def rate_below(limit: float, source: str, confidence: float = 0.95) -> Bound:
    """A share of hits is below ``limit``, proven at ``confidence`` by the exact binomial bound.

    The measurement's ``actual`` is hits / n. False: even the lower bound lies above the limit. None: n is
    too small to claim either; the note says how many samples would do with as many hits.
    """

    def judge(actual: Any, n: int) -> Judgement:
        if not _is_number(actual) or not 0.0 <= actual <= 1.0:
            return Judgement(False, note="not a share between 0 and 1")
        hits = round(actual * n)
        upper = statistics.rate_upper_bound(hits, n, confidence)
        note = f"{hits} of {n}; true rate at most {upper:.3%} at {confidence:.0%} confidence"
        margin = (limit - upper) / limit
        if upper < limit:
            return Judgement(True, margin, note)
        lower = statistics.rate_lower_bound(hits, n, confidence)
        if lower >= limit:
            return Judgement(False, margin, f"{hits} of {n}; true rate at least {lower:.3%} at {confidence:.0%}")
        needed = statistics.samples_needed(limit, hits, confidence)
        more = f"needs {needed - n} more samples at {hits} hits" if needed > n else "too close to the limit"
        return Judgement(None, margin, f"{note}; {more}")

    return Bound(f"< {limit:.3g}", source, judge)


def rate_not_above(limit: float, source: str, confidence: float = 0.95) -> Bound:
    """A share of hits is not shown to be ``limit`` or more, by the exact binomial bound.

    It refutes and never proves: for a promise that too few samples could prove, beside a proof of something weaker.
    """

    def judge(actual: Any, n: int) -> Judgement:
        if not _is_number(actual) or not 0.0 <= actual <= 1.0:
            return Judgement(False, note="not a share between 0 and 1")
        hits = round(actual * n)
        lower = statistics.rate_lower_bound(hits, n, confidence)
        note = f"{hits} of {n}; true rate at least {lower:.3%} at {confidence:.0%} confidence"
        needed = statistics.samples_needed(limit, hits, confidence)
        return Judgement(lower < limit, (limit - lower) / limit, f"{note}; {needed} samples would prove it")

    return Bound(f"not shown to be >= {limit:.3g}", source, judge)


def share_near(planned: float, tolerance: float, source: str, confidence: float = 0.95) -> Bound:
    """A share of hits is what was planned, within a tolerance, by the exact binomial bounds on both sides.

    Planned shares of 0 and 1 hold for no exception at all. None: n is too small to claim either.
    """

    def judge(actual: Any, n: int) -> Judgement:
        if not _is_number(actual) or not 0.0 <= actual <= 1.0:
            return Judgement(False, note="not a share between 0 and 1")
        hits = round(actual * n)
        low, high = (
            bound(hits, n, confidence) for bound in (statistics.rate_lower_bound, statistics.rate_upper_bound)
        )
        note = f"{hits} of {n}; true share {low:.1%} to {high:.1%}"
        least, most = planned - tolerance, planned + tolerance
        if (planned in (0.0, 1.0) and actual != planned) or low > most or high < least:
            return Judgement(False, note=note)
        return Judgement(True if least <= low and high <= most else None, note=note)

    return Bound(f"{planned:.0%}, give or take {tolerance:.0%}", source, judge)


def no_slower(
    factor: float, slack: float, source: str, *, samples: Sequence[float], than: Sequence[float], q: float = 0.95
) -> Bound:
    """The true ``q`` quantile of what ``samples`` were drawn from is at most ``factor`` times that of ``than``.

    Args:
        factor: e.g. 1.2 for a fifth.
        slack: difference on top that does not count, in the unit of the samples.
        source: where the bound comes from.
        samples: all the single values.
        than: those of what it is compared with, taken at the same time.
        q: which quantile; both are bounded at 95 % confidence by order statistics.
    """
    mine, theirs = (
        [(bound(values, q)) for bound in (statistics.quantile_lower_bound, statistics.quantile_upper_bound)]
        for values in (samples, than)
    )

    def judge(actual: Any, n: int) -> Judgement:
        if n != len(samples) or not _is_number(actual):
            return Judgement(
                False, note=f"{show(actual)} was given for n={n}, but {len(samples)} samples were kept"
            )
        note = f"{show(mine[0])} to {show(mine[1])}, against {show(theirs[0])} to {show(theirs[1])} (n={len(than)})"
        if mine[1] <= factor * theirs[0] + slack:
            return Judgement(True, note=note)
        if mine[0] > factor * theirs[1] + slack:
            return Judgement(False, note=note)
        return Judgement(None, note=f"{note}; too few to claim either")

    return Bound(f"<= {factor:g} times the other's + {slack:g}", source, judge)


def quantile_below(
    limit: float, source: str, *, samples: Sequence[float], q: float = 0.95, confidence: float = 0.95
) -> Bound:
    """The true ``q`` quantile of what ``samples`` were drawn from lies below ``limit``.

    ``samples`` are all the single values, unrounded, in the unit of the limit. A sample that is not a
    finite number counts as infinitely slow.
    """
    values = [float(s) if _is_number(s) else math.inf for s in samples]

    def judge(actual: Any, n: int) -> Judgement:
        if n != len(values) or not _is_number(actual):
            return Judgement(False, note=f"{show(actual)} was given for n={n}, but {len(values)} samples were kept")
        upper = statistics.quantile_upper_bound(values, q, confidence)
        over = sum(v >= limit for v in values)
        margin = (limit - upper) / limit if limit and math.isfinite(upper) else None
        note = f"{over} of {n} at or over the limit"
        if upper < limit and actual < limit:
            return Judgement(True, margin, f"{note}; true {q:.0%} quantile below {show(upper)} at {confidence:.0%}")
        if statistics.quantile_lower_bound(values, q, confidence) >= limit:
            return Judgement(False, margin, note)
        needed = statistics.quantile_samples_needed(q, confidence)
        more = f"needs at least {needed} samples" if n < needed else "too close to the limit to claim either"
        return Judgement(None, margin, f"{note}; {more}")

    return Bound(f"< {show(limit)}", source, judge)


def interval_below(limit: float, source: str, *, low: float, high: float, confidence: float = 0.95) -> Bound:
    """An estimate is below ``limit``, proven by its interval.

    Args:
        limit: the bound.
        source: where it comes from.
        low: what the truth is at least, at ``confidence``. At ``limit`` or more it refutes.
        high: what the truth is at most, at ``confidence``. Below ``limit`` it proves.
        confidence: of each side.
    """

    def judge(actual: Any, _n: int) -> Judgement:
        if not _is_number(actual) or math.isnan(low) or math.isnan(high):
            return Judgement(False, note="not a number")
        margin = (limit - high) / abs(limit) if limit and math.isfinite(high) else None
        note = f"between {show(low)} and {show(high)}, each at {confidence:.0%}"
        if high < limit:
            return Judgement(True, margin, note)
        return Judgement(False if low >= limit else None, margin, note)

    return Bound(f"< {show(limit)}", source, judge)


def _is_number(value: Any) -> bool:
    try:
        return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number that no floating-point number reaches
        return False


def _number(text: str, source: str, limit: float, holds: Callable[[float], bool], *, sign: int) -> Bound:
    if not _is_number(limit):
        raise ValueError(f"{source}: the bound is {limit!r}, which is not a finite number")

    def judge(actual: Any, _n: int) -> Judgement:
        if not _is_number(actual):
            return Judgement(False, note="not a number")
        margin = sign * (actual - limit) / abs(limit) if limit else None
        return Judgement(holds(actual), margin)

    return Bound(text, source, judge)
