"""``[targets.NAME.edge]``: what the way in must do, and what must not answer from outside."""

from __future__ import annotations

from gonogo.tables.base import Table


class Edge(Table):
    """The outer side of the target."""
