"""The pure core of load: schedules, mixes, when a run may end, what it can prove, trends, and exact merging."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gonogo import statistics
from gonogo.arrivals import Stretch, schedule, spread
from gonogo.bounds import interval_below, quantile_below, rate_below
from gonogo.loadrules import SAFETY_LEAST, Generator, Limits, Watch, certainty, limited_by
from gonogo.loadtally import THROTTLED, Columns, Tally, failure_of
from gonogo.trend import medians, trend

LIMIT = 0.001
PLANNED = 3010
"""Requests of the rehearsal's steady part."""


def limits(planned: int = PLANNED, **options: float) -> Limits:
    return Limits(planned, LIMIT, LIMIT, p95_ms=500.0, **options)


def poisson(seed: int) -> Callable[[], float]:
    chance = random.Random(seed)
    return lambda: chance.expovariate(1.0)


# ---------------------------------------------------------------------- schedules


def test_a_constant_rate_is_evenly_spaced_and_begins_at_once() -> None:
    due = schedule([Stretch("warm-up", 50, 2), Stretch("steady", 100, 3)])

    assert len(due) == 100 + 300
    assert due[0] == 0
    assert [b - a for a, b in pairwise(due[:100])] == pytest.approx([0.02] * 99)
    assert due[100] == pytest.approx(2.0)
    assert due[-1] == pytest.approx(5.0 - 0.01)


def test_a_ramp_has_as_many_arrivals_as_the_area_below_it() -> None:
    due = schedule([Stretch("rise", 10, 10, to_rps=90)])

    assert len(due) == 500
    assert sum(moment < 5 for moment in due) == pytest.approx((10 + 50) / 2 * 5, abs=1)
    assert list(due) == sorted(due)


def test_random_arrivals_are_the_same_for_the_same_seed_and_exponential() -> None:
    stretches = [Stretch("steady", 100, 200)]
    due = schedule(stretches, poisson(7))
    gaps = [b - a for a, b in pairwise(due)]

    assert list(due) == list(schedule(stretches, poisson(7)))
    assert list(due) != list(schedule(stretches, poisson(8)))
    assert len(due) == pytest.approx(20_000, abs=5 * math.sqrt(20_000))
    # Of an exponential distribution the mean equals the deviation, and 1/e lies beyond it.
    assert sum(gap > 0.01 for gap in gaps) / len(gaps) == pytest.approx(math.exp(-1), abs=0.02)


@given(
    parts=st.lists(st.tuples(st.floats(1, 300), st.floats(0.1, 20), st.floats(1, 300)), min_size=1, max_size=5),
    count=st.integers(1, 7),
)
@settings(deadline=None, max_examples=40)
def test_shares_of_a_schedule_are_the_whole_of_it(parts: list[tuple[float, float, float]], count: int) -> None:
    stretches = [Stretch(str(i), rps, seconds, to) for i, (rps, seconds, to) in enumerate(parts)]
    due = schedule(stretches)

    assert sorted(moment for index in range(count) for moment in due[index::count]) == list(due)
    assert len(due) == pytest.approx(math.fsum(one.requests for one in stretches), abs=1)
    assert all(0 <= moment <= math.fsum(one.duration_s for one in stretches) for moment in due)
    assert list(due) == sorted(due)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 40))
def test_a_mix_is_spread_evenly(weights: list[int], rounds: int) -> None:
    total = sum(weights)
    mixed = spread(weights, total * rounds)

    assert [mixed.count(i) for i in range(len(weights))] == [weight * rounds for weight in weights]
    first = mixed[:total]
    assert [first.count(i) for i in range(len(weights))] == weights


# ---------------------------------------------------------------------- what can be proven


@given(n=st.integers(1, 20_000), limit=st.sampled_from([0.0005, 0.001, 0.01, 0.05]))
@settings(deadline=None, max_examples=25)
def test_hits_that_prove_and_refute_are_where_the_bounds_say(n: int, limit: float) -> None:
    borne, refuting = statistics.hits_borne(limit, n), statistics.hits_that_refute(limit, n)

    if borne is None:
        assert statistics.rate_upper_bound(0, n) >= limit
    else:
        assert statistics.rate_upper_bound(borne, n) < limit
        assert borne == n or statistics.rate_upper_bound(borne + 1, n) >= limit
    if refuting is not None:
        assert statistics.rate_lower_bound(refuting, n) >= limit
        assert statistics.rate_lower_bound(refuting - 1, n) < limit


@given(n=st.integers(1, 50_000), limit=st.sampled_from([0.0005, 0.001, 0.01]))
@settings(deadline=None, max_examples=25)
def test_a_target_at_its_limit_is_hardly_ever_called_good_however_long_the_run(n: int, limit: float) -> None:
    """Exactly, not by simulation: the chance of a GO at a true rate that equals the limit, for every length."""
    borne = statistics.hits_borne(limit, n)

    assert (statistics.binomial_cdf(borne, n, limit) if borne is not None else 0.0) <= 0.05 + 1e-9


def outcome(chance: random.Random, rate: float, planned: int) -> bool | None:
    """One simulated run, as the engine makes it: watched request by request, ended early if that is certain."""
    watch = Watch(limits(planned))
    # Only failures change anything, so the time to each of them is drawn.
    seen = failed = 0
    while not watch.decided:
        gap = math.ceil(math.log(1 - chance.random()) / math.log1p(-rate))
        if seen + gap > planned:
            seen = planned
            break
        seen, failed = seen + gap, failed + 1
        watch.add(seen / 100, 20.0, failed=True, throttled=False)
    return judged(failed, seen)


@cache
def judged(failed: int, seen: int) -> bool | None:
    return rate_below(LIMIT, "").judge(failed / seen, seen).ok


@pytest.mark.parametrize(
    ("rate", "planned", "most_go", "least_fail"),
    [(0.0005, 3010, 0.25, 0.0), (0.001, 3010, 0.05, 0.0), (0.002, 3010, 0.005, 0.2), (0.002, 15_000, 0.0005, 0.9)],
)
def test_simulated_runs_are_rarely_called_good_when_they_are_not(
    rate: float, planned: int, most_go: float, least_fail: float
) -> None:
    chance = random.Random(20_261_128)
    runs = 2000
    found = [outcome(chance, rate, planned) for _ in range(runs)]
    go, fail = found.count(True) / runs, found.count(False) / runs
    noise = 3 * math.sqrt(max(most_go, 0.001) / runs)

    assert go <= most_go + noise
    assert fail >= least_fail
    if rate <= LIMIT:
        assert fail <= 0.05 + 3 * math.sqrt(0.05 / runs)  # a good target is rarely called bad


# ---------------------------------------------------------------------- ending early


@given(bad=st.lists(st.integers(0, 999), max_size=60, unique=True), planned=st.integers(1000, 4000))
@settings(deadline=None, max_examples=60)
def test_an_early_end_never_changes_the_answer(bad: list[int], planned: int) -> None:
    """If it ends early, it would have failed at the planned end whatever had followed."""
    watch = Watch(limits(planned))
    for number in range(1000):
        watch.add(number / 100, 20.0, failed=number in bad, throttled=False)
        if watch.decided:
            assert rate_below(LIMIT, "").judge(watch.failed / watch.seen, watch.seen).ok is False
            assert rate_below(LIMIT, "").judge(watch.failed / planned, planned).ok is False
            return
    rest_good = watch.failed / planned
    assert rate_below(LIMIT, "").judge(rest_good, planned).ok is not False


def test_slow_requests_end_a_run_as_soon_as_the_p95_is_lost_and_not_before() -> None:
    watch = Watch(limits())
    for number in range(170):
        watch.add(number / 100, 600.0, failed=False, throttled=False)
    assert watch.decided == ""
    watch.add(2.0, 600.0, failed=False, throttled=False)

    assert watch.decided == (
        "171 requests of 500 ms or more among 171 requests are too many for all 3,010, however good the others"
    )
    samples = [600.0] * 171 + [1.0] * (PLANNED - 171)
    assert quantile_below(500.0, "", samples=samples).judge(statistics.quantile(samples, 0.95), PLANNED).ok is False


def test_half_of_the_requests_failing_is_a_safety_bound_whatever_the_run_could_still_prove() -> None:
    watch = Watch(Limits(2000, 0.3, 0.3, p95_ms=500.0))
    for number in range(SAFETY_LEAST):
        watch.add(number * 0.1, 1.0, failed=number % 2 == 0, throttled=False)
    assert watch.decided == ""
    assert watch.unsafe == "safety bound: 10 of 20 requests failed within 5 s"
    for number in range(30):
        watch.add(9 + number * 0.1, 1.0, failed=False, throttled=False)
    assert watch.unsafe == ""


# ---------------------------------------------------------------------- whose fault, and what is possible


GOOD = Generator(lateness_p99_ms=3.0, lag_p99_ms=2.0, cpu_share=0.2, dropped=0)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, []),
        ({"lateness_p99_ms": 150.0}, ["1 % of its requests left more than 150 ms late, over the 100 ms allowed"]),
        ({"lag_p99_ms": 180.0}, ["its event loop lagged by 180 ms (p99), over the 100 ms allowed"]),
        ({"cpu_share": 0.95}, ["it used 95% of a processor; beyond 90% it gets in its own way"]),
        ({"dropped": 3}, ["3 arrivals found no free connection and were dropped"]),
        ({"lost": ("worker 2 of 3 fell silent",)}, ["worker 2 of 3 fell silent"]),
    ],
)
def test_the_generator_is_blamed_for_what_is_its_own(changed: dict[str, object], said: list[str]) -> None:
    assert limited_by(Generator(**{**vars(GOOD), **changed}), 100.0, 0.9) == said  # type: ignore[arg-type]


def test_what_a_plan_can_prove_is_known_beforehand() -> None:
    assert certainty(3010, LIMIT, 100) == (True, "3,010 requests prove < 0.001 without an error")
    assert certainty(15_000, LIMIT, 50) == (True, "15,000 requests prove < 0.001 with at most 8 errors")
    assert certainty(1500, LIMIT, 5) == (False, "1,500 requests can't prove < 0.001: needs 299 s more at this rate")


# ---------------------------------------------------------------------- trends


def test_growth_is_seen_through_noise_and_outliers() -> None:
    chance = random.Random(3)
    flat = [(float(i), 20 + chance.gauss(0, 2) + (500 if i % 15 == 7 else 0)) for i in range(60)]
    growing = [(x, y + 2 * x) for x, y in flat]

    assert -10 < trend(flat).at_least < trend(flat).at_most < 10
    assert 110 < trend(growing).at_least < trend(growing).growth < trend(growing).at_most < 126


def test_the_bounds_of_a_trend_hold_as_often_as_they_say() -> None:
    chance = random.Random(5)
    above = 0
    for _ in range(600):
        found = trend([(float(i), chance.gauss(0, 1)) for i in range(30)])
        above += found.at_least > 0

    assert above / 600 <= 0.05 + 3 * math.sqrt(0.05 / 600)


def test_two_points_prove_nothing() -> None:
    found = trend([(0.0, 1.0), (1.0, 5.0)])

    assert (found.growth, found.at_least, found.at_most) == (4.0, -math.inf, math.inf)
    judged = interval_below(50.0, "", low=found.at_least, high=found.at_most).judge(found.growth, 2)
    assert judged.ok is None
    with pytest.raises(ValueError, match="at least two"):
        trend([(0.0, 1.0)])


def test_medians_leave_out_empty_parts() -> None:
    assert medians([(0.0, 1.0), (0.1, 3.0), (0.1, 2.0), (4.0, 9.0)], 4) == [(0.5, 2.0), (3.5, 9.0)]
    assert medians([], 4) == []


# ---------------------------------------------------------------------- merging

ROW = st.tuples(
    st.floats(0, 9.99),
    st.floats(0.1, 900),
    st.integers(0, 3),
    st.sampled_from(["", "", "HTTP 500", THROTTLED + "HTTP 429"]),
)


@given(rows=st.lists(ROW, max_size=80), parts=st.integers(1, 4), order=st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=60)
def test_a_run_of_several_generators_has_the_figures_of_one(
    rows: list[tuple[float, float, int, str]], parts: int, order: random.Random
) -> None:
    """Whatever is told by whom and in which order: the merged document is the same, to the last bit."""
    stretches = [Stretch("steady", 10, 10)]
    rows = sorted(rows)

    def told(shares: list[list[tuple[float, float, int, str]]]) -> dict[str, object]:
        tally = Tally(stretches, {"steady": limits(len(rows) or 1)}, [str(i) for i in range(len(shares))])
        packed = []
        for name, share in enumerate(shares):
            columns = Columns()
            for due, latency, request, bad in share:
                columns.add(due, latency, 0.5, request, bad)
            packed.append((str(name), columns.pack(), len(share)))
        order.shuffle(packed)
        for name, columns_, count in packed:
            tally.take(name, 1.0, columns_)
            tally.end(name, 2.0, {"rows": count})
        assert tally.complete
        document = tally.document("", [])
        kinds = document["kinds"]
        return {
            "rows": sorted(
                zip(
                    document["due"],
                    document["latency"],
                    document["request"],
                    (kinds[k] for k in document["kind"]),
                    strict=True,
                )
            ),
            "lost": document["lost"],
        }

    assert told([rows[i::parts] for i in range(parts)]) == told([rows]) == {"rows": sorted(rows), "lost": []}


def test_rows_that_never_arrived_are_missed() -> None:
    tally = Tally([Stretch("steady", 10, 1)], {}, ["a", "b"])
    columns = Columns()
    columns.add(0.1, 5.0, 0.1, 0, "")
    tally.take("a", 0.2, columns.pack())
    tally.end("a", 1.0, {"rows": 2})

    assert not tally.complete
    assert tally.silent(7.0, 5.0) == ["b"]
    assert tally.document("", [])["lost"] == ["a told of 2 requests, 1 arrived"]


@pytest.mark.parametrize(
    ("status", "headers", "failure"),
    [
        (200, {}, ""),
        (299, {"retry-after": "1"}, ""),
        (199, {}, "HTTP 199"),
        (304, {}, "HTTP 304"),
        (403, {"retry-after": "1"}, "HTTP 403"),
        (429, {}, "throttled: HTTP 429"),
        (503, {}, "HTTP 503"),
        (503, {"retry-after": "1"}, "throttled: HTTP 503"),
    ],
)
def test_what_is_turned_away_politely_is_told_apart(status: int, headers: dict[str, str], failure: str) -> None:
    assert failure_of(status, headers) == failure


def test_progress_speaks_of_the_last_five_seconds_and_counts_all() -> None:
    """Whatever the order in which two generators told of it, and however often it is asked."""
    tally = Tally([Stretch("steady", 10, 30)], {}, ["a", "b"])
    for second in range(0, 30, 2):
        for name, after in (("b", 1), ("a", 0)):
            columns = Columns()
            for tenth in range(10):
                bad = (f"{THROTTLED}HTTP 429", "HTTP 500", "")[min(tenth, 2)]
                columns.add(second + after + tenth / 10, 50.0 + second, 0.1, 0, bad)
            tally.take(name, second + 2.0, columns.pack())
        said = tally.progress(second + 2.0)
        assert said["answered"] == (second + 2) * 10
        assert (said["failed"], said["throttled"]) == (second + 2, second + 2)
        assert said["rps"] == pytest.approx(10, abs=0.3)
        assert said["p95_ms"] == 50.0 + second
