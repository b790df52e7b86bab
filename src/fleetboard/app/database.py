"""Connections to PostgreSQL: pooled, or, as a fault, one for every query."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

Row = dict[str, Any]
Connection = psycopg.AsyncConnection[Row]

_MIN_SIZE = 2
_MAX_SIZE = 10
_WAIT_S = 10.0
_OPEN_S = 45.0
"""For the first connections: while everything starts, a busy machine is slow."""
_POLL_S = 0.005

# Above the numbers that the fleet began with.
_FIRST_NUMBER, _NUMBERS = 200_000, 800_000
_DRAWS = 20


@dataclass(frozen=True)
class PoolState:
    """The pool of this process at one moment."""

    minimum: int
    maximum: int
    size: int
    in_use: int
    waiting: int

    @property
    def usage_percent(self) -> float:
        """Share of the allowed connections that is in use."""
        return round(100 * self.in_use / self.maximum, 1) if self.maximum else 0.0


class Database:
    """What the application reads from and writes to."""

    def __init__(self, url: str, *, pooled: bool = True, exhausted: bool = False) -> None:
        self._url = url
        self._exhausted = exhausted
        self._holders: list[asyncio.Task[None]] = []
        self._holders_waiting = 0
        self._pool: AsyncConnectionPool[Connection] | None = None
        if pooled:
            self._pool = AsyncConnectionPool(
                url,
                min_size=_MIN_SIZE,
                max_size=_MAX_SIZE,
                timeout=_WAIT_S,
                open=False,
                kwargs={"autocommit": True, "row_factory": dict_row},
            )

    @property
    def pooled(self) -> bool:
        """Whether connections come from a pool."""
        return self._pool is not None

    async def open(self) -> None:
        """Connect; waits until the smallest number of connections is there."""
        if self._pool is not None:
            await self._pool.open(wait=True, timeout=_OPEN_S)
            if self._exhausted:
                await self.exhaust()

    async def exhaust(self) -> None:
        """From now on all connections of the pool are held, but while somebody waits for one."""
        if self._pool is not None and not self._holders:
            self._holders = [asyncio.create_task(self._hold(self._pool)) for _ in range(_MAX_SIZE)]
            await self._until_exhausted()

    async def close(self) -> None:
        """Disconnect."""
        for holder in self._holders:
            holder.cancel()
        await asyncio.gather(*self._holders, return_exceptions=True)
        if self._pool is not None:
            await self._pool.close(timeout=1)

    async def lose(self) -> None:
        """Give up every connection for good: from now on each query fails."""
        if self._pool is not None:
            await self._pool.close(timeout=1)

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection in autocommit mode, rows as dictionaries."""
        if self._pool is not None:
            async with self._pool.connection() as connection:
                yield connection
        else:
            async with await psycopg.AsyncConnection.connect(
                self._url, autocommit=True, row_factory=dict_row
            ) as connection:
                yield connection

    @contextlib.asynccontextmanager
    async def transaction(self, *, kept: bool = True) -> AsyncIterator[Connection]:
        """A connection in a transaction, which an error takes back; as a fault its end does so too."""
        async with self.connection() as connection, connection.transaction(force_rollback=not kept):
            yield connection

    async def rows(self, query: str, parameters: Sequence[object] | dict[str, object] = ()) -> list[Row]:
        """All rows of one query."""
        async with self.connection() as connection:
            cursor = await connection.execute(query.encode(), parameters)
            return await cursor.fetchall()

    async def execute(self, query: str, parameters: Sequence[object] | dict[str, object] = ()) -> None:
        """Run one statement that returns nothing."""
        async with self.connection() as connection:
            await connection.execute(query.encode(), parameters)

    def state(self) -> PoolState:
        """The pool right now; all zero without one."""
        if self._pool is None:
            return PoolState(0, 0, 0, 0, 0)
        stats = self._pool.get_stats()
        size = stats.get("pool_size", 0)
        in_use = size - stats.get("pool_available", 0)
        return PoolState(_MIN_SIZE, _MAX_SIZE, size, in_use, stats.get("requests_waiting", 0))

    async def _until_exhausted(self) -> None:
        async with asyncio.timeout(_OPEN_S):
            while self.state().in_use < _MAX_SIZE:
                await asyncio.sleep(_POLL_S)

    async def _hold(self, pool: AsyncConnectionPool[Connection]) -> None:
        # A leak that still lets requests through: a holder gives its connection up as soon as somebody
        # beside the other holders waits for one. So the pool is full at any time, and nothing else breaks.
        while True:
            self._holders_waiting += 1
            try:
                connection = await pool.getconn(timeout=3600)
            finally:
                self._holders_waiting -= 1
            try:
                while pool.get_stats().get("requests_waiting", 0) <= self._holders_waiting:
                    await asyncio.sleep(_POLL_S)
            finally:
                await pool.putconn(connection)


def drawn_numbers() -> Iterator[int]:
    """A few numbers for a new id, to be tried in turn: processes can't count together, but rarely draw the same."""
    for _ in range(_DRAWS):
        yield _FIRST_NUMBER + secrets.randbelow(_NUMBERS)


async def one_row(connection: Connection, query: str, values: dict[str, Any]) -> Row | None:
    """The first row of a query, or ``None``."""
    return await (await connection.execute(query.encode(), values)).fetchone()
