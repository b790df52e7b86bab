"""Reads logs for lines that report an error: files with their rotated ones, journald, the output of a command.

Memory is bounded whatever the size: a file is read line by line, from where its last ``max_bytes`` begin.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import re
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path
from typing import IO, Any

from gonogo.errors import TargetError, ToolError
from gonogo.redaction import redacted
from gonogo.timestamps import stamp_of

KEPT = 200
"""Error lines of each log that are kept; all of them are counted."""
_LINE_BYTES = 65_536
"""What is looked at of one line."""
_KEPT_CHARACTERS = 400
_ODD_S = 900.0
"""No two zones lie closer together, but for a few of a quarter of an hour."""
_JOURNAL_ERROR = 3
"""Syslog's severity ``err``; those below are worse."""
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_ROTATED = re.compile(
    r"(?:\.(?:\d{1,3}|old|gz|bz2|xz)|[.-]\d{8}(?:[-T_]?\d{4,6})?|[._-]\d{4}-\d\d-\d\d(?:[-T_:]\d\d){0,3})+(?=(?:\.log)?$)"
)
_PACKED: dict[str, Callable[[Path], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


@dataclass(frozen=True)
class Rules:
    """What counts as an error, and how far back."""

    errors: Sequence[re.Pattern[str]]
    allowed: Sequence[re.Pattern[str]]
    since: float
    """Seconds since 1970; older lines are passed over."""
    now: float
    zone: tzinfo
    """Of times without one."""
    max_bytes: int
    """Of one file, from its end."""
    ends: float
    """When reading must be over, on the monotonic clock."""


@dataclass
class LogFacts:
    """What stands in one log, its rotated files included."""

    name: str
    lines: int = 0
    """Since then, in all of its files."""
    older: int = 0
    """Lines from before."""
    errors: int = 0
    kept: list[str] = field(default_factory=list)
    """The first error lines with file and number, redacted."""
    allowed: Counter[str] = field(default_factory=Counter)
    """Error lines that were excused, by pattern."""
    problems: list[str] = field(default_factory=list)
    """Why it is not certain that all lines since then were read."""


class _Reader:
    """Takes the lines of one file, journal or output in."""

    def __init__(self, facts: LogFacts, rules: Rules, where: str) -> None:
        self._facts = facts
        self._rules = rules
        self._where = where
        self._number = 0
        self.first: float | None = None
        self.newest: float | None = None
        self.assumed = False
        self.trailing = 0
        """Lines without a time of their own since the last one that has one."""

    def take(self, text: str, at: float | None = None, *, error: bool = False) -> None:
        """Judge one line; ``at`` and ``error`` are what is known of it beside its text."""
        self._number += 1
        if time.monotonic() > self._rules.ends:
            raise ToolError(f"{self._where} could not be read in time; lower logs.max_mb, or raise logs.timeout_s")
        line = _COLOURS.sub("", text)
        self._tell_time(line, at)
        # What comes before the first time counts, since it may be new; so does what follows a line that is new,
        # whatever date it speaks of.
        if self.newest is not None and self.newest < self._rules.since:
            self._facts.older += 1
            return
        if not line.strip():
            return
        self._facts.lines += 1
        if error or any(pattern.search(line) for pattern in self._rules.errors):
            self._judge(line)

    def _tell_time(self, line: str, at: float | None) -> None:
        if at is None:
            stamp = stamp_of(line, self._rules.zone, self._rules.now)
            if stamp is None:
                self.trailing += 1
                return
            at = stamp.at
            self.assumed |= stamp.assumed
        self.trailing = 0
        self.first = at if self.first is None else self.first
        self.newest = at if self.newest is None else max(at, self.newest)

    def _judge(self, line: str) -> None:
        excuse = next((one.pattern for one in self._rules.allowed if one.search(line)), None)
        if excuse is not None:
            self._facts.allowed[excuse] += 1
            return
        self._facts.errors += 1
        if len(self._facts.kept) < KEPT:
            # Redacted before it is cut: half a secret may look like none.
            shown = redacted(line.strip())[:_KEPT_CHARACTERS]
            self._facts.kept.append(f"{self._where}:{self._number}: {shown}")


def read_files(files: Sequence[Path], rules: Rules) -> list[LogFacts]:
    """Reads files; those that were rotated away from a log count as that log. By name.

    Raises:
        ToolError: one can't be read, or not in time.
    """
    bases = {file: file.with_name(_ROTATED.sub("", file.name) or file.name) for file in files if _is_file(file)}
    names = Counter(base.name for base in set(bases.values()))
    logs: dict[Path, LogFacts] = {}
    for file, base in sorted(bases.items()):
        name = base.name if names[base.name] == 1 else str(base)
        _read_file(file, logs.setdefault(base, LogFacts(name)), rules)
    return [logs[base] for base in sorted(logs)]


def _is_file(file: Path) -> bool:
    try:
        return file.is_file()
    except OSError as error:
        raise ToolError(f"the log {file} can't be read ({error.strerror}); let us read it") from None


def _read_file(file: Path, facts: LogFacts, rules: Rules) -> None:
    reader = _Reader(facts, rules, file.name)
    try:
        written = file.stat().st_mtime
        if written < rules.since:  # so is all that stands in it
            return
        opened = _PACKED.get(file.suffix)
        if opened is not None:
            skipped = 0
            with opened(file) as packed:
                _take_all(packed, reader, facts, file.name)
        else:
            skipped = max(0, file.stat().st_size - rules.max_bytes)
            with file.open("rb") as stream:
                stream.seek(skipped)
                if skipped:
                    stream.readline(_LINE_BYTES)  # the rest of a line
                _take_all(stream, reader, facts, file.name)
    except FileNotFoundError:
        return  # rotated away just now; its lines are in the next file
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ToolError(f"the log {file} can't be read ({why}); let us read it, or name another log") from None
    if skipped and not (reader.first is not None and reader.first < rules.since):
        facts.problems.append(f"{file.name}: its first {skipped} bytes were not read; raise logs.max_mb")
    _doubt(reader, written, file.name, facts, rules)


def _take_all(stream: IO[bytes], reader: _Reader, facts: LogFacts, name: str) -> None:
    # Of a line that is too long, each piece counts as a line.
    while data := stream.readline(_LINE_BYTES):
        if b"\0" in data and not facts.problems:
            facts.problems.append(f"{name}: it is no text; name only text files, plain or packed as gz, bz2 or xz")
        reader.take(data.decode("utf-8", "backslashreplace").rstrip("\r\n"))


def _doubt(reader: _Reader, written: float, name: str, facts: LogFacts, rules: Rules) -> None:
    """Times that don't fit the file's own would hide lines."""
    if reader.newest is None:
        return
    behind = written - reader.newest
    if reader.newest > rules.now + _ODD_S or (reader.assumed and behind > _ODD_S):
        side = "older than" if behind > 0 else "ahead of"
        facts.problems.append(
            f"{name}: its newest line is {abs(behind):.0f} s {side} the file; "
            "say the zone of its times with logs.zone"
        )
    elif reader.newest < rules.since and (reader.trailing or behind > _ODD_S):
        facts.problems.append(
            f"{name}: it was written {behind:.0f} s after the newest time that stands in it, so that lines of it "
            "may be new; log each line with the time of writing it"
        )


def read_output(name: str, text: str, rules: Rules, *, whole: bool = True) -> LogFacts:
    """Reads what a command printed; ``whole`` says whether that is all of it."""
    facts = LogFacts(name)
    reader = _Reader(facts, rules, name)
    for line in text.splitlines():
        reader.take(line)
    _cut(reader, facts, rules, whole=whole)
    return facts


def read_journal(name: str, text: str, rules: Rules, *, whole: bool = True) -> LogFacts:
    """Reads what ``journalctl --output=json`` printed; severity ``err`` and worse is an error whatever the text.

    Raises:
        TargetError: a line is no entry of a journal.
    """
    facts = LogFacts(name)
    reader = _Reader(facts, rules, name)
    for number, line in enumerate(text.splitlines()):
        if line.startswith("{"):
            _take_entry(reader, line, name)
        elif line.strip() and (whole or number > 1):  # a warning of ssh, say; not what is left of a cut line
            reader.take(line)
    _cut(reader, facts, rules, whole=whole)
    return facts


def _take_entry(reader: _Reader, line: str, name: str) -> None:
    try:
        entry = json.loads(line)
        at = int(entry["__REALTIME_TIMESTAMP"]) / 1e6
        severity = int(entry.get("PRIORITY") or 6)
        message = entry.get("MESSAGE")
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        raise TargetError(f"journalctl printed for {name}: {redacted(line[:200])!r}, which is no entry") from None
    if isinstance(message, list):  # how bytes that are no text are written
        message = bytes(b for b in message if isinstance(b, int) and 0 <= b < 256).decode(
            "utf-8", "backslashreplace"
        )
    for part in str(message or "").splitlines() or ["(an empty message)"]:
        reader.take(part, at, error=severity <= _JOURNAL_ERROR)


def _cut(reader: _Reader, facts: LogFacts, rules: Rules, *, whole: bool) -> None:
    if not whole and not (reader.first is not None and reader.first < rules.since):
        facts.problems.append(f"{facts.name}: its output was too long, its beginning is lost; lower logs.within_s")


def compiled(patterns: Iterable[str]) -> list[re.Pattern[str]]:
    """Regular expressions, ready for :class:`Rules`."""
    return [re.compile(pattern) for pattern in patterns]
