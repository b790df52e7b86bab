"""``[targets.NAME.process]``, ``.logs`` and ``.services``: what runs, what it writes, what it needs."""

from __future__ import annotations

from gonogo.tables.base import Table


class Process(Table):
    """The processes of the application."""


class Logs(Table):
    """Where the application writes what goes wrong."""


class Services(Table):
    """Services outside the application that it needs."""
