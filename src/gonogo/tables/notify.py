"""``[targets.NAME.notify]`` and ``.docs``: what people are told, and what they are pointed to."""

from __future__ import annotations

from gonogo.tables.base import Table


class Notify(Table):
    """Messages and their channels."""


class Docs(Table):
    """Documentation that must be reachable."""
