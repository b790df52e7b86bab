"""Our own traffic: on schedule, each answer with its release, live connections watched, and our own lateness told."""

from __future__ import annotations

import itertools
import math
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gonogo.bounds import no_slower, rate_not_above, share_near
from gonogo.errors import ToolError
from gonogo.probes.ramping import Place, Plan, Traffic, growth_per_min, more_seconds, sliced
from gonogo.statistics import samples_needed
from servers import Server, answer, authority, free_port, serve


def plan(port: int, **changes: Any) -> Plan:
    keys: dict[str, Any] = {"requests": (("/a", 3), ("/b", 1)), "rps": 40.0, "release_header": "X-Release"}
    place = changes.pop("place", Place("127.0.0.1", port, "127.0.0.1", secure=False))
    return Plan(place=place, timeout_s=2.0, **{**keys, **changes})


def traffic_at(server: Server, seconds: float, **changes: Any) -> Traffic:
    """Traffic for so many seconds, from the first answer on."""
    with Traffic(plan(server.port, **changes)) as traffic:
        end = time.monotonic() + 10
        while not traffic.offered() and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(seconds)
    return traffic


def test_requests_leave_on_schedule_and_tell_who_answered() -> None:
    with serve(answer(b"{}", headers="X-Release: 2.0")) as server:
        offered = traffic_at(server, 1.0).offered()

    assert len(offered) >= 20
    dues = sorted(one.due for one in offered)
    assert all(abs(after - before - 0.025) < 1e-6 for before, after in itertools.pairwise(dues))
    assert {one.release for one in offered} == {"2.0"}
    assert sum(one.path == "/b" for one in offered) == pytest.approx(len(offered) / 4, abs=1)
    assert not any(one.failure for one in offered)


def test_a_slow_server_does_not_slow_the_questions() -> None:
    with serve(answer(b"{}", delay_s=0.4)) as server:
        offered = traffic_at(server, 1.0).offered()

    assert len(offered) >= 20  # one after another there would be four
    assert min(one.latency_ms for one in offered) >= 399


def test_what_is_refused_or_wrong_is_a_failure_by_its_kind() -> None:
    nobody = Server(free_port(), [])
    assert {one.failure for one in traffic_at(nobody, 0.3).offered()} == {"connection refused"}
    with serve(answer(b"{}", "500 Oops", "X-Release: 2.0")) as server:
        part = sliced(traffic_at(server, 0.3).offered())
    assert part.kinds == {"HTTP 500": part.requests}
    assert all(math.isfinite(one) for one in part.latencies_ms)  # it was answered, and took its time


@pytest.mark.parametrize(
    ("status", "more", "polite"),
    [
        ("429 Slowly", "", True),
        ("503 Busy", "\r\nRetry-After: 3", True),
        ("503 Busy", "", False),
        ("403 No", "", False),
    ],
)
def test_throttled_is_not_broken_is_named_and_has_no_latency(status: str, more: str, polite: bool) -> None:
    with serve(answer(b"{}", status, f"X-Release: 2.0{more}")) as server:
        part = sliced(traffic_at(server, 0.2).offered())

    kind = f"{'throttled: ' if polite else ''}HTTP {status[:3]}"
    assert part.kinds == {kind: part.requests}
    assert (part.throttled, part.failures) == ((part.requests, 0) if polite else (0, part.requests))
    assert len(part.latencies_ms) == part.failures


def test_names_are_verified(tmp_path: Any) -> None:
    ours = authority(tmp_path)
    with serve(answer(b"{}"), ours.context()) as server:
        for name, wanted in (("app.fleet.test", ""), ("other.fleet.test", "certificate refused")):
            place = Place(name, server.port, "127.0.0.1", secure=True, ca_file=str(ours.ca_file))
            offered = traffic_at(server, 0.4, place=place).offered()
            assert offered
            assert all(one.failure.startswith(wanted) and bool(one.failure) == bool(wanted) for one in offered)


def test_new_connections_are_asked_for_as_often_as_wanted_or_given_up() -> None:
    with (
        serve(answer(b"{}", headers="X-Release: 2.0")) as server,
        Traffic(plan(server.port, rps=1.0)) as traffic,
    ):
        before = len(server.accepted)
        assert len(traffic.ask_afresh(30, "/h", 5.0)) == 30
        assert len(server.accepted) - before >= 30
    with serve(answer(b"{}", delay_s=1.0)) as server, Traffic(plan(server.port, rps=1.0)) as traffic:
        begun = time.monotonic()
        assert len(traffic.ask_afresh(100, "/h", 0.5)) < 100
        assert time.monotonic() - begun < 3


def test_a_program_that_ended_by_itself_is_our_own_fault() -> None:
    with serve(answer(b"{}")) as server, Traffic(plan(server.port)) as traffic:
        traffic._process.kill()
        traffic._process.wait()
        with pytest.raises(ToolError, match="ended with status -9"):
            traffic.offered()


# Bounds


def test_a_share_is_near_far_or_not_known_yet() -> None:
    near = share_near(0.1, 0.06, "plan")
    assert near.judge(0.1, 240).ok is True
    assert near.judge(0.1, 40).ok is None
    assert near.judge(0.66, 240).ok is False
    assert near.judge(None, 240).ok is False
    everybody = share_near(1.0, 0.06, "plan")
    assert (everybody.judge(1.0, 60).ok, everybody.judge(59 / 60, 60).ok) == (True, False)


def test_a_promise_is_refuted_and_never_proven_by_little() -> None:
    promise = rate_not_above(0.001, "plan")
    assert promise.judge(0.0, 10).ok is True
    assert "2995 samples would prove it" in promise.judge(0.0, 10).note
    assert promise.judge(4 / 330, 330).ok is False


@settings(max_examples=50, deadline=None)
@given(base=st.floats(1, 500), factor=st.floats(1.3, 3.0))
def test_a_release_that_is_a_third_slower_is_found_out_and_an_equal_one_passes(base: float, factor: float) -> None:
    older = [base * (1 + 0.02 * (k % 10) / 10) for k in range(600)]
    bound = {"factor": 1.2, "slack": 0.0, "source": "plan", "than": older}
    newer = [one * factor for one in older[:300]]

    assert no_slower(**bound, samples=newer).judge(max(newer), 300).ok is False
    assert no_slower(**bound, samples=older[:300]).judge(base, 300).ok is True
    assert no_slower(**bound, samples=older[:20]).judge(base, 20).ok is None
    assert no_slower(**{**bound, "than": []}, samples=newer).judge(base, 300).ok is not True


@settings(max_examples=60)
@given(hits=st.integers(0, 5), pace=st.integers(1, 500))
def test_what_is_said_to_be_missing_would_do(hits: int, pace: int) -> None:
    n = 200
    more = more_seconds(0.01, hits, n, n / pace)

    assert more is not None
    assert n + more * pace >= samples_needed(0.01, hits) - 1e-6
    assert more_seconds(0.01, 0, 0, 5.0) is None


def test_growth_is_a_slope_and_one_step_is_none() -> None:
    assert growth_per_min([(t, 50 + 2 * t) for t in range(6)]) == pytest.approx(120)
    assert growth_per_min([(t, 50.0 if t < 1 else 58.0) for t in range(8)]) == 0
    assert growth_per_min([(0, 1), (1, 9), (2, 17), (3, 25)]) is None
