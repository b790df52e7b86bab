"""``[targets.NAME.change]``: the source of the release, its tests and its dependencies."""

from __future__ import annotations

from gonogo.tables.base import Table


class Change(Table):
    """What is going to be launched, as its repository tells."""
