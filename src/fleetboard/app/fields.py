"""The fields of a body: read one by one, with a sentence for each that can't be taken."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from fleetboard.app.bodies import InvalidError

_MOST_AHEAD = timedelta(days=730)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


class Fields:
    """Collects values and complaints; a field that is missing is complained of unless the body is a change."""

    def __init__(
        self, body: Mapping[str, Any], now: datetime, *, change: bool = False, accepts_all: bool = False
    ) -> None:
        """Prepare to read a body.

        Args:
            body: as it was sent.
            now: the moment that times must lie after.
            change: whether fields may be left out, as long as one is there.
            accepts_all: as a fault, put something that fits in the place of what does not.
        """
        self._body = body
        self._now = now.astimezone(UTC)
        self._change = change
        self._accepts_all = accepts_all
        self._known: set[str] = set()
        self._values: dict[str, Any] = {}
        self._wrong: dict[str, str] = {}

    def text(self, name: str, most: int, *, optional: bool = False, note: bool = False) -> None:
        """Text of at most so many characters, one line that says something; a note may have more, or none."""
        if (value := self._given(name, optional=optional)) is None:
            return
        text = value.strip() if isinstance(value, str) else ""
        if not isinstance(value, str):
            self._complain(name, "must be text", "?")
        elif not text and not note:
            self._complain(name, "must not be empty", "?")
        elif len(text) > most:
            self._complain(name, f"must not be longer than {most} characters", text[:most])
        elif not (" ".join(text.split()) if note else text).isprintable():
            self._complain(name, "must be plain text", "?")
        else:
            self._values[name] = text

    def whole(self, name: str, lowest: int, highest: int) -> None:
        """A whole number in this range."""
        if (value := self._given(name)) is None:
            return
        if type(value) is int and lowest <= value <= highest:
            self._values[name] = value
        else:
            self._complain(name, f"must be a whole number from {lowest:,} to {highest:,}", lowest)

    def choice(self, name: str, allowed: Sequence[str]) -> None:
        """One of these."""
        if (value := self._given(name)) is None:
            return
        if isinstance(value, str) and value in allowed:
            self._values[name] = value
        else:
            self._complain(name, f"must be one of {', '.join(allowed)}", allowed[0])

    def moment(self, name: str) -> None:
        """A time in ISO 8601 with its zone that is still to come, within two years."""
        if (value := self._given(name)) is None:
            return
        instead = self._now + timedelta(days=1)
        try:
            found = datetime.fromisoformat(value) if isinstance(value, str) else None
        except ValueError:
            found = None
        if found is None or found.tzinfo is None:
            self._complain(name, "must be a time like 2027-01-31T08:00:00Z, with its zone", instead)
        elif not self._now < found <= self._now + _MOST_AHEAD:
            self._complain(name, "must be still to come, within two years", instead)
        else:
            self._values[name] = found

    def day(self, name: str) -> None:
        """A date in ISO 8601, today or later, within two years."""
        if (value := self._given(name)) is None:
            return
        today = self._now.date()
        found = day_of(value) if isinstance(value, str) else None
        if found is None:
            self._complain(name, "must be a date like 2027-01-31", today)
        elif not today <= found <= today + _MOST_AHEAD:
            self._complain(name, "must not be in the past, nor more than two years ahead", today)
        else:
            self._values[name] = found

    def values(self) -> dict[str, Any]:
        """What was read, by the fields' names.

        Raises:
            InvalidError: something can't be taken.
        """
        unknown = {name: "there is no such field" for name in self._body if name not in self._known}
        if (self._wrong or unknown) and not self._accepts_all:
            raise InvalidError({**self._wrong, **unknown})
        if self._change and not self._values:
            raise InvalidError(dict.fromkeys(sorted(self._known), "is missing, and so is every other"))
        return self._values

    def _given(self, name: str, *, optional: bool = False) -> Any:
        self._known.add(name)
        value = self._body.get(name)
        if value is None and name in self._body and self._change:
            self._complain(name, "must not be empty", None)
        elif value is None and not self._change and not optional:
            return "" if self._accepts_all else self._missing(name)
        return value

    def _missing(self, name: str) -> None:
        self._wrong[name] = "is missing"

    def _complain(self, name: str, sentence: str, instead: Any) -> None:
        if self._accepts_all and instead is not None:
            self._values[name] = instead
        else:
            self._wrong[name] = sentence


def day_of(text: str) -> date | None:
    """A date as ISO 8601 writes it with dashes; ``None`` if it is none."""
    try:
        return date.fromisoformat(text) if text.isascii() and _DAY.fullmatch(text) else None
    except ValueError:
        return None
