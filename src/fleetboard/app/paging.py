"""Lists of the API: which part is wanted, read from the query; that part and the total, read from the database."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from fleetboard.app.database import Row
from fleetboard.app.state import State

_DEFAULT_LIMIT = 50
_MAX_LIMIT = 500
_MAX_OFFSET = 1_000_000


@dataclass(frozen=True)
class Page:
    """Which part of a list is wanted."""

    limit: int
    offset: int


@dataclass
class Wanted:
    """Which rows of a table are wanted; the parts are SQL of ours, values travel apart from it."""

    columns: str
    source: str
    order: str
    counted: str = ""
    """A smaller source with as many rows, for the total; empty: the same."""
    conditions: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)

    def only(self, condition: str, **values: Any) -> None:
        """Narrow it by a condition with these values."""
        self.conditions.append(condition)
        self.values |= values


def page_of(request: Request) -> Page:
    """What a request asks for.

    Raises:
        HTTPException: 422, a number is none or out of range.
    """
    query = request.query_params
    limit = whole_number("limit", query.get("limit"), _DEFAULT_LIMIT, 1, _MAX_LIMIT)
    return Page(limit, whole_number("offset", query.get("offset"), 0, 0, _MAX_OFFSET))


def whole_number(name: str, text: str | None, default: int, lowest: int, highest: int) -> int:
    """A query parameter as a number.

    Raises:
        HTTPException: 422, with a sentence, if it is no whole number in plain digits or out of range.
    """
    if text is None:
        return default
    plain = text.removeprefix("-")
    number = int(text) if plain.isascii() and plain.isdigit() and len(plain) < 10 else None
    if number is None or not lowest <= number <= highest:
        raise HTTPException(422, f"{name} must be a whole number from {lowest} to {highest}; it was {text!r}")
    return number


def one_of(query: QueryParams, name: str, allowed: Sequence[str]) -> str | None:
    """A query parameter that has few values; ``None`` without it.

    Raises:
        HTTPException: 422, it has another one.
    """
    text = query.get(name)
    if text is not None and text not in allowed:
        raise HTTPException(422, f"{name} must be one of {', '.join(allowed)}; it was {text!r}")
    return text


def is_id(letter: str, text: str) -> bool:
    """Whether this may be the id of something; what can't be one need not be looked for."""
    return re.fullmatch(rf"{letter}-[0-9]{{3,12}}", text) is not None


async def fetch(state: State, wanted: Wanted, page: Page) -> tuple[list[Row], int]:
    """One page of rows, and how many there are in all."""
    where = f"WHERE {' AND '.join(wanted.conditions)}" if wanted.conditions else ""
    values = {**wanted.values, "limit": page.limit, "offset": page.offset}
    part = "" if state.has("api-ignores-paging") else "LIMIT %(limit)s OFFSET %(offset)s"
    rows = f"SELECT {wanted.columns} FROM {wanted.source} {where} ORDER BY {wanted.order} {part}"  # noqa: S608 - ours
    count = f"SELECT count(*) AS n FROM {wanted.counted or wanted.source} {where}"  # noqa: S608 - ours
    async with state.database.connection() as connection:
        found = await (await connection.execute(rows.encode(), values)).fetchall()
        total = await (await connection.execute(count.encode(), values)).fetchone()
    return found, int(total["n"]) if total else 0


def answer(items: Sequence[Row], total: int, page: Page) -> JSONResponse:
    """The form of every list."""
    return JSONResponse({"items": items, "total": total, "limit": page.limit, "offset": page.offset})
