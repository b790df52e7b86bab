"""A run under load as one picture, second by second: traffic offered and served, latencies, failures; SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

from gonogo.loadfacts import LoadFacts

_WIDTH, _LEFT, _RIGHT = 760, 56, 744
_PANELS = ((48, 112), (190, 150), (370, 48))
"""Top and height of each of the three."""
_HEIGHT = 446
_LETTER = 6.5
"""Width of a letter; a name wider than its stretch is left out."""
_STYLE = """
text{font:11px system-ui,sans-serif;fill:#4a5563}.t{font-weight:600;fill:#1c2733}.g{stroke:#dfe4ea}.x{fill:#eef2f6}
.offered{stroke:#9aa7b5;stroke-dasharray:4 3}.served{stroke:#1f6f54}.p50{stroke:#3f7fbf}.p95{stroke:#b8660f}
.p99{stroke:#8b3a8f}.limit{stroke:#b3261e;stroke-dasharray:2 3}polyline{fill:none;stroke-width:1.6}
.failed{fill:#b3261e}.throttled{fill:#d39a2d}
"""


def chart(facts: LoadFacts, limit_ms: float, title: str) -> str:
    """The picture.

    Args:
        facts: of the run.
        limit_ms: the bound of the p95, drawn in.
        title: above it.
    """
    seconds = facts.seconds()
    ends = max(sum(s.duration_s for s in facts.stretches), 1.0)

    def x(moment: float) -> float:
        return _LEFT + min(moment / ends, 1.0) * (_RIGHT - _LEFT)

    quantiles = {
        name: [min(one.quantile_ms(q), 1e6) if one.latencies_ms else 0.0 for _, one, _ in seconds]
        for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
    }
    traffic = {
        "offered": [float(s.requests) for _, s, _ in seconds],
        "served": [float(came) for *_, came in seconds],
    }
    bad = {
        "failed": [float(s.failures) for _, s, _ in seconds],
        "throttled": [float(s.throttled) for _, s, _ in seconds],
    }
    times = [begin + 0.5 for begin, *_ in seconds]
    parts = [_frame(facts, title, x)]
    parts.append(_panel(0, "requests per second", traffic, times=times, x=x))
    parts.append(_panel(1, "latency from the due time, ms", quantiles, times=times, x=x, limit=limit_ms))
    parts.append(_panel(2, "not answered well, per second", bad, times=times, x=x, bars=True))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" role="img">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def _frame(facts: LoadFacts, title: str, x: Callable[[float], float]) -> str:
    """Title, and the stretches behind everything."""
    parts, begins = [f'<text class="t" x="{_LEFT}" y="16">{escape(title)}</text>'], 0.0
    for number, stretch in enumerate(facts.stretches):
        left, right = x(begins), x(begins + stretch.duration_s)
        if number % 2:
            parts.append(
                f'<rect class="x" x="{left:.1f}" y="34" width="{right - left:.1f}" height="{_HEIGHT - 54}"/>'
            )
        if right - left > _LETTER * len(stretch.name):
            parts.append(f'<text x="{left + 3:.1f}" y="{_HEIGHT - 8}">{escape(stretch.name)}</text>')
        begins += stretch.duration_s
    return "".join(parts)


def _panel(
    number: int,
    title: str,
    series: dict[str, list[float]],
    *,
    times: Sequence[float],
    x: Callable[[float], float],
    limit: float | None = None,
    bars: bool = False,
) -> str:
    top, height = _PANELS[number]
    most = max([max(values, default=0.0) for values in series.values()] + [limit or 0.0, 1.0])
    step = _step(most)
    ceiling = math.ceil(most / step) * step

    def y(value: float) -> float:
        return top + height - value / ceiling * height

    parts = []
    for mark in range(round(ceiling / step) + 1):
        level = y(mark * step)
        parts.append(f'<line class="g" x1="{_LEFT}" x2="{_RIGHT}" y1="{level:.1f}" y2="{level:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{level + 4:.1f}" text-anchor="end">{mark * step:g}</text>')
    if limit is not None:
        parts.append(f'<line class="limit" x1="{_LEFT}" x2="{_RIGHT}" y1="{y(limit):.1f}" y2="{y(limit):.1f}"/>')
    for name, values in series.items():
        points = [(x(moment), y(value)) for moment, value in zip(times, values, strict=True)]
        if bars:
            width = max(x(1.0) - x(0.0) - 1, 0.6)
            drawn = [(a, b) for (a, b), value in zip(points, values, strict=True) if value]
            parts += [
                f'<rect class="{name}" x="{a - width / 2:.1f}" y="{b:.1f}" width="{width:.1f}" '
                f'height="{top + height - b:.1f}"/>'
                for a, b in drawn
            ]
        else:
            parts.append(f'<polyline class="{name}" points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in points)}"/>')
    legend = "  ".join(series) + ("  and its bound" if limit is not None else "")
    parts.append(f'<text x="{_LEFT}" y="{top - 8}">{escape(title)}: {_coloured(legend, bars=bars)}</text>')
    return "".join(parts)


def _coloured(legend: str, *, bars: bool) -> str:
    """Names in the colour of their line."""
    colours = {"offered": "#7b8794", "served": "#1f6f54", "p50": "#3f7fbf", "p95": "#b8660f", "p99": "#8b3a8f"}
    colours |= {"failed": "#b3261e", "throttled": "#a8741b"} if bars else {}
    words = [
        f'<tspan style="fill:{colours[word]};font-weight:600">{word}</tspan>' if word in colours else escape(word)
        for word in legend.split()
    ]
    return " ".join(words)


def _step(most: float) -> float:
    """A round distance of marks, about three of them below the top."""
    rough = most / 3
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
