"""Fetches what a text points to: the target's own pages as its plan says, others as anybody would."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from gonogo import Measure, Target, TargetError, equals
from gonogo.probes.http import HttpFacts, HttpProbe
from gonogo.probes.links import Fetch, Visit, visit

MAX_BYTES = 5_000_000


@contextmanager
def fetching(target: Target, timeout_s: float) -> Iterator[Fetch]:
    """A function that fetches one address, within so many seconds.

    Pages of the target's host are asked at its addresses, under its authority; others with the system's.
    """
    with HttpProbe(target.base_url, timeout_s=timeout_s, max_bytes=MAX_BYTES) as elsewhere:

        def fetch(url: str) -> HttpFacts:
            try:
                own = urlsplit(url).hostname == target.host
            except ValueError:
                raise TargetError(f"{url} is no address") from None
            return (target.http() if own else elsewhere).get(url, timeout_s)

        yield fetch


def visited(
    target: Target, urls: Collection[str], timeout_s: float, unasked: Sequence[Any] = ()
) -> tuple[dict[str, Visit], dict[str, str]]:
    """What stands behind each address, and for those that the plan leaves out the reason why.

    Args:
        target: whose own pages are among them.
        urls: absolute addresses.
        timeout_s: limit in seconds for each.
        unasked: patterns and reasons of launch.toml; the target's own pages are asked in any case.
    """
    left_out = {url: why for url in urls if (why := _unasked(target, url, unasked))}
    with fetching(target, timeout_s) as fetch:
        asked = [url for url in urls if url not in left_out]
        return visit(asked, fetch, own_host=target.host), left_out


def measure_visit(measure: Measure, name: str, found: Visit, source: str) -> bool:
    """State what stood behind one address: 200, or a sentence on what is wrong; returns whether it is right."""
    return measure(name, found.problem or found.status, equals(200, source)).ok is True


def _unasked(target: Target, url: str, unasked: Sequence[Any]) -> str:
    if urlsplit(url).hostname == target.host:
        return ""
    return next((entry.reason for entry in unasked if fnmatchcase(url, entry.pattern)), "")
