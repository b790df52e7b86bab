"""When a line of a log was written, as far as the line says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from email.utils import parsedate_to_datetime

_HEAD = 80
"""Characters of a line within which its time must stand: dates further on are what the line is about."""
_JSON_HEAD = 4000
_AHEAD_S = 15 * 3600.0
"""A time further ahead than any zone can explain is no time of writing, but one that the line is about."""

_ISO = re.compile(
    r"(?<!\d)(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?"
    r"\s?(Z\b|UTC\b|GMT\b|[+-]\d\d:?\d\d)?"
)
_WEB = re.compile(r"\[(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d:\d\d:\d\d) ([+-]\d{4})\]")
_SYSLOG = re.compile(r"^(?:<\d{1,3}>)?([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d\d:\d\d:\d\d)\b")
_APACHE = re.compile(
    r"^\[?[A-Z][a-z]{2} ([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d\d):(\d\d):(\d\d)(?:\.\d{1,9})? (\d{4})\b"
)
_TOMCAT = re.compile(r"^(\d\d)-([A-Z][a-z]{2})-(\d{4}) (\d\d):(\d\d):(\d\d)\b")
_PROSE = re.compile(r"([A-Za-z]+):?\s+[\"']?$")
"""A word before a date: what is told of it is no time of writing, unless it is one of those below."""
_TIMELY = {
    *("time", "ts", "timestamp", "date", "at", "http", "https"),
    *("trace", "debug", "info", "notice", "warn", "warning", "error", "fatal", "critical"),
}
_EPOCH = re.compile(r"^[\[({\"]?(1\d{9})(?:(\d{3})|(\.\d{1,9}))?(?![\d\w])")
_JSON_TIME = re.compile(r"(?i)\"(?:@?timestamp|@t|time|ts|datetime|date|asctime)\"\s*:\s*(?=[\"1])")
_MONTHS = {
    name: number
    for number, name in enumerate(("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec").split(), 1)  # noqa: SIM905
}


@dataclass(frozen=True)
class Stamp:
    """The time of a line."""

    at: float
    """Seconds since 1970."""
    assumed: bool
    """The line does not say its zone."""


def stamp_of(line: str, zone: tzinfo, now: float) -> Stamp | None:
    """The time at the beginning of a line, or in its JSON; ``None`` if it has none, as lines that go on an entry.

    Known are ISO 8601 (with ``T`` or a space, with slashes too), the formats of syslog and of web servers, and
    seconds or milliseconds since 1970.

    Args:
        line: one line.
        zone: of times without one.
        now: seconds since 1970; tells the year of those without one.
    """
    if line.startswith("{"):
        ends = (found.end() for found in _JSON_TIME.finditer(line[:_JSON_HEAD]))
        heads = (line[end : end + _HEAD].partition(",")[0] for end in ends)  # a "time" may be how long it took
        return next((stamp for head in heads if (stamp := _stamp(head, zone, now)) is not None), None)
    return None if line[:1].isspace() else _stamp(line[:_HEAD], zone, now)


def _stamp(head: str, zone: tzinfo, now: float) -> Stamp | None:
    try:
        stamp = _iso(head, zone) or _web(head) or _syslog(head, zone, now) or _dated(head, zone) or _epoch(head)
    except (ValueError, OverflowError):  # it only looks like a time: the 45th of some month
        return None
    return stamp if stamp is not None and stamp.at <= now + _AHEAD_S else None


def _iso(head: str, zone: tzinfo) -> Stamp | None:
    found = _ISO.search(head)
    if found is None:
        return None
    word = _PROSE.search(head[: found.start()])
    if word is not None and not word[1].isupper() and word[1].lower() not in _TIMELY:
        return None
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    micro = int((found[7] or "0").ljust(6, "0")[:6])
    told = found[8]
    # 60 is a leap second.
    moment = datetime(year, month, day, hour, minute, min(second, 59), micro, UTC if told else zone)
    shift = 0.0
    if told and told[0] in "+-":
        digits = told[1:].replace(":", "")
        shift = (int(digits[:2]) * 3600 + int(digits[2:]) * 60) * (1 if told[0] == "+" else -1)
    return Stamp(moment.timestamp() - shift, assumed=not told)


def _web(head: str) -> Stamp | None:
    found = _WEB.search(head)
    if found is None:
        return None
    day, month, year, clock, offset = found.groups()
    return Stamp(parsedate_to_datetime(f"{day} {month} {year} {clock} {offset}").timestamp(), assumed=False)


def _syslog(head: str, zone: tzinfo, now: float) -> Stamp | None:
    found = _SYSLOG.match(head)
    if found is None or found[1] not in _MONTHS:
        return None
    hour, minute, second = (int(part) for part in found[3].split(":"))
    year = datetime.fromtimestamp(now, zone).year
    for candidate in (year + 1, year, year - 1):
        try:
            at = datetime(candidate, _MONTHS[found[1]], int(found[2]), hour, minute, min(second, 59), tzinfo=zone)
        except ValueError:  # the 29th of February of another year
            continue
        if at.timestamp() <= now + _AHEAD_S:
            return Stamp(at.timestamp(), assumed=True)
    return None


def _dated(head: str, zone: tzinfo) -> Stamp | None:
    """As Apache's and Tomcat's logs of errors write it."""
    if found := _APACHE.match(head):
        month, day, hour, minute, second, year = found.groups()
    elif found := _TOMCAT.match(head):
        day, month, year, hour, minute, second = found.groups()
    else:
        return None
    clock = (int(hour), int(minute), min(int(second), 59))
    moment = datetime(int(year), _MONTHS.get(month, 0), int(day), *clock, tzinfo=zone)
    return Stamp(moment.timestamp(), assumed=True)


def _epoch(head: str) -> Stamp | None:
    found = _EPOCH.match(head)
    if found is None:
        return None
    whole, milli, part = found.groups()
    return Stamp(int(whole) + int(milli or 0) / 1000 + float(part or 0), assumed=False)
