"""What a bound says of good, bad, absent and too few values."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gonogo
from gonogo.bounds import Bound, interval_below, measurement

SOURCE = "launch.toml: x.y"
NOT_NUMBERS = [None, "500", True, math.nan, math.inf, [], {}]


@pytest.mark.parametrize(
    ("bound", "good", "bad"),
    [
        (gonogo.at_least(21, SOURCE), [21, 22.5], [20, -1]),
        (gonogo.at_most(5, SOURCE), [5, 0], [5.001]),
        (gonogo.above(50, SOURCE), [50.1], [50, 0]),
        (gonogo.below(500, SOURCE), [499.9], [500, 501]),
        (gonogo.equals("healthy", SOURCE), ["healthy"], ["degraded", None, True]),
        (gonogo.equals(True, SOURCE), [True], [1, "true", None, False]),
        (gonogo.equals(1, SOURCE), [1], [True, 2]),
        (gonogo.is_true(SOURCE), [True], [1, "yes", None, False, [0]]),
        (gonogo.one_of(["a", "b"], SOURCE), ["a"], ["c", None, ["a"]]),
        (gonogo.empty(SOURCE), [[], ()], [["x"], None, 0, ""]),
        (gonogo.contains_all(["a", "b"], SOURCE), [["b", "a", "c"]], [["a"], None, "ab", []]),
    ],
)
def test_bounds_hold_for_the_good_and_for_nothing_else(bound: Bound, good: list[Any], bad: list[Any]) -> None:
    assert [measurement("m", v, bound).ok for v in good] == [True] * len(good)
    assert [measurement("m", v, bound).ok for v in bad] == [False] * len(bad)


@pytest.mark.parametrize("value", NOT_NUMBERS)
@pytest.mark.parametrize("make", [gonogo.at_least, gonogo.at_most, gonogo.above, gonogo.below])
def test_what_is_not_a_number_is_within_no_bound(make: Any, value: Any) -> None:
    taken = measurement("m", value, make(1, SOURCE))
    assert taken.ok is False
    assert "not a number" in taken.note


@pytest.mark.parametrize("limit", [math.nan, math.inf, None, "5"])
def test_a_bound_that_is_no_number_is_refused(limit: Any) -> None:
    with pytest.raises(ValueError, match=r"x\.y"):
        gonogo.at_least(limit, SOURCE)


def test_a_list_of_nothing_required_is_refused_because_it_could_not_fail() -> None:
    with pytest.raises(ValueError, match="always hold"):
        gonogo.contains_all([], SOURCE)


@given(st.one_of(st.none(), st.booleans(), st.floats(), st.text(), st.lists(st.integers())))
def test_no_samples_prove_nothing_whatever_the_value(value: Any) -> None:
    for bound in (gonogo.at_most(5, SOURCE), gonogo.is_true(SOURCE), gonogo.empty(SOURCE)):
        assert measurement("m", value, bound, n=0).ok is None


def test_a_negative_sample_size_is_refused() -> None:
    with pytest.raises(ValueError, match="can't be negative"):
        measurement("m", 1, gonogo.at_most(5, SOURCE), n=-1)


def test_missing_entries_are_named() -> None:
    taken = measurement("tables", ["a"], gonogo.contains_all(["a", "b", "c"], SOURCE))
    assert taken.note == "missing: b, c"
    assert taken.sentence == "tables: a; required all of a, b, c (launch.toml: x.y); missing: b, c"


def test_the_sentence_says_what_actual_required_source_and_samples() -> None:
    taken = measurement("days left", 9, gonogo.at_least(21, SOURCE), unit="d", n=3)
    assert taken.sentence == "days left: 9 d; required >= 21 d (launch.toml: x.y, n=3)"


@pytest.mark.parametrize(
    ("hits", "n", "ok"),
    [(0, 2995, True), (0, 2994, None), (1, 4742, True), (1, 3000, None), (30, 3000, False), (1, 1, False)],
)
def test_a_rate_is_proven_refuted_or_open(hits: int, n: int, ok: bool | None) -> None:
    taken = measurement("error rate", hits / n, gonogo.rate_below(0.001, SOURCE), n=n)
    assert taken.ok is ok
    assert f"{hits} of {n}" in taken.note


def test_an_open_rate_says_how_many_samples_are_missing() -> None:
    taken = measurement("error rate", 0.0, gonogo.rate_below(0.001, SOURCE), n=1500)
    assert "needs 1495 more samples at 0 hits" in taken.note


@pytest.mark.parametrize("value", [*NOT_NUMBERS, -0.1, 1.1])
def test_a_rate_that_is_no_share_does_not_hold(value: Any) -> None:
    assert measurement("error rate", value, gonogo.rate_below(0.001, SOURCE), n=5000).ok is False


def _p95(samples: list[float], actual: float, n: int | None = None) -> bool | None:
    bound = gonogo.quantile_below(500, SOURCE, samples=samples)
    return measurement("p95", actual, bound, unit="ms", n=len(samples) if n is None else n).ok


def test_a_quantile_is_proven_refuted_or_open() -> None:
    assert _p95([10.0] * 59, 10.0) is True
    assert _p95([10.0] * 58, 10.0) is None
    assert _p95([10.0] * 50 + [900.0] * 50, 900.0) is False
    assert _p95([10.0] * 94 + [900.0] * 6, 900.0) is None


def test_a_quantile_whose_samples_are_not_all_there_does_not_hold() -> None:
    assert _p95([10.0] * 59, 10.0, n=60) is False


def test_an_unanswered_request_counts_as_infinitely_slow() -> None:
    assert _p95([10.0] * 60 + [math.nan] * 60, 10.0) is False


@given(st.lists(st.floats(0, 400), min_size=59, max_size=120), st.integers(0, 58))
def test_taking_samples_away_until_too_few_are_left_never_proves_a_quantile(kept: list[float], left: int) -> None:
    assert _p95(kept[:left], 1.0) is not True


@given(st.integers(0, 4000), st.integers(0, 4000))
def test_fewer_clean_requests_never_prove_more(n: int, fewer: int) -> None:
    bound = gonogo.rate_below(0.001, SOURCE)
    few, many = sorted((n, fewer))
    if measurement("r", 0.0, bound, n=few).ok is True:
        assert measurement("r", 0.0, bound, n=many).ok is True


def test_public_names_are_sorted_and_there() -> None:
    assert sorted(gonogo.__all__) == gonogo.__all__
    assert all(hasattr(gonogo, name) for name in gonogo.__all__)


@pytest.mark.parametrize(
    ("low", "high", "ok"),
    [
        (1.0, 4.9, True),
        (5.0, 9.0, False),
        (4.0, 5.0, None),
        (-math.inf, math.inf, None),
        (math.nan, 1.0, False),
    ],
)
def test_an_interval_proves_refutes_or_does_neither(low: float, high: float, ok: bool | None) -> None:
    bound = interval_below(5.0, "here", low=low, high=high)

    judged = measurement("growth", 3.0, bound, unit="ms", n=60)

    assert judged.ok is ok
    assert (judged.bound, judged.source) == ("< 5", "here")
    assert measurement("growth", None, bound, n=60).ok is False
    assert measurement("growth", 3.0, bound, n=0).ok is None
