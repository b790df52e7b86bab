"""How the fleet's API is read: lists in pages, single vehicles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gonogo import Target, TargetError

FULL_PAGE = 500
"""Largest page the API gives."""

Vehicle = dict[str, Any]


@dataclass(frozen=True)
class Listing:
    """One page of a list."""

    status: int
    content_type: str
    items: tuple[Vehicle, ...]
    total: int

    @property
    def ids(self) -> list[str]:
        """Ids of the items, in the order in which they came."""
        return [str(item.get("id")) for item in self.items]


def read_page(target: Target, path: str, limit: int, offset: int = 0) -> Listing:
    """Fetches one page of a list.

    Raises:
        TargetError: the answer is not a list in the API's shape.
    """
    answer = target.http().get(path, params={"limit": limit, "offset": offset})
    document = answer.json()
    fields = document if isinstance(document, dict) else {}
    items, total = fields.get("items"), fields.get("total")
    if not isinstance(items, list) or not all(isinstance(i, dict) for i in items) or type(total) is not int:
        raise TargetError(
            f"{answer.url} answered {answer.status} without a list of items and a total; "
            f"its body starts with {answer.text[:60]!r}"
        )
    return Listing(answer.status, answer.content_type, tuple(items), total)


def read_all(target: Target, path: str) -> list[Vehicle]:
    """Fetches a whole list, page by page, each item once.

    Raises:
        TargetError: a page can't be read, or the list does not end where its total says.
    """
    found: dict[str, Vehicle] = {}
    while True:
        page = read_page(target, path, FULL_PAGE, len(found))
        before = len(found)
        found |= dict(zip(page.ids, page.items, strict=True))
        if len(found) >= page.total:
            return list(found.values())
        if len(found) == before:
            raise TargetError(f"{target.url(path)} says {page.total} in total, but gives only {before}")


def spread(items: list[Vehicle], most: int) -> list[Vehicle]:
    """At most ``most`` items, evenly spread, the first and the last among them."""
    if len(items) <= most:
        return items
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]
