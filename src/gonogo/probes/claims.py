"""What a health document says of its parts, whatever its dialect.

Pure: JSON in, facts out. Understood are an object of names whose values are a word, a truth value, an object
with a ``status``, or a list of such objects (as in the draft "Health Check Response Format for HTTP APIs"),
and a list of objects with a ``name`` and a ``status``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

_NAMES = ("name", "id", "key", "component", "componentId", "check")
_STATES = ("status", "state", "healthy", "ok")


@dataclass(frozen=True)
class Claim:
    """What health says of one of its parts."""

    name: str
    said: Any
    """Its word for it, or a truth value; ``None`` if it says nothing."""

    def healthy(self, words: Collection[str]) -> bool:
        """Whether that is ``true`` or one of these words, in any case of letters."""
        if isinstance(self.said, str):
            return self.said.strip().lower() in {word.lower() for word in words}
        return self.said is True

    def __str__(self) -> str:
        return f"{self.name}: {'says nothing' if self.said is None else self.said}"


def claims(checks: Any) -> tuple[Claim, ...]:
    """One claim a check, in the order of the document; none if it declares none."""
    if isinstance(checks, Mapping):
        return tuple(claim for name, value in checks.items() for claim in _named(str(name), value))
    if isinstance(checks, list):
        return tuple(
            claim
            for number, value in enumerate(checks, 1)
            for claim in _named(_name(value) or f"number {number}", value)
        )
    return ()


def _named(name: str, value: Any) -> list[Claim]:
    if isinstance(value, list):
        if not value:
            return [Claim(name, None)]
        several = len(value) > 1
        return [Claim(f"{name} {n}" if several else name, _state(one)) for n, one in enumerate(value, 1)]
    return [Claim(name, _state(value))]


def _state(value: Any) -> Any:
    if isinstance(value, str | bool):
        return value
    if isinstance(value, Mapping):
        return next((value[key] for key in _STATES if isinstance(value.get(key), str | bool)), None)
    return None


def _name(value: Any) -> str:
    if not isinstance(value, Mapping):
        return ""
    return next((str(value[key]) for key in _NAMES if isinstance(value.get(key), str)), "")
