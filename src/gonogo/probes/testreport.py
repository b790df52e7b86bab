"""What JUnit files say of a run of tests, counted case by case, and which of them that run has written.

The numbers in a file's attributes are somebody's claim; the cases are what there is. Files are untrusted: entities
are refused, the size is limited.
"""

from __future__ import annotations

import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException  # type: ignore[import-untyped]
from defusedxml.ElementTree import fromstring  # type: ignore[import-untyped]

from gonogo.errors import TargetError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MAX_BYTES = 200_000_000
"""A larger result file is refused."""
CLOCK = timedelta(seconds=60)
"""By which the clock of the tests may differ from ours."""
ANY_ZONE = timedelta(hours=26)
"""By which a date without a zone may differ from the same date in UTC, with some room."""

State = Mapping[Path, tuple[int, int, int]]
"""Each file with inode, size and time of its last change (ns)."""


@dataclass(frozen=True)
class SuiteFacts:
    """All cases of one run."""

    tests: int
    failed: tuple[str, ...]
    """Names of the cases that failed or broke."""
    skipped: tuple[str, ...]
    flaky: tuple[str, ...]
    """Cases that passed when they were repeated."""
    claims: tuple[str, ...]
    """Where a file's own numbers speak of more failures than it holds."""
    claimed: int
    """Cases that the files' own numbers speak of; pytest counts subtests there, which are no cases."""
    files: tuple[str, ...]
    old: tuple[str, ...]
    """Files whose own date lies before the run."""

    @property
    def passed(self) -> int:
        """Cases that were run and are good."""
        return self.tests - len(self.failed) - len(self.skipped)


def state(files: Iterable[Path]) -> State:
    """What tells a file from the one that is there in its place later."""
    found = {}
    for path in files:
        try:
            status = path.stat()
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode):  # a folder is no result, and a pipe would be waited for
            found[path] = (status.st_ino, status.st_size, status.st_mtime_ns)
    return found


def written(before: State, after: State) -> list[Path]:
    """Files that are new, or were written anew, in between."""
    return [path for path, seen in after.items() if before.get(path) != seen]


def read(files: Sequence[Path], *, since: datetime | None = None) -> SuiteFacts:
    """Count the cases of some JUnit files; a case that stands in several files counts once.

    Args:
        files: the files, in any flavour: pytest, surefire, jest-junit, gotestsum, googletest.
        since: when the run began; files that say to be older are told.

    Raises:
        TargetError: a file is no JUnit file, is too large or can't be read.
    """
    suites = {path: _parse(path) for path in files}
    counted: Counter[tuple[str, ...]] = Counter()
    worst: dict[tuple[str, ...], str] = {}
    for root in suites.values():
        cases: Counter[tuple[str, ...]] = Counter()
        for key, verdict in _cases(root):
            cases[key] += 1
            worst[key] = max(verdict, worst.get(key, ""), key=_RANK.index)
        counted |= cases
    named: dict[str, list[str]] = {verdict: [] for verdict in _RANK}
    for key, verdict in worst.items():
        times = counted[key] if verdict == "skipped" else 1
        named[verdict] += ["::".join(part for part in key[1:] if part)] * times
    return SuiteFacts(
        tests=counted.total(),
        failed=tuple(named["failed"]),
        skipped=tuple(named["skipped"]),
        flaky=tuple(named["flaky"]),
        claimed=sum(_claimed(root) for root in suites.values()),
        claims=tuple(claim for path, root in suites.items() for claim in _claims(path.name, root)),
        files=tuple(path.name for path in files),
        old=tuple(path.name for path, root in suites.items() if since and _is_old(path, root, since)),
    )


_RANK = ("", "passed", "flaky", "skipped", "failed")
_BAD = ("failure", "error")
_WENT_WRONG = (*_BAD, "failed", "fail", "errored", "broken", "timeout", "timedout", "crashed", "aborted")
_NOT_RUN = ("notrun", "skipped", "disabled", "ignored", "pending")


def _parse(path: Path) -> Element:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise TargetError(f"{path.name} has {size} bytes; a JUnit file may have {MAX_BYTES}")
        root: Element = fromstring(path.read_bytes(), forbid_dtd=True)
    except OSError as error:
        raise TargetError(f"{path.name} can't be read: {error.strerror}") from None
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise TargetError(f"{path.name} is no JUnit file: {error}; the tests must write it to its end") from None
    if _tag(root) not in {"testsuites", "testsuite"}:
        raise TargetError(f"{path.name} is no JUnit file: it begins with <{_tag(root)}>, not with <testsuites>")
    return root


def _tag(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _cases(suite: Element, name: str = "") -> Iterator[tuple[tuple[str, ...], str]]:
    """Every case below a suite, however deep, as its key and what became of it."""
    own = suite.get("name", name)
    for child in suite:
        match _tag(child):
            case "testsuite":
                yield from _cases(child, own)
            case "testcase":
                place = child.get("classname") or child.get("file") or own
                yield (own, place, child.get("name", "")), _verdict(child)


def _verdict(case: Element) -> str:
    inside = {_tag(child) for child in case}
    status = (case.get("status") or case.get("result") or "").lower()
    if inside.intersection(_BAD) or status in _WENT_WRONG:
        return "failed"
    if "skipped" in inside or status in _NOT_RUN:
        return "skipped"
    return "flaky" if inside.intersection({"flakyFailure", "flakyError"}) else "passed"


def _claims(file: str, root: Element) -> Iterator[str]:
    for suite in root.iter():
        if _tag(suite) not in {"testsuites", "testsuite"}:
            continue
        bad = sum(_verdict(case) == "failed" for case in suite.iter() if _tag(case) == "testcase")
        errors = _number(suite, "failures") + _number(suite, "errors")
        name = f"{file}: {_tag(suite)} {suite.get('name', '')}".rstrip()
        if errors > bad:
            yield f"{name} says {errors} failures and holds {bad}"
        if any(_tag(child) in _BAD for child in suite):
            yield f"{name} failed as a whole"


def _claimed(suite: Element) -> int:
    """Cases by a suite's own number, or by those of the suites in it if it has none."""
    if suite.get("tests"):
        return _number(suite, "tests")
    return sum(_claimed(child) for child in suite if _tag(child) == "testsuite")


def _number(suite: Element, key: str) -> int:
    text = suite.get(key, "0")
    return int(text) if text.isdecimal() else 0


def _is_old(path: Path, root: Element, since: datetime) -> bool:
    """Whether the file's own date, or that of every suite that says when it ran, lies before the run."""
    if datetime.fromtimestamp(path.stat().st_mtime, UTC) < since - CLOCK:
        return True
    moments = []
    for suite in root.iter():
        try:
            moments.append(datetime.fromisoformat(suite.get("timestamp", "")))
        except ValueError:
            continue
    return bool(moments) and all(_is_before(moment, since) for moment in moments)


def _is_before(moment: datetime, since: datetime) -> bool:
    if moment.tzinfo:
        return moment < since - CLOCK
    return moment.replace(tzinfo=UTC) < since - ANY_ZONE
