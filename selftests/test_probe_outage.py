"""The watch counts checks and failures, and measures outages from due time to recovery."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from gonogo.errors import TargetError
from gonogo.probes.outage import HealthWatch, WatchFacts


def watch(check: Callable[[], bool], seconds: float, interval_s: float = 0.05) -> WatchFacts:
    with HealthWatch(check, interval_s) as watching:
        time.sleep(seconds)
    return watching.facts


class Script:
    """A check whose answer depends on the time since its first call."""

    def __init__(self, *down: tuple[float, float]) -> None:
        self._down = down
        self._began = 0.0

    def __call__(self) -> bool:
        self._began = self._began or time.monotonic()
        now = time.monotonic() - self._began
        return not any(begins <= now < ends for begins, ends in self._down)


def test_all_is_well() -> None:
    facts = watch(lambda: True, 0.52)

    assert 5 <= facts.samples <= 11
    assert (facts.failures, facts.outages, facts.longest_outage_s) == (0, (), 0.0)
    assert 0.5 <= facts.duration_s < 2
    assert facts.late_s < 0.5


def test_two_outages_are_told_apart_and_the_longest_counts() -> None:
    facts = watch(Script((0.1, 0.2), (0.4, 0.8)), 1.1)

    assert len(facts.outages) == 2
    first, second = facts.outages
    assert first.duration_s < second.duration_s == facts.longest_outage_s
    assert 0.35 <= second.duration_s < 0.8
    assert facts.failures == first.checks + second.checks < facts.samples
    assert 0.0 < first.began_s < first.ended_s <= second.began_s < second.ended_s < facts.duration_s


def test_down_at_the_end_counts_up_to_the_end() -> None:
    facts = watch(Script((0.2, 99.0)), 0.6)

    assert len(facts.outages) == 1
    assert facts.outages[0].ended_s == facts.duration_s
    assert facts.longest_outage_s >= 0.35


def test_down_all_the_time() -> None:
    facts = watch(lambda: False, 0.3)

    assert facts.failures == facts.samples > 0
    assert facts.longest_outage_s == facts.duration_s


def test_a_check_that_hangs_counts_from_its_due_time() -> None:
    answers = iter([True, False])

    def slow() -> bool:
        good = next(answers, True)
        time.sleep(0.0 if good else 0.4)
        return good

    facts = watch(slow, 0.7)

    assert facts.failures == 1
    assert 0.4 <= facts.longest_outage_s < 0.8
    assert facts.slowest_s >= 0.4
    assert facts.late_s < 0.4  # the target's slowness is not ours


def test_refusals_fail_with_their_first_reason() -> None:
    reasons = iter(["refused", "refused again"])

    def check() -> bool:
        if reason := next(reasons, ""):
            raise TargetError(reason)
        return True

    facts = watch(check, 0.4)

    assert [(outage.checks, outage.reason) for outage in facts.outages] == [(2, "refused")]


def test_only_true_itself_is_well() -> None:
    assert watch(lambda: "no", 0.1).failures > 0  # type: ignore[arg-type, return-value]


def test_a_broken_check_is_raised_when_the_block_ends_and_ends_the_watch() -> None:
    def broken() -> bool:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), HealthWatch(broken, 0.05):
        time.sleep(0.1)
    with pytest.raises(KeyError), HealthWatch(broken, 0.05):
        raise KeyError


def test_an_error_in_the_block_leaves_no_thread() -> None:
    before = threading.active_count()
    with pytest.raises(KeyError), HealthWatch(lambda: True, 0.05):
        raise KeyError
    assert threading.active_count() == before


def test_a_block_that_is_over_at_once_ends_at_once() -> None:
    started = time.monotonic()
    with HealthWatch(lambda: True, 60.0) as watching:
        pass

    assert time.monotonic() - started < 5
    assert watching.facts.samples <= 1


def test_facts_are_read_when_it_is_over() -> None:
    with HealthWatch(lambda: True, 0.05) as watching, pytest.raises(RuntimeError, match="not over"):
        _ = watching.facts
    with pytest.raises(ValueError, match="above zero"):
        HealthWatch(lambda: True, 0.0)
