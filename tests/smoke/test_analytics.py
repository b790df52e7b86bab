"""The charts show what the database says."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.smoke.pages import places
from tests.smoke.pages.analytics import Analytics
from tests.smoke.users import MANAGER, Users

from gonogo import Measure, Seen, Target, TargetError, at_least, at_most, empty, equals, is_true

CHARTS = "playbook: the charts show data"
EQUAL = "playbook: what the charts show is what the API says"
OFF = 0.04
"""How far a bar's height may be from its share of the highest: pixels, antialiasing and rounded corners."""


@pytest.mark.gate("smoke.analytics")
def test_analytics(users: Users, target: Target, measure: Measure, seen: Seen) -> None:
    """Every chart is drawn with the API's figures, and none of them hides an error."""
    smoke = target.settings("smoke")
    window = users.at(MANAGER, smoke.analytics)
    page = window.analytics
    opening = page.opening(None, smoke.timeout_s)
    measure("the charts are shown", opening.ready_s is not None, is_true(target.source("smoke.timeout_s")))
    window.picture("charts.png")
    told = []
    for name in places.CHARTS:
        state = page.state(name, "ready", smoke.load_s)
        measure(f"{name}: state", state, equals("ready", CHARTS))
        answer = users.api(MANAGER).get(f"{smoke.analytics_api}/{name}")
        measure(f"{name}: status of the API", answer.status, equals(200, CHARTS))
        figures = _figures(answer) if answer.status == 200 else None
        if figures and state == "ready":
            _compare(page, name, figures, measure)
            told.append(f"{name} {page.summary(name)}")
    measure("errors that the page says", page.alerts(), empty(CHARTS))
    measure("answers with an HTTP error", window.noise.bad_answers, empty(CHARTS))
    measure("script errors", window.noise.page_errors, empty(CHARTS))
    seen(", ".join(told) or "no chart shows anything")


def _figures(answer: Any) -> dict[str, Any]:
    """What the API says of one chart.

    Raises:
        TargetError: it is nothing that can be drawn.
    """
    found = answer.json()
    labels, values = (found.get("labels"), found.get("values")) if isinstance(found, dict) else (None, None)
    if not isinstance(labels, list) or not isinstance(values, list) or len(labels) != len(values):
        raise TargetError(f"{answer.url} answered without as many labels as values")
    return dict(found)


def _compare(page: Analytics, name: str, figures: dict[str, Any], measure: Measure) -> None:
    """Holds what is drawn, what the legend tells, the table and the sum against the API."""
    labels, values = [str(label) for label in figures["labels"]], figures["values"]
    measure(f"{name}: figures", len(values), at_least(1, CHARTS))
    measure(f"{name}: sum", _number(page.summary(name)), equals(_rounded(figures.get("summary")), EQUAL))
    _compare_bars(page.bars(name), name, values, measure)
    position = values.index(max(values)) if values else 0
    pointed = page.pointed_at(name, position, len(values))
    expected = [labels[position], _rounded(values[position])] if values else []
    legend = [pointed[0], _number(pointed[1])] if len(pointed) > 1 else pointed
    measure(f"{name}: legend at the highest bar", legend, equals(expected, EQUAL))
    rows = page.figures(name)
    measure(f"{name}: labels in the table", [row.label for row in rows], equals(labels, EQUAL))
    shown = [_number(row.value) for row in rows]
    measure(f"{name}: values in the table", shown, equals([_rounded(value) for value in values], EQUAL))


def _compare_bars(bars: list[int], name: str, values: list[float], measure: Measure) -> None:
    """The drawn bars have the heights of the values, each as a share of the highest."""
    highest = max(values, default=0)
    drawn = [value for value in values if highest and value / highest > OFF]
    measure(f"{name}: bars", len(bars), equals(len(drawn), CHARTS))
    if not bars or len(bars) != len(drawn):
        return
    off = max(abs(bar / max(bars) - value / highest) for bar, value in zip(bars, drawn, strict=True))
    measure(f"{name}: largest error of a bar's height", round(off, 4), at_most(OFF, EQUAL), n=len(bars), unit="1")


def _number(text: str) -> float | None:
    """The number at the beginning of a text, such as ``1,234.5 EUR/mile``."""
    found = re.match(r"-?[\d,]+(?:\.\d+)?", text.strip())
    return float(found[0].replace(",", "")) if found else None


def _rounded(value: Any) -> float | None:
    """A value as the page shows it, with four decimals at most."""
    return round(float(value), 4) if isinstance(value, int | float) else None
