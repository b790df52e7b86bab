"""Facts and picture of a run under load, from rows that are known."""

from __future__ import annotations

import math
from xml.etree import ElementTree as ET

import pytest

from gonogo.arrivals import Stretch
from gonogo.loadchart import chart
from gonogo.loadfacts import LoadFacts, Row, Summary, histogram
from gonogo.loadrules import Generator

GOOD = Generator(lateness_p99_ms=3.0, lag_p99_ms=2.0, cpu_share=0.2, dropped=0)


def facts(rows: list[Row], stopped: str = "") -> LoadFacts:
    return LoadFacts(
        stretches=(Stretch("warm-up", 10, 1), Stretch("steady", 10, 4)),
        planned={"warm-up": 10, "steady": 40},
        rows=tuple(rows),
        generator=GOOD,
        generators=1,
        requests_per_cpu_s=1000.0,
        stopped=stopped,
    )


def rows(**kinds: str) -> list[Row]:
    """Fifty requests, ten a second; ``at_7="HTTP 500"`` spoils one."""
    bad = {int(name.removeprefix("at_")): kind for name, kind in kinds.items()}
    return [Row(n / 10, 100.0 + n, "/a" if n % 2 else "/b", bad.get(n, "")) for n in range(50)]


def test_a_stretch_counts_its_own_requests_and_good_answers_that_came_in_time() -> None:
    found = facts(rows(at_3="HTTP 500", at_12="HTTP 500", at_20="throttled: HTTP 429"))
    steady = found.of("steady")

    assert (steady.requests, steady.failures, steady.throttled) == (40, 1, 1)
    assert steady.kinds == {"HTTP 500": 1, "throttled: HTTP 429": 1}
    assert len(steady.latencies_ms) == 39  # a throttled request has no latency
    assert (steady.max_ms, steady.quantile_ms(0.5)) == (149.0, 130.0)
    # The last one, due at 4.9 s, came after 5.049 s: the steady part was over.
    assert found.served_rps("steady") == pytest.approx((40 - 2 - 1) / 4)
    assert [(one.name, one.requests) for one in found.by_request(1.0)] == [("/b", 20), ("/a", 20)]
    assert [row.latency_ms for row in found.worst()][:2] == [149.0, 148.0]


def test_a_run_that_ended_early_is_counted_as_long_as_it_lasted() -> None:
    found = facts(rows()[:31], stopped="steady: enough")

    assert found.served_rps("steady") == pytest.approx(
        19 / 2
    )  # due from 1.0 to 2.9 s, all but the last came by 3.0


def test_what_never_ended_is_infinitely_slow_and_null_in_json() -> None:
    found = facts([*rows()[:49], Row(4.9, math.inf, "/a", "timeout")])
    document = found.document()

    assert found.of("steady").max_ms == math.inf
    assert document["worst"][0]["latency_ms"] is None
    assert document["stretches"][1]["max_ms"] is None
    assert document["stretches"][1]["histogram"][-1] == [None, 1]


def test_a_histogram_keeps_every_value_within_one_percent() -> None:
    values = [0.0, 0.5, 1.0, 99.0, 100.0, 100.2, 2000.0]
    edges = histogram(values)

    assert sum(int(count or 0) for _, count in edges) == len(values)
    for value in values[1:]:
        assert any(value <= float(edge or 0) <= value * 1.0101 for edge, _ in edges), value


def test_nothing_has_no_quantile() -> None:
    empty = Summary.of("x", [])

    assert (empty.error_rate, empty.throttled_rate, empty.quantile_ms(0.5)) == (0.0, 0.0, math.inf)


def test_the_picture_is_sound_xml_with_a_bar_for_each_bad_second_and_no_markup_of_the_plan() -> None:
    found = facts([*rows(at_12="HTTP 500", at_31="throttled: HTTP 429")[:49], Row(4.9, math.inf, "/a", "timeout")])
    picture = chart(found, 500.0, "Load on <b>staging</b> & more")
    tree = ET.fromstring(picture)
    bars = [one.get("class") for one in tree.iter("{http://www.w3.org/2000/svg}rect") if one.get("class") != "x"]

    assert picture.startswith("<svg ")
    assert [one for one in bars if one] == ["failed", "failed", "throttled"]
    assert "<b>" not in picture
    assert "nan" not in picture
    assert "inf" not in picture
    assert len(list(tree.iter("{http://www.w3.org/2000/svg}polyline"))) == 5


def test_a_picture_of_a_run_without_requests_is_sound_too() -> None:
    ET.fromstring(chart(facts([]), 500.0, "nothing"))
