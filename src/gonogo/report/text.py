"""How values read to people: times, spans, labels, and text that can't disturb a page."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
# Controls that XML and HTML forbid, lone surrogates that UTF-8 can't hold, and the marks that
# reverse the reading direction: with those a target's answer could make "FAIL" read otherwise.
_UNFIT = re.compile(
    "[\x00-\x08\x0b-\x0d\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_LONE = re.compile("[\ud800-\udfff]")


def clean(text: str) -> str:
    """Drop what no report may hold: terminal colours, control characters, direction marks."""
    return _UNFIT.sub("", _ANSI.sub("", text))


def encodable(text: str) -> str:
    """Keep the text as it is, but for lone surrogates, which become U+FFFD."""
    return _LONE.sub("\ufffd", text)


def one_line(text: str, limit: int | None = None) -> str:
    """Clean text on a single line, cut at ``limit`` characters with an ellipsis."""
    flat = " ".join(clean(text).split())
    if limit is not None and len(flat) > limit:
        return flat[: limit - 1].rstrip() + "…"
    return flat


def clip(text: str, limit: int = 4000) -> str:
    """Cut long text and say how much is left out, and where it is."""
    if len(text) <= limit:
        return text
    return f"{text[:limit].rstrip()} … ({len(text) - limit} more characters in go-no-go.json)"


def as_utc(at: datetime) -> datetime:
    """The same instant in UTC; a time without a zone is taken for UTC."""
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def when(at: datetime | None, missing: str = "not set") -> str:
    """A time for people: ``2026-11-23 14:05 UTC``."""
    return missing if at is None else f"{as_utc(at):%Y-%m-%d %H:%M} UTC"


def stamp(at: datetime | None) -> str | None:
    """A time for machines: ISO 8601 in UTC, with a ``Z``."""
    return None if at is None else as_utc(at).isoformat().replace("+00:00", "Z")


def took(seconds: float) -> str:
    """A duration for people: ``0.12 s``, ``42.0 s``, ``3 min 05 s``, ``2 h 10 min``."""
    if not math.isfinite(seconds) or seconds < 0:
        return "—"
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def span(length: timedelta) -> str:
    """A shelf life in the playbook's own spelling: ``3d``, ``12h``, ``90min``."""
    seconds = int(length.total_seconds())
    for size, letter in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{letter}"
    return f"{seconds}s"


def phase_label(phase: str) -> str:
    """A phase id as people say it: ``t3`` -> ``T-3``, ``hours2_4`` -> ``Hours 2-4``."""
    match = re.fullmatch(r"([a-z]+?)(\d+)(?:_(\d+))?", phase)
    if not match:
        return phase
    word, first, last = match.groups()
    numbers = f"{first}-{last}" if last else first
    return f"T-{numbers}" if word == "t" else f"{word.capitalize()} {numbers}"


def plural(count: int, noun: str) -> str:
    """``1 gate``, ``3 gates``, ``2 boxes``."""
    if count == 1:
        return f"1 {noun}"
    return f"{count} {noun}{'es' if noun.endswith('x') else 's'}"


def percent(share: float | None) -> str:
    """A share of the bound with its sign: ``+43 %``, ``-105 %``; a dash if there is none.

    Beyond ten times the bound the figure says nothing more: ``>+999 %``, ``<-999 %``.
    """
    if share is None or not math.isfinite(share):
        return "—"
    if abs(share) < 0.0005:
        return "0 %"
    if abs(share) >= 10:
        return ">+999 %" if share > 0 else "<-999 %"
    digits = 1 if abs(share) < 0.1 else 0
    return f"{'+' if share > 0 else '-'}{abs(share) * 100:.{digits}f} %"
