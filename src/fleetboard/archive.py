"""The head of a dump in pg_dump's custom format, read and changed in place: what some faults need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from fleetboard.errors import OperationError

_MAGIC = b"PGDMP"
_CUSTOM = 1
_FIRST_WITH_ALGORITHM = (1, 15)
"""Archive version of PostgreSQL 16; before it the compression was a number, not a byte."""


@dataclass(frozen=True)
class Head:
    """Where the parts of the head lie in the file, as (offset, bytes)."""

    times: tuple[tuple[int, int], ...]
    """Second, minute, hour, day, month (from 0), year (from 1900)."""
    database: tuple[int, int]
    client: tuple[int, int]
    """Version of the pg_dump that made it."""


def read_head(data: bytes) -> Head:
    """Find the parts.

    Raises:
        OperationError: this is no such dump.
    """
    if data[:5] != _MAGIC or data[10:11] != bytes([_CUSTOM]):
        raise OperationError("the file is no dump in PostgreSQL's custom format")
    width = data[8]
    begin = 11 + (1 if tuple(data[5:7]) >= _FIRST_WITH_ALGORITHM else 1 + width)
    # An integer is a byte for its sign and `width` bytes, the lowest first.
    times = tuple((begin + number * (1 + width) + 1, width) for number in range(6))
    strings = _strings(data, begin + 7 * (1 + width), width)
    database, _server, client = next(strings), next(strings), next(strings)
    return Head(times, database, client)


def with_database(data: bytes, name: str) -> bytes:
    """The dump as if it were of another database; both names must have the same length in bytes."""
    return _replaced(data, read_head(data).database, name.encode())


def with_client_major(data: bytes, major: str) -> bytes:
    """The dump as if made by another major version of pg_dump; both must have two digits."""
    offset, _ = read_head(data).client
    return _replaced(data, (offset, len(major)), major.encode())


def with_time(data: bytes, at: datetime) -> bytes:
    """The dump as if made at this time; without a zone, as pg_dump writes it."""
    for place, value in zip(
        read_head(data).times,
        (at.second, at.minute, at.hour, at.day, at.month - 1, at.year - 1900),
        strict=True,
    ):
        data = _replaced(data, place, value.to_bytes(place[1], "little"))
    return data


def _strings(data: bytes, offset: int, width: int) -> Iterator[tuple[int, int]]:
    while True:
        length = int.from_bytes(data[offset + 1 : offset + 1 + width], "little")
        offset += 1 + width
        yield offset, length
        offset += length


def _replaced(data: bytes, place: tuple[int, int], new: bytes) -> bytes:
    offset, length = place
    if len(new) != length:
        raise OperationError(f"the head of a dump has {length} bytes for this, not {len(new)}")
    return data[:offset] + new + data[offset + length :]
