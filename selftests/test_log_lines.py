"""Lines of logs: the time of each format, and what must not be stored of them."""

from __future__ import annotations

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonogo.redaction import redacted
from gonogo.timestamps import stamp_of

NOW = 1795620600.0  # 2026-11-25 15:30:00 UTC


# Times


@pytest.mark.parametrize(
    ("line", "ago_s", "assumed"),
    [
        ("2026-11-25T15:29:00Z INFO up", 60, False),
        ("2026-11-25T15:29:00.250Z INFO up", 59.75, False),
        ("2026-11-25 15:29:00,250 INFO up", 59.75, True),
        ("2026-11-25 16:29:00+0100 up", 60, False),
        ("2026-11-25T10:29:00-05:00 up", 60, False),
        ("2026-11-25 15:29:00 UTC [77] FATAL:  no", 60, False),
        ("[2026-11-25T15:29:00.000Z] up", 60, False),
        ("INFO  [2026-11-25 15:29:00] up", 60, True),
        ("web_1  | 2026-11-25T15:29:00Z up", 60, False),
        ("2026/11/25 15:29:00 [error] 7#7: *1 up", 60, True),
        ('10.0.0.1 - - [25/Nov/2026:15:29:00 +0000] "GET / HTTP/1.1" 200 5', 60, False),
        ("Nov 25 15:29:00 host fleet[7]: up", 60, True),
        ("<11>Nov 25 15:29:00 host fleet[7]: up", 60, True),
        ("Dec 24 15:29:00 host fleet[7]: last year's", 365 * 86400 - 29 * 86400 + 60, True),
        ("1795620540 up", 60, False),
        ("[1795620540.5] up", 59.5, False),
        ("1795620540250 up", 59.75, False),
        ('{"level":30,"time":1795620540250,"msg":"up"}', 59.75, False),
        ('{"msg":"until 2020-01-01T00:00:00Z","timestamp":"2026-11-25T15:29:00Z"}', 60, False),
        ('{"@timestamp": "2026-11-25T15:29:00.000+00:00", "log.level": "info"}', 60, False),
    ],
)
def test_the_time_of_a_line(line: str, ago_s: float, assumed: bool) -> None:
    stamp = stamp_of(line, UTC, NOW)

    assert stamp is not None
    assert (NOW - stamp.at, stamp.assumed) == (pytest.approx(ago_s), assumed)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Traceback (most recent call last):",
        '  File "2026-11-25 15:29:00.py", line 3',
        "\tat Object.<anonymous> 2026-11-25T15:29:00Z",
        "expires 2036-01-01T00:00:00Z",  # what the line is about
        "2026-13-45 15:29:00 no such month",
        "17956205401234567890 a number",
        "order 1795620540 was late",
        '{"msg": "no time"}',
        "Okt 25 15:29:00 another language",
    ],
)
def test_a_line_without_a_time_of_its_own(line: str) -> None:
    assert stamp_of(line, UTC, NOW) is None


def test_a_time_without_a_zone_is_read_in_the_plan_s() -> None:
    stamp = stamp_of("2026-11-25 16:29:00 up", ZoneInfo("Europe/Berlin"), NOW)

    assert stamp is not None
    assert NOW - stamp.at == 60


@given(st.text(max_size=120))
def test_no_line_breaks_the_reading(line: str) -> None:
    stamp_of(line, UTC, NOW)
    redacted(line)


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ("login failed password=hunter2 for x", "hunter2"),
        ('{"password": "hun ter2", "a": 1}', "hun ter2"),
        ("DB_PASSWORD='hunter2'", "hunter2"),
        ("api_key: hunter2, next", "hunter2"),
        ("Authorization: Bearer hunter2hunter2", "hunter2"),
        ("authorization: Basic aHVudGVyMjpodW50ZXIy", "aHVudGVy"),
        ("sent Bearer abcdefghij0123456789", "abcdefghij"),
        ("postgres://fleet:hunter2@db:5432/fleet refused", "hunter2"),
        ("token eyJhbGciOi.eyJzdWIiOi.SflKxwRJ bad", "eyJhbGciOi"),
        ("mail to ada.lovelace@example.com bounced", "lovelace"),
        ("key 9f8e7d6c5b4a39281706f5e4d3c2b1a0 unknown", "9f8e7d6c"),
        ("from 93.184.216.34 refused", "93.184"),
        ("from 2606:2800:220:1:248:1893:25c8:1946 refused", "25c8"),
        ("Set-Cookie: sid=hunter2; path=/", "hunter2"),
    ],
)
def test_secrets_and_people_are_taken_out(line: str, secret: str) -> None:
    assert secret not in redacted(line)
    assert "[redacted]" in redacted(line)


@pytest.mark.parametrize(
    "line",
    [
        "GET /api/fleet/loads: answered 500",
        "connect ECONNREFUSED 10.0.0.7:6379",
        "connect to 127.0.0.1:5432 and ::1 refused",
        "release 1.2.3 at 15:29:00",
        "/srv/fleet/releases/current/lib/python3.11/site-packages/fleet/app.py line 7",
    ],
)
def test_what_tells_the_place_stays(line: str) -> None:
    assert redacted(line) == line
