"""The exact bounds: known values, definitions, and how often they would be wrong."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonogo import statistics


@pytest.mark.parametrize(("hits", "needed"), [(0, 2995), (1, 4742), (2, 6294)])
def test_samples_that_prove_less_than_one_in_a_thousand(hits: int, needed: int) -> None:
    assert statistics.samples_needed(0.001, hits) == needed
    assert statistics.rate_upper_bound(hits, needed) < 0.001
    assert statistics.rate_upper_bound(hits, needed - 1) >= 0.001


def test_the_fewest_samples_for_a_p95_are_59() -> None:
    assert statistics.quantile_samples_needed(0.95) == 59
    assert statistics.quantile_upper_bound([1.0] * 58, 0.95) == math.inf
    assert statistics.quantile_upper_bound([1.0] * 59, 0.95) == 1.0


@pytest.mark.parametrize("n", [1, 7, 40])
def test_cdf_equals_the_sum_of_its_terms(n: int) -> None:
    p = 0.3
    direct = [math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(n + 1)]
    for k in range(n + 1):
        assert statistics.binomial_cdf(k, n, p) == pytest.approx(sum(direct[: k + 1]))


def test_cdf_at_its_ends() -> None:
    assert statistics.binomial_cdf(-1, 5, 0.5) == 0.0
    assert statistics.binomial_cdf(5, 5, 0.5) == 1.0
    assert statistics.binomial_cdf(0, 5, 0.0) == 1.0
    assert statistics.binomial_cdf(4, 5, 1.0) == 0.0


@pytest.mark.parametrize(("hits", "n"), [(-1, 5), (6, 5)])
def test_impossible_counts_are_refused(hits: int, n: int) -> None:
    with pytest.raises(ValueError, match="impossible"):
        statistics.rate_upper_bound(hits, n)


@pytest.mark.parametrize("limit", [0.0, 1.0, -0.1])
def test_a_limit_that_no_sample_can_prove_is_refused(limit: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        statistics.samples_needed(limit)


@given(n=st.integers(1, 500), data=st.data())
def test_bounds_enclose_what_was_observed(n: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, n))
    low, high = statistics.rate_lower_bound(hits, n), statistics.rate_upper_bound(hits, n)
    assert 0.0 <= low <= hits / n <= high <= 1.0


@given(n=st.integers(1, 300), data=st.data())
def test_one_more_hit_never_makes_the_rate_look_better(n: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, n - 1))
    assert statistics.rate_upper_bound(hits + 1, n) >= statistics.rate_upper_bound(hits, n)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=200), st.floats(0.01, 0.99))
def test_a_quantile_is_a_sample_that_a_share_q_does_not_exceed(samples: list[float], q: float) -> None:
    value = statistics.quantile(samples, q)
    assert value in samples
    assert sum(s <= value for s in samples) >= q * len(samples) - 1e-6


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=200))
def test_quantile_bounds_enclose_the_quantile(samples: list[float]) -> None:
    value = statistics.quantile(samples, 0.95)
    assert statistics.quantile_lower_bound(samples, 0.95) <= value
    assert statistics.quantile_upper_bound(samples, 0.95) >= value


def test_a_quantile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        statistics.quantile([], 0.95)


@pytest.mark.parametrize("true_rate", [0.001, 0.002])
def test_a_target_at_or_over_the_limit_is_passed_in_at_most_five_percent_of_runs(true_rate: float) -> None:
    random_source = random.Random(20261123)
    runs, n = 400, 3150
    passed = 0
    for _ in range(runs):
        hits = sum(random_source.random() < true_rate for _ in range(n))
        passed += statistics.rate_upper_bound(hits, n) < 0.001
    assert passed / runs <= 0.07  # 5 % and the noise of 400 runs; the seed is fixed


def test_the_p95_of_a_target_over_the_limit_is_passed_in_at_most_five_percent_of_runs() -> None:
    random_source = random.Random(7)
    runs, n, limit = 400, 200, 500.0
    passed = 0
    for _ in range(runs):
        # 94.9 % of requests are fast, so the true p95 lies above the limit.
        samples = [100.0 if random_source.random() < 0.949 else 900.0 for _ in range(n)]
        passed += statistics.quantile_upper_bound(samples, 0.95) < limit
    assert passed / runs <= 0.07
