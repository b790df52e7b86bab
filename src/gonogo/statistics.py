"""How sure a sample makes us: exact binomial bounds and order-statistic bounds for quantiles.

Sources:
    C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of
    the binomial", Biometrika 26 (1934): the exact bounds on a proportion.
    W. J. Conover, "Practical Nonparametric Statistics", 3rd ed., section 3.2: the distribution-free bounds
    on a quantile.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache


def binomial_cdf(k: int, n: int, p: float) -> float:
    """Probability of at most ``k`` hits in ``n`` independent trials of probability ``p``."""
    if k < 0:
        return 0.0
    if k >= n or p <= 0.0:
        return 1.0
    if p >= 1.0:
        return 0.0
    log_p, log_q, log_n = math.log(p), math.log1p(-p), math.lgamma(n + 1)
    terms = [
        log_n - math.lgamma(i + 1) - math.lgamma(n - i + 1) + i * log_p + (n - i) * log_q for i in range(k + 1)
    ]
    top = max(terms)
    return min(1.0, math.exp(top) * math.fsum(math.exp(t - top) for t in terms))


def rate_upper_bound(hits: int, n: int, confidence: float = 0.95) -> float:
    """Largest true rate that ``hits`` in ``n`` still allows (one-sided, exact).

    Returns:
        A share between 0 and 1; 1.0 when there are no samples.
    """
    _check(hits, n, confidence)
    if hits == n:  # n = 0 included
        return 1.0
    return _bisect(lambda p: binomial_cdf(hits, n, p) > 1.0 - confidence)


def rate_lower_bound(hits: int, n: int, confidence: float = 0.95) -> float:
    """Smallest true rate that ``hits`` in ``n`` still allows (one-sided, exact); 0.0 without samples."""
    _check(hits, n, confidence)
    if n == 0 or hits == 0:
        return 0.0
    return _bisect(lambda p: 1.0 - binomial_cdf(hits - 1, n, p) <= 1.0 - confidence)


def samples_needed(limit: float, hits: int = 0, confidence: float = 0.95) -> int:
    """Fewest samples in which ``hits`` hits prove a rate below ``limit``.

    For a limit of 0.001 at 95 %: 2,995 with no hit, 4,742 with one, 6,294 with two.

    Raises:
        ValueError: ``limit`` is not between 0 and 1.
    """
    if not 0.0 < limit < 1.0:
        raise ValueError(f"limit is {limit}; it must lie between 0 and 1")
    low, high = hits, max(2 * hits, 1)
    while binomial_cdf(hits, high, limit) > 1.0 - confidence:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        if binomial_cdf(hits, middle, limit) > 1.0 - confidence:
            low = middle
        else:
            high = middle
    return high


@lru_cache(maxsize=64)
def hits_borne(limit: float, n: int, confidence: float = 0.95) -> int | None:
    """Most hits with which ``n`` samples still prove a rate below ``limit``; ``None`` if not even none would do.

    For a limit of 0.001 at 95 %: none in 2,994 or fewer, 0 in 2,995, 1 in 4,742.
    """
    most = _first_rank(n, lambda k: binomial_cdf(k - 1, n, limit) > 1.0 - confidence)
    borne = (n if most is None else most - 1) - 1
    return borne if borne >= 0 else None


@lru_cache(maxsize=64)
def hits_that_refute(limit: float, n: int, confidence: float = 0.95) -> int | None:
    """Fewest hits with which ``n`` samples prove a rate of ``limit`` or more; ``None`` if not even n would do.

    So many hits among the first of ``n`` samples decide: whatever follows, the answer stays.
    """
    return _first_rank(n, lambda k: 1.0 - binomial_cdf(k - 1, n, limit) <= 1.0 - confidence)


def quantile(samples: Sequence[float], q: float) -> float:
    """The ``q`` quantile as an observed value: the smallest one that at least a share ``q`` does not exceed.

    This is definition 1 of Hyndman and Fan, "Sample quantiles in statistical packages" (1996): no
    interpolation, so the answer is a latency that somebody really had.

    Raises:
        ValueError: there are no samples.
    """
    if not samples:
        raise ValueError("a quantile needs at least one sample")
    rank = max(1, math.ceil(q * len(samples) - 1e-9))
    return sorted(samples)[rank - 1]


def quantile_upper_bound(samples: Sequence[float], q: float, confidence: float = 0.95) -> float:
    """Value that the true ``q`` quantile does not exceed at this confidence; infinity if n is too small."""
    n = len(samples)
    rank = _first_rank(n, lambda k: binomial_cdf(k - 1, n, q) >= confidence)
    return math.inf if rank is None else sorted(samples)[rank - 1]


def quantile_lower_bound(samples: Sequence[float], q: float, confidence: float = 0.95) -> float:
    """Value that the true ``q`` quantile reaches at this confidence; minus infinity if n is too small."""
    n = len(samples)
    beyond = _first_rank(n, lambda k: 1.0 - binomial_cdf(k - 1, n, q) < confidence)
    rank = n if beyond is None else beyond - 1
    return -math.inf if rank < 1 else sorted(samples)[rank - 1]


def quantile_samples_needed(q: float, confidence: float = 0.95) -> int:
    """Fewest samples from which an upper bound on the ``q`` quantile exists (59 for p95 at 95 %)."""
    return math.ceil(math.log(1.0 - confidence) / math.log(q) - 1e-9)


def _check(hits: int, n: int, confidence: float) -> None:
    if not 0 <= hits <= n:
        raise ValueError(f"{hits} hits in {n} samples is impossible")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence is {confidence}; it must lie between 0 and 1")


def _bisect(below: Callable[[float], bool]) -> float:
    """Root of a monotone condition on [0, 1] that holds at 0 and not at 1, to double precision."""
    low, high = 0.0, 1.0
    for _ in range(80):
        middle = (low + high) / 2
        if below(middle):
            low = middle
        else:
            high = middle
    return high


def _first_rank(n: int, holds: Callable[[int], bool]) -> int | None:
    """Smallest rank in 1..n for which a monotone condition holds."""
    low, high = 0, n + 1
    while high - low > 1:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle
    return None if high > n else high
