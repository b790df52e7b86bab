"""How the fleet's API is read: lists in pages, single things, figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gonogo import TargetError

if TYPE_CHECKING:
    from gonogo.probes.http import HttpProbe

FULL_PAGE = 500
"""Largest page the API gives."""

Item = dict[str, Any]


@dataclass(frozen=True)
class Listing:
    """One page of a list."""

    status: int
    content_type: str
    items: tuple[Item, ...]
    total: int

    @property
    def ids(self) -> list[str]:
        """Ids of the items, in the order in which they came."""
        return [str(item.get("id")) for item in self.items]


def read_page(client: HttpProbe, path: str, limit: int, offset: int = 0, **wanted: str) -> Listing:
    """Fetches one page of a list.

    Args:
        client: who asks.
        path: of the list.
        limit: most items.
        offset: items to pass over.
        wanted: further parameters; ``from_`` stands for ``from``.

    Raises:
        TargetError: the answer is not a list in the API's shape.
    """
    params = {name.rstrip("_"): value for name, value in wanted.items()}
    answer = client.get(path, params={**params, "limit": limit, "offset": offset})
    document = answer.json()
    fields = document if isinstance(document, dict) else {}
    items, total = fields.get("items"), fields.get("total")
    if not isinstance(items, list) or not all(isinstance(i, dict) for i in items) or type(total) is not int:
        # Only its shape: what it holds instead may be about people.
        raise TargetError(f"{answer.url} answered HTTP {answer.status} without a list of items and a total")
    return Listing(answer.status, answer.content_type, tuple(items), total)


def read_all(client: HttpProbe, path: str, **wanted: str) -> list[Item]:
    """Fetches a whole list, page by page, each item once.

    Raises:
        TargetError: a page can't be read, or the list does not end where its total says.
    """
    found: dict[str, Item] = {}
    while True:
        page = read_page(client, path, FULL_PAGE, len(found), **wanted)
        before = len(found)
        found |= dict(zip(page.ids, page.items, strict=True))
        if len(found) >= page.total:
            return list(found.values())
        if len(found) == before:
            raise TargetError(f"{path} says {page.total} in total, but gives only {before}")


def read_one(client: HttpProbe, path: str) -> tuple[int, Item]:
    """Fetches one thing: the HTTP status, and what was answered if it is an object."""
    answer = client.get(path)
    try:
        document = answer.json()
    except TargetError:
        document = None
    return answer.status, document if isinstance(document, dict) else {}


def spread(items: list[Item], most: int) -> list[Item]:
    """At most ``most`` items, evenly spread, the first and the last among them."""
    if len(items) <= most:
        return items
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]
